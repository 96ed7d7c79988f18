"""The judge: every way in which a run can fall short is a check that failed, with a why; no input makes it stumble."""

import json
import os
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from samples import FINISHED, GOOD_DEVICE, a_kind, a_part, failures

from harness.catalogue.entries import Metric
from harness.runs.judge import bounds, judge, place_type, proof_file, read_measurements
from harness.runs.processes import Ending


def test_a_good_run_passes_every_check(verdict):
    assert [(check.name, check.passed) for check in verdict()] == [
        ("program", True), ("device", True), ("error", True),
    ]  # fmt: skip


# How the program ended


@pytest.mark.parametrize(
    ("ending", "found", "why"),
    [
        (Ending("finished", 3, None, 1, 0, 0), "finished, code 3", "the program failed"),
        (Ending("timed out", None, "SIGTERM", 1, 0, 0), "timed out", "still running after its limit of 60 s"),
        (Ending("timed out", 0, None, 1, 0, 0), "timed out, code 0", "still running after its limit of 60 s"),
        (Ending("killed", None, "SIGKILL", 1, 0, 0), "killed", "ended by SIGKILL (out of memory?)"),
        (Ending("killed", None, "SIGSEGV", 1, 0, 0), "killed", "ended by SIGSEGV"),
        (Ending("interrupted", None, "SIGINT", 1, 0, 0), "interrupted", "stopped before its end"),
        (Ending("not started", None, None, 0, 0, 0), "not started", "could not be started"),
    ],
)
def test_a_run_that_did_not_end_well_fails_by_that_alone(verdict, ending, found, why):
    (check,) = verdict(ending=ending)
    assert not check.passed and check.found == found and why in check.why
    assert not ending.ok


# The device proof


@pytest.mark.parametrize(
    ("device", "why"),
    [
        (None, "the program wrote none"),
        ("{", "not readable as JSON"),
        ("[]", "not a JSON object"),
        ({}, "names no place"),
        ({"device": "cpu", "places": {}}, "names no place"),
        ({"device": "cpu", "places": ["Place(cpu)"]}, "names no place"),
        ({"device": "gpu:0", "places": {"Place(cpu)": 3}}, "a silent fall-back"),
        ({"device": "cpu", "places": {"Place(cpu)": 3, "Place(gpu:0)": 1}}, "a silent fall-back"),
        ({"places": {"Place(cpu)": 3}}, "a silent fall-back"),
        ({**GOOD_DEVICE, "kernels": {"matmul": True, "erf": False}}, "no kernel there for erf"),
    ],
)
def test_a_run_that_cannot_prove_its_device_fails(verdict, device, why):
    assert why in failures(verdict(device=device))["device"]


def test_the_device_asked_for_is_the_one_that_counts(verdict):
    proof = {"device": "npu:3", "places": {"Place(npu:3)": 3, "npu:3": 1}}
    assert not failures(verdict(device=proof, kind=a_kind("npu")))
    assert "device" in failures(verdict(device=proof, kind=a_kind("cpu")))


@pytest.mark.parametrize(
    ("text", "kind"), [("Place(npu:0)", "npu"), ("Place(cpu)", "cpu"), ("Place(gpu_pinned)", "gpu_pinned"), ("", "")]
)
def test_a_printed_place_has_a_type(text, kind):
    assert place_type(text) == kind


@pytest.mark.parametrize(
    "device",
    [
        {**GOOD_DEVICE, "kernels": ["matmul"]},
        {**GOOD_DEVICE, "kernels": "matmul"},
    ],
)
def test_a_device_proof_of_odd_types_fails_and_does_not_stumble(verdict, device):
    """AttributeError, so that a program can leave a run without a record."""
    assert "device" in failures(verdict(device=device))


# Several ranks


@pytest.fixture
def ranks_verdict(tmp_path):
    """The device check of a run on as many ranks as there are proofs (None: the rank left none)."""

    def of(*proofs, kind=a_kind("npu", "accelerator"), cards=()):  # noqa: B008
        (tmp_path / "metrics.json").write_text('{"error": 0.01}')
        for rank, proof in enumerate(proofs):
            path = tmp_path / proof_file(rank)
            path.unlink(missing_ok=True)
            if proof is not None:
                path.write_text(json.dumps(proof))
        measured = read_measurements(tmp_path, len(proofs))
        checks = judge(a_part(), kind, {}, FINISHED, measured, cards)
        return next(check for check in checks if check.name == "device")

    return of


def a_proof(number, of=2, **changes):
    place = f"npu:{number}"
    return {"device": place, "places": {f"Place({place})": 3}, "rank": number, "processes": of, **changes}


def test_each_rank_proves_its_device(ranks_verdict, tmp_path):
    check = ranks_verdict(a_proof(0), a_proof(1))
    assert check.passed and check.asked == "npu, on each of 2 ranks"
    assert read_measurements(tmp_path, 2).device == {**a_proof(0), "other_ranks": [a_proof(1)]}


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (None, "rank 1: the program wrote none"),
        (a_proof(1, places={"Place(cpu)": 1}), "rank 1: it ran elsewhere: a silent fall-back"),
        (a_proof(1, kernels={"tanh": False}), "rank 1: no kernel there for tanh"),
        (a_proof(1, of=1), "rank 1: it was not started as rank 1 of 2"),
        (a_proof(1, rank=0), "rank 1: it was not started as rank 1 of 2"),
        (a_proof(1, device="npu:0"), "2 ranks shared 1 cards"),
    ],
)
def test_one_rank_that_cannot_fails_all(ranks_verdict, second, why):
    check = ranks_verdict(a_proof(0), second)
    assert not check.passed and check.why == why


CHOOSING = a_kind("npu", "accelerator", visible_devices="NPU_RT_VISIBLE_DEVICES")


@pytest.mark.parametrize(
    ("proofs", "why"),
    [
        ([a_proof(0, of=1)], ""),
        ([a_proof(0, of=1, visible_cards=1)], ""),
        ([a_proof(4, of=1)], "it computed on card 4 of those it saw, and the record names 1 (4)"),
        ([a_proof(0, of=1, places={"Place(npu:0)": 1, "npu:3": 1})], "it computed on card 3 of those it saw"),
        ([a_proof(0, of=1, visible_cards=8)], "it saw 8 cards, and the record names 1 (4): the runtime did not take"),
        ([a_proof(0, of=1, visible_cards=None)], "it saw None cards"),
        ([a_proof(0, of=1, device="npu:x")], "it computed on card x of those it saw"),
        ([a_proof(0, visible_cards=2), a_proof(1, visible_cards=2)], ""),
        (
            [a_proof(0), a_proof(2, rank=1)],
            "rank 1: it computed on card 2 of those it saw, and the record names 2 (4, 5)",
        ),
        ([a_proof(0, visible_cards=2), a_proof(1, visible_cards=8)], "rank 1: it saw 8 cards"),
    ],
)
def test_places_are_held_against_the_cards_of_the_record(ranks_verdict, proofs, why):
    """The runtime shows the chosen cards alone, numbered from 0."""
    check = ranks_verdict(*proofs, kind=CHOOSING, cards=["4", "5"][: len(proofs)])
    assert check.passed == (not why) and check.why.startswith(why), check


@pytest.mark.parametrize(("device", "passed"), [("npu:4", True), ("npu:0", False)])
def test_a_runtime_that_shows_every_card_is_held_to_the_records_own_numbers(ranks_verdict, device, passed):
    kind = replace(CHOOSING, data={**CHOOSING.data, "shows_all_cards": True})
    proof = a_proof(0, of=1, visible_cards=8, device=device, places={f"Place({device})": 1})
    assert ranks_verdict(proof, kind=kind, cards=["4"]).passed == passed


def test_a_program_that_was_never_launched_is_not_taken_for_one_on_two_cards(ranks_verdict):
    assert "rank 0: it was not started as rank 0 of 2" in ranks_verdict(a_proof(0, of=1), None).why


def test_processes_on_one_cpu_may_share_it(ranks_verdict):
    proofs = [a_proof(rank, device="cpu", places={"Place(cpu)": 1}) for rank in range(2)]
    assert ranks_verdict(*proofs, kind=a_kind()).passed


# Metrics


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (0.2, "0.2 is over 0.1"),
        (1, "1 is over 0.1"),
        ("0.01", "not a finite number: '0.01'"),
        (True, "not a finite number: True"),
        (None, "not a finite number: None"),
        ([0.01], "not a finite number: [0.01]"),
        ({"value": 0.01}, "not a finite number"),
        (float("nan"), "not a finite number: 'NaN'"),
        (float("-inf"), "not a finite number: '-Infinity'"),
    ],
)
def test_a_value_that_breaks_its_bound_fails(verdict, value, why):
    assert why in failures(verdict(metrics={"error": value}))["error"]


@pytest.mark.parametrize("value", [0.1, 0, -5, 1e-300, -0.0])
def test_a_value_within_its_bound_passes(verdict, value):
    assert not failures(verdict(metrics={"error": value}))


def test_a_bound_holds_on_both_sides(verdict):
    part = a_part(metrics={"m": Metric(name="m", at_least=1, at_most=2, when={})})
    assert not failures(verdict({"m": 1}, part=part)) and not failures(verdict({"m": 2}, part=part))
    assert failures(verdict({"m": 0.99}, part=part)) == {"m": "0.99 is under 1"}
    assert failures(verdict({"m": 2.01}, part=part)) == {"m": "2.01 is over 2"}


@pytest.mark.parametrize(
    ("equals", "value", "passes"),
    [(True, True, True), (True, 1, False), (1, True, False), (1, 1.0, False), ("a", "a", True), (0, 0, True)],
)
def test_an_equal_value_has_the_same_type(verdict, equals, value, passes):
    part = a_part(metrics={"m": Metric(name="m", equals=equals, when={})})
    assert (not failures(verdict({"m": value}, part=part))) is passes


def test_a_metric_without_a_bound_is_a_plain_value(verdict):
    part = a_part(metrics={"m": Metric(name="m", when={})})
    for value in (1.5, 3, "text", True):
        assert not failures(verdict({"m": value}, part=part))
    for value in (None, [], {}, float("nan"), float("inf")):
        assert "m" in failures(verdict({"m": value}, part=part)), value


def test_a_metric_that_was_not_written_or_not_declared_fails(verdict):
    assert failures(verdict(metrics={})) == {"error": "the program did not write it"}
    assert "does not declare it" in failures(verdict(metrics={"error": 0, "surprise": 1}))["surprise"]


def test_a_metric_of_other_hardware_is_neither_asked_for_nor_taken(verdict):
    part = a_part(metrics={"m": Metric(name="m", when={}, categories=("gpu",))})
    assert not failures(verdict({}, part=part))
    assert "does not declare it here" in failures(verdict({"m": 1}, part=part))["m"]


def test_a_metric_is_asked_for_only_when_its_condition_holds(verdict):
    part = a_part(metrics={"m": Metric(name="m", when={"method": ("pinn",)})})
    assert "did not write" in failures(verdict({}, part=part, method="pinn"))["m"]
    assert not failures(verdict({}, part=part, method="ritz"))
    assert "does not declare it here" in failures(verdict({"m": 1}, part=part, method="ritz"))["m"]


@pytest.mark.parametrize(
    ("metrics", "why"),
    [
        (None, "the program wrote none"),
        ("", "not readable as JSON"),
        ('{"error": 0.01', "not readable as JSON"),
        ("[0.01]", "not a JSON object"),
        ('"text"', "not a JSON object"),
        ("[" * 100_000, "not readable as JSON"),
        ('{"error": ' + "9" * 5000 + "}", "not readable as JSON"),
        (" " * 2**20 + "{}", "over 1 MiB"),
        ('{"error": ' + "[" * 15 + "0" + "]" * 15 + "}", "nested more than 16 deep"),
    ],
)
def test_metrics_that_cannot_be_read_fail_with_the_reason(verdict, metrics, why):
    assert why in failures(verdict(metrics=metrics))["metrics.json"]


def test_metrics_up_to_the_limits_are_read(tmp_path):
    deep = '{"error": ' + "[" * 14 + "0" + "]" * 14 + "}"
    (tmp_path / "metrics.json").write_text(deep + " " * (2**20 - len(deep)))
    measured = read_measurements(tmp_path)
    assert "metrics.json" not in measured.mistakes and list(measured.metrics) == ["error"]


@pytest.mark.parametrize("content", [None, "[]", "{", " " * 2**20 + "{}"])
def test_of_files_that_cannot_be_read_a_record_has_nothing(tmp_path, content):
    """Otherwise such a run cannot be recorded."""
    for name in ("metrics.json", "device.json"):
        if content is not None:
            (tmp_path / name).write_text(content)
    measured = read_measurements(tmp_path)
    assert (measured.metrics, measured.device) == ({}, {}) and len(measured.mistakes) == 2


def test_a_link_is_not_followed(verdict, tmp_path):
    (tmp_path / "elsewhere.json").write_text('{"error": 0.01}')
    verdict()
    (tmp_path / "metrics.json").unlink()
    os.symlink("elsewhere.json", tmp_path / "metrics.json")
    assert read_measurements(tmp_path).mistakes == {"metrics.json": "a link, or over 1 MiB"}


def test_a_number_beyond_every_float_fails_and_does_not_stumble(verdict):
    """OverflowError from math.isfinite or from formatting the why."""
    assert "error" in failures(verdict(metrics='{"error": 1' + "0" * 400 + "}"))


def test_a_number_that_json_reads_as_infinite_fails_without_a_bound_too(verdict):
    """Otherwise it becomes inf, which passes and then cannot be written into the record."""
    part = a_part(metrics={"m": Metric(name="m", when={})})
    assert "m" in failures(verdict(metrics='{"m": 1e999}', part=part))


numbers = st.integers() | st.floats()
documents = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
METRICS = {
    "over": Metric(name="over", at_most=1.0, when={}),
    "under": Metric(name="under", at_least=0, when={}),
    "same": Metric(name="same", equals=True, when={}),
    "free": Metric(name="free", when={}),
}


@given(st.dictionaries(st.sampled_from([*METRICS, "other"]), documents))
@example({"over": -0.0, "under": 10**300, "same": "true", "free": "\ud800"})
def test_any_metrics_document_is_judged_and_only_good_values_pass(tmp_path_factory, metrics):
    folder = tmp_path_factory.getbasetemp() / "any-metrics"
    folder.mkdir(exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "device.json").write_text(json.dumps(GOOD_DEVICE))
    checks = {check.name: check for check in judge(a_part(metrics=METRICS), a_kind(), {}, FINISHED,
                                                   read_measurements(folder))}  # fmt: skip
    passed = {name for name, check in checks.items() if check.passed} & set(METRICS)
    assert {"over", "under", "same", "free"} <= set(checks)
    for name in passed:
        value = metrics[name]
        assert isinstance(value, bool | int | float | str)
        assert value == value and value not in (float("inf"), -float("inf"))
    assert "over" not in passed or metrics["over"] <= 1
    assert "under" not in passed or metrics["under"] >= 0
    assert "same" not in passed or metrics["same"] is True
    assert "other" not in metrics or not checks["other"].passed
    assert all(check.why for check in checks.values() if not check.passed)


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (Metric(name="m", at_most=1e-6, when={}), "at most 1e-06"),
        (Metric(name="m", at_least=1, at_most=2, when={}), "at least 1 and at most 2"),
        (Metric(name="m", equals=True, when={}), "equals True"),
        (Metric(name="m", when={}), "written"),
        (Metric(name="m", at_least=0, at_most="2 * cards", when={}), "at least 0 and at most 2 * cards"),
    ],
)
def test_bounds_read_as_words(metric, words):
    assert bounds(metric) == words
