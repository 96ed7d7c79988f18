"""Hashing: ids and times, hashes of files, the seal over them, and JSON that is never half-written."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from harness.errors import StoreError

LOCK = ".lock"
DIGITS = 300  # a double, which most readers of JSON take numbers for, holds 308
RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{3}Z-[0-9a-f]{6}")


def new_id() -> str:
    """A run id that sorts by time: 20261122T231953.042Z-4fa01c."""
    now = datetime.now(timezone.utc)
    return f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03}Z-{secrets.token_hex(3)}"


def timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def hash_files(folder: Path, manifest: str = "record.json") -> dict[str, dict[str, Any]]:
    """sha256 and size of every file below `folder` but its manifest.

    A link is hashed as its target's name, and what is neither file nor link as its kind.
    """
    hashes = {}
    for path in sorted(folder.rglob("*")):
        name = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
        if name in (manifest, LOCK) or (path.is_dir() and not path.is_symlink()):
            continue
        hashes[name] = {"sha256": sha256(path), "bytes": path.lstat().st_size}
    return hashes


def sha256(path: Path) -> str:
    if path.is_symlink():
        return hashlib.sha256(b"link to " + os.fsencode(os.readlink(path))).hexdigest()
    if not path.is_file():
        return hashlib.sha256(b"mode %o" % stat.S_IFMT(path.stat().st_mode)).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(2**20):
        digest.update(chunk)
    return digest.hexdigest()


def seal_of(manifest: Mapping[str, Any]) -> str:
    """The hash over the whole manifest but its seal; the files' hashes are in it, so it is a hash of hashes."""
    body = {key: value for key, value in manifest.items() if key != "seal"}
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return "sha256:" + hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document whole or not at all."""
    write_whole(path, json_content(document))


def write_whole(path: Path, content: bytes) -> None:
    """Write beside and rename, so that no reader ever sees half a file. An OSError names `path`."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        error.filename = str(path)
        raise


def json_content(document: Mapping[str, Any]) -> bytes:
    """The one way in which a document is written. Who checks a file holds its bytes against this: other bytes of the
    same meaning may mean another thing to another reader (a name that stands twice, UTF-16, what stands behind)."""
    try:
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a character, which only an escape can hold
        return json.dumps(document, indent=2, allow_nan=False).encode() + b"\n"


def read_json(content: bytes, integer: Callable[[str], int] = int) -> Any:
    """JSON of others, where all readers read the same: in UTF-8, each name once in its object.

    Raises:
        ValueError: it is not.
        RecursionError: it is nested too deep.
    """
    return json.loads(content.decode(), object_pairs_hook=_each_once, parse_int=integer)


def bounded_integer(text: str) -> int:
    """An integer of a manifest.

    Raises:
        ValueError: it is larger than any double.
    """
    if len(text) > DIGITS:
        raise ValueError(f"an integer of {len(text)} digits")
    return int(text)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r:.80} stands twice in one object")
    return document


def unwritable(results: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{results}: results cannot be written.",
        f"{error.strerror or error}.",
        "Free space or mend the folder's permissions, then call again.",
    )
