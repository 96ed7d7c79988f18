"""Task 13-2: the converted projects compute what PyTorch computed, and the first difference is named."""

import json
import re
import subprocess
import sys

import numpy as np
import paddle
import pytest
from folders import PROJECTS
from hypothesis import given
from hypothesis import strategies as st

FOLDER = PROJECTS / "13-conversion"


@pytest.fixture(scope="module")
def equality(load):
    return load("13-conversion/equality.py")


@pytest.fixture(scope="module")
def module(load):
    return load("13-conversion/cases.py")


@pytest.fixture(scope="module")
def cases(module):
    return [module.read(folder) for folder in module.EXAMPLES]


REFERENCE = {
    "output/a": np.ones(3),
    "output/b": np.array([2.0, 4.0]),
    "gradient/a": np.array([1e-12, 0.0]),
    "loss": np.array([1.0, 0.5]),
    "trained/a": np.ones(2),
    **{f"noise/{name}": np.array(0.0) for name in ("output/a", "output/b", "gradient/a", "loss", "trained/a")},
}


def test_the_first_difference_is_the_first_in_the_order_of_computing(equality):
    ours = {**REFERENCE, "output/b": np.array([2.0, 4.0004]), "loss": np.array([9.0, 9.0])}
    found = equality.differences(ours, REFERENCE, exact=False)
    assert equality.first(found).name == "output/b"
    assert equality.worst(found, "output") == pytest.approx(1e-4)
    assert equality.first(equality.differences(REFERENCE, REFERENCE, exact=True)) is None


@pytest.mark.parametrize("wrong", [np.array([2.0, np.nan]), np.ones(3), None])
def test_what_is_missing_of_another_shape_or_not_a_number_is_a_difference(equality, wrong):
    ours = {name: value for name, value in REFERENCE.items() if name != "output/b"}
    ours |= {} if wrong is None else {"output/b": wrong}
    assert equality.first(equality.differences(ours, REFERENCE, exact=False)).name == "output/b"


def test_rounding_that_the_model_amplifies_is_allowed_in_float32_alone(equality):
    reference = {**REFERENCE, "noise/loss": np.array(1e-3)}
    ours = {**REFERENCE, "loss": np.array([1.003, 0.5])}
    assert equality.first(equality.differences(ours, reference, exact=False)) is None
    assert equality.first(equality.differences(ours, reference, exact=True)).name == "loss"


def test_what_float64_shows_to_be_rounding_is_no_difference_in_float32(equality):
    ours = {**REFERENCE, "loss": np.array([1.0 + 1e-3, 0.5])}
    of = {"loss": 1e-3 * 2.0**-29}
    assert equality.first(equality.differences(ours, REFERENCE, exact=False, finer=of)) is None
    assert equality.first(equality.differences(ours, REFERENCE, exact=False, finer={"loss": 0.0})).name == "loss"


@pytest.mark.parametrize("kind", ["buffer", "evaluated"])
def test_what_training_leaves_in_buffers_and_evaluation_is_compared(equality, kind):
    reference = {**REFERENCE, f"{kind}/norm": np.ones(3), f"noise/{kind}/norm": np.array(0.0)}
    ours = {**reference, f"{kind}/norm": np.full(3, 1.17)}
    assert equality.first(equality.differences(ours, reference, exact=True)).name == f"{kind}/norm"


RESULTS = {
    "a tensor": (np.ones((2, 3)), [""]),
    "logits and a loss": ((np.ones((2, 3)), np.array(1.0)), ["/0", "/1"]),
    "a loss and logits": ((np.array(1.0), np.ones((2, 3))), ["/0", "/1"]),
    "states of an LSTM": ((np.ones((2, 3)), (np.zeros(2), np.zeros(2))), ["/0", "/1/0", "/1/1"]),
    "a dict": ({"hidden": np.zeros((2, 9)), "logits": np.ones((2, 3)), "no": None}, ["/hidden", "/logits"]),
}


@pytest.mark.parametrize("name", RESULTS)
def test_every_tensor_of_a_result_has_a_name_and_one_is_trained_with(load, name):
    results = load("13-conversion/results.py")
    result, names = RESULTS[name]
    is_array = lambda value: isinstance(value, np.ndarray)  # noqa: E731
    assert [place for place, _ in results.tensors(result, is_array)] == names
    wanted = results.wanted(result, is_array, lambda value: value.dtype == float)
    assert wanted.shape == (2, 3) and wanted.all()


def test_a_result_without_numbers_is_named(load):
    with pytest.raises(TypeError, match="forward gives dict"):
        load("13-conversion/results.py").wanted({}, lambda value: False, lambda value: True)


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10))
def test_one_distribution_is_alike_and_another_width_is_not(equality, seed, width):
    random = np.random.default_rng(seed)
    ours, theirs = (random.uniform(-width, width, 4000) for _ in range(2))
    assert not equality.alike(ours, theirs * 2)
    assert not equality.alike(ours, random.normal(0, width, 4000))
    assert not equality.alike(np.zeros(4), theirs)
    assert equality.alike(np.zeros(4), np.zeros(4))


@pytest.mark.parametrize(
    ("ours", "again", "same"), [(0.3, 0.7, True), (1.0, 1.0, True), (0.0, 0.0, False)], ids=["drawn", "set", "wrong"]
)
def test_a_single_number_is_compared_where_it_is_not_drawn(equality, ours, again, same):
    assert equality.alike(*(np.array([each]) for each in (ours, 1.0, again))) == same


MENDED = """
import mended, numpy as np, paddle
from equality import alike
paddle.seed(1)
linear, convolution = mended.Linear(64, 256), mended.Conv2d(16, 64, 3, groups=2)
for layer, fan_in in ((linear, 64), (convolution, 8 * 9)):
    for value in (layer.weight.numpy(), layer.bias.numpy()):
        assert np.abs(value).max() <= fan_in**-0.5
        assert alike(value, np.random.default_rng(0).uniform(-1, 1, 9999) * fan_in**-0.5)
assert linear.weight.shape == [256, 64] and mended.Linear(4, 4, bias=False).bias is None

weight = paddle.zeros([128, 32, 3, 3])
mended.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
assert abs(weight.numpy().std() / (2 / (128 * 9)) ** 0.5 - 1) < 0.02

weight = mended.Parameter(paddle.ones([1], "float64"))
optimiser = mended.SGD([weight], lr=0.1, momentum=0.5)
expected, velocity = 1.0, 0.0
for _ in range(5):
    optimiser.zero_grad()
    assert weight.grad is None
    (weight * weight).sum().backward()
    optimiser.step()
    velocity = 0.5 * velocity + 2 * expected
    expected -= 0.1 * velocity
assert abs(float(weight) - expected) < 1e-12
"""


def test_layers_begin_and_sgd_moves_as_in_pytorch():
    """In a process of its own: the helpers change Paddle's classes."""
    subprocess.run([sys.executable, "-W", "ignore", "-c", MENDED], cwd=FOLDER, check=True)


def test_batches_are_the_same_every_time(cases):
    for case in cases:
        for (a, b), (c, d) in zip(case.batches(), case.batches(), strict=True):
            assert all(map(np.array_equal, a, c)) and np.array_equal(b, d)


def test_a_model_may_take_several_inputs_and_learn_other_things_than_classes(module, tmp_path):
    write_case(tmp_path, inputs=[[4, 3], [4, 2, 5]], classes=None, loss="bce")
    case = module.read(tmp_path)
    assert [each.shape for each in next(case.batches())[0]] == [(4, 3), (4, 2, 5)]
    assert set(np.unique(case.targets((4, 9), 0))) == {0.0, 1.0}
    assert np.array_equal(case.targets((4, 9), 1), case.targets((4, 9), 5))
    assert not np.array_equal(case.targets((4, 9), 1), case.targets((4, 9), 2))


@pytest.mark.parametrize(
    ("file", "package", "name"), [("model.py", False, "model"), ("a/b.py", False, "b"), ("a/b.py", True, "a.b")]
)
def test_a_model_in_a_package_is_imported_as_its_module(module, tmp_path, file, package, name):
    (tmp_path / "a").mkdir()
    (tmp_path / file).touch()
    if package:
        (tmp_path / "a/__init__.py").touch()
    case = module.Case(tmp_path, "Net", (4, 3), file=file)
    assert module.module_name(case) == name


def test_the_stored_reference_covers_every_case(cases):
    stored = np.load(FOLDER / "reference.npz")
    assert len(cases) == 3
    for name in (case.name for case in cases):
        kinds = {key.split("/")[1] for key in stored if key.startswith(f"{name}/")}
        buffers = {"buffer"} if name == "cnn" else set()
        assert kinds == {"weight", "output", "gradient", "loss", "trained", "noise", "evaluated"} | buffers
        assert stored[f"{name}/loss"][-1] < stored[f"{name}/loss"][0] / 2, "it learns, so that the curve says something"


def write_case(folder, **changes):
    words = {"model": "Net", "inputs": [4, 3], "classes": 2, "optimiser": "Adam", "settings": {"lr": 0.1}} | changes
    (folder / "model.py").write_text("")
    (folder / "case.json").write_text(json.dumps({name: value for name, value in words.items() if value is not None}))


def test_a_case_is_read(module, tmp_path):
    write_case(tmp_path, clip=0.5)
    case = module.read(tmp_path)
    assert (case.name, case.inputs, case.clip) == (tmp_path.name, (4, 3), 0.5)
    (inputs,), wanted = next(case.batches())
    assert inputs.shape == (4, 3) and wanted.shape == (4,) and set(wanted) <= {0, 1}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": None}, "a JSON object with inputs, model"),
        ({"modle": "Net"}, "a JSON object with"),
        ({"inputs": "4, 3"}, "shape of a batch"),
        ({"inputs": [4]}, "shape of a batch"),
        ({"inputs": [4, 0]}, "shape of a batch"),
        ({"classes": True}, "shape of a batch"),
        ({"inputs": [4, 3, 8], "tokens": True}, "samples, places"),
        ({"optimiser": "Lion"}, "SGD, Adam, AdamW"),
        ({"settings": {"lr": 0.1, "betas": [0.9, 0.99]}}, "lr, weight_decay"),
        ({"settings": {}}, "lr is needed"),
        ({"settings": {"lr": "fast"}}, "are numbers"),
        ({"arguments": [3]}, "arguments an object"),
        ({"file": "net.py"}, "no file net.py"),
    ],
)
def test_a_case_in_wrong_words_is_refused_with_the_right_ones(module, tmp_path, changes, why):
    write_case(tmp_path, **changes)
    with pytest.raises(module.NoCase, match=re.escape(why)):
        module.read(tmp_path)


def test_a_case_that_is_no_json_is_refused(module, tmp_path):
    (tmp_path / "case.json").write_text("{")
    with pytest.raises(module.NoCase, match="is not JSON"):
        module.read(tmp_path)


def test_the_template_of_the_error_is_a_case(module, tmp_path):
    (tmp_path / "model.py").write_text("")
    (tmp_path / "case.json").write_text(module.TEMPLATE)
    assert module.read(tmp_path).classes == 10


# Planted faults


@pytest.fixture
def batches(load):
    return load("13-conversion/batches.py")


@pytest.mark.plants("13-2", "batches_same")
@pytest.mark.parametrize(
    "fault",
    [
        lambda loader: lambda data, **more: loader(data, **{**more, "drop_last": True}),
        lambda loader: lambda data, **more: loader(data, **{**more, "batch_size": 8}),
        lambda loader: lambda data, **more: loader(paddle.io.Subset(data, [0] * len(data)), **more),
    ],
    ids=["the last batch is dropped", "batches of another size", "one thing again and again"],
)
def test_a_loader_that_gives_other_batches_fails(batches, verdict, monkeypatch, fault):
    assert verdict("13-2", "batches_same", {"batches_same": batches.same_batches()}) == "passed"
    monkeypatch.setattr(batches.paddle.io, "DataLoader", fault(paddle.io.DataLoader))
    assert verdict("13-2", "batches_same", {"batches_same": batches.same_batches()}) == "failed"
