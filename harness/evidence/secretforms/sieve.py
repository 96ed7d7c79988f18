"""The sieve: which signs of secrets stand in each line of a text. In most lines there is none.

The lines of a program are alike but for their numbers: each is asked with its digits as noughts, and the answer is
kept.
"""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Set
from functools import lru_cache
from itertools import accumulate

from ahocorasick_rs import BytesAhoCorasick

NOUGHTS = bytes.maketrans(b"123456789", b"0" * 9)
RUN = re.compile(rb"(?<![a-z0-9_-])(?=[a-z_-]{0,48}[0-9])[a-z0-9_-]{22,}")
IS_RUN = b""  # stands for the sign of the forms that have none: a run of letters and digits
OF_WORD = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_")
GOES_ON = OF_WORD | frozenset(b".-")
KEPT = 8 * 2**20  # bytes of lines
Signs = frozenset[bytes]
NO_SIGNS: Signs = frozenset()


class Sieve:
    """Tells the signs of lines.

    Args:
        signs: in small letters, none with the end of a line in it.
    """

    def __init__(self, signs: Iterable[bytes]) -> None:
        marked: dict[bytes, set[bytes]] = defaultdict(set)
        for sign in signs:
            marked[bare(sign).translate(NOUGHTS)].add(sign)
        self._marked = [[(sign, frozenset([sign])) for sign in group] for group in marked.values()]
        self._words = BytesAhoCorasick(list(marked))
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
        for number, start, end in self._words.find_matches_as_indexes(text, overlapping=True):
            shape = order[bisect_right(starts, start) - 1]
            for sign, alone in self._marked[number]:
                if sign not in learnt[shape] and _stands(sign, text, start, end):
                    learnt[shape] |= alone
        for run in RUN.finditer(text):
            learnt[order[bisect_right(starts, run.start()) - 1]] |= {IS_RUN}
        return learnt


@lru_cache(maxsize=4)
def sieve_of(signs: tuple[bytes, ...]) -> Sieve:
    """The sieve of these signs, which remembers what it was asked before."""
    return Sieve(signs)


def bare(sign: bytes) -> bytes:
    """A sign without the marks of its ends."""
    return sign.removeprefix(b"|").removeprefix(b"+").removesuffix(b"|")


def _stands(sign: bytes, text: bytes, start: int, end: int) -> bool:
    """Whether a sign that was found there begins and ends, or goes on, as its marks ask for."""
    before = text[start - 1] if start else -1
    if (sign[:1] == b"|" and before in OF_WORD) or (sign[:1] == b"+" and before not in GOES_ON):
        return False
    return not (sign[-1:] == b"|" and end < len(text) and text[end] in OF_WORD)
