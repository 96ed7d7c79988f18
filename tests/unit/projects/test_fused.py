"""Task 2: a function decorated as fused is one kernel forward and one backward, or the function itself."""

import numpy as np
import pytest

paddle = pytest.importorskip("paddle")
F = pytest.importorskip("paddle.nn.functional")


@pytest.fixture(scope="module")
def module(load):
    return load("02-compiler/fused.py")


@pytest.fixture
def kernels(module, monkeypatch):
    """How many kernels have run."""
    ran = []
    true = module.Kernel.__call__
    monkeypatch.setattr(module.Kernel, "__call__", lambda kernel, tensors: ran.append(kernel) or true(kernel, tensors))
    return ran


def normal(*shape, gradient=True):
    numbers = np.random.default_rng(sum(shape)).standard_normal(shape).astype("float32")
    return paddle.to_tensor(numbers, stop_gradient=not gradient)


def gelu(x):
    return F.gelu(x, approximate=True)


def masked(x, mask):
    return F.softmax(x + mask)


def mask_first(mask, x):
    return F.softmax(x + mask)


def added(x, y):
    total = x + y
    return total, F.layer_norm(total, total.shape[-1:])


def turned_round(x, y):
    total = x + y
    return F.layer_norm(total, total.shape[-1:]), total


@pytest.mark.parametrize(
    ("function", "shapes", "constant"),
    [
        (gelu, [(3, 40)], ()),
        (masked, [(2, 3, 5, 16), (5, 16)], (1,)),
        (mask_first, [(5, 16), (2, 3, 5, 16)], (0,)),
        (added, [(4, 7, 33), (4, 7, 33)], ()),
        (turned_round, [(4, 7, 33), (4, 7, 33)], ()),
    ],
)
def test_results_and_gradients_are_the_functions(module, kernels, function, shapes, constant):
    outcomes = []
    for way in (function, module.fused(function)):
        tensors = [normal(*shape, gradient=number not in constant) for number, shape in enumerate(shapes)]
        results = way(*tensors)
        results = results if isinstance(results, tuple) else (results,)
        losses = ((result * normal(*result.shape, number)[..., 0]).sum() for number, result in enumerate(results, 1))
        sum(losses).backward()
        slopes = [tensor.grad for number, tensor in enumerate(tensors) if number not in constant]
        assert all(tensors[number].grad is None for number in constant)
        outcomes.append([value.numpy() for value in (*results, *slopes)])
    assert len(kernels) == 2
    for plain, found in zip(*outcomes, strict=True):
        np.testing.assert_allclose(found, plain, rtol=1e-5, atol=2e-5)


def test_a_slope_that_lies_turned_in_memory_is_read_as_it_is(module, kernels):
    found = []
    for way in (gelu, module.fused(gelu)):
        x = normal(6, 40)
        (way(x).t() * normal(40, 6)).sum().backward()
        found.append(x.grad.numpy())
    assert len(kernels) == 2
    np.testing.assert_allclose(*found, atol=1e-5)


def test_each_shape_has_kernels_of_its_own(module, kernels):
    way = module.fused(gelu)
    for rows, columns in ((3, 40), (5, 40), (3, 41), (3, 40)):
        x = normal(rows, columns)
        np.testing.assert_allclose(way(x).numpy(), gelu(x).numpy(), atol=1e-6)
    assert len(kernels) == 4 and len(set(kernels)) == 3


def test_what_is_not_in_float32_goes_to_the_function(module, kernels):
    x = normal(3, 40).astype("float64")
    assert module.fused(gelu)(x).dtype == x.dtype and not kernels


def test_without_gradients_it_is_the_function(module, kernels):
    with paddle.no_grad():
        module.fused(gelu)(normal(3, 40))
    module.fused(gelu)(normal(3, 40, gradient=False))
    assert not kernels


def test_what_is_no_kernel_stays_with_paddle_and_is_told(module, kernels, capsys):
    way = module.fused(lambda x: F.gelu(paddle.matmul(x, x)))
    for _ in range(2):
        way(normal(8, 8))
    assert not kernels and capsys.readouterr().out.count("stays with Paddle") == 1


def test_without_a_compiler_the_function_runs_and_the_package_is_named_once(module, kernels, monkeypatch, capsys):
    monkeypatch.setenv("CC", "no-such-compiler")
    x = normal(3, 40)
    for function in (gelu, F.softmax):
        assert (module.fused(function)(x) == function(x)).all() and not kernels
    assert capsys.readouterr().out.count("apt-get install g++") == 1


def test_a_tensor_changed_before_its_gradient_and_a_second_derivative_are_refused(module):
    call, x = module.fused(gelu), normal(4, 8)
    result = call(x * 1.0)
    y = x * 1.0
    changed = call(y)
    y.add_(paddle.ones_like(y))
    with pytest.raises((OSError, RuntimeError), match="changed in place"):
        changed.sum().backward()
    with pytest.raises((OSError, NotImplementedError), match="no second derivative"):
        paddle.grad(result.sum(), x, create_graph=True)
