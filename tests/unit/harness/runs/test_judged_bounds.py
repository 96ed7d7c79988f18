"""Bounds that are expressions, and the third verdict: not judged."""

import pytest
from samples import a_part, failures

from harness.catalogue.entries import Metric
from harness.runs.judge import judge_metric, limits

ROUNDING = Metric(name="error", at_most="8 * u_float32 * sqrt(grid)", when={})
AGAINST = Metric(name="ours", at_most="max(1e-5, 4 * theirs)", when={})
NARROW = Metric(
    name="error", at_most=1e-6, judged_when="method == 'ritz'", otherwise="a trained network has no bound", when={}
)


def test_a_bound_follows_the_parameters_and_says_how():
    part = a_part(metrics={"error": ROUNDING})
    check = judge_metric(part, "error", {"grid": 400}, {"error": 9.5e-6})
    assert check.passed and check.asked == "at most 9.53674e-06 (8 * u_float32 * sqrt(grid))"
    check = judge_metric(part, "error", {}, {"error": 9.5e-6})  # 101, by default
    assert check.verdict == "failed" and check.why == "9.5e-06 is over 4.79215e-06"


def test_a_bound_follows_the_cards():
    part = a_part(metrics={"m": Metric(name="m", at_least="cards / 2", when={})})
    assert judge_metric(part, "m", {}, {"m": 3}, cards=6).passed
    assert not judge_metric(part, "m", {}, {"m": 3}, cards=8).passed


def test_the_limits_of_a_metric_are_those_that_it_is_judged_by():
    part = a_part(metrics={"error": ROUNDING, "m": Metric(name="m", at_least="cards / 2", when={}), "ours": AGAINST})
    assert limits(part, "error", {"grid": 400}, {}) == (None, pytest.approx(8 * 2**-24 * 20))
    assert limits(part, "error", {}, {"grid": 400}) == (None, pytest.approx(8 * 2**-24 * 101**0.5))
    assert limits(part, "m", {}, {"cards": 2}, cards=8) == (4, None)
    assert limits(part, "ours", {}, {"theirs": 1e-4}) == (None, pytest.approx(4e-4))


def test_a_bound_follows_what_the_run_measures_beside():
    part = a_part(metrics={"ours": AGAINST, "theirs": Metric(name="theirs", when={})})
    assert judge_metric(part, "ours", {}, {"ours": 4e-4, "theirs": 1e-4}).passed
    assert judge_metric(part, "ours", {}, {"ours": 1.1e-5, "theirs": 0.0}).verdict == "failed"


@pytest.mark.parametrize(
    ("theirs", "why"),
    [
        ({}, "there is no theirs"),
        ({"theirs": float("nan")}, "theirs is NaN"),
        ({"theirs": float("inf")}, "theirs is Infinity"),
        ({"theirs": "NaN"}, "theirs is NaN"),
        ({"theirs": "much"}, "theirs is 'much' and no number"),
        ({"theirs": True}, "theirs is True and no number"),
        ({"theirs": None}, "theirs is neither a number nor a text"),
        ({"theirs": 1.7e308}, "overflows"),
    ],
)
def test_a_bound_without_a_value_fails_by_name(theirs, why):
    part = a_part(metrics={"ours": AGAINST, "theirs": Metric(name="theirs", when={})})
    check = judge_metric(part, "ours", {}, {"ours": 0.0, **theirs})
    assert check.verdict == "failed" and "max(1e-5, 4 * theirs)" in check.why and why in check.why


def test_a_metric_out_of_what_its_bound_is_meant_for_is_not_judged(verdict):
    part = a_part(metrics={"error": NARROW})
    assert not failures(verdict({"error": 0.0}, part=part, method="ritz"))
    check = verdict({"error": 0.5}, part=part, method="pinn")[-1]
    assert (check.verdict, check.passed, check.found) == ("not judged", False, 0.5)
    assert check.asked == "at most 1e-06, when method == 'ritz'" and check.why == "a trained network has no bound"
    assert verdict({}, part=part, method="pinn")[-1].verdict == "not judged", "it may be missing"
    assert verdict({"error": float("nan")}, part=part, method="pinn")[-1].verdict == "failed", "but not be nonsense"


def test_what_can_not_be_decided_fails(verdict):
    part = a_part(metrics={"error": Metric(name="error", at_most=1, judged_when="grid", otherwise="so", when={})})
    assert "grid: 101 is neither true nor false" in failures(verdict({"error": 0.0}, part=part))["error"]


def test_a_metric_cannot_pass_for_a_parameter_or_for_the_cards(verdict):
    part = a_part(metrics={"error": Metric(name="error", at_most="cards", when={}), "x": Metric(name="x", when={})})
    assert "2 is over 1" in failures(verdict({"error": 2, "cards": 9, "x": 0}, part=part))["error"]


def test_what_a_part_does_not_ask_for_there_has_no_verdict():
    part = a_part(metrics={"m": Metric(name="m", at_most=1, when={"method": ("pinn",)}, categories=("gpu",))})
    assert judge_metric(part, "m", {"method": "pinn"}, {"m": 1}, category="gpu").passed
    for name, parameters, category in (("n", {}, "gpu"), ("m", {}, "gpu"), ("m", {"method": "pinn"}, "cpu")):
        with pytest.raises(LookupError, match="does not ask for"):
            judge_metric(part, name, parameters, {name: 1}, category=category)
