"""A function that became one kernel is called past the executor, and whatever is not like the traced call is not."""

import shutil

import numpy as np
import pytest

paddle = pytest.importorskip("paddle")
pytestmark = pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("g++")), reason="kernels need gcc and g++")
SHAPE = (16, 16)
U = 2.0**-24  # of float32


@pytest.fixture(scope="module")
def measure(load):
    paddle.set_device("cpu")
    return load("02-compiler/measure.py")


def bell(x, y):
    return x * y + paddle.exp(-x * x)


def tensors(*shapes, seed=0):
    numbers = np.random.default_rng(seed)
    return [paddle.to_tensor(numbers.standard_normal(shape, dtype="float32"), stop_gradient=False) for shape in shapes]


def compiled(measure, function, traced, **options):
    return measure.tracing.to_static(function, traced, measure.generator.Generator("f", **options))


@pytest.fixture
def direct(measure):
    """bell for tensors of SHAPE, whose executor is gone: only the direct way is left."""
    call, partial = compiled(measure, bell, tensors(SHAPE, SHAPE))
    _ = partial.train_program
    assert call.hook.report.whole

    def gone(*_, **__):
        raise AssertionError("the executor was asked")

    call.usual = gone
    return call


def same(found, expected, largest=8.0):
    """Within eight roundings of numbers up to `largest`."""
    return found.shape == expected.shape and float((found - expected).abs().max()) <= 8 * U * largest


def gradients(result, inputs):
    slope = paddle.arange(result.size, dtype="float32").reshape(result.shape) / result.size
    return paddle.grad(result, inputs, slope)


def test_one_kernel_needs_no_executor_forward_and_backward(direct):
    x, y = tensors(SHAPE, SHAPE, seed=1)
    assert same(direct(x, y), bell(x, y))
    for found, expected in zip(gradients(direct(x, y), [x, y]), gradients(bell(x, y), [x, y]), strict=True):
        assert same(found, expected)
    with paddle.no_grad():
        assert direct(x, y).stop_gradient and same(direct(x, y), bell(x, y))


def test_a_gradient_of_some_inputs_alone(direct):
    """Of a PyLayer's single tensors Paddle refuses what was not asked for."""
    x, y = tensors(SHAPE, SHAPE)
    for asked in ([x], [y], [y, x]):
        for found, expected in zip(gradients(direct(x, y), asked), gradients(bell(x, y), asked), strict=True):
            assert same(found, expected)
    direct(x, y).sum().backward()
    assert same(x.grad, paddle.grad(bell(x, y).sum(), [x])[0])


def test_both_ways_in_one_call_without_a_graph(direct):
    x, y = tensors(SHAPE, SHAPE, seed=2)
    slope = tensors(SHAPE, seed=3)[0]
    with paddle.no_grad():
        result, found = direct.vjp([x, y], [slope])
    assert result.stop_gradient and same(result, bell(x, y))
    for one, expected in zip(found, paddle.grad(bell(x, y), [x, y], slope), strict=True):
        assert same(one, expected)
    assert not same(direct.vjp([x, y], [slope * 2])[1][0], found[0])


def test_both_ways_in_one_call_of_what_the_kernels_do_not_fit(measure):
    call, _ = compiled(measure, bell, tensors(SHAPE, SHAPE))
    x, y = tensors(SHAPE, SHAPE)
    still = y.detach()
    wide = tensors((4, 8), (4, 8))
    for given in ((x.t(), y), wide, (x, still)):
        slope = paddle.randn(given[0].shape)
        assert call._direct.vjp(given, [slope]) is None
        with paddle.no_grad():
            result, found = call.vjp(given, [slope])
        assert result.stop_gradient and same(result, bell(*given))
        asking = [tensor for tensor in given if not tensor.stop_gradient]
        assert [gradient is None for gradient in found] == [tensor.stop_gradient for tensor in given]
        for one, expected in zip(found, paddle.grad(bell(*given), asking, slope), strict=False):
            assert same(one, expected)


def test_slopes_belong_to_the_results_whose_order_the_kernel_may_change(measure):
    def swapped(x, y):
        first = x * y
        return {"a": paddle.tanh(first), "b": [first]}

    traced = tensors(SHAPE, SHAPE)
    call, _ = compiled(measure, swapped, traced)
    assert call._direct
    slopes = tensors(SHAPE, SHAPE, seed=4)
    result, found = call.vjp(traced, slopes)
    plain = swapped(*traced)
    assert same(result["a"], plain["a"]) and same(result["b"][0], plain["b"][0])
    for one, expected in zip(found, paddle.grad([plain["a"], plain["b"][0]], traced, slopes), strict=True):
        assert same(one, expected)


def test_kernels_that_are_wrong_on_purpose_are_seen_on_the_direct_way(measure):
    x, y = tensors(SHAPE, SHAPE)
    call, _ = compiled(measure, bell, [x, y], gradients=False, spoil=True)
    with paddle.no_grad():
        assert same(call(x, y), 2 * bell(x, y)) and not same(call(x, y), bell(x, y))


def test_the_same_tensor_twice_has_the_sum_of_both_gradients(direct):
    (x,) = tensors(SHAPE)
    assert same(*gradients(direct(x, x), [x]), *gradients(bell(x, x), [x]))


def test_a_slope_with_holes_in_its_memory_is_closed_up(direct):
    x, y = tensors(SHAPE, SHAPE)
    assert same(*gradients(direct(x, y).t(), [x]), *gradients(bell(x, y).t(), [x]))


def test_what_is_not_like_the_traced_tensors_goes_the_usual_way_and_is_right(measure):
    call, _ = compiled(measure, bell, tensors(SHAPE, SHAPE))
    x, y = tensors(SHAPE, SHAPE)
    wide, other = tensors((16, 32)), tensors((4, 8), (4, 8))
    for given in ((x.t(), y), (wide[0][:, 16:], y), other, (x.astype("float64"), y.astype("float64")), (x, y[:1])):
        assert same(call(*given), bell(*given))
        assert call._direct(*given) is None
    assert same(call(x, y=y), bell(x, y)) and same(call(x, 2.0), bell(x, 2.0))


def test_a_tensor_that_wants_a_gradient_which_no_kernel_computes_goes_the_usual_way(measure):
    traced = tensors(SHAPE, SHAPE)
    traced[1].stop_gradient = True
    call, _ = compiled(measure, bell, traced)
    x, y = tensors(SHAPE, SHAPE)
    assert same(gradients(call(x, y), [y])[0], gradients(bell(x, y), [y])[0])
    y.stop_gradient = True
    assert call._direct(x, y) is not None
    assert same(*gradients(call(x, y), [x]), *gradients(bell(x, y), [x]))


def test_tensors_changed_before_the_gradient_and_second_derivatives_are_refused(direct):
    x, y = tensors(SHAPE, SHAPE)
    held = x * 1
    result = direct(held, y)
    held.add_(y)
    with pytest.raises(Exception, match="changed in place"):
        paddle.grad(result, [y])
    with pytest.raises(Exception, match="no second derivative"):
        paddle.grad(direct(x, y), [x], create_graph=True)


def test_any_batch_and_nested_results(measure):
    def both(x, y):
        product = x * y
        return {"a": product, "b": [paddle.tanh(product), 3]}

    spec = [paddle.static.InputSpec([None, 16], "float32", name=name, stop_gradient=False) for name in "xy"]
    call, _ = compiled(measure, both, spec)
    for rows in (1, 5, 32):
        x, y = tensors((rows, 16), (rows, 16), seed=rows)
        assert call._direct(x, y) is not None
        found = call(x, y)
        assert same(found["a"], x * y) and same(found["b"][0], paddle.tanh(x * y)) and found["b"][1] == 3
    assert call._direct(x, y[:3]) is None  # sizes that are not known have to agree


@pytest.mark.parametrize("function", ["bell", "beside_an_operator_of_paddles"])
def test_no_rows_at_all(measure, function):
    """Paddle hands them to a kernel without memory, and its PyLayer ends in a segmentation fault."""
    spec = [paddle.static.InputSpec([None, 16], "float32", name=name, stop_gradient=False) for name in "xy"]
    call, _ = compiled(measure, globals()[function], spec)
    x, y = tensors((0, 16), (0, 16))
    result = call(x, y)
    assert result.shape == [0, 16]
    assert [gradient.shape for gradient in paddle.grad(result, [x, y], result)] == [[0, 16], [0, 16]]


def test_a_layers_parameters_are_handed_on_and_differentiated(measure):
    layer = paddle.nn.LayerNorm(16)
    (x,) = tensors(SHAPE)
    call, _ = compiled(measure, layer.forward, [x])
    assert call._direct(x) is not None
    found, expected = (gradients(way(x), [x, layer.weight, layer.bias]) for way in (call, layer))
    for one, other in zip(found, expected, strict=True):
        assert same(one, other, largest=16.0)  # sums of 16


def test_two_kernels_or_an_operator_of_paddles_leave_no_direct_way(measure):
    call, _ = compiled(measure, with_a_product, tensors(SHAPE, SHAPE))
    x, y = tensors(SHAPE, SHAPE)
    assert call._direct is None and same(call(x, y), with_a_product(x, y), largest=64.0)


def with_a_product(x, y):
    return paddle.matmul(x * y, y) + 1


def beside_an_operator_of_paddles(x, y):
    return paddle.cumsum(x * y, 0) * y
