"""Verdicts: passed, failed, and not judged, of checks, of runs, and of records from before there were three."""

import pytest

from harness.evidence.verdicts import overall, verdict_of, why_not


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (["passed", "passed"], "passed"),
        (["passed", "not judged"], "not judged"),
        (["not judged", "failed", "passed"], "failed"),
    ],
)
def test_the_verdict_of_a_run_is_its_worst(verdicts, said):
    assert overall(verdicts) == said


def test_an_older_record_has_two_verdicts():
    assert [verdict_of({"passed": each}) for each in (True, False)] == ["passed", "failed"]


def a_check(name, verdict):
    words = {"name": name, "asked": f"{name} asked", "why": f"{name} why"}
    return {**words, "passed": verdict == "passed", "verdict": verdict}


@pytest.mark.parametrize(
    ("verdicts", "why"),
    [
        (["passed"], ""),
        (["not judged", "passed", "not judged"], "0 (0 asked): 0 why; 2 (2 asked): 2 why"),
        (["not judged", "failed", "failed"], "1: 1 why"),
    ],
)
def test_why_a_run_has_not_passed_names_what_failed_or_the_bounds_left_out(verdicts, why):
    checks = [a_check(str(number), verdict) for number, verdict in enumerate(verdicts)]
    assert why_not({"verdict": overall(verdicts), "passed": False, "checks": checks}) == why


def test_why_an_older_run_failed():
    checks = [{"name": "error", "asked": "at most 1", "why": "2 is over 1", "passed": False}]
    assert why_not({"passed": False, "checks": checks}) == "error: 2 is over 1"
