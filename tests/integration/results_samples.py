"""Sealed folders for the tests of stores: small records, big ones, attachments, all of random content."""

import json
import os
import secrets
from pathlib import Path

from harness.evidence import hashing, records


def a_sealed_record(results: Path, part: str = "4", kind: str = "cpu", **sizes: int) -> Path:
    """A sealed record with a file of so many random bytes for each of `sizes` (default: three small ones)."""
    record = {"schema": records.SCHEMA_VERSION, "id": hashing.new_id(), "cell": {"part": part, "hardware": kind}}
    folder = results / ".making"
    (folder / "plots").mkdir(parents=True)
    for name, size in (sizes or {"metrics": 300, "trace": 5000, "log": 0}).items():
        (folder / name).write_bytes(os.urandom(size))
    (folder / "plots" / "误差 +&%.png").write_bytes(os.urandom(700))
    return records.seal_folder(results, folder, record).folder


def an_attachment(results: Path, part: str = "4") -> Path:
    """An attachment: a photo and its sealed manifest."""
    name = f"{hashing.new_id()}"
    folder = results / "attached" / part / name
    folder.mkdir(parents=True)
    (folder / "photo.jpg").write_bytes(secrets.token_bytes(2000))
    manifest = {"schema": 1, "id": name, "part": part, "kind": "photo", "artefacts": hashing.hash_files(folder)}
    write_sealed(folder / "attachment.json", manifest)
    return folder


def write_sealed(path: Path, manifest: dict) -> None:
    manifest.pop("seal", None)
    path.write_text(json.dumps({**manifest, "seal": hashing.seal_of(manifest)}), encoding="utf-8")


def contents(results: Path) -> dict[str, bytes]:
    """Every file of the sealed folders, by its path; what lies in dot-folders is none."""
    paths = [path for path in results.rglob("*") if path.is_file()]
    names = {path.relative_to(results).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith(".")}
