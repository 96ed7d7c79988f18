"""Started by test_sim.py on a simulated card: every kernel of the plug-in against numpy, over many shapes."""

import numpy as np
import paddle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import broadcastable_shapes

SHAPES = st.lists(st.integers(0, 5), min_size=0, max_size=4).map(tuple)
TYPES = st.sampled_from(["float32", "float64"])
MANY = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
BINARY = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide}


def numbers(shape, dtype="float64", seed=0):
    return (np.random.default_rng(seed).uniform(0.5, 2, shape)).astype(dtype)


def tensor(array):
    made = paddle.to_tensor(array, stop_gradient=False)
    assert str(made.place) == "Place(sim:0)"
    return made


def close(got, wanted):
    got = got.numpy()
    np.testing.assert_allclose(got, wanted, rtol=1e-4 if got.dtype == np.float32 else 1e-10, atol=1e-6)
    assert got.shape == np.shape(wanted)


def unbroadcast(gradient, shape):
    gradient = gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))
    axes = tuple(axis for axis, length in enumerate(shape) if length == 1)
    return gradient.sum(axis=axes, keepdims=True) if axes else gradient


@MANY
@given(st.data(), st.sampled_from(sorted(BINARY)), TYPES)
def test_binary(data, name, dtype):
    shape = data.draw(SHAPES.filter(len))
    other = data.draw(broadcastable_shapes(shape, min_dims=1, max_dims=4, min_side=0, max_side=5))
    a, b = numbers(shape, dtype), numbers(other, dtype, 1)
    x, y = tensor(a), tensor(b)
    out = getattr(paddle, name)(x, y)
    close(out, BINARY[name](a, b))
    if out.size == 0:
        return
    seed = numbers(out.shape, dtype, 2)
    out.backward(paddle.to_tensor(seed))
    slopes = {"add": (1, 1), "subtract": (1, -1), "multiply": (b, a), "divide": (1 / b, -a / b**2)}[name]
    close(x.grad, unbroadcast(seed * slopes[0], shape))
    close(y.grad, unbroadcast(seed * slopes[1], other))


UNARY = {
    "tanh": np.tanh,
    "exp": np.exp,
    "square": np.square,
    "nn.functional.relu": lambda a: np.maximum(a, 0),
    "nn.functional.sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "nn.functional.swish": lambda a: a / (1 + np.exp(-a)),
    "nn.functional.gelu": lambda a: a * (1 + np.vectorize(__import__("math").erf, otypes=[float])(a / 2**0.5)) / 2,
}


@MANY
@given(SHAPES, st.sampled_from(sorted(UNARY)))
def test_unary(shape, name):
    a = numbers(shape) * 2 - 2.3
    function = paddle
    for word in name.split("."):
        function = getattr(function, word)
    x = tensor(a)
    out = function(x)
    close(out, UNARY[name](a))
    if out.size == 0:
        return
    out.sum().backward()
    step = 1e-6
    slope = (UNARY[name](a + step) - UNARY[name](a - step)) / (2 * step)
    np.testing.assert_allclose(x.grad.numpy(), slope, rtol=1e-5, atol=1e-8)


@MANY
@given(st.data(), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.booleans(), st.booleans(), TYPES)
def test_matmul(data, m, k, n, turn_x, turn_y, dtype):
    stack = data.draw(st.lists(st.integers(1, 3), max_size=2).map(tuple))
    other = data.draw(broadcastable_shapes(stack, max_dims=2, max_side=3)) if stack else ()
    a = numbers((*stack, *((k, m) if turn_x else (m, k))), dtype)
    b = numbers((*other, *((n, k) if turn_y else (k, n))), dtype, 1)
    x, y = tensor(a), tensor(b)
    out = paddle.matmul(x, y, turn_x, turn_y)
    left, right = np.swapaxes(a, -1, -2) if turn_x else a, np.swapaxes(b, -1, -2) if turn_y else b
    close(out, left @ right)
    seed = numbers(out.shape, dtype, 2)
    out.backward(paddle.to_tensor(seed))
    dx, dy = seed @ np.swapaxes(right, -1, -2), np.swapaxes(left, -1, -2) @ seed
    close(x.grad, unbroadcast(np.swapaxes(dx, -1, -2) if turn_x else dx, a.shape))
    close(y.grad, unbroadcast(np.swapaxes(dy, -1, -2) if turn_y else dy, b.shape))


@MANY
@given(st.data(), st.sampled_from(["sum", "mean"]), st.booleans(), TYPES)
def test_reductions(data, name, keep, dtype):
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple))
    axes = data.draw(st.none() | st.lists(st.integers(-len(shape), -1), unique=True, min_size=1))
    a = numbers(shape, dtype)
    x = tensor(a)
    out = getattr(paddle, name)(x, axis=axes, keepdim=keep)
    wanted = getattr(np, name)(a, axis=None if axes is None else tuple(axes), keepdims=keep)
    close(out, wanted)
    out.sum().backward()
    close(x.grad, np.full(shape, 1.0 if name == "sum" else wanted.size / a.size))


@MANY
@given(st.data(), st.lists(st.integers(0, 4), min_size=1, max_size=9), st.sampled_from([None, 0, 3, -1]), TYPES)
def test_embedding(data, rows, padding, dtype):
    """Rows taken twice add up, the padding row has no gradient, and it lies on the card."""
    table, seed = tensor(numbers((5, 3), dtype)), numbers((len(rows), 3), dtype, 1)
    ids = paddle.to_tensor(rows, dtype=data.draw(st.sampled_from(["int32", "int64"])))
    out = paddle.nn.functional.embedding(ids, table, padding_idx=padding)
    out.backward(paddle.to_tensor(seed))
    wanted = np.zeros((5, 3), dtype)
    np.add.at(wanted, rows, seed)
    if padding is not None:
        wanted[padding] = 0
    assert str(table.grad.place) == "Place(sim:0)"
    close(table.grad, wanted)


@MANY
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(-3, 2), st.booleans(), TYPES)
def test_concat(sizes, axis, static, dtype):
    """Each gets its share of the gradient; under to_static, where the inputs are freed before, as well."""

    def concat(parts):
        return paddle.concat([2 * part for part in parts], axis)

    shapes = [[size if at == axis % 3 else 2 for at in range(3)] for size in sizes]
    parts = [tensor(numbers(shape, dtype, seed)) for seed, shape in enumerate(shapes)]
    out = (paddle.jit.to_static(concat, full_graph=True) if static else concat)(parts)
    seed = numbers(out.shape, dtype, 9)
    out.backward(paddle.to_tensor(seed))
    for part, wanted in zip(parts, np.split(seed, np.cumsum(sizes)[:-1], axis), strict=True):
        close(part.grad, 2 * wanted)


@MANY
@given(st.data(), st.sampled_from(["float32", "int64", "bool", "float16", "complex64"]))
def test_views(data, dtype):
    """Transposed, sliced and written into."""
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple))
    a = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    x = paddle.to_tensor(a)
    order = data.draw(st.permutations(range(len(shape))))
    np.testing.assert_array_equal(x.transpose(order).contiguous().numpy(), a.transpose(order))
    start = data.draw(st.integers(0, shape[0] - 1))
    np.testing.assert_array_equal(x[start:].contiguous().numpy(), a[start:])
    target = np.zeros(shape, dtype)
    y = paddle.to_tensor(target)
    y[start:] = x[start:]
    target[start:] = a[start:]
    np.testing.assert_array_equal(y.numpy(), target)


def test_vectors_and_empty():
    a, b = numbers((4,)), numbers((3, 4))
    close(paddle.matmul(tensor(b), tensor(a)), b @ a)
    close(paddle.matmul(tensor(a), tensor(b.T.copy())), a @ b.T)
    close(paddle.dot(tensor(a), tensor(a)), a @ a)
    close(paddle.sum(tensor(np.zeros((0, 3)))), 0.0)


if __name__ == "__main__":
    paddle.set_device("sim:0")
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print(name)
