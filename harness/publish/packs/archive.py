"""The archive: a task's submission as one zip, the same bytes whenever it is made again.

index.html                           the cover page, in English and Chinese
results/<part>/<kind>/<run id>/      the records that count, whole: log, picture, statement, the program's files
results/attached/<part>/<id>/        what a person has added
results/pairing/<part>/<id>/         the pairing sessions whose conversation is attached, and those that they continue
code/                                the programs, as they were when the records were made
manifest.json, manifest.json.sig     the hash of every file; a signature over it, if one was asked for
ro-crate-metadata.json               the same for machines, with --crate

Nothing in it is compressed, so that its bytes do not depend on a library's version.
"""

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.catalogue.entries import Catalogue, Part
from harness.errors import HomeworkError, StoreError
from harness.evidence import signatures
from harness.publish.packs import cover, crates
from harness.publish.packs.contents import Contents, gather

MANIFEST = "manifest.json"
COVER = "index.html"
CRATE = "ro-crate-metadata.json"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first day that a zip can name
FILE_MODE = 0o100644 << 16


@dataclass(frozen=True)
class Made:
    """A pack that was made."""

    files: int
    size: int
    sha256: str
    missing: Sequence[str]


def make(
    catalogue: Catalogue,
    parts: Sequence[Part],
    results: Path,
    file: Path,
    *,
    crate: bool = False,
    key: Path | None = None,
) -> Made:
    """Write the pack of `parts` to `file`.

    Args:
        catalogue: for the states of the cells.
        parts: the parts that are submitted together.
        results: the folder of this machine's records.
        file: the zip; it is replaced if it is there.
        crate: whether RO-Crate metadata goes in.
        key: an SSH key that signs the manifest.

    Raises:
        HomeworkError: there is nothing to submit yet.
        VerificationError: a record or a pairing session that would go in is damaged.
        StoreError: the file cannot be written.
    """
    contents = gather(catalogue, parts, results)
    if not any(contents.runs.values()) and not any(contents.attached.values()):
        names = ", ".join(part.name for part in parts)
        raise HomeworkError(
            f"There is nothing to pack for {names}.", "No run passed, nothing is attached.", "./inv run"
        )
    contents.files[COVER] = cover.page(contents).encode()
    if crate:
        contents.files[CRATE] = json_bytes(crates.metadata(contents))
    content = _zip({**contents.files, **manifest(contents, key)})
    beside = file.with_name(f".{file.name}.part")
    try:
        beside.write_bytes(content)
        beside.replace(file)
    except OSError as error:
        raise StoreError(f"{file}: it cannot be written.", f"{error.strerror}.", "Name another with --to") from error
    return Made(len(contents.files), len(content), hashlib.sha256(content).hexdigest(), contents.missing())


def manifest(contents: Contents, key: Path | None) -> dict[str, bytes]:
    """manifest.json, and with `key` its signature."""
    files = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in sorted(contents.files.items())
    }
    parts = [part.name for part in contents.parts]
    content = json_bytes({"schema": 1, "parts": parts, "code": contents.revision, "files": files})
    if key is None:
        return {MANIFEST: content}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / MANIFEST
        file.write_bytes(content)
        return {MANIFEST: content, MANIFEST + signatures.SUFFIX: signatures.sign(file, key).read_bytes()}


def json_bytes(document: Any) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _zip(files: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system, entry.external_attr = 3, FILE_MODE
            archive.writestr(entry, files[name])
    return target.getvalue()
