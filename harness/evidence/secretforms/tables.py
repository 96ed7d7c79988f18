"""The forms of what lists.py lists: what begins a token, and what stands before a secret."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import starmap

from harness.evidence.secretforms import lists
from harness.evidence.secretforms.form import Secret, is_random, secret
from harness.evidence.secretforms.pieces import LIST, QUOTE, WORD

BODIES = {
    "distinct": rb"[A-Za-z0-9_-]{20,1024}(?:\.[A-Za-z0-9_-]{16,512})?",
    "spelled": rb"[A-Za-z0-9_-]{20,1024}",
    "plain": rb"[A-Za-z0-9]{20,255}",
    "short": rb"[A-Za-z0-9]{16,512}(?:\.[A-Za-z0-9]{16,512}){0,4}",
}
CALLED_WITH = 4  # arguments at most


def tokens() -> Iterator[Secret]:
    """Tokens that tell themselves."""
    for kind, services in lists.TOKENS.items():
        for begins in " ".join(services.values()).split():
            exact = b"(?:" if kind in ("distinct", "short") else b"(?i:"
            pattern = rb"(?<![A-Za-z0-9_])" + exact + re.escape(begins).encode() + b")" + BODIES[kind]
            yield secret(f"|{begins.lower()}", pattern, cased=True, is_one=is_random if kind == "short" else None)


def commands() -> Iterator[Secret]:
    """Secrets behind options and words, in calls and in addresses."""
    yield from starmap(_option, lists.OPTIONS)
    yield from map(_behind_words, lists.WORDS)
    yield _asked(lists.BEHIND)
    yield from _calls(lists.CALLS.split())
    yield secret(" ".join(f"{scheme}://" for scheme in lists.SCHEMES), _scheme(lists.SCHEMES))
    for path in lists.PATHS.split():
        kept = rb"(?P<kept>" + re.escape(path).encode() + rb"(?:[A-Za-z0-9_-]{1,24}/)?)"
        yield secret(path, kept + rb"[A-Za-z0-9_./-]{16,256}(?=[^\w.-]|\Z)", is_one=_has_both)


def _any(texts: Iterable[str]) -> bytes:
    return b"(?:" + b"|".join(re.escape(text).encode() for text in texts) + b")"


def _option(programs: str, given: str, options: str) -> Secret:
    words = rb"[^\r\n|;]{0,200}?\b(?:" + given.encode() + b")" if given else b""
    longest_first = _any(sorted(options.split(), key=len, reverse=True))  # -pw before -p
    return secret(
        [f"|{program}|" for program in programs.split()],
        rb"(?P<kept>\b" + _any(programs.split()) + rb"(?:\.exe)?\b" + words.replace(b" ", rb"[ \t]{1,4}")
        + rb"[^\r\n|;]{0,400}?(?<![\w-])" + longest_first + LIST + rb"?)(?!-)" + WORD,
        cased=True,
        is_one=_is_no_word,
    )  # fmt: skip


def _behind_words(words: str) -> Secret:
    """What is behind these words, among which options may stand."""
    each = [re.escape(word).encode().replace("…".encode(), rb"[^\s\"']{1,256}") for word in words.split()]
    gap = rb"(?:[\"']?[ \t]{0,4},[ \t]{0,4}[\"']|[ \t]{1,8})(?:--?[a-z][\w-]{0,32}(?:=\S{0,128})?[ \t]{1,8}){0,4}"
    sign = max((word for word in words.split() if "…" not in word), key=len)
    return secret(f"|{sign}", rb"(?P<kept>\b" + gap.join(each) + gap + rb")(?!-)" + WORD, is_one=_is_no_word)


def _asked(names: Sequence[str]) -> Secret:
    return secret(
        [f"|{name}|" for name in names],
        rb"(?P<kept>\b" + _any(names) + rb"\b[^\r\n:=]{0,120}[:=][ \t]{0,4}(?:0x)?)[\w+/-]{20,512}={0,2}",
        is_one=is_random,
    )


def _calls(names: Sequence[str]) -> Iterator[Secret]:
    """A call's argument that looks random, with up to three others before it."""
    other = rb"[bru]{0,2}" + QUOTE + rb"[^\"'\r\n]{0,256}" + QUOTE + rb"[ \t]{0,4},\s{0,40}"
    for number in range(CALLED_WITH):
        yield secret(
            " ".join(f"{name}(" for name in names),
            rb"(?P<kept>\b[a-z_]{0,16}" + _any(names) + rb"\(\s{0,40}(?:" + other + b"){%d}" % number
            + rb"(?:[a-z_]{1,32}=)?[bru]{0,2}" + QUOTE + rb")[\w+/~.-]{10,512}={0,2}(?=[\"'\\])",
            is_one=is_random,
        )  # fmt: skip


def _scheme(names: Sequence[str]) -> bytes:
    return rb"(?P<kept>(?<![a-z0-9])" + _any(names) + rb"://)[\w+/=-]{8,4096}(?=@|[\s\"'<>]|\Z)"


def _is_no_word(text: bytes, start: int, end: int) -> bool:
    """Whether it is no short word of a sentence: 'with -p to unlock'."""
    return end - start > len(b"another") or not text[start:end].isalpha()


def _has_both(text: bytes, start: int, end: int) -> bool:
    found = text[start:end]
    return any(48 <= byte < 58 for byte in found) and any(byte > 64 for byte in found)
