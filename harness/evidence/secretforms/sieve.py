"""The sieve: which signs of secrets stand in each line of a text. In most lines there is none.

The lines of a program are alike but for their numbers: each is asked with its digits as noughts, and the answer is
kept.
"""

import re
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import cache, lru_cache
from itertools import accumulate

NOUGHTS = bytes.maketrans(b"123456789", b"0" * 9)
RUN = re.compile(rb"(?<![a-z0-9_-])(?=[a-z_-]{0,48}[0-9])[a-z0-9_-]{22,}")
IS_RUN = b""  # stands for the sign of the forms that have none: a run of letters and digits
WORD = re.compile(rb"[a-z]{2,}")
KEPT = 8 * 2**20  # bytes of lines
Signs = frozenset[bytes]
NO_SIGNS: Signs = frozenset()


class Sieve:
    """Tells the signs of lines.

    Args:
        signs: in small letters, none with the end of a line in it.
    """

    def __init__(self, signs: Iterable[bytes]) -> None:
        self._signs: Mapping[bytes, set[bytes]] = _grouped((bare(sign).translate(NOUGHTS), sign) for sign in signs)
        self._roots = _roots(self._signs)
        self._known: dict[bytes, Signs] = {}
        self._bytes = 0

    def lines(self, small: bytes) -> list[Signs]:
        """The signs of each line of a text that is in small letters."""
        if self._bytes > KEPT:
            self._known, self._bytes = {}, 0
        known, shapes = self._known, small.translate(NOUGHTS).split(b"\n")
        unseen = set(shapes) - known.keys()
        if unseen:
            self._bytes += sum(map(len, unseen))
            known.update(self._learnt(unseen))
        return [known[shape] for shape in shapes]

    def _learnt(self, shapes: Set[bytes]) -> dict[bytes, Signs]:
        order = list(shapes)
        text = b"\n".join(order)
        starts = list(accumulate((len(shape) + 1 for shape in order), initial=0))
        learnt = dict.fromkeys(order, NO_SIGNS)
        for sign in self._likely(text):
            here = {marked: frozenset([marked]) for marked in self._signs[sign]}
            at = text.find(sign)
            while at >= 0:
                line = bisect(starts, at) - 1
                for marked, alone in here.items():
                    if bare(marked) == marked or _edges(marked).search(order[line]):
                        learnt[order[line]] |= alone
                at = text.find(sign, starts[line + 1])
        for run in RUN.finditer(text):
            learnt[order[bisect(starts, run.start()) - 1]] |= {IS_RUN}
        return learnt

    def _likely(self, text: bytes) -> Iterator[bytes]:
        """The signs whose letters stand in a text."""
        words = b" ".join(set(WORD.findall(text)))  # each once: far fewer than stand there
        for root, signs in self._roots.items():
            if not WORD.fullmatch(root):
                yield from signs
            elif root in words:
                yield from (sign for sign in signs if _letters(sign) in words)


@lru_cache(maxsize=4)
def sieve_of(signs: tuple[bytes, ...]) -> Sieve:
    """The sieve of these signs, which remembers what it was asked before."""
    return Sieve(signs)


def bare(sign: bytes) -> bytes:
    """A sign without the marks of its ends."""
    return sign.removeprefix(b"|").removeprefix(b"+").removesuffix(b"|")


@cache
def _edges(sign: bytes) -> re.Pattern[bytes]:
    before = {b"|": rb"(?<![a-z0-9_])", b"+": rb"(?<=[a-z0-9_.-])"}.get(sign[:1], b"")
    behind = rb"(?![a-z0-9_])" if sign.endswith(b"|") else b""
    return re.compile(before + re.escape(bare(sign).translate(NOUGHTS)) + behind)


def _grouped(pairs: Iterable[tuple[bytes, bytes]]) -> dict[bytes, set[bytes]]:
    groups = defaultdict(set)
    for name, member in pairs:
        groups[name].add(member)
    return dict(groups)


def _roots(signs: Iterable[bytes]) -> dict[bytes, set[bytes]]:
    """Signs by what each has: the shortest of the letters that tell them."""
    found: dict[bytes, set[bytes]] = {}
    for sign in sorted(signs, key=lambda sign: len(_letters(sign))):
        root = next((root for root in found if root in _letters(sign)), _letters(sign))
        found.setdefault(root, set()).add(sign)
    return found


@cache
def _letters(sign: bytes) -> bytes:
    """The most letters in a row of a sign; all of it where it has none."""
    return max(WORD.findall(sign), key=len, default=sign)
