"""A form of secret: what it looks like, where it is looked for, and what of it stays."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

from harness.evidence.secretforms.pieces import filled
from harness.evidence.secretforms.sieve import RUN, bare

REDACTED = b"[redacted]"
TURNS = re.compile(rb"(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])")
INSIDE_WORD = re.compile(rb"[A-Za-z0-9_]")
NEAR = 32
AROUND = 2  # lines before and behind a sign: few forms span more


@dataclass(frozen=True)
class Secret:
    """What a kind of secret looks like.

    It is only looked for in the lines around one of its `signs`, which stands in each match; without signs, around each
    run of letters and digits. Signs are of small letters (`|` before or behind one: there begins or ends a word; `+`
    before one: a word goes on), and so is the pattern, which is held against the text in
    small letters, unless `cased`. What the group `kept` matches stays; the rest is replaced.
    """

    signs: tuple[bytes, ...]
    looks: bytes  # a regular expression
    replacement: bytes
    cased: bool
    is_one: Callable[[bytes, int, int], bool] | None = None  # asked with the text, and from where to where
    reach: int = AROUND  # lines before and behind a sign that it may span
    begins_word: bool = False  # asked for behind the pattern, which then begins with letters and is found quickly

    @cached_property
    def pattern(self) -> re.Pattern[bytes]:
        """Compiled where its sign stands first: all of them take as long as the rest of a run that is short."""
        return re.compile(self.looks)

    def matches(self, text: "Text") -> Iterator[tuple[int, int]]:
        """From where to where it stands in the text."""
        content = text.content if self.cased else text.small
        for first, last in text.around(self.signs, self.reach) if self.signs else text.runs:
            for match in self.pattern.finditer(content, first, last):
                start = match.end("kept") if "kept" in self.pattern.groupindex else match.start()
                if self.begins_word and INSIDE_WORD.match(content, start - 1) and start:
                    continue
                if start < match.end() and (self.is_one is None or self.is_one(text.content, start, match.end())):
                    yield start, match.end()


class Text:
    """A text in which secrets are looked for: in small letters, and where in it something may be one.

    Args:
        content: the text.
        signs: those that may stand in it, as the sieve tells them.
    """

    def __init__(self, content: bytes, signs: Set[bytes]) -> None:
        self.content, self.small, self._signs = content, content.lower(), signs
        self._lines: dict[tuple[bytes, int], list[tuple[int, int]]] = {}

    @cached_property
    def runs(self) -> list[tuple[int, int]]:
        """From where to where what is near a run goes."""
        size = len(self.small)
        runs = RUN.finditer(self.small)
        return merged((max(run.start() - NEAR, 0), min(run.end() + 4 * NEAR, size)) for run in runs)

    def around(self, signs: Sequence[bytes], reach: int = AROUND) -> list[tuple[int, int]]:
        """From where to where the lines around signs go."""
        for sign in signs:
            if (sign, reach) not in self._lines:
                self._lines[sign, reach] = list(self._lines_of(sign, reach)) if sign in self._signs else []
        return merged(sorted(lines for sign in signs for lines in self._lines[sign, reach]))

    def _lines_of(self, sign: bytes, reach: int) -> Iterator[tuple[int, int]]:
        small, sign = self.small, bare(sign)
        at = small.find(sign)
        while at >= 0:
            start = at + 1
            for _ in range(reach + 1):
                start = small.rfind(b"\n", 0, max(start - 1, 0)) + 1
            line = end = small.find(b"\n", at + len(sign) - 1) + 1 or len(small)
            for _ in range(reach):
                end = small.find(b"\n", end) + 1 or len(small)
            yield start, end
            at = small.find(sign, line)


def merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged


def secret(
    signs: str | Sequence[str],
    looks: bytes,
    replacement: bytes = REDACTED,
    cased: bool = False,
    is_one: Callable[[bytes, int, int], bool] | None = None,
    reach: int = AROUND,
) -> Secret:
    each = signs.split() if isinstance(signs, str) else signs
    return Secret(tuple(sign.encode() for sign in each), filled(looks), replacement, cased, is_one, reach)


def decodes_to(what: bytes) -> Callable[[bytes, int, int], bool]:
    def is_one(text: bytes, start: int, end: int) -> bool:
        found = text[start:end].rstrip(b"=")
        try:
            return what in base64.b64decode(found[: len(found) // 4 * 4])
        except binascii.Error:
            return False

    return is_one


def is_mixed(text: bytes, start: int, end: int) -> bool:
    """Whether it has digits or signs beside letters, as words of a language have not."""
    return not text[start:end].isalpha()


def has_cases(text: bytes, start: int, end: int) -> bool:
    """Whether it has small and capital letters."""
    found = text[start:end]
    return found.lower() != found != found.upper()


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
