"""Addresses of stores: a folder, s3://BUCKET/PREFIX?OPTIONS, or a name from store.yaml.

    ./shared/homework
    s3://team/homework?service=bos&region=bj
    s3://team?endpoint=http://127.0.0.1:8333&addressing=path
    https://board.example.org/homework        to read alone, on any static host

Without one the variable HOMEWORK_STORE says it, else `default:` in store.yaml, else it is the folder store/ of the
checkout. Keys and secrets are never part of an address; they come from the usual AWS variables and profiles.
"""

import os
import re
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from harness.catalogue import yamltext
from harness.checkout import ROOT
from harness.errors import DataFileError, UsageError, did_you_mean

VARIABLE = "HOMEWORK_STORE"
SETTINGS = ROOT / "store.yaml"
DEFAULT = ROOT / "store"
SERVICES = Path(__file__).with_name("services.yaml")
SECRET = re.compile(r"(?<=//)[^/?#@\s]*(?:@[^/?#@\s]*)*@")  # user and password before a host
CHOICES = {
    "addressing": ("auto", "path", "virtual"),
    "checksum": ("crc32", "md5"),
    "conditional": ("yes", "no"),
    "signature": ("v4", "v2"),
}


def masked(text: str) -> str:
    """A text with the users and passwords of the addresses in it left out."""
    return SECRET.sub("…@", text)


@dataclass(frozen=True)
class Service:
    """How a service is spoken to; services.yaml explains the fields."""

    title: str
    endpoint: str = ""
    addressing: str = "auto"
    checksum: str = "crc32"
    conditional: str = "yes"
    signature: str = "v4"
    region: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bucket:
    """Where in which S3 service; `prefix` has no slash at its ends."""

    name: str
    prefix: str
    service: Service
    region: str = ""
    profile: str = ""
    account: str = ""

    @property
    def endpoint(self) -> str | None:
        """The service's URL; None leaves it to boto3 and its variables."""
        return self.service.endpoint.replace("{region}", self.region).replace("{account}", self.account) or None

    def __str__(self) -> str:
        return f"s3://{self.name}/{self.prefix}".rstrip("/")


@dataclass(frozen=True)
class Web:
    """A store on a static host, which is only read."""

    address: str


def resolve(address: str = "") -> Bucket | Path | Web:
    """What an address names.

    Raises:
        UsageError: it is not one.
        DataFileError: store.yaml has a mistake.
    """
    settings = _settings()
    address = address or os.environ.get(VARIABLE, "") or settings.get("default", "") or str(DEFAULT)
    address = settings.get("stores", {}).get(address, address)
    if address.startswith("s3://"):
        return _bucket(address)
    if address.startswith(("http://", "https://")):
        return _web(address)
    if "://" in address:
        raise UsageError(
            f"{masked(address)}: not a store.",
            "A store is a folder, s3://BUCKET/PREFIX or, to read, https://HOST/FOLDER.",
            _see(),
        )
    folder = Path(address).expanduser()
    if os.sep not in address and not folder.is_dir():
        known = settings.get("stores", {})
        why = f"Names in store.yaml: {', '.join(known) or 'none yet'}.{did_you_mean(address, known)}"
        raise UsageError(f"{address}: no such store.", why, f"A folder is ./{address}")
    return folder.absolute()


def _web(address: str) -> Web:
    parts = urlsplit(address)
    if masked(address) != address or parts.query or parts.fragment or not parts.hostname:
        why = "It is https://HOST/FOLDER: no user, no question mark."
        raise UsageError(f"{masked(address)}: no address of a store.", why, _see())
    return Web(address.rstrip("/"))


def _bucket(address: str) -> Bucket:
    parts = urlsplit(address)
    if masked(address) != address:
        raise UsageError(
            f"{masked(address)}: an address holds no secret.",
            "It would be shown and remembered.",
            _keys(),
        )
    if not parts.netloc or parts.fragment:
        raise UsageError(f"{masked(address)}: names no bucket.", "It stands behind s3://", "It is s3://BUCKET/PREFIX")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    service = _service(options.pop("service", "aws"))
    given = {name: options.pop(name, "") for name in ("region", "profile", "account")}
    region = given["region"] or service.region
    known = [field.name for field in fields(Service) if field.name not in ("title", "sources", "region")]
    for name, value in options.items():
        if name not in known:
            options_known = [*known, "service", *given]
            why = f"Known: {', '.join(options_known)}.{did_you_mean(name, options_known)}"
            raise UsageError(f"{name}: no option of a store.", why, _see())
        if value not in CHOICES.get(name, (value,)):
            why = f"Known: {', '.join(CHOICES[name])}.{did_you_mean(value, CHOICES[name])}"
            raise UsageError(f"{name}={value}: not known.", why, _see())
    service = replace(service, **options)  # type: ignore[arg-type]
    if masked(service.endpoint) != service.endpoint:  # percent signs hid it
        raise UsageError(f"endpoint={masked(service.endpoint)}: an address holds no secret.", "", _keys())
    for name, value in (("region", region), ("account", given["account"])):
        if f"{{{name}}}" in service.endpoint and not value:
            where = f"Write …{'&' if parts.query else '?'}{name}={name[0].upper()}"
            raise UsageError(f"{service.title}: which {name}?", "Its endpoint holds it.", where)
    return Bucket(parts.netloc, parts.path.strip("/"), service, region, given["profile"], given["account"])


def _keys() -> str:
    return "Give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or as a profile of the AWS tools."


def _service(name: str) -> Service:
    if name not in services():
        why = f"Known: {', '.join(services())}.{did_you_mean(name, services())}"
        raise UsageError(f"{name}: no such service.", why, _see())
    return services()[name]


@cache
def services() -> dict[str, Service]:
    """The presets of services.yaml."""
    import yaml

    entries: dict[str, dict[str, Any]] = yaml.safe_load(SERVICES.read_text(encoding="utf-8"))
    return {name: Service(**{**entry, "sources": tuple(entry["sources"])}) for name, entry in entries.items()}


def _settings() -> dict[str, Any]:
    if not os.path.lexists(SETTINGS):
        return {}
    settings = yamltext.load(SETTINGS)[0] or {}
    stores = settings.get("stores", {}) if isinstance(settings, dict) else None
    sound = isinstance(stores, dict) and all(isinstance(text, str) for pair in stores.items() for text in pair)
    if not sound or settings.keys() - {"default", "stores"} or not isinstance(settings.get("default", ""), str):
        raise DataFileError(f"{SETTINGS}: not the settings of stores.", "It has `default:` and `stores:`.", _example())
    return settings


def _example() -> str:
    return "For example: {default: team, stores: {team: 's3://team/homework?service=bos&region=bj'}}"


def _see() -> str:
    return "./inv upload --help shows addresses; harness/stores/services.yaml has the services."
