"""What the other files share."""

import functools

import numpy as np
import paddle

Tensor = paddle.Tensor


def method(function):
    """A function that takes a tensor's place in `x.name(...)`: on anything else the thing's own method is called."""

    @functools.wraps(function)
    def called(self, *given, **named):
        if isinstance(self, Tensor):
            return function(self, *given, **named)
        if isinstance(self, (bool, int, float, list, tuple)) and not hasattr(self, function.__name__):
            return function(paddle.to_tensor(self), *given, **named)
        return getattr(self, function.__name__)(*given, **named)

    return called


def dims(given):
    """`f(2, 3)` and `f((2, 3))` alike, as whole numbers."""
    if len(given) == 1 and not isinstance(given[0], (int, np.integer, Tensor)):
        given = given[0]
    return [int(each) for each in given]


def is_integer(x):
    return x.dtype in (paddle.bool, paddle.uint8, paddle.int8, paddle.int16, paddle.int32, paddle.int64)


def is_half(x):
    return x.dtype in (paddle.float16, paddle.bfloat16)


def refuse(what):
    raise NotImplementedError(f"{what} is not converted")


def cast(x, kind):
    """To another type; to halves rounded to the nearest, where Paddle's CPU cuts off."""
    if kind != paddle.float16 or x.dtype not in (paddle.float32, paddle.float64) or not x.place.is_cpu_place():
        return x.astype(kind)
    near = paddle.to_tensor(x.detach().numpy().astype("float16").astype("float64")).astype(x.dtype)
    if not x.stop_gradient:
        near = x + paddle.where(x == near, paddle.zeros_like(near), near - x).detach()
    return near.astype(kind)


def finish(x, dtype=None, requires_grad=False):
    """A made tensor with the type and the gradient that were asked for."""
    x = x if dtype is None or x.dtype == dtype else cast(x, dtype)
    x.stop_gradient = not requires_grad
    return x


def put(into, values):
    """Write values into a tensor in place, also where it is a view or a weight."""
    with paddle.no_grad():
        values = values if isinstance(values, Tensor) else paddle.to_tensor(values)
        values = values.astype(into.dtype)
        if list(values.shape) != list(into.shape):
            values = paddle.expand(values, into.shape)
        if into.is_contiguous():
            paddle.assign(values, into)
        else:
            into.zero_()
            into.add_(values)
    return into


def write(x, made):
    """Put `made` in x's place, with its gradient."""
    if x.stop_gradient and made.stop_gradient:
        return put(x, made)
    if x.is_leaf and not x.stop_gradient and paddle.is_grad_enabled():
        raise RuntimeError("a leaf that requires grad is used in an in-place operation")
    if not paddle.is_grad_enabled():
        return put(x, made)
    return paddle.assign(made, x)
