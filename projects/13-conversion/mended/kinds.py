"""Types of numbers, and tensors that are made from numbers."""

import builtins

import numpy as np
import paddle

from .common import Tensor, also, dims, finish, is_integer, method
from .common import cast as convert
from .views import of_array

float16 = half = paddle.float16
float32 = float_ = paddle.float32
float64 = double_ = paddle.float64
bfloat16_ = paddle.bfloat16
int8, int16, int32, int64, uint8 = paddle.int8, paddle.int16, paddle.int32, paddle.int64, paddle.uint8
bool_, complex64, complex128 = paddle.bool, paddle.complex64, paddle.complex128
dtype = paddle.dtype
EXACT = (bool, int)


def set_default_dtype(kind):
    paddle.set_default_dtype({float16: "float16", float32: "float32", float64: "float64"}.get(kind, kind))


def get_default_dtype():
    return {"float16": float16, "float32": float32, "float64": float64}[paddle.get_default_dtype()]


def tensor(data, dtype=None, device=None, requires_grad=False, **_):
    """A copy, as in PyTorch: Python's own floats become the default type, arrays keep theirs."""
    if isinstance(data, Tensor):
        return finish(data.detach().clone(), dtype, requires_grad)
    if isinstance(data, (list, tuple)) and _tensors(data):
        data = np.array(_numbers(data))
        made = paddle.to_tensor(data)
        return finish(made, dtype or _first(data, made), requires_grad)
    if isinstance(data, (list, tuple)) and not len(data):
        return finish(paddle.zeros([0]), dtype, requires_grad)
    if isinstance(data, np.generic):
        data = np.asarray(data)
    if isinstance(data, np.ndarray):
        return finish(paddle.to_tensor(data.copy()), dtype, requires_grad)
    array = np.asarray(data)
    if array.dtype.kind == "f" and not _arrays(data):
        array = array.astype(paddle.get_default_dtype()) if dtype is None else array
    if array.dtype.kind == "c" and not _arrays(data):
        array = array.astype("complex64") if paddle.get_default_dtype() == "float32" else array
    return finish(paddle.to_tensor(array), dtype, requires_grad)


def _tensors(data):
    return any(isinstance(each, Tensor) or (isinstance(each, (list, tuple)) and _tensors(each)) for each in data)


def _arrays(data):
    """Whether the first thing in nested lists is numpy's."""
    while isinstance(data, (list, tuple)) and len(data):
        data = data[0]
    return isinstance(data, (np.ndarray, np.generic))


def _numbers(data):
    return [
        each.numpy() if isinstance(each, Tensor) else _numbers(each) if isinstance(each, (list, tuple)) else each
        for each in data
    ]


def _first(data, made):
    return "float32" if data.dtype == np.float64 and made.dtype == float64 else None


class _IsTensor(builtins.type):
    def __instancecheck__(cls, thing):
        return isinstance(thing, Tensor)


class Variable(metaclass=_IsTensor):
    """The name of tensors in old code."""

    def __new__(cls, data, requires_grad=False):
        made = data.detach()
        made.stop_gradient = not requires_grad
        return made


def as_tensor(data, dtype=None, device=None):
    if isinstance(data, Tensor):
        return data if dtype is None or data.dtype == dtype else data.astype(dtype)
    return from_numpy(data, dtype) if isinstance(data, np.ndarray) else tensor(data, dtype)


def to_tensor(data, dtype=None, place=None, stop_gradient=True):
    """In place of the one that PaConvert writes around arguments: a tensor keeps its gradient."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.astype(dtype)
    return paddle.to_tensor(data, dtype, place, stop_gradient)


def from_numpy(array, dtype=None):
    made = of_array(array)
    return made if dtype is None or made.dtype == dtype else made.astype(dtype)


def _size(given, size):
    return dims(given) if size is None else [int(each) for each in size]


def zeros(*given, size=None, dtype=None, device=None, requires_grad=False, **_):
    return finish(paddle.zeros(_size(given, size), dtype or paddle.get_default_dtype()), None, requires_grad)


def ones(*given, size=None, dtype=None, device=None, requires_grad=False, **_):
    return finish(paddle.ones(_size(given, size), dtype or paddle.get_default_dtype()), None, requires_grad)


def full(size, fill_value, *, dtype=None, device=None, requires_grad=False, **_):
    if dtype is None:
        if isinstance(fill_value, Tensor):
            dtype = fill_value.dtype
        else:
            dtype = "bool" if isinstance(fill_value, bool) else "int64" if isinstance(fill_value, int) else None
    dtype = dtype or paddle.get_default_dtype()
    size = [size] if isinstance(size, int) else [int(each) for each in size]
    return finish(paddle.full(size, fill_value, dtype), None, requires_grad)


def zeros_like(x, dtype=None, requires_grad=False, **_):
    return finish(paddle.zeros(x.shape, dtype or x.dtype), None, requires_grad)


def ones_like(x, dtype=None, requires_grad=False, **_):
    return finish(paddle.ones(x.shape, dtype or x.dtype), None, requires_grad)


def full_like(x, fill_value, dtype=None, requires_grad=False, **_):
    return finish(paddle.full(x.shape, fill_value, dtype or x.dtype), None, requires_grad)


empty, empty_like = zeros, zeros_like  # what is in them is not said: 0 on both sides of a comparison


def arange(start=0, end=None, step=1, *, dtype=None, device=None, requires_grad=False, **_):
    start, end = (0, start) if end is None else (start, end)
    start, end, step = (each.item() if isinstance(each, Tensor) else each for each in (start, end, step))
    whole = all(isinstance(each, (int, np.integer)) for each in (start, end, step))
    kind = "int64" if whole else paddle.get_default_dtype()
    array = np.arange(start, end, step, dtype="int64" if whole else "float64")
    return finish(paddle.to_tensor(array), dtype or kind, requires_grad)


def linspace(start, end, steps, *, dtype=None, device=None, requires_grad=False, **_):
    array = np.linspace(float(start), float(end), int(steps))
    return finish(paddle.to_tensor(array), dtype or paddle.get_default_dtype(), requires_grad)


def logspace(start, end, steps, base=10.0, *, dtype=None, device=None, requires_grad=False, **_):
    array = np.logspace(float(start), float(end), int(steps), base=base)
    return finish(paddle.to_tensor(array), dtype or paddle.get_default_dtype(), requires_grad)


def eye(n, m=None, *, dtype=None, device=None, requires_grad=False, **_):
    return finish(paddle.eye(n, m), dtype or paddle.get_default_dtype(), requires_grad)


def _new(make):
    def made(x, *given, size=None, dtype=None, device=None, requires_grad=False, **_):
        return make(*given, size=size, dtype=dtype or x.dtype, requires_grad=requires_grad)

    return made


new_zeros, new_ones, new_empty = (method(_new(make)) for make in (zeros, ones, empty))
for _name, _made in (("new_zeros", new_zeros), ("new_ones", new_ones), ("new_empty", new_empty)):
    _made.__name__ = _name


@method
def new_full(x, size, fill_value, *, dtype=None, device=None, requires_grad=False, **_):
    return full(size, fill_value, dtype=dtype or x.dtype, requires_grad=requires_grad)


@method
def new_tensor(x, data, *, dtype=None, device=None, requires_grad=False):
    return tensor(data, dtype or x.dtype, requires_grad=requires_grad)


def _place(device):
    name = str(device).replace("cuda", "gpu")
    if name.startswith(("gpu", "mps")) and not paddle.is_compiled_with_cuda():
        raise RuntimeError(f"there is no {device} here")
    return name


@method
def to(x, *given, dtype=None, device=None, non_blocking=False, copy=False, memory_format=None):
    """`x.to(type)`, `x.to(device)`, `x.to(other)`."""
    for each in given:
        if isinstance(each, Tensor):
            dtype, device = each.dtype, each.place
        elif isinstance(each, paddle.dtype):
            dtype = each
        elif isinstance(each, str) or not isinstance(each, bool):
            device = each
    if isinstance(device, str) and str(device) not in ("cpu", str(x.place)):
        x = x.to(_place(device))
    elif device is not None and not isinstance(device, str):
        x = x._to(device) if hasattr(x, "_to") and device != x.place else x
    if dtype is not None and x.dtype != dtype:
        return convert(x, dtype)
    return x.clone() if copy else x


@method
def type(x, kind=None, non_blocking=False):
    names = {float32: "Float", float64: "Double", float16: "Half", int64: "Long", int32: "Int", uint8: "Byte"}
    names |= {int8: "Char", int16: "Short", bool_: "Bool", paddle.bfloat16: "BFloat16"}
    if kind is None:
        return f"torch.{names[x.dtype]}Tensor"
    kind = {long_tensor: int64, float_tensor: float32}.get(kind, kind)
    if isinstance(kind, str):
        kind = {f"torch.{name}Tensor": each for each, name in names.items()}[kind.replace("cuda.", "")]
    return convert(x, kind)


@method
def type_as(x, other):
    return convert(x, other.dtype)


def _caster(name, kind):
    def cast(x, *_, **__):
        return x if x.dtype == kind else convert(x, kind)

    cast.__name__ = name
    return method(cast)


to_float, to_double, to_half = _caster("float", float32), _caster("double", float64), _caster("half", float16)
to_long, to_int, to_short = _caster("long", int64), _caster("int", int32), _caster("short", int16)
to_char = _caster("char", int8)
to_bool, to_byte, to_bfloat16 = _caster("bool", bool_), _caster("byte", uint8), _caster("bfloat16", paddle.bfloat16)


def is_tensor(x):
    return isinstance(x, Tensor)


@method
def is_floating_point(x):
    return x.dtype in (float16, float32, float64, paddle.bfloat16)


@method
def is_complex(x):
    return x.dtype in (complex64, complex128)


def is_whole(x):
    return is_integer(x)


class finfo:
    """PyTorch's limits of a type, as Python's numbers."""

    def __init__(self, kind=None):
        found = paddle.finfo(kind or get_default_dtype())
        for name in ("min", "max", "eps", "tiny", "bits"):
            setattr(self, name, getattr(found, name))
        self.smallest_normal = self.tiny


class iinfo:
    def __init__(self, kind):
        found = paddle.iinfo(kind)
        self.min, self.max, self.bits = found.min, found.max, found.bits


class Size(tuple):
    """PyTorch's shape: a tuple that can count."""

    def __repr__(self):
        return f"torch.Size({list(self)})"

    def numel(self):
        return int(np.prod(self)) if self else 1


def shape(x):
    return Size(x.shape) if isinstance(x, Tensor) else x.shape


@method
def size(x, dim=None):
    return Size(x.shape) if dim is None else x.shape[dim]


@method
def numel(x):
    return int(np.prod(x.shape)) if x.shape else 1


nelement = also("nelement", numel)


@method
def dim(x):
    return len(x.shape)


def long_tensor(data=()):
    return tensor(data, dtype=int64)


def float_tensor(*data):
    return zeros(*data) if data and isinstance(data[0], int) else tensor(data[0] if data else [], dtype=float32)
