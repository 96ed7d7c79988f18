"""Hashing: ids and times, hashes of files, the seal over them, and JSON that is never half-written."""

import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from harness.errors import StoreError

LOCK = ".lock"
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
    """Write beside and rename, so that no reader ever sees half a file."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        content = text.encode()
    except UnicodeEncodeError:  # half a character, which only an escape can hold
        content = json.dumps(document, indent=2, allow_nan=False).encode()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content + b"\n")
    beside.replace(path)


def unwritable(results: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{results}: results cannot be written.",
        f"{error.strerror or error}.",
        "Free space or mend the folder's permissions, then call again.",
    )
