"""A form of secret: what it looks like, where it is looked for, and what of it stays."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

REDACTED = b"[redacted]"
TURNS = re.compile(rb"(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])")
INSIDE_WORD = re.compile(rb"[A-Za-z0-9_]")


@dataclass(frozen=True)
class Secret:
    """What a kind of secret looks like.

    It is only looked for where one of `signs` stands. Signs and pattern are of small letters, and are held against
    the text in small letters, unless `cased`. What the group `kept` matches stays; the rest is replaced.
    """

    signs: tuple[bytes, ...]
    pattern: re.Pattern[bytes]
    replacement: bytes
    cased: bool
    is_one: Callable[[bytes, int, int], bool] | None = None  # asked with the text, and from where to where
    begins_word: bool = False  # asked for behind the pattern, which then begins with letters and is found quickly

    def matches(self, text: bytes, small: bytes) -> Iterator[tuple[int, int]]:
        """From where to where it stands in the text, which is given as it is and in small letters."""
        if any(sign in small for sign in self.signs):
            for match in self.pattern.finditer(text if self.cased else small):
                start = match.end("kept") if "kept" in self.pattern.groupindex else match.start()
                if self.begins_word and INSIDE_WORD.match(text, start - 1) and start:
                    continue
                if start < match.end() and (self.is_one is None or self.is_one(text, start, match.end())):
                    yield start, match.end()


def secret(
    signs: str,
    pattern: bytes | str,
    replacement: bytes = REDACTED,
    cased: bool = False,
    is_one: Callable[[bytes, int, int], bool] | None = None,
) -> Secret:
    pattern = pattern.encode() if isinstance(pattern, str) else pattern
    return Secret(tuple(signs.encode().split()), re.compile(pattern), replacement, cased, is_one)


def decodes_to(what: bytes) -> Callable[[bytes, int, int], bool]:
    def is_one(text: bytes, start: int, end: int) -> bool:
        found = text[start:end].rstrip(b"=")
        try:
            return what in base64.b64decode(found[: len(found) // 4 * 4])
        except binascii.Error:
            return False

    return is_one


def is_random(text: bytes, start: int, end: int) -> bool:
    """Whether it is of no language: letters of both sizes with digits, long hex, or letters and digits in turns."""
    found = text[start:end]
    digits, letters = (
        sum(b"0" <= found[at : at + 1] <= b"9" for at in range(len(found))),
        re.sub(rb"[^A-Za-z]", b"", found),
    )
    if len(found) < 10 or not digits or not letters:
        return False
    both = letters.lower() != letters != letters.upper()
    return digits > 1 and (both or bool(re.fullmatch(rb"[0-9a-f]{24,}", found)) or len(TURNS.findall(found)) >= 4)
