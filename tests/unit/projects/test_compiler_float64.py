"""Kernels of float64: held to its own unit roundoff, which no kernel that rounds to float32 on its way can meet."""

import shutil

import numpy as np
import pytest

paddle = pytest.importorskip("paddle")
F = paddle.nn.functional
pytestmark = pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("g++")), reason="kernels need gcc and g++")
U = 2.0**-53
SHAPES = [(1, 1), (1, 7), (5, 33), (3, 4, 64), (2, 1000)]


@pytest.fixture(scope="module")
def modules(load):
    paddle.set_device("cpu")
    return load("02-compiler/measure.py")


def functions(x):
    return paddle.exp(-x * x) * paddle.tanh(x) + paddle.log(1 + x * x) * F.sigmoid(x) + paddle.erf(x) * paddle.abs(x)


def functions_exactly(x):
    """In NumPy's longest numbers; erf as the sum of its series, for |x| below 6."""
    term = total = x
    for n in range(1, 160):
        term = -term * x * x / n
        total = total + term / (2 * n + 1)
    erf = total * 2 / np.sqrt(4 * np.arctan(np.longdouble(1)))
    return np.exp(-x * x) * np.tanh(x) + np.log(1 + x * x) / (1 + np.exp(-x)) + erf * np.abs(x)


def normalised(x):
    centred = x - x.mean(-1, keepdim=True)
    return centred * paddle.rsqrt((centred * centred).mean(-1, keepdim=True) + 0.5)


def normalised_exactly(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + np.longdouble(0.5))


def softmax(x):
    return F.softmax(x, axis=-1)


def softmax_exactly(x):
    power = np.exp(x - x.max(-1, keepdims=True))
    return power / power.sum(-1, keepdims=True)


PAIRS = [(functions, functions_exactly), (normalised, normalised_exactly), (softmax, softmax_exactly)]


def tensor(shape, seed=0):
    drawn = np.random.default_rng(seed).standard_normal(shape)
    return paddle.to_tensor(np.clip(drawn, -3, 3), stop_gradient=False)


def compiled(modules, function, traced):
    hook = modules.generator.Generator("wide")
    call, partial = modules.tracing.to_static(function, traced, hook)
    _ = partial.train_program
    return call, hook.report


def errors(modules, function, exactly, shape):
    """Relative maximum errors of forward and gradient, and those of Paddle itself, and the gradient's bound."""
    x = tensor(shape)
    call, report = compiled(modules, function, [x])
    assert len(report.forward) == len(report.backward) == 1 and not report.left, report.left
    slope = paddle.to_tensor(np.random.default_rng(1).standard_normal(shape))
    exact = exactly(x.numpy().astype(np.longdouble))
    found, plain = call(x), function(x)
    assert found.dtype == paddle.float64
    largest = np.abs(exact).max() or 1.0
    forward, usual = (float(np.abs(one.numpy() - exact).max() / largest) for one in (found, plain))
    ours, theirs = (paddle.grad(one, [x], slope)[0].numpy() for one in (found, plain))
    gradient = float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), np.abs(slope.numpy()).max()))
    return forward, usual, gradient, 2 * (64 + 4 * shape[-1] ** 0.5) * U


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0].__name__)
def test_forward_and_gradient_are_as_exact_as_float64_is(modules, pair, shape):
    forward, usual, gradient, bound = errors(modules, *pair, shape)
    assert forward <= max(4 * usual, 32 * U)
    assert gradient <= bound


def test_a_constant_rounded_to_float32_is_seen(modules, monkeypatch):
    monkeypatch.setattr(modules.generator.emission, "literal", lambda number: f"(REAL){float(number)!r}f")
    forward, usual, *_ = errors(modules, *PAIRS[1], (5, 33))
    assert forward > max(4 * usual, 32 * U)


def test_infinities_and_nan_are_those_of_paddle(modules):
    x = tensor((4, 9)).detach()
    x[0, 1], x[1, 2], x[2, 3], x[3, 4] = float("inf"), float("-inf"), float("nan"), 0.0
    for function, _ in PAIRS:
        call, _ = compiled(modules, function, [x])
        np.testing.assert_allclose(call(x).numpy(), function(x).numpy(), rtol=64 * U, atol=64 * U)


def test_any_batch_no_rows_gaps_in_memory_and_float32_beside_it(modules):
    spec = [paddle.static.InputSpec([None, 9], "float64", name="x", stop_gradient=False)]
    call, report = compiled(modules, normalised, spec)
    assert len(report.forward) == 1
    for rows in (1, 3, 40):
        x = tensor((rows, 9), seed=rows)
        assert call._direct(x) is not None
        np.testing.assert_allclose(call(x).numpy(), normalised(x).numpy(), rtol=1e-13, atol=1e-14)
    turned, narrow = tensor((9, 5)).t(), tensor((3, 9)).astype("float32")
    np.testing.assert_allclose(call(turned).numpy(), normalised(turned).numpy(), rtol=1e-13, atol=1e-14)
    assert call._direct(turned) is None and call._direct(narrow) is None
    call, _ = compiled(modules, functions, spec)
    assert call(tensor((0, 9))).shape == [0, 9]


def test_a_kernel_holds_one_type_of_numbers(modules):
    def mixed(x):
        return (x.astype("float32") * 2).astype("float64") + x

    x = tensor((3, 5))
    call, report = compiled(modules, mixed, [x])
    assert "float64 beside numbers of another type" in str(report.left)
    np.testing.assert_array_equal(call(x).numpy(), mixed(x).numpy())
