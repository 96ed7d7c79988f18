"""Unpacking: a pack that came from someone else, taken for hostile until it is shown to be what a pack is.

Nothing of it is run. Before anything is written its table of contents is held against what packs are made of: plain
files with plain names, each once, stored or deflated, within bounds. It is unpacked into a folder that goes away. Then
it is made again from what was unpacked: where the two differ, something stands in it that other readers may see.
"""

import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.catalogue.entries import Catalogue
from harness.errors import VerificationError
from harness.evidence import signatures
from harness.publish.packs import archive, names
from harness.publish.packs.names import shown
from harness.verification import packed

FILES = names.FILES
BYTES = names.BYTES
RATIO = 200
RATIO_FROM = 2**20  # smaller files may be as dense as they like
KNOWN_FLAGS = 0x1 << 11 | 0x6 | 0x8  # UTF-8 names, deflate's level, sizes behind the data
CHUNK = 2**20


def verify(file: Path, catalogue: Catalogue, signers: Path | None = None) -> str:
    """Check a pack; what was verified is said in a line.

    Args:
        file: the zip.
        catalogue: the rules that its runs are judged by.
        signers: an allowed_signers file; with it the pack must be signed by one of them.

    Raises:
        UsageError: there is no such signers file.
        VerificationError: it is no pack, a hostile one, or something in it is not as it says.
    """
    signatures.require(signers)
    with tempfile.TemporaryDirectory(prefix="paddlehomework-") as folder:
        root = Path(folder, "pack")
        root.mkdir()
        unpack(file, root)
        _require_same(file, root, Path(folder, "again.zip"))
        return f"{file}: {packed.verify(file, root, catalogue, signers)}"


def _require_same(file: Path, root: Path, again: Path) -> None:
    """Make the pack again from its files, and refuse it where a byte differs."""
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    with again.open("w+b") as made, file.open("rb") as given:
        archive.write_zip(made, files)
        made.seek(0)
        place = 0
        while (chunk := given.read(CHUNK)) == (expected := made.read(CHUNK)):
            if not chunk:
                return
            place += len(chunk)
    pairs = zip(chunk, expected, strict=False)
    place += next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(chunk), len(expected)))
    raise _refused(
        file, f"made again from its files it is another from byte {place} on: something stands there that no pack has"
    )


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
    for entry in entries:
        if entry.orig_filename != entry.filename or names.unfit(entry.filename):
            yield f"{shown(entry.filename)}: not a name that a pack has"
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
            yield f"{shown(entry.filename)}: not a plain file"
        if entry.flag_bits & ~KNOWN_FLAGS:
            yield f"{shown(entry.filename)}: encrypted, or of an unknown kind"
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            yield f"{shown(entry.filename)}: neither stored nor deflated"
        if entry.file_size > max(RATIO_FROM, RATIO * entry.compress_size):
            yield f"{shown(entry.filename)}: it unpacks to more than {RATIO} times its size"
    listed = [entry.filename for entry in entries]
    yield from (f"{shown(name)}: it is there twice" for name in names.twins(listed))
    if archive.MANIFEST not in listed:
        yield f"there is no {archive.MANIFEST}"


def _overlaps(entries: Sequence[zipfile.ZipInfo], size: int) -> Iterator[str]:
    """Files that share their bytes: how a small zip becomes a flood."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            yield f"{shown(entry.filename)}: it shares its bytes with another"
        end = entry.header_offset + 30 + len(entry.filename.encode("utf-8", "surrogatepass")) + entry.compress_size
    if end > size:
        yield "it says to be longer than it is"
