"""Verdicts: what a check, a run and a record may be said to be."""

from collections.abc import Iterable, Mapping
from typing import Any

PASSED, FAILED, NOT_JUDGED = "passed", "failed", "not judged"
MARKS = {PASSED: "✓", FAILED: "✗", NOT_JUDGED: "○"}


def overall(verdicts: Iterable[str]) -> str:
    """The verdict of a run: failed where a check is, else not judged where one is not, else passed."""
    verdicts = set(verdicts)
    return FAILED if FAILED in verdicts else NOT_JUDGED if NOT_JUDGED in verdicts else PASSED


def verdict_of(record: Mapping[str, Any]) -> str:
    """The verdict that a record, or one of its checks, says; the older ones say only whether it passed."""
    return str(record.get("verdict", PASSED if record["passed"] else FAILED))


def why_not(record: Mapping[str, Any]) -> str:
    """Why a record's run has not passed: its first check that failed, else the bounds that were left out."""
    verdict = verdict_of(record)
    checks = [check for check in record["checks"] if verdict_of(check) == verdict]
    if verdict == FAILED:
        return next((f"{check['name']}: {check['why']}" for check in checks), "")
    return "; ".join(f"{check['name']} ({check['asked']}): {check['why']}" for check in checks if verdict == NOT_JUDGED)
