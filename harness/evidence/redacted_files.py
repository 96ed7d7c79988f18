"""Redaction of files: every text that a program left, told by its content, also in UTF-16 and in archives; and names.

A file that is no text is left as it is, and an archive without secrets too. A large text goes through in pieces.
"""

import codecs
import contextlib
import json
from collections.abc import Iterator
from copy import copy
from pathlib import Path

from harness.evidence.redaction import Redactor

AT_ONCE = 8 * 2**20  # larger ones are not parsed as JSON
PIECE = 2**20
LOOKED_AT = 8192
UNPACKED = 256 * 2**20
TEXT_SHARE = 0.9
WIDE = {
    codecs.BOM_UTF32_LE: "utf-32-le",  # which begins as the next does
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    codecs.BOM_UTF32_BE: "utf-32-be",
}


def redact(path: Path, redactor: Redactor) -> None:
    """Take the secrets out of a file, if it is a text, and out of its name."""
    if path.is_symlink() or not path.is_file():
        return
    with path.open("rb") as file:
        head = file.read(LOOKED_AT)
    if is_text(head) and not _wide(head):
        _text(path, redactor)
    elif path.stat().st_size <= UNPACKED:
        content = path.read_bytes()
        clean = cleaned(content, redactor)
        if clean != content:
            path.write_bytes(clean)
    rename(path, redactor)


def rename(path: Path, redactor: Redactor) -> Path:
    """Give a file or folder whose name tells a secret another one, which is free."""
    clean = redactor.text(path.name).replace("/", "_")
    if clean == path.name:
        return path
    number, target = 1, path.with_name(clean)
    while target.exists():
        number, target = number + 1, path.with_name(f"{clean}-{number + 1}")
    return path.rename(target)


def is_text(head: bytes) -> bool:
    """Whether a file that begins so is a text: no NUL, and few bytes that a text in any usual encoding has not."""
    if not head or b"\0" in head:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        try:
            codecs.getincrementaldecoder("gb18030")().decode(head)
        except UnicodeDecodeError:
            return sum(byte >= 32 or byte in b"\t\n\r\x1b\f\b" for byte in head if byte < 128) > TEXT_SHARE * len(head)
    return sum(byte < 32 and byte not in b"\t\n\r\x1b\f\b" for byte in head) < (1 - TEXT_SHARE) * len(head)


def _wide(head: bytes) -> str:
    """The encoding of a text of two or four bytes a character, with or without a mark; empty for any other file."""
    for mark, encoding in WIDE.items():
        if head.startswith(mark):
            return encoding
    pairs = len(head) // 2
    for encoding, high, low in (("utf-16-le", head[1::2], head[0::2]), ("utf-16-be", head[0::2], head[1::2])):
        if (
            pairs >= 4
            and high.count(0) > 0.7 * pairs
            and low.count(0) < 0.05 * pairs
            and is_text(bytes(low).replace(b"\0", b""))
        ):
            return encoding
    return ""


def _text(path: Path, redactor: Redactor) -> None:
    if path.stat().st_size <= AT_ONCE:
        content = path.read_bytes()
        clean = content_of(content, redactor)
        if clean != content:
            path.write_bytes(clean)
        return
    with path.open("rb") as file:
        _replace(path, _cleaned(iter(lambda: file.read(PIECE), b""), redactor))


def content_of(content: bytes, redactor: Redactor) -> bytes:
    """A text without its secrets; JSON stays JSON."""
    if content.lstrip()[:1] in (b"{", b"["):
        with contextlib.suppress(ValueError, RecursionError):
            document = json.loads(content)
            clean = redactor.tree(document)
            return content if clean == document or clean != clean else json.dumps(clean, ensure_ascii=False).encode()
    return b"".join(_cleaned(iter([content]), redactor))


def cleaned(content: bytes, redactor: Redactor, deep: int = 0) -> bytes:
    """What a file holds without its secrets: a text, or an archive of texts and archives; anything else stays."""
    head = content[:LOOKED_AT]
    if encoding := _wide(head):
        try:
            text = content.decode(encoding, "surrogatepass")
        except UnicodeDecodeError:
            return content
        clean = content_of(text.encode("utf-8", "surrogatepass"), redactor).decode("utf-8", "surrogatepass")
        return clean.encode(encoding, "surrogatepass")
    if is_text(head):
        return content_of(content, redactor)
    from harness.evidence import archives  # and all formats that there are

    if deep < archives.DEEPEST and len(content) <= UNPACKED:
        return archives.rewritten(content, lambda inner: cleaned(inner, redactor, deep + 1), redactor.text, UNPACKED)
    return content


def _cleaned(pieces: Iterator[bytes], redactor: Redactor) -> Iterator[bytes]:
    other = copy(redactor)
    yield from map(other.feed, pieces)
    yield other.flush()


def _replace(path: Path, pieces: Iterator[bytes]) -> None:
    beside = path.with_name(f".{path.name[:200]}.clean")
    with beside.open("wb") as file:
        file.writelines(pieces)
    beside.chmod(path.stat().st_mode)
    beside.replace(path)
