"""Cross-entropy with label smoothing and of probabilities, as one kernel each way."""

import shutil

import numpy as np
import pytest

paddle = pytest.importorskip("paddle")
F = paddle.nn.functional
pytestmark = pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("g++")), reason="kernels need gcc and g++")
U = 2.0**-24  # of float32
SHAPES = [(1, 7), (5, 33), (2, 3, 16), (4, 1000)]


@pytest.fixture(scope="module")
def modules(load):
    paddle.set_device("cpu")
    return load("02-compiler/measure.py")


def smoothed(x, labels):
    return F.cross_entropy(x, labels, label_smoothing=0.125, reduction="none")


def smoothed_mean(x, labels):
    return F.cross_entropy(x, labels, label_smoothing=0.125)


def soft(x, labels):
    return F.cross_entropy(x, labels, soft_label=True, reduction="none")


def compiled(modules, function, traced):
    hook = modules.generator.Generator("labels")
    call, partial = modules.tracing.to_static(function, traced, hook)
    _ = partial.train_program
    return call, hook.report


def drawn(shape, seed=0):
    numbers = np.random.default_rng(seed)
    x = paddle.to_tensor(3 * numbers.standard_normal(shape, dtype="float32"), stop_gradient=False)
    return x, paddle.to_tensor(numbers.integers(0, shape[-1], shape[:-1]))


def exactly(x, probabilities):
    """The losses of rows, and their gradients, in float64."""
    x = x.numpy().astype("float64")
    power = np.exp(x - x.max(-1, keepdims=True))
    share = power / power.sum(-1, keepdims=True)
    return -(probabilities * np.log(share)).sum(-1), share - probabilities


def rows_of(labels, classes):
    return 0.875 * np.eye(classes)[labels.numpy()] + 0.125 / classes


def far(found, exact, rounds):
    """Whether a float32 result is further away than so many roundings of its largest number."""
    return np.abs(found.numpy().reshape(exact.shape) - exact).max() > rounds * U * np.abs(exact).max()


@pytest.mark.parametrize("shape", SHAPES)
def test_smoothed_losses_and_gradients_are_those_of_float64(modules, shape):
    x, labels = drawn(shape)
    call, report = compiled(modules, smoothed, [x, labels])
    assert len(report.forward) == len(report.backward) == 1 and not report.left, report.left
    loss, slope = exactly(x, rows_of(labels, shape[-1]))
    result = call(x, labels)
    rounds = 64 + 4 * shape[-1] ** 0.5
    assert not far(result, loss, rounds)
    (gradient,) = paddle.grad(result.sum(), [x])
    assert not far(gradient, slope, rounds)
    wrong, _ = exactly(x, np.eye(shape[-1])[labels.numpy()])
    assert far(result, wrong, rounds)  # without smoothing it would be seen


def test_a_smoothing_that_is_lost_is_seen(modules, monkeypatch):
    rules = modules.generator.lowering.RULES
    monkeypatch.setitem(rules, "label_smooth", lambda scope, _, given: scope.see("label_smooth", given[0]))
    x, labels = drawn((5, 33))
    call, _ = compiled(modules, smoothed, [x, labels])
    loss, _ = exactly(x, rows_of(labels, 33))
    assert far(call(x, labels), loss, 64 + 4 * 33**0.5)


def test_the_mean_over_any_batch_and_over_gaps_in_memory(modules):
    spec = [
        paddle.static.InputSpec([None, 9], "float32", name="x", stop_gradient=False),
        paddle.static.InputSpec([None], "int64", name="labels", stop_gradient=True),
    ]
    call, report = compiled(modules, smoothed, spec)
    assert report.forward, report.left
    for rows in (1, 6):
        x, labels = drawn((rows, 9), rows)
        assert not far(call(x, labels), exactly(x, rows_of(labels, 9))[0], 80)
    x, labels = drawn((9, 4))
    labels = paddle.arange(9)
    turned = x.t()
    assert not far(call(turned, labels[:4]), exactly(turned, rows_of(labels[:4], 9))[0], 80)
    x, labels = drawn((6, 9))
    mean, report = compiled(modules, smoothed_mean, [x, labels])
    assert len(report.forward) == len(report.backward) == 1 and not report.left, report.left
    assert abs(float(mean(x, labels)) - exactly(x, rows_of(labels, 9))[0].mean()) <= 80 * U * 9


def test_a_label_that_is_no_class_gives_nan_in_its_row_alone(modules):
    x, labels = drawn((4, 9))
    call, _ = compiled(modules, smoothed, [x, labels])
    labels[1], labels[2] = 9, -1
    assert np.isnan(call(x, labels).numpy().ravel()).tolist() == [False, True, True, False]


@pytest.mark.parametrize("shape", SHAPES)
def test_probabilities_as_labels(modules, shape):
    x, _ = drawn(shape)
    labels = F.softmax(paddle.to_tensor(np.random.default_rng(5).standard_normal(shape, dtype="float32")))
    call, report = compiled(modules, soft, [x, labels])
    assert len(report.forward) == len(report.backward) == 1 and not report.left, report.left
    loss, slope = exactly(x, labels.numpy().astype("float64"))
    result, rounds = call(x, labels), 64 + 4 * shape[-1] ** 0.5
    assert not far(result, loss, rounds)
    assert not far(paddle.grad(result.sum(), [x])[0], slope, rounds)


def test_logits_without_bounds_and_nan(modules):
    """What is impossible costs nothing where its probability is 0, else infinitely much (Paddle cuts it off at 64)."""
    x, _ = drawn((4, 5))
    x = x.detach()
    labels = paddle.to_tensor(np.eye(5, dtype="float32")[[0, 1, 2, 3]])
    x[0, 1], x[1, 1], x[2, 3] = float("-inf"), float("-inf"), float("nan")
    call, _ = compiled(modules, soft, [x, labels])
    loss = soft(x, labels).numpy()
    loss[1] = np.inf
    np.testing.assert_allclose(call(x, labels).numpy(), loss, rtol=64 * U)
