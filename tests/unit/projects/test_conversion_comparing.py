"""Task 13-1: two records are equal to float32's last bits, or the first difference is named."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture
def comparing(load):
    return load("13-conversion/comparing.py")


@pytest.fixture
def observing(load):
    return load("13-conversion/observing.py")


def record(comparing, *events):
    return comparing.Record([("print", "main.py", line, list(value)) for line, *value in events])


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("loss 0.69314718", "loss 0.69314724"),
        ("torch.float32", "paddle.float32"),
        (
            "tensor([1., 2.5000])",
            "Tensor(shape=[2], dtype=float32, place=Place(cpu), stop_gradient=True,\n       [1.        , 2.50000000])",
        ),
        (
            "tensor(3, grad_fn=<SumBackward0>)",
            "Tensor(shape=[], dtype=int64, place=Place(cpu), stop_gradient=False,\n       3)",
        ),
        ("accuracy 0.123", "accuracy 0.124"),
        ("dict_keys([1])", "odict_keys([1])"),
    ],
)
def test_texts_that_say_the_same(comparing, theirs, ours):
    error, _ = comparing.difference(theirs, ours)
    assert error <= comparing.ROUNDING


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("median 3.0", "median 3.5"), ("trainable 0", "trainable 6"), ("pixel 255.0", "pixel 1.0"),
        ("weight 0.951", "weight 1.0"), ("True", "False"), ("step 10", "step 11"), ("0.2", "0.3"),
        ("loss nan", "loss 1.0"),
    ],
)  # fmt: skip
def test_texts_that_do_not(comparing, theirs, ours):
    error, detail = comparing.difference(theirs, ours)
    assert error > comparing.ROUNDING and detail


def test_a_result_of_another_type_or_shape_differs(comparing, observing):
    def noted(array, kind="float32"):
        return observing.thin(array, kind)

    ones = noted(np.ones(3, "float32"))
    assert comparing.difference(ones, noted(np.ones(3, "float64"), "float64"))[0] == float("inf")
    assert comparing.difference(ones, noted(np.ones((3, 1), "float32")))[0] == float("inf")
    assert comparing.difference(ones, noted(np.ones(3, "float32") * np.float32(1 + 1e-7)))[0] <= comparing.ROUNDING
    assert comparing.difference(noted(np.array([2]), "int64"), noted(np.array([3]), "int64"))[0] == float("inf")


def test_none_is_equal_to_nothing_else_and_an_object_only_to_an_object(comparing):
    one, number = comparing.OBJECT, 1.0
    assert comparing.difference(None, None)[0] == comparing.difference([one], [one])[0] == 0
    for theirs, ours in ((None, number), (number, None), (None, one), (one, "text"), ([None], [number]), (one, [1])):
        assert comparing.difference(theirs, ours)[0] == float("inf"), (theirs, ours)


@pytest.fixture
def running(load):
    return load("13-conversion/running.py")


def test_what_the_last_bits_decide_in_pytorch_itself_is_no_measure_and_what_they_only_move_is(running, comparing):
    def differences(*events, counted=False):
        return [comparing.Difference(where, line, what, error, counted) for where, line, what, error in events]

    wrong = differences(("w", 0, "variable: 1, in Paddle 2", 1.0), ("a.py loss", 3, "returned: 1, in Paddle 2", 1.0))
    moved = differences(("w", 0, "variable: 1, in Paddle 1", 1e-6), ("a.py loss", 3, "returned: 1, in Paddle 1", 1e-6))
    assert running._beyond(wrong, moved) == wrong
    longer = moved + differences(("a.py step", 0, "returned 3 times more often in Paddle", float("inf")), counted=True)
    assert running._beyond(wrong, longer) == running._beyond(wrong, moved, longer=True) == wrong[1:]


def test_a_script_whose_every_value_the_last_bits_decide_is_not_equal(running, comparing, monkeypatch, tmp_path):
    def shown(*values):
        return comparing.Record(events=[("value", name, 0, value) for name, value in zip("ab", values, strict=True)])

    said = {"plain": shown(1.0, 1.0), "nudge": shown(1.5, 1.0)}
    runner = running.Runner(tmp_path, tmp_path, {}, running.Pytorch("python"), "cpu", 9, {})
    monkeypatch.setattr(runner, "_observe", lambda side, words, folder, way: (said[way], None))
    one, all_of_it = running.Verdict("a.py"), running.Verdict("a.py")
    runner._judge(one, said["plain"], shown(1.4, 1.0), ["a.py"], tmp_path)
    assert one.equal and (one.compared, one.moved) == (1, 1)
    said["nudge"] = shown(1.5, 1.5)
    runner._judge(all_of_it, said["plain"], shown(1.4, 1.4), ["a.py"], tmp_path)
    assert all_of_it.equal is None and "last bits" in all_of_it.why


def test_the_first_difference_is_named_by_line(comparing):
    theirs = record(comparing, (3, "loss 1.0"), (7, "loss 2.0"), (9, "end"))
    found = comparing.compare(theirs, record(comparing, (5, "loss 1.0"), (9, "loss 2.5"), (12, "other")))
    assert [(each.where, each.line) for each in found] == [("main.py", 7), ("main.py", 9)]


def test_what_only_one_side_prints_differs(comparing):
    one, two = record(comparing, (3, "a")), record(comparing, (3, "a"), (4, "b"))
    assert comparing.compare(one, two) and comparing.compare(two, one) and not comparing.compare(one, one)


def test_a_variable_that_only_paddle_has_is_part_of_what_was_one_call(comparing):
    plain = comparing.Record(events=[("value", "x", 0, 1.0)])
    parts = comparing.Record(events=[("value", "x", 0, 1.0), ("value", "x_0", 0, 2.0)])
    assert not comparing.compare(plain, parts) and comparing.compare(parts, plain)


def test_how_often_a_framework_asks_for_a_length_is_no_result(observing, comparing, tmp_path):
    text = "class Set:\n    def __len__(self): return 3\n    def size(self): return 4\nlen(Set())\nSet().size()"
    code = compile(text, str(tmp_path / "main.py"), "exec")
    side = SimpleNamespace(array=lambda value: None, name=lambda value: None, note=lambda variables: None)
    observer = observing.Observer(tmp_path, tmp_path / "record", side)
    before = sys.getprofile()
    sys.setprofile(observer.watch)
    try:
        exec(code, {"__name__": "main"})
    finally:
        sys.setprofile(before)
    observer.file.close()
    returned = [where for kind, where, *_ in comparing.read(tmp_path / "record").events if kind == "return"]
    assert returned == ["main.py Set", "main.py Set.size"] and ("main.py", 2) in observer.executed


def test_both_sides_draw_the_same_numbers_and_a_nudge_moves_each_a_little(observing):
    plain, again, nudged = observing.Stream(3), observing.Stream(3), observing.Stream(3, nudge=True)
    drawn = plain.normal(100)
    assert np.array_equal(drawn, again.normal(100))
    moved = np.abs(nudged.normal(100) / drawn - 1)
    assert moved.min() > 0 and moved.max() < 1e-5


def test_what_comes_after_numbers_that_cannot_be_given_is_left_out(comparing):
    theirs, ours = record(comparing, (1, "a"), (2, "b")), record(comparing, (1, "a"), (2, "c"))
    assert comparing.compare(theirs, ours)
    for each in (theirs, ours):
        each.apart = (1, "the dropout of an LSTM")
    assert not comparing.compare(theirs.before, ours.before)
    theirs.apart = ours.apart = (2, "the dropout of an LSTM")
    assert comparing.compare(theirs.before, ours.before)
