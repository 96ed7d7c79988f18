"""Verdicts: what a check, a run and a record may be said to be."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias, TypedDict

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Verdict = Literal["passed", "failed", "not judged"]

PASSED: Final = "passed"
FAILED: Final = "failed"
NOT_JUDGED: Final = "not judged"
MARKS: Mapping[Verdict, str] = {PASSED: "✓", FAILED: "✗", NOT_JUDGED: "△"}


class _Judged(TypedDict):
    passed: bool


class Judged(_Judged, total=False):
    """A check or a record, of which the older ones say only whether it passed."""

    verdict: Verdict


class Check(Judged):
    """A check as a record has it."""

    name: str
    asked: str
    found: Json
    why: str


class Checked(Judged):
    """A record, as far as its checks go."""

    checks: Sequence[Check]


def overall(verdicts: Iterable[str]) -> Verdict:
    """The verdict of a run: failed where a check is, else not judged where one is not, else passed."""
    verdicts = set(verdicts)
    return FAILED if FAILED in verdicts else NOT_JUDGED if NOT_JUDGED in verdicts else PASSED


def verdict_of(record: Judged) -> Verdict:
    """The verdict that a record, or one of its checks, says; the older ones say only whether it passed."""
    return record.get("verdict", PASSED if record["passed"] else FAILED)


def why_not(record: Checked) -> str:
    """Why a record's run has not passed: its first check that failed, else the bounds that were left out."""
    verdict = verdict_of(record)
    checks = [check for check in record["checks"] if verdict_of(check) == verdict]
    if verdict == FAILED:
        return next((f"{check['name']}: {check['why']}" for check in checks), "")
    return "; ".join(f"{check['name']} ({check['asked']}): {check['why']}" for check in checks if verdict == NOT_JUDGED)
