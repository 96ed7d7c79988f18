"""What the other files share."""

import functools
import inspect

import numpy as np
import paddle

from .halves import cast, is_half, single  # noqa: F401
from .views import allow, take, written

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


def also(name, helper):
    """The same helper under another of PyTorch's names, by which other things than tensors know theirs."""

    @functools.wraps(helper.__wrapped__)
    def function(*given, **named):
        return helper.__wrapped__(*given, **named)

    function.__name__ = name
    return method(function)


def dims(given):
    """`f(2, 3)` and `f((2, 3))` alike, as whole numbers."""
    if len(given) == 1 and not isinstance(given[0], (int, np.integer, Tensor)):
        given = given[0]
    return [int(each) for each in given]


def is_integer(x):
    return x.dtype in (paddle.bool, paddle.uint8, paddle.int8, paddle.int16, paddle.int32, paddle.int64)


class NotConverted(BaseException):
    """A line that is open was reached. No `except Exception` of the person's may take it for an error of its own."""


def reached(line):
    """What observes a run puts its own in this place: a bare `except` goes on, and a process may be another."""


def not_converted(line):
    reached(line)
    raise NotConverted(line)


def refuse(what):
    raise NotImplementedError(f"{what} is not converted")


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
        take(into, values)
        written(into)
    return into


def write(x, made):
    """Put `made` in x's place, with its gradient."""
    allow(x)
    if not paddle.is_grad_enabled() or (x.stop_gradient and made.stop_gradient):
        return put(x, made)
    if made.stop_gradient:
        made = paddle.where(paddle.ones(made.shape, "bool"), made, x.clone())  # no gradient goes to what x was
    take(x, made)
    written(x)
    return x


def writes(function):
    """With `inplace` x takes the result too; the gradient is of what x was before."""
    function = single(function)
    signature = inspect.signature(function)
    (first, *_) = signature.parameters

    @functools.wraps(function)
    def called(*given, **named):
        bound = signature.bind(*given, **named)
        if not bound.arguments.get("inplace"):
            return function(*given, **named)
        x = bound.arguments[first]
        bound.arguments[first] = x.clone()
        return write(x, function(*bound.args, **bound.kwargs))

    return called


def into(made, out):
    """`out=`: the result is written there."""
    if isinstance(out, (tuple, list)):
        return type(made)(*map(into, made, out)) if hasattr(made, "_fields") else tuple(map(into, made, out))
    if list(made.shape) == list(out.shape):
        return put(out, made)
    return paddle.assign(made.astype(out.dtype), out)


def root(x, degree=2):
    """Of sums of powers: at 0 its gradient is 0, as PyTorch's norms have it."""
    if x.stop_gradient:
        return paddle.sqrt(x) if degree == 2 else x ** (1 / degree)
    none = x == 0
    found = paddle.where(none, paddle.ones_like(x), x)
    found = paddle.sqrt(found) if degree == 2 else found ** (1 / degree)
    return paddle.where(none, paddle.zeros_like(x), found)
