"""Unpacking: a pack that came from someone else, taken for hostile until it is shown to be what a pack is.

Nothing of it is run. Before anything is written its table of contents is held against what packs are made of: plain
files with plain names, each once, stored or deflated, within bounds. It is unpacked into a folder that goes away.
"""

import hashlib
import json
import re
import stat
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.catalogue import datafiles
from harness.catalogue.entries import Catalogue
from harness.errors import DataFileError, VerificationError
from harness.evidence import attachments, sealed, sessions, signatures
from harness.publish.packs import archive
from harness.verification import verifying

FILES = 10_000
BYTES = 2 * 2**30
RATIO = 200
RATIO_FROM = 2**20  # smaller files may be as dense as they like
MANIFEST_BYTES = 16 * 2**20
NAME_BYTES = 200
PLAIN_NAME = re.compile(r"[^/\\\x00-\x1f\x7f:*?\"<>|]+")
KNOWN_FLAGS = 0x1 << 11 | 0x6 | 0x8  # UTF-8 names, deflate's level, sizes behind the data


def verify(file: Path, catalogue: Catalogue, signers: Path | None = None) -> str:
    """Check a pack; what was verified is said in a line.

    Args:
        file: the zip.
        catalogue: the rules that its runs are judged by.
        signers: an allowed_signers file; with it the pack must be signed by one of them.

    Raises:
        VerificationError: it is no pack, a hostile one, or something in it is not as it says.
    """
    with tempfile.TemporaryDirectory(prefix="paddlehomework-") as folder:
        root = Path(folder)
        unpack(file, root)
        lines = list(_mistakes(root, catalogue, signers))
        if lines:
            shown = "\n".join(line.replace(f"{root}/", "") for line in lines[:20])
            raise VerificationError(f"{file}: failed verification.", shown, "Ask for it again where it came from.")
        number = sum(1 for _ in sealed.folders(root / "results"))
        counts = [f"{number} record{'s' * (number != 1)}"]
        counts += verifying.counted(root / "results", verifying.verify_others(root / "results"))
        size = len(json.loads((root / archive.MANIFEST).read_bytes())["files"])
        return (
            f"{file}: {size} files, {', '.join(counts)} verified: "
            f"hashes, seals, schema and verdict. {_signed(root, signers)}"
        )


def _signed(root: Path, signers: Path | None) -> str:
    signature = root / (archive.MANIFEST + signatures.SUFFIX)
    if not signature.is_file():
        return "It is not signed."
    who, _ = signatures.check(root / archive.MANIFEST, signature, signers)
    return f"Signed by {who}" + ("." if signers else "; whose key that is, nobody here has said (--signers FILE).")


# The zip


def unpack(file: Path, root: Path) -> None:
    """Write the files of a zip into `root`, if it is made as packs are.

    Raises:
        VerificationError: it is not; nothing was written outside `root`.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            size = file.stat().st_size
            for mistake in _hostilities(entries, size):
                raise _refused(file, mistake)
            for entry in entries:
                path = root / entry.filename
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, path.open("xb") as target:
                    _copy(source, target, entry)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise _refused(file, f"a broken zip: {error}") from error
    except OSError as error:
        raise _refused(file, f"{error.strerror or error}") from error


def _refused(file: Path, why: str) -> VerificationError:
    return VerificationError(f"{file}: refused.", f"{why}.", "A pack is made by ./inv pack; ask for it again.")


def _copy(source: Any, target: Any, entry: zipfile.ZipInfo) -> None:
    written = 0
    while chunk := source.read(2**20):
        written += len(chunk)
        if written > entry.file_size:
            raise zipfile.BadZipFile(f"{entry.filename}: longer than it says")
        target.write(chunk)
    if written != entry.file_size:
        raise zipfile.BadZipFile(f"{entry.filename}: shorter than it says")


def _hostilities(entries: Sequence[zipfile.ZipInfo], size: int) -> Iterator[str]:
    """Everything in a table of contents that no pack has."""
    if len(entries) > FILES:
        yield f"{len(entries)} files, at most {FILES} are taken"
    if sum(entry.file_size for entry in entries) > BYTES:
        yield f"it unpacks to more than {BYTES // 2**30} GiB"
    yield from _overlaps(entries, size)
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        shown = ascii(name[:80])
        if entry.orig_filename != name or not _plain(name):
            yield f"{shown}: not a name that a pack has"
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
            yield f"{shown}: not a plain file"
        if entry.flag_bits & ~KNOWN_FLAGS:
            yield f"{shown}: encrypted, or of an unknown kind"
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            yield f"{shown}: neither stored nor deflated"
        if entry.file_size > max(RATIO_FROM, RATIO * entry.compress_size):
            yield f"{shown}: it unpacks to more than {RATIO} times its size"
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in seen:
            yield f"{shown}: it is there twice"
        seen.add(folded)
    if archive.MANIFEST not in seen:
        yield f"there is no {archive.MANIFEST}"


def _plain(name: str) -> bool:
    """Whether the name stays below its folder on every system."""
    steps = name.split("/")
    return len(name.encode("utf-8", "surrogatepass")) <= NAME_BYTES and all(
        PLAIN_NAME.fullmatch(step) and step not in (".", "..") and not step.endswith((".", " ")) for step in steps
    )


def _overlaps(entries: Sequence[zipfile.ZipInfo], size: int) -> Iterator[str]:
    """Files that share their bytes: how a small zip becomes a flood."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            yield f"{entry.filename[:80]!a}: it shares its bytes with another"
        end = entry.header_offset + 30 + len(entry.filename.encode("utf-8", "surrogatepass")) + entry.compress_size
    if end > size:
        yield "it says to be longer than it is"


# What is in it


def _mistakes(root: Path, catalogue: Catalogue, signers: Path | None) -> Iterator[str]:
    try:
        manifest = _manifest(root / archive.MANIFEST)
    except DataFileError as error:
        yield str(error).replace("\n", " ")
        return
    yield from _changed(root, manifest["files"])
    yield from _unsigned(root, signers)
    results = root / "results"
    for _, _, run in sealed.folders(results):
        yield from verifying.verify(Path(run.path), catalogue)
    for found in verifying.verify_others(results).values():
        yield from found
    for each in attachments.read_all(results)[0]:
        if "session" in each.data:
            yield from sessions.absent(results / sessions.FOLDER / each.data["part"], each.data["session"])


def _manifest(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MANIFEST_BYTES:
            raise DataFileError(f"{path.name}: too large.")
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataFileError(f"{path.name}: not readable as JSON.", f"{error}.") from error
    if mistake := datafiles.mistake(document, "pack"):
        raise DataFileError(f"{path.name}: {mistake}")
    return dict(document)


def _changed(root: Path, said: Mapping[str, Any]) -> Iterator[str]:
    own = (archive.MANIFEST, archive.MANIFEST + signatures.SUFFIX)
    present = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*")) if path.is_file()}
    for name in sorted({*said, *present} - {*own}):
        if name not in present:
            yield f"{name}: missing"
        elif name not in said:
            yield f"{name}: not one of the pack's files"
        elif hashlib.sha256(present[name].read_bytes()).hexdigest() != said[name]["sha256"]:
            yield f"{name}: changed after it was packed"


def _unsigned(root: Path, signers: Path | None) -> Iterator[str]:
    signature = root / (archive.MANIFEST + signatures.SUFFIX)
    if signature.is_file():
        _, mistake = signatures.check(root / archive.MANIFEST, signature, signers)
        if mistake:
            yield f"{signature.name}: {mistake}"
    elif signers:
        yield "it is not signed, and --signers asks for a signature"
