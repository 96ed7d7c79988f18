"""Arithmetic with PyTorch's arguments, and in place where PyTorch writes in place."""

import operator
import sys

import paddle

from .common import Tensor, also, is_integer, method
from .common import write as _write
from .halves import ROUNDING, narrow, single
from .shapes import promoted
from .views import apart, array, keeping


def _pair(x, other):
    if not isinstance(x, Tensor):
        x = paddle.full(
            [], x, other.dtype if not (is_integer(other) and isinstance(x, float)) else paddle.get_default_dtype()
        )
    if isinstance(other, Tensor) and x.dtype != other.dtype:
        kind = promoted(x, other)
        return x.astype(kind), other.astype(kind)
    return x, other


@method
def add(x, other, *, alpha=1):
    x, other = _pair(x, other)
    return x + (other * alpha if alpha != 1 else other)


@method
def sub(x, other, *, alpha=1):
    x, other = _pair(x, other)
    return x - (other * alpha if alpha != 1 else other)


subtract = also("subtract", sub)


@method
def mul(x, other):
    x, other = _pair(x, other)
    return x * other


multiply = also("multiply", mul)


@method
def div(x, other, *, rounding_mode=None):
    x, other = _pair(x, other)
    if rounding_mode is None:
        return x / other
    if rounding_mode == "floor":
        return floor_divide(x, other)
    exact = (x.astype("float64") / (other.astype("float64") if isinstance(other, Tensor) else other)).trunc()
    return exact.astype(x.dtype if not (is_integer(x) and isinstance(other, float)) else paddle.get_default_dtype())


divide, true_divide = also("divide", div), also("true_divide", div)


@method
def floor_divide(x, other):
    x, other = _pair(x, other)
    return paddle.floor_divide(x, other if isinstance(other, Tensor) else paddle.full([], other, x.dtype))


@method
def remainder(x, other):
    x, other = _pair(x, other)
    return paddle.remainder(x, other if isinstance(other, Tensor) else paddle.full([], other, x.dtype))


@method
def fmod(x, other):
    x, other = _pair(x, other)
    other = other if isinstance(other, Tensor) else paddle.full([], other, x.dtype)
    found = x.astype("float64") - (x.astype("float64") / other.astype("float64")).trunc() * other.astype("float64")
    return found.astype(x.dtype)


def pow(x, exponent):
    if not isinstance(x, Tensor):
        return paddle.full([], x, exponent.dtype) ** exponent
    if isinstance(exponent, Tensor):
        x, exponent = _pair(x, exponent)
    elif is_integer(x) and isinstance(exponent, float):
        x = x.astype(paddle.get_default_dtype())
    return x**exponent


@method
def clamp(x, min=None, max=None):
    """At a bound the gradient passes, as in PyTorch."""
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        if min is not None:
            x, low = _pair(x, min if isinstance(min, Tensor) else paddle.full([], min, x.dtype))
            x = paddle.where(x < low, low, x)
        if max is not None:
            x, high = _pair(x, max if isinstance(max, Tensor) else paddle.full([], max, x.dtype))
            x = paddle.where(x > high, high, x)
        return x
    if is_integer(x) and (isinstance(min, float) or isinstance(max, float)):
        x = x.astype(paddle.get_default_dtype())
    if x.dtype in (paddle.uint8, paddle.int8, paddle.int16):
        return paddle.clip(x.astype("int32"), min, max).astype(x.dtype)
    found = paddle.clip(x, min, max)
    return found if found.stop_gradient else paddle.where(found == x, x, found.detach())


clip = also("clip", clamp)


@method
def clamp_min(x, min):
    return clamp(x, min)


@method
def clamp_max(x, max):
    return clamp(x, None, max)


@method
def round(x, *, decimals=0):
    """Halves to the even number."""
    if is_integer(x):
        return x
    scaled = x * 10.0**decimals if decimals else x
    low = paddle.floor(scaled)
    half = scaled - low
    up = (half > 0.5) | ((half == 0.5) & (paddle.remainder(low, paddle.full([], 2.0, low.dtype)) != 0))
    found = low + up.astype(low.dtype)
    return found / 10.0**decimals if decimals else found


@method
def sign(x):
    return paddle.sign(x.astype("float64")).astype(x.dtype) if is_integer(x) else paddle.sign(x)


@method
def matmul(x, other):
    return paddle.matmul(x, other)


@method
def mm(x, other):
    return paddle.mm(x, other)


@method
def bmm(x, other):
    return paddle.bmm(x, other)


@method
def addmm(x, a, b, *, beta=1, alpha=1):
    return beta * x + alpha * paddle.matmul(a, b)


@method
def baddbmm(x, a, b, *, beta=1, alpha=1):
    product = alpha * paddle.bmm(a, b)
    return product if beta == 0 else beta * x + product


@method
def addcmul(x, a, b, *, value=1):
    return x + value * a * b


@method
def addcdiv(x, a, b, *, value=1):
    return x + value * a / b


@method
def lerp(x, end, weight):
    return x + weight * (end - x)


@method
def dot(x, other):
    return paddle.dot(x, other)


@method
def outer(x, other):
    return paddle.outer(x, other)


def einsum(equation, *operands):
    operands = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    return paddle.einsum(equation.replace(" ", ""), *operands)


def tensordot(a, b, dims=2):
    return paddle.tensordot(a, b, dims)


@method
def allclose(x, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    return bool(paddle.allclose(*_pair(x, other), rtol=rtol, atol=atol, equal_nan=equal_nan))


@method
def equal(x, other):
    return list(x.shape) == list(other.shape) and bool((x == other).all())


@method
def eq(x, other):
    return _pair(x, other)[0] == _pair(x, other)[1]


@method
def ne(x, other):
    return _pair(x, other)[0] != _pair(x, other)[1]


def _compared(name, compare):
    def compared(x, other):
        return compare(*_pair(x, other))

    compared.__name__ = name
    return method(compared)


lt, le, gt, ge = (_compared(name, getattr(operator, name)) for name in ("lt", "le", "gt", "ge"))
less, less_equal = also("less", lt), also("less_equal", le)
greater, greater_equal = also("greater", gt), also("greater_equal", ge)


@method
def item(x):
    found = x.item()
    return bool(found) if x.dtype == paddle.bool else found


@method
def tolist(x):
    return x.numpy().tolist() if x.dtype != paddle.bfloat16 else x.astype("float32").numpy().tolist()


@method
def numpy(x, *, force=False):
    if not x.stop_gradient and not force:
        raise RuntimeError("numpy() of a tensor that requires grad: use tensor.detach().numpy()")
    return array(x)


@method
def clone(x, *, memory_format=None):
    return x.clone()


@method
def detach(x):
    apart(x)
    return x.detach()


@method
def detach_(x):
    x.stop_gradient = True
    return x


@method
def cpu(x, *_, **__):
    return x.cpu()


def _in_place(name, function):
    function = single(function, name[:-1] in ROUNDING)

    def changed(x, *given, **named):
        made = function(x.clone() if paddle.is_grad_enabled() else x, *given, **named)
        if list(made.shape) != list(x.shape):
            raise RuntimeError(f"{name}: the result has shape {made.shape}, in place it has to be {x.shape}")
        if is_integer(x) and not is_integer(made):
            raise RuntimeError(f"{name}: the result cannot be cast to {x.dtype}")
        return _write(x, made.astype(x.dtype))

    changed.__name__ = name
    return method(changed)


_PLAIN = ["abs", "sqrt", "exp", "log", "sin", "cos", "tanh", "sigmoid", "neg", "reciprocal", "floor", "ceil", "rsqrt"]
_FUNCTIONS = {name: getattr(paddle, name) for name in _PLAIN if hasattr(paddle, name)}
_FUNCTIONS |= {"sigmoid": paddle.nn.functional.sigmoid, "relu": paddle.nn.functional.relu}
_FUNCTIONS |= {"add": add, "sub": sub, "mul": mul, "div": div, "clamp": clamp, "clip": clamp, "clamp_min": clamp_min}
_FUNCTIONS |= {"clamp_max": clamp_max, "pow": pow, "addcmul": addcmul, "addcdiv": addcdiv, "lerp": lerp, "round": round}
_FUNCTIONS |= {"floor_divide": floor_divide, "remainder": remainder}
for _name, _function in _FUNCTIONS.items():
    globals()[f"{_name}_"] = _in_place(f"{_name}_", _function)


def _operator(name, function):
    """`x += y` in the person's code writes in place; in Paddle's own files it stays what it was."""
    before = getattr(Tensor, name, None)

    def changed(self, other):
        if sys._getframe(1).f_globals.get("__name__", "").partition(".")[0] == "paddle":
            return before(self, other) if before else NotImplemented
        if self.is_leaf and not self.stop_gradient and paddle.is_grad_enabled():
            raise RuntimeError("a leaf that requires grad is used in an in-place operation")
        return function(self, other)

    setattr(Tensor, name, changed)


def _promoting(name):
    """Two tensors of different types give what PyTorch makes of them; Paddle refuses some, and widens others."""
    before = getattr(Tensor, name)

    def combined(self, other):
        if isinstance(other, Tensor):
            self, other = _pair(self, other)
        if name == "__truediv__" and is_integer(self):
            self = self.astype(paddle.get_default_dtype())
            other = other.astype(self.dtype) if isinstance(other, Tensor) else other
        return before(self, other)

    setattr(Tensor, name, single(combined, name not in _EXACT))


def _powered(before):
    def power(self, exponent):
        if narrow(self) and self.dtype == paddle.bfloat16 and type(exponent) in (int, float) and exponent in (3, -2):
            return self * self * self if exponent == 3 else 1 / (self * self)  # rounded as often in PyTorch
        if self.dtype == paddle.float64 and type(exponent) is float:  # an attribute would be float32
            exponent = paddle.full([], exponent, self.dtype)
        return before(self, exponent)

    return power


def _under(before):
    """A number over halves: their reciprocal, rounded, times it."""

    def over(self, other):
        return paddle.reciprocal(self) * other if narrow(self) else before(self, other)

    return over


_EXACT = ("__mul__", "__rmul__", "__truediv__")  # a number meets halves in float32
_SIDED = [f"__{side}{name}__" for name in ("add", "sub", "mul", "truediv") for side in ("", "r")]
_OTHERS = ("floordiv", "mod", "pow", "eq", "ne", "lt", "le", "gt", "ge")
_ALONE = ("neg", "abs", "matmul", "rpow", "rfloordiv", "rmod", "rmatmul")


def install():
    for name in [*_SIDED, *(f"__{name}__" for name in _OTHERS)]:
        _promoting(name)
    for name in (f"__{name}__" for name in _ALONE):
        if hasattr(Tensor, name):
            setattr(Tensor, name, single(getattr(Tensor, name), name.startswith("__r")))
    Tensor.__pow__, Tensor.__rtruediv__ = _powered(Tensor.__pow__), keeping(_under(Tensor.__rtruediv__))
    Tensor.__truediv__ = keeping(Tensor.__truediv__)
    for name in _BITS:
        _with_numbers(f"__{name}__")
    scope = globals()
    for name, function in _CHANGING.items():
        _operator(f"__i{name}__", scope[function])


_BITS = {"and": operator.and_, "or": operator.or_, "xor": operator.xor, "lshift": operator.lshift,
         "rshift": operator.rshift}  # fmt: skip
_CHANGING = {"add": "add_", "sub": "sub_", "mul": "mul_", "truediv": "div_", "floordiv": "floor_divide_",
             "mod": "remainder_", "pow": "pow_", **{name: f"_{name}_" for name in _BITS}}  # fmt: skip
for _name, _function in _BITS.items():
    globals()[f"_{_name}_"] = _in_place(f"_{_name}_", _function)


def _with_numbers(name):
    """Bits of a tensor and of a whole number, which Paddle refuses."""
    before = getattr(Tensor, name)

    def combined(self, other):
        return before(self, paddle.full([], other, self.dtype) if isinstance(other, (bool, int)) else other)

    setattr(Tensor, name, combined)
