"""Comparison: the verdict on every metric, and what differed around two runs."""

from typing import Any

import numpy as np
import pytest
from samples import a_part

from harness.catalogue.entries import Metric
from harness.comparison import comparing
from harness.comparison.comparing import Outcome
from harness.errors import HomeworkError, UsageError
from harness.evidence.traces import Tensor

RECORD: dict[str, Any] = {
    "cell": {"part": "4", "hardware": "cpu"},
    "program": {"revision": "a" * 40, "clean": True},
    "parameters": {"grid": 101},
    "seed": 0,
    "cards": 1,
    "hardware": {"model": "A", "driver": None, "machine": "x86_64", "system": "Debian"},
    "engine": {"name": "local", "image": None},
    "environment": {"OMP_NUM_THREADS": "2"},
    "stack": {"name": "base", "lock_sha256": "b" * 64, "python": "3.11"},
    "paddle": {"package": "paddlepaddle", "version": "3.0.0", "wheel_sha256": "c" * 64},
    "metrics": {},
}
PART = a_part(
    metrics={
        "deflection": Metric(name="deflection", when={}, reproduces=1e-6),
        "seconds": Metric(name="seconds", unit="s", when={}, reproduces=None),
        "weights": Metric(name="weights", when={}, reproduces=0),
        "method": Metric(name="method", when={}),
        "converged": Metric(name="converged", when={}),
    }
)


def a_record(**metrics: Any) -> dict[str, Any]:
    return {**RECORD, "metrics": metrics}


def verdict(name: str, then: Any, now: Any) -> tuple[bool | None, str]:
    (held,) = comparing.metrics(PART, a_record(**{name: then}), a_record(**{name: now}))
    return held.same, held.verdict


def an_outcome(name: str = "run", loss: Any = (3.0, 2.0, 1.0), **changes: Any) -> Outcome:
    return Outcome(name, {**RECORD, **changes}, {"loss": Tensor.whole(np.array(loss))})


def test_a_number_is_held_within_what_its_metric_declares() -> None:
    assert verdict("deflection", 1.0, 1.0) == (True, "equal")
    assert verdict("deflection", 1.0, 1.0 + 5e-7) == (True, "5.0e-07 off")
    assert verdict("deflection", 1.0, 1.0 + 5e-6) == (False, "5.0e-06 off")
    assert verdict("deflection", -1.0, 1.0) == (False, "2.0e+00 off")
    assert verdict("deflection", 0.0, 0.0) == (True, "equal")
    assert verdict("weights", 33216, 33217)[0] is False


def test_a_time_is_shown_and_held_to_nothing() -> None:
    assert verdict("seconds", 1.0, 9.0) == (None, "not held, 9.00 times")


def test_texts_truths_and_what_is_not_finite_are_equal_or_not() -> None:
    assert verdict("method", "ritz", "ritz") == (True, "equal")
    assert verdict("method", "ritz", "pinn") == (False, "differs")
    assert verdict("converged", True, False) == (False, "differs")
    assert verdict("converged", True, 1) == (False, "differs")
    assert verdict("deflection", "NaN", "NaN") == (True, "equal")
    assert verdict("deflection", 1.0, "NaN") == (False, "differs")


def test_a_metric_that_only_one_run_has_is_a_difference_even_if_it_is_a_time() -> None:
    rows = comparing.metrics(PART, a_record(deflection=1.0), a_record(seconds=1.0))
    assert [(held.name, held.same, held.verdict) for held in rows] == [
        ("deflection", False, "missing now"),
        ("seconds", False, "missing then"),
    ]


def test_what_differs_around_two_runs_is_listed_and_the_rest_is_not() -> None:
    now = {
        **RECORD,
        "program": {"revision": "d" * 40, "clean": False},
        "parameters": {"grid": 201},
        "environment": {"OMP_NUM_THREADS": "1", "FLAGS_x": "1"},
    }
    assert comparing.surroundings(RECORD, RECORD) == []
    assert comparing.surroundings(RECORD, now) == [
        ("revision", "a" * 12, "d" * 12),
        ("clean tree", "yes", "no"),
        ("parameter grid", "101", "201"),
        ("variable OMP_NUM_THREADS", "2", "1"),
        ("variable FLAGS_x", "–", "1"),
    ]


def test_the_tables_name_what_parts_ways_first_and_a_difference_is_an_error() -> None:
    same = comparing.compare(PART, an_outcome(), an_outcome())
    comparing.require_same([same])
    assert "Around it nothing differs" in comparing.show(same)
    apart = comparing.compare(
        PART, an_outcome(metrics={"deflection": 1.0}), an_outcome(loss=(3.0, 2.5, 1.0), metrics={"deflection": 2.0})
    )
    text = comparing.show(apart)
    assert "First differs: loss, step 2 of 3: 2 then, 2.5 now" in text and "✗ 5.0e-01 off" in text
    with pytest.raises(HomeworkError, match="4: deflection, loss"):
        comparing.require_same([same, apart])


def test_a_tensors_declared_tolerance_counts() -> None:
    part = a_part(traces={"loss": 0.5})
    assert comparing.compare(part, an_outcome(), an_outcome(loss=(3.0, 2.5, 1.0))).apart == []


def test_a_tolerance_may_be_an_expression_and_each_run_errs_by_its_own() -> None:
    """What two runs may differ by is the sum of what the expression is for either."""
    part = a_part(
        metrics={"deflection": Metric(name="deflection", when={}, reproduces="3 * error")},
        traces={"loss": "error / grid"},
    )

    def run(value: float, error: float) -> Outcome:
        return an_outcome(loss=(value,), metrics={"deflection": value, "error": error}, parameters={"grid": 1})

    assert "deflection" not in comparing.compare(part, run(1.0, 0.01), run(0.95, 0.01)).apart
    assert "deflection" in comparing.compare(part, run(1.0, 0.01), run(0.93, 0.01)).apart
    assert "loss" not in comparing.compare(part, run(1.0, 0.01), run(0.96, 0.04)).apart
    assert "loss" in comparing.compare(part, run(1.0, 0.01), run(0.94, 0.04)).apart


def test_a_tolerance_without_a_value_is_a_difference_and_says_why() -> None:
    part = a_part(
        metrics={"deflection": Metric(name="deflection", when={}, reproduces="3 * error")}, traces={"loss": "error"}
    )
    found = comparing.compare(part, an_outcome(metrics={"deflection": 1.0}), an_outcome(metrics={"deflection": 1.0}))
    assert found.apart == ["deflection", "loss"] and "there is no error" in comparing.show(found)


def test_the_library_that_multiplied_is_named_where_it_was_another() -> None:
    openblas = {"name": "OpenBLAS", "of": "numpy", "version": "0.3.23", "kernel": "Haswell", "threads": 2}
    then = {**RECORD, "device": {"libraries": [openblas]}}
    now = {**RECORD, "device": {"libraries": [{**openblas, "kernel": None, "threads": 1}]}}
    row = ("OpenBLAS of numpy", "0.3.23, kernel Haswell, 2 threads", "0.3.23, kernel unknown, 1 thread")
    assert comparing.surroundings(then, now) == [row]
    assert comparing.surroundings(then, RECORD) == [(*row[:2], "–"), ("BLAS", "–", "unknown")]


def test_runs_without_traces_are_not_called_equal() -> None:
    bare, whole = Outcome("bare", {**RECORD, "metrics": {"seconds": 1.0}}, {}), an_outcome()
    nothing = comparing.compare(PART, bare, bare)
    assert nothing.empty and "Nothing could be compared" in comparing.show(nothing)
    with pytest.raises(UsageError, match="Nothing could be compared") as caught:
        comparing.require_same([nothing])
    assert caught.value.code == 2 and len(str(caught.value).splitlines()) == 3
    comparing.require_same([nothing, comparing.compare(PART, whole, whole, with_metrics=False)])
    assert not comparing.compare(PART, bare, whole, with_metrics=False).empty, "one has what the other lacks"


def test_a_verdict_that_turned_is_beyond_tolerance_and_named_first() -> None:
    then = an_outcome("then")
    failed = {"passed": False, "checks": [{"name": "error", "passed": False, "why": "0.5 is over 0.1"}]}
    now = Outcome("now", {**then.record, **failed}, then.tensors)
    found = comparing.compare(PART, then, now)
    assert found.apart[0] == "failed, was passed"
    assert "Verdict: passed then, failed now" in comparing.show(found) and "0.5 is over 0.1" in comparing.show(found)


def test_a_program_that_broke_off_has_a_verdict_and_no_values_to_miss() -> None:
    then = an_outcome(passed=True, metrics={"deflection": 1.0})
    why = {"name": "program", "asked": "finished, code 0", "found": "timed out", "passed": False, "why": "after 10 min"}
    now = Outcome("run", {**RECORD, "passed": False, "checks": [why]}, {})
    found = comparing.compare(PART, then, now)
    assert found.apart == ["failed, was passed"]
    assert "Values are not compared" in comparing.show(found) and "missing now" not in comparing.show(found)


def test_the_summary_has_a_line_for_each_comparison_and_names_what_is_missing() -> None:
    newer = {"paddle": {"package": "paddlepaddle", "version": "3.3.1", "wheel_sha256": None}}
    then = an_outcome(passed=True, metrics={"deflection": 1.0}, times={"seconds": 10.0})
    now = an_outcome(loss=(3.0, 9.0, 1.0), passed=True, metrics={"deflection": 2.0}, times={"seconds": 25.0}, **newer)
    same = an_outcome(passed=True, metrics={"deflection": 1.0}, times={"seconds": 5.0}, **newer)
    text = comparing.summary(
        [comparing.compare(PART, then, now), comparing.compare(PART, then, same)],
        [PART, a_part("5"), a_part("12", program=None)],
    )
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "4 cpu 3.0.0 cpu 3.3.1 ✗ passed, values differ deflection loss 2.50" in lines
    assert "4 cpu 3.0.0 cpu 3.3.1 ✓ passed 0.50" in lines
    assert lines[-1].endswith("missing: 5")
