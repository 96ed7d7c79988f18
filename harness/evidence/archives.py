"""Archives that a program left: each file in them is handed out, and what comes back is put in its place.

gzip, bzip2, xz, tar and zip. One in which nothing changes stays as it is, byte for byte; so does what cannot be read to
its end, is encrypted, or is larger than is allowed.
"""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from copy import copy
from typing import IO, Any

DEEPEST = 3  # archives in archives
TAR_MARK = slice(257, 262)
Clean = Callable[[bytes], bytes]
Rename = Callable[[str], str]


PACKED: dict[bytes, tuple[Callable[[IO[bytes]], Any], Clean]] = {
    b"\x1f\x8b": (gzip.open, lambda text: gzip.compress(text, mtime=0)),
    b"BZh": (bz2.open, bz2.compress),
    b"\xfd7zXZ\0": (lzma.open, lzma.compress),
}


class TooLargeError(Exception):
    """It unpacks to more than is allowed."""


def rewritten(content: bytes, clean: Clean, rename: Rename, most: int) -> bytes:
    """An archive with its files cleaned and renamed; anything else as it is."""
    try:
        for mark, (opened, pack) in PACKED.items():
            if content.startswith(mark):
                return _packed(content, opened(io.BytesIO(content)), pack, clean, most)
        if content.startswith(b"PK\3\4"):
            return _zip(content, clean, rename, most)
        if content[TAR_MARK] == b"ustar":
            return _tar(content, clean, rename, most)
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError,
            zipfile.BadZipFile, tarfile.TarError, TooLargeError):  # fmt: skip
        pass
    return content


def _packed(content: bytes, file: IO[bytes], pack: Clean, clean: Clean, most: int) -> bytes:
    with file:
        text = _read(file, most)
    changed = clean(text)
    return content if changed == text else pack(changed)


def _read(file: IO[bytes], most: int) -> bytes:
    content = file.read(most + 1)
    if len(content) > most:
        raise TooLargeError
    return content


def _zip(content: bytes, clean: Clean, rename: Rename, most: int) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as before:
        files, changed = [], False
        for info in before.infolist():
            with before.open(info) as file:
                text = _read(file, most)
            most -= len(text)
            files.append((info, rename(info.filename), clean(text)))
            changed = changed or files[-1][1:] != (info.filename, text)
    if not changed:
        return content
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as after:
        for info, name, text in files:
            new = zipfile.ZipInfo(name, info.date_time)
            new.compress_type, new.external_attr = info.compress_type, info.external_attr
            after.writestr(new, text)
    return made.getvalue()


def _tar(content: bytes, clean: Clean, rename: Rename, most: int) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(content)) as before:
        files, changed = [], False
        for info in before:
            file = before.extractfile(info) if info.isfile() else None
            text = _read(file, most) if file else b""
            most -= len(text)
            new = copy(info)
            new.name, cleaned = rename(info.name), clean(text) if text else text
            new.size, new.pax_headers = len(cleaned), {}
            files.append((new, cleaned, file is not None))
            changed = changed or (new.name, cleaned) != (info.name, text)
    if not changed:
        return content
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as after:
        for info, text, is_file in files:
            after.addfile(info, io.BytesIO(text) if is_file else None)
    return made.getvalue()
