"""What was installed, how, and whether it is still what the wheel contained.

Neither pip nor uv keeps the wheel or its hash. What stays is RECORD, the wheel's own list of its files with
their hashes. Two steps lead from there to the wheel, and each is a check rather than a guess:

1. every installed file is hashed and held against RECORD: the files are what the list says;
2. the list itself is hashed (`record_sha256`) and looked up among those of the published wheels
   (`docker/locks/paddle-wheels.json`): the list is that wheel's.

A name or a tag would not do for the second step: a wheel built on this machine bears the same ones.
This module needs only the standard library.
"""

import base64
import csv
import hashlib
import json
import re
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distributions
from pathlib import Path

# An installer adds these to the list, and moves what lies in *.data/ (scripts, whose first line it rewrites).
ADDED = re.compile(r"\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)$|(^|/)__pycache__/|^[^/]+\.data/")


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """`file` and `sha256` are None where unknown, and `reason` says how they were found or why not."""

    file: str | None
    sha256: str | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the machine shows about how Paddle got there; `decide` reads it."""

    installer: str | None = None  # the word in INSTALLER: pip, uv, conda
    has_metadata: bool = True  # whether a dist-info lies beside paddle
    version: str = ""
    direct_url: dict = field(default_factory=dict)  # PEP 610
    conda: bool = False  # whether conda's own list names paddle
    conda_environment: bool = False  # whether conda made the environment, whoever installed into it
    container: str | None = None  # what shows that this is a container
    in_image: bool = False  # whether paddle was there before the container was


def find(package: Path) -> Distribution | None:
    """The distribution that owns the imported paddle in the folder `package`; None for a build tree.

    It must lie beside it: another Paddle in some other folder of the path says nothing about the one that
    runs.
    """
    for distribution in distributions(path=[str(package.parent)]):
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        record = distribution.read_text("RECORD") or ""
        if name.startswith("paddlepaddle") and "paddle/__init__.py" in record:
            return distribution
    return None


def record_sha256(lines: Iterable[str]) -> str:
    """One hash over a wheel's RECORD, the same from the wheel itself as from the installed copy.

    Keep the rows that installing does not touch (not those of `ADDED`, nor paths leading out of
    site-packages), write each as "path,hash,size", sort them, end each with a newline, and take SHA-256 of
    that in UTF-8.
    """
    rows = sorted(",".join(row) for row in csv.reader(lines) if row and _pristine(row[0]))
    return hashlib.sha256("".join(f"{row}\n" for row in rows).encode()).hexdigest()


def verify(root: Path, record: str) -> tuple[int, list[str]]:
    """Hash all files below `root` that `record` (the text of RECORD) gives a hash for.

    Returns how many, and the paths that are missing or differ. All of Paddle, 0.7 GB, takes 2 to 4 seconds; a
    sample would not be faster, as a handful of shared objects, which no sample may leave out, make up almost
    all of it.
    """
    rows = [row for row in csv.reader(record.splitlines()) if row and row[1]]
    with ThreadPoolExecutor() as threads:  # hashing and reading leave Python's lock
        right = list(threads.map(lambda row: _matches(root / row[0], row[1]), rows))
    return len(rows), [row[0] for row, is_right in zip(rows, right, strict=True) if not is_right]


def identify(record: str, direct_url: dict, wrong: list[str], published: Path) -> Wheel:
    """Which wheel was installed: by its RECORD among the `published` ones, or as the installer noted."""
    if wrong:
        return Wheel(file=None, sha256=None, reason=f"{len(wrong)} installed files are not the wheel's")
    archive = direct_url.get("archive_info", {})
    noted = archive.get("hashes", {}).get("sha256") or archive.get("hash", "").removeprefix("sha256=")
    if noted:
        name = direct_url["url"].rpartition("/")[2]
        return Wheel(file=name, sha256=noted, reason="the installer noted it in direct_url.json")
    if not published.is_file():
        return Wheel(file=None, sha256=None, reason=f"there is no {published.name} here to look it up in")
    found = record_sha256(record.splitlines())
    for name, hashes in json.loads(published.read_text(encoding="utf-8")).items():
        if hashes["record_sha256"] == found:
            reason = f"its RECORD is the one in {published.name}"
            return Wheel(file=name, sha256=hashes["sha256"], reason=reason)
    return Wheel(file=None, sha256=None, reason=f"its RECORD is none of those in {published.name}")


def gather(distribution: Distribution | None, package: Path, version: str) -> Evidence:
    """Look around on this machine for how the `distribution` of `version` came into the folder `package`."""
    if distribution is None:
        return Evidence(has_metadata=False, version=version)
    markers = [Path("/.dockerenv"), Path("/run/.containerenv")]
    marker = next((path for path in markers if path.exists()), None)
    groups = _read(Path("/proc/1/cgroup"))
    word = re.search(r"docker|containerd|kubepods|libpod|lxc", groups)
    return Evidence(
        installer=(distribution.read_text("INSTALLER") or "").strip() or None,
        version=version,
        direct_url=json.loads(distribution.read_text("direct_url.json") or "{}"),
        conda=any(Path(sys.prefix, "conda-meta").glob("paddlepaddle*.json")),
        conda_environment=Path(sys.prefix, "conda-meta", "history").is_file(),
        container=str(marker) if marker else (f"{word[0]} in /proc/1/cgroup" if word else None),
        # The marker is as old as the container. What is older came with the image.
        in_image=marker is not None and (package / "__init__.py").stat().st_ctime < marker.stat().st_mtime,
    )


def decide(evidence: Evidence) -> tuple[str, list[str]]:
    """How it was installed, "source", "conda", "docker" or "pip", and what speaks for it, the reason first.

    The more particular comes first: a wheel compiled inside an image and installed there by pip is "source".
    """
    url = evidence.direct_url.get("url", "")
    reasons = []
    if not evidence.has_metadata:
        reasons.append(("source", "no wheel's metadata lies beside paddle: it is imported from a build tree"))
    if {"dir_info", "vcs_info"} & evidence.direct_url.keys():
        reasons.append(("source", f"direct_url.json names sources: {url}"))
    if url.startswith("file:") and "/python/dist/" in url:
        reasons.append(("source", f"the wheel came from a folder where Paddle's build leaves it: {url}"))
    if evidence.version.startswith("0.0.0"):
        reasons.append(("source", "its version is 0.0.0, which only untagged sources have"))
    if evidence.conda or evidence.installer == "conda":
        reasons.append(("conda", "conda's list of the environment, or INSTALLER, says so"))
    if evidence.container and evidence.in_image:
        reasons.append(("docker", f"older than the container ({evidence.container}): it came with the image"))
    if evidence.installer:
        reasons.append(("pip", f"INSTALLER says {evidence.installer}"))
    elif evidence.has_metadata:
        reasons.append(("pip", "a wheel's metadata lies beside paddle, and nothing says more"))
    if evidence.conda_environment and reasons[0][0] != "conda":
        reasons.append(("", "in an environment that conda made (conda-meta/history), as environment.yml has it"))
    if evidence.container and not evidence.in_image:
        reasons.append(("", f"in a container ({evidence.container}), but not known to come with the image"))
    return reasons[0][0], [text for _, text in reasons]


def _pristine(path: str) -> bool:
    return not ADDED.search(path) and not path.startswith(("../", "/"))


def _matches(path: Path, expected: str) -> bool:
    """`expected` as in RECORD: the algorithm, "=", and the digest in URL-safe base64 without padding."""
    algorithm, _, digest = expected.partition("=")
    try:
        with path.open("rb") as file:
            hasher = hashlib.new(algorithm)
            while block := file.read(1 << 20):
                hasher.update(block)
    except (OSError, ValueError):
        return False
    return base64.urlsafe_b64encode(hasher.digest()).rstrip(b"=").decode() == digest


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
