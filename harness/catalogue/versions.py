"""Vendors' version strings, compared by their numbers: 24.1.rc2.1, 8.1.RC1.alpha001, v5.10.13, 6.3.28-V1.3.0b.

None of them keeps PEP 440. What has no dotted number is no version that could be judged.
"""

import operator
import re
from collections.abc import Callable
from itertools import zip_longest

Numbers = tuple[int, ...]
Key = tuple[Numbers, Numbers]

RELEASE = re.compile(r"(?<![\w.])[vV]?(\d+(?:\.\d+)+|\d+\Z)")
# A letter with a number is a stage only where nothing stands before it (3.0.0b4): 23.0.3.B010 is a build of 23.0.3.
BEFORE_RELEASE = re.compile(r"(?:[._-]?(dev|alpha|beta|rc)[._-]?|([ab])(?=\d))(\d*)|\.(\d+)", re.IGNORECASE)
STAGES = {"dev": -4, "alpha": -3, "a": -3, "beta": -2, "b": -2, "rc": -1}
CLAUSE = re.compile(r"(>=|<=|==|!=|<|>)\s*(\S+)")
ORDER: dict[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}


def key(version: str) -> Key | None:
    """What a version is sorted by: its release, and what puts it before that release. None: it cannot be read."""
    found = RELEASE.search(version.strip())
    if found is None:
        return None
    stage: list[int] = []
    place = found.end()
    while (word := BEFORE_RELEASE.match(version.strip(), place)) and (word[1] or word[2] or stage):
        name = word[1] or word[2]
        stage += [STAGES[name.lower()], int(word[3] or 0)] if name else [int(word[4])]
        place = word.end()
    return _trimmed(tuple(int(number) for number in found[1].split("."))), tuple(stage)


def fits(version: str, clauses: str, scheme: str = "") -> bool | None:
    """Whether a version meets every clause of a range like '>=23.0.3,<25'; None where it cannot be read.

    A candidate for a release (25.0.rc1) is not below that release's number: '<25' leaves it out.

    Args:
        version: as the vendor's tool or file has it.
        clauses: the range.
        scheme: a regular expression for the versions that are numbered as the range is; others are not compared.
    """
    found = key(version)
    if found is None or (scheme and not re.fullmatch(scheme, version)):
        return None
    return all(_meets(found, sign, bound) for sign, bound in parse(clauses))


def parse(clauses: str) -> list[tuple[str, Key]]:
    """The clauses of a range, each with what its bound is sorted by.

    Raises:
        ValueError: it is no range.
    """
    parsed = []
    for clause in clauses.split(","):
        match = CLAUSE.fullmatch(clause.strip())
        bound = key(match[2]) if match else None
        if match is None or bound is None:
            raise ValueError(f"{clauses!r} is no range of versions")
        parsed.append((match[1], bound))
    return parsed


def _meets(version: Key, sign: str, bound: Key) -> bool:
    release, stage = version
    if sign == "<" and not bound[1] and release == bound[0]:
        return False
    return ORDER[sign](_compared((release, stage), bound), 0)


def _compared(one: Key, other: Key) -> int:
    if one[0] != other[0]:
        return 1 if one[0] > other[0] else -1
    for mine, its in zip_longest(one[1], other[1], fillvalue=0):
        if mine != its:
            return 1 if mine > its else -1
    return 0


def _trimmed(numbers: Numbers) -> Numbers:
    """24.1.0 is 24.1."""
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers = numbers[:-1]
    return numbers
