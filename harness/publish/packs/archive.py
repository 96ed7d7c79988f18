"""The archive: a task's submission as one zip, the same bytes whenever it is made again.

index.html                           the cover page, in English and Chinese
results/<part>/<kind>/<run id>/      the records that count, whole: log, picture, statement, the program's files
results/attached/<part>/<id>/        what a person has added
results/pairing/<part>/<id>/         the pairing sessions whose conversation is attached, and those that they continue
code/                                the programs, as they were when the records were made
manifest.json, manifest.json.sig     the hash of every file; a signature over it, if one was asked for
ro-crate-metadata.json               the same for machines, with --crate

Nothing in it is compressed, so that its bytes do not depend on a library's version. Who checks a pack makes it again
from the files in it, and compares: the cover and the metadata too, which is why they belong to the format. A change of
what they say needs a new SCHEMA, and the earlier ones to be made as before.
"""

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from harness.catalogue.entries import Catalogue, Part
from harness.checkout import why_no_revision
from harness.errors import HomeworkError, StoreError, VerificationError
from harness.evidence import signatures
from harness.evidence.hashing import seal_of
from harness.evidence.verdicts import NOT_JUDGED
from harness.publish.packs import cover, crates, names
from harness.publish.packs.contents import Content, Contents, gather, opened, revision_of, size_of

SCHEMA = 2  # 1: without seal and rules, and with another cover
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
    warnings: Sequence[str] = ()


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
        VerificationError: a record or a pairing session that would go in is damaged, or a file has a name that
            no pack holds.
        StoreError: the file cannot be written.
    """
    contents = gather(catalogue, parts, results)
    if not any(contents.runs.values()) and not any(contents.attached.values()):
        listed = ", ".join(part.name for part in parts)
        raise HomeworkError(
            f"There is nothing to pack for {listed}.",
            "No run passed, or is recorded as not judged, and nothing is attached.",
            "./inv run",
        )
    derive(contents, crate)
    files = {**contents.files, **manifest(contents, key)}
    _require_names(files)
    beside = file.with_name(f".{file.name}.part")
    try:
        with beside.open("wb") as target:
            write_zip(target, files)
        size, digest = beside.stat().st_size, sha256_of(beside)
        beside.replace(file)
    except OSError as error:
        raise StoreError(f"{file}: it cannot be written.", f"{error.strerror}.", "Name another with --to") from error
    return Made(len(contents.files), size, digest, contents.missing(), list(_warnings(contents)))


def derive(contents: Contents, crate: bool) -> None:
    """Add what is made of the other files: the cover, and the metadata."""
    contents.files[COVER] = cover.page(contents).encode("utf-8", "backslashreplace")
    if crate:
        contents.files[CRATE] = json_bytes(crates.metadata(contents))


def _require_names(files: Mapping[str, Content]) -> None:
    lines = list(names.mistakes({name: size_of(content) for name, content in files.items()}))
    if lines:
        raise VerificationError(
            f"{len(lines)} thing{'s' * (len(lines) != 1)} that no pack holds, for it is to open on every system:",
            "\n".join(f"  {line}" for line in lines[:10]),
            "Have the program write another name (or fewer, smaller files) and run that cell again; "
            "./inv detach what was attached, and attach it under another.",
        )


def _warnings(contents: Contents) -> Iterator[str]:
    """What whoever checks the pack will read, said to its maker first."""
    for part in contents.parts:
        if any(run.state == NOT_JUDGED for run in contents.runs[part.name]):
            yield f"part {part.name}: its run is not judged, which earns nothing; ./inv matrix --explain says why"
    revision = revision_of(contents)
    if revision and contents.revision is None and any(contents.runs.values()):
        yield (
            f"the runs are of commit {revision[:12]}, which this clone lacks, so the code is as it lies here: where "
            "that commit is known, verify refuses it unless it is the same. git fetch, or pack where they ran"
        )
    elif contents.revision is None and any(contents.runs.values()):
        remedy = why_no_revision() or "Commit, and run again, to have it checked"
        yield f"the code is of no one commit: verify says so. {remedy}"
    if contents.rules is None and not why_no_revision():
        yield "project.yaml is not as committed, so another checkout may refuse the cover. Commit it, then pack again"


def manifest(contents: Contents, key: Path | None) -> dict[str, bytes]:
    """manifest.json, and with `key` its signature."""
    files = {
        name: {"sha256": sha256_of(content), "bytes": size_of(content)}
        for name, content in sorted(contents.files.items())
    }
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "parts": [part.name for part in contents.parts],
        "code": contents.revision,
        "rules": contents.rules,
        "files": files,
    }
    content = json_bytes({**document, "seal": seal_of(document)})
    if key is None:
        return {MANIFEST: content}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / MANIFEST
        file.write_bytes(content)
        return {MANIFEST: content, MANIFEST + signatures.SUFFIX: signatures.sign(file, key).read_bytes()}


def sha256_of(content: Content) -> str:
    digest = hashlib.sha256()
    with opened(content) as source:
        while chunk := source.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def json_bytes(document: Any) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def write_zip(target: BinaryIO, files: Mapping[str, Content]) -> None:
    """The zip of these files, the same bytes each time."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system, entry.external_attr, entry.file_size = 3, FILE_MODE, size_of(files[name])
            with opened(files[name]) as source, archive.open(entry, "w") as sink:
                shutil.copyfileobj(source, sink, 2**20)
