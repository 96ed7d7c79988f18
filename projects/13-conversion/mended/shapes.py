"""Shapes, indices and writes into tensors, with PyTorch's arguments."""

import itertools
import math

import numpy as np
import paddle

from .common import Tensor, also, dims, is_integer, method
from .common import write as _write
from .views import noted, refusing, reshaped, transposed


@method
def view(x, *given, dtype=None, size=None):
    if given and isinstance(given[0], paddle.dtype):
        return paddle.view(x, {paddle.int32: "int32", paddle.float32: "float32"}.get(given[0], given[0]))
    return reshaped(x, paddle.reshape(x, dims(given if size is None else (size,))))


@method
def reshape(x, *given, shape=None):
    return reshaped(x, paddle.reshape(x, dims(given if shape is None else (shape,))))


@method
def view_as(x, other):
    return reshaped(x, paddle.reshape(x, other.shape))


@method
def transpose(x, dim0, dim1):
    order = list(range(x.ndim))
    if not order:
        return x
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return transposed(x, order)


swapaxes, swapdims = also("swapaxes", transpose), also("swapdims", transpose)


@method
def permute(x, *given, dims=None):
    order = dims if dims is not None else given[0] if len(given) == 1 and not isinstance(given[0], int) else given
    return transposed(x, [each % x.ndim for each in order])


@method
def t(x):
    return x if x.ndim < 2 else transposed(x, [1, 0])


def T(x):
    return transposed(x, list(range(x.ndim))[::-1]) if isinstance(x, Tensor) else x.T


def mT(x):
    return transpose(x, -2, -1) if isinstance(x, Tensor) else x.mT


@method
def adjoint(x):
    turned = transpose(x, -2, -1)
    return paddle.conj(turned) if x.dtype in (paddle.complex64, paddle.complex128) else turned


def mH(x):
    return adjoint(x) if isinstance(x, Tensor) else x.mH


def H(x):
    return adjoint(x) if isinstance(x, Tensor) else x.H


@method
def split(x, split_size, dim=0, *, split_size_or_sections=None):
    """Views of the parts, by the size of one or the sizes of all."""
    given = split_size if split_size_or_sections is None else split_size_or_sections
    length = x.shape[dim]
    if isinstance(given, (int, np.integer)):
        sizes = [min(given, length - start) for start in range(0, length, given)] or [0]
    else:
        sizes = list(given)
        if builtin_sum(sizes) != length:
            raise RuntimeError(f"split sizes {sizes} do not make {length}")
    starts = [builtin_sum(sizes[:number]) for number in range(len(sizes))]
    return tuple(narrow(x, dim, start, size) for start, size in zip(starts, sizes, strict=False))


builtin_sum = sum


@method
def chunk(x, chunks, dim=0):
    return split(x, max(1, -(-x.shape[dim] // chunks)), dim)


@method
def tensor_split(x, given, dim=0):
    length = x.shape[dim]
    if isinstance(given, int):
        short, more = divmod(length, given)
        sizes = [short + (number < more) for number in range(given)]
        return split(x, sizes, dim)
    edges = [0, *(min(each, length) for each in given), length]
    return split(x, [b - a for a, b in itertools.pairwise(edges)], dim)


@method
def narrow(x, dim, start, length):
    at = [slice(None)] * (dim % x.ndim)
    return (
        x[(*at, slice(int(start), int(start) + int(length)))] if length else paddle.slice(x, [dim % x.ndim], [0], [0])
    )


@method
def select(x, dim, index):
    return x[(*[slice(None)] * (dim % x.ndim), index)]


@method
def unbind(x, dim=0):
    return tuple(select(x, dim, index) for index in range(x.shape[dim]))


@method
def expand(x, *given, size=None):
    wanted = dims(given if size is None else (size,))
    old = [1] * (len(wanted) - x.ndim) + list(x.shape)
    return _expanded(x, [b if a == -1 else a for a, b in zip(wanted, old, strict=False)])


def _expanded(x, shape):
    """Paddle copies: it follows what is written into x, and is not written into itself."""
    if shape == list(x.shape):
        return reshaped(x, paddle.reshape(x, shape))
    made = paddle.expand(x, shape)
    return noted(x, made, lambda x: paddle.expand(x, shape), refusing("what was expanded"), copied=True)


@method
def expand_as(x, other):
    return _expanded(x, list(other.shape))


@method
def repeat(x, *given, repeats=None):
    wanted = dims(given if repeats is None else (repeats,))
    return paddle.tile(x, wanted)


@method
def tile(x, *given, dims=None):
    wanted = list(
        dims if dims is not None else given[0] if len(given) == 1 and not isinstance(given[0], int) else given
    )
    return paddle.tile(x, wanted)


@method
def repeat_interleave(x, repeats, dim=None, *, output_size=None):
    if dim is None:
        x, dim = x.flatten(), 0
    return paddle.repeat_interleave(x, repeats, dim)


@method
def flatten(x, start_dim=0, end_dim=-1):
    return reshaped(x, paddle.flatten(x, start_dim, end_dim) if x.ndim else x.reshape([1]))


@method
def unflatten(x, dim, sizes):
    dim %= x.ndim
    return reshaped(x, paddle.reshape(x, [*x.shape[:dim], *sizes, *x.shape[dim + 1 :]]))


@method
def squeeze(x, dim=None):
    if dim is None:
        return reshaped(x, paddle.squeeze(x))
    return reshaped(x, paddle.squeeze(x, list(dim) if isinstance(dim, tuple) else dim))


@method
def unsqueeze(x, dim):
    return reshaped(x, paddle.unsqueeze(x, dim))


@method
def flip(x, *given, dims=None):
    axes = dims if dims is not None else given[0] if len(given) == 1 and not isinstance(given[0], int) else given
    return paddle.flip(x, list(axes))


@method
def roll(x, shifts, dims=None):
    return paddle.roll(x, shifts, dims)


def cat(tensors, dim=0, *, axis=None, out=None):
    dim = dim if axis is None else axis
    tensors = [each for each in tensors if not (each.ndim == 1 and each.shape[0] == 0)] or list(tensors)[:1]
    kinds = {each.dtype for each in tensors}
    if len(kinds) > 1:
        kind = wider(kinds)
        tensors = [each.astype(kind) for each in tensors]
    return paddle.concat(tensors, dim)


def wider(kinds):
    kinds = set(kinds)
    for pair, made in _BOTH.items():
        if kinds.issuperset(pair):
            kinds.add(made)
    order = [paddle.bool, paddle.uint8, paddle.int8, paddle.int16, paddle.int32, paddle.int64]
    order += [paddle.float16, paddle.bfloat16, paddle.float32, paddle.float64, paddle.complex64, paddle.complex128]
    return max(kinds, key=order.index)


_BOTH = {(paddle.float16, paddle.bfloat16): paddle.float32, (paddle.uint8, paddle.int8): paddle.int16,
         (paddle.complex64, paddle.float64): paddle.complex128}  # fmt: skip


def _rank(x):
    """Of its kind of numbers: truth, whole, floating, complex."""
    if x.dtype == paddle.bool:
        return 0
    return 1 if is_integer(x) else 3 if x.dtype in (paddle.complex64, paddle.complex128) else 2


def promoted(x, other):
    """The type of both: one with axes outranks one without, within a kind of numbers."""
    a, b = _rank(x), _rank(other)
    if a != b:
        high, low = (x, other) if a > b else (other, x)
        return paddle.complex128 if a + b == 5 and low.dtype == paddle.float64 and low.ndim else high.dtype
    if bool(x.ndim) != bool(other.ndim):
        return x.dtype if x.ndim else other.dtype
    return wider({x.dtype, other.dtype})


def stack(tensors, dim=0, *, out=None):
    tensors = list(tensors)
    kind = wider({each.dtype for each in tensors})
    return paddle.stack([each if each.dtype == kind else each.astype(kind) for each in tensors], dim)


def where(condition, input=None, other=None):
    x, y = input, other
    if x is None:
        return nonzero(condition, as_tuple=True)
    tensors = [each for each in (x, y) if isinstance(each, Tensor)]
    if tensors:
        kind = promoted(x, y) if len(tensors) == 2 else _with_number(tensors[0], y if tensors[0] is x else x)
    else:
        kind = (
            paddle.get_default_dtype()
            if isinstance(x, float) or isinstance(y, float)
            else "bool"
            if isinstance(x, bool)
            else "int64"
        )
    x, y = (each.astype(kind) if isinstance(each, Tensor) else paddle.full([], each, kind) for each in (x, y))
    shape = paddle.broadcast_shape(paddle.broadcast_shape(x.shape, y.shape), condition.shape)
    return paddle.where(condition.astype("bool").expand(shape), x.expand(shape), y.expand(shape))


def _with_number(x, number):
    whole = x.dtype in (paddle.bool, paddle.uint8, paddle.int8, paddle.int16, paddle.int32, paddle.int64)
    return paddle.get_default_dtype() if whole and isinstance(number, float) else x.dtype


@method
def nonzero(x, *, as_tuple=False):
    found = paddle.nonzero(x)
    return tuple(unbind(found, 1)) if as_tuple else found


@method
def tril(x, diagonal=0):
    return (
        paddle.tril(x, diagonal) if x.dtype != paddle.bool else paddle.tril(x.astype("int32"), diagonal).astype("bool")
    )


@method
def triu(x, diagonal=0):
    return (
        paddle.triu(x, diagonal) if x.dtype != paddle.bool else paddle.triu(x.astype("int32"), diagonal).astype("bool")
    )


@method
def copy_(x, source, non_blocking=False):
    if list(source.shape) != list(x.shape):
        source = paddle.expand(source, x.shape)
    return _write(x, source.astype(x.dtype))


@method
def fill_(x, value):
    value = value.astype(x.dtype) if isinstance(value, Tensor) else paddle.full([], value, x.dtype)
    return _write(x, value.expand(x.shape))


@method
def zero_(x):
    return fill_(x, 0)


@method
def contiguous(x, memory_format=None):
    return x.clone() if hasattr(x, "_turned") else x if x.is_contiguous() else x.contiguous()


def meshgrid(*tensors, indexing="ij"):
    tensors = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    shape, made = [math.prod(each.shape) for each in tensors], []
    for axis, each in enumerate(tensors):  # the gradient of Paddle's own ends the process where two are the same
        made.append(paddle.expand(each.reshape([-1 if place == axis else 1 for place in range(len(shape))]), shape))
    return tuple(made) if indexing == "ij" or len(shape) < 2 else tuple(transpose(each, 0, 1) for each in made)


@method
def diagonal(x, offset=0, dim1=0, dim2=1):
    return noted(
        x,
        paddle.diagonal(x, offset, dim1, dim2),
        lambda x: paddle.diagonal(x, offset, dim1, dim2),
        lambda x, part: paddle.diagonal_scatter(x, part, offset, dim1, dim2),
    )


@method
def diagonal_scatter(x, src, offset=0, dim1=0, dim2=1):
    return paddle.diagonal_scatter(x, src.astype(x.dtype), offset, dim1, dim2)


@method
def diag_embed(x, offset=0, dim1=-2, dim2=-1):
    """Paddle's has no gradient."""
    made = x.unsqueeze(-1) * paddle.eye(x.shape[-1], dtype=x.dtype)
    if offset:
        side, more = made.shape[-1], abs(offset)
        rows = paddle.zeros([*made.shape[:-2], more, side], x.dtype)
        made = paddle.concat([made, rows] if offset > 0 else [rows, made], -2)
        columns = paddle.zeros([*made.shape[:-2], side + more, more], x.dtype)
        made = paddle.concat([columns, made] if offset > 0 else [made, columns], -1)
    return paddle.moveaxis(made, [-2, -1], [dim1, dim2])


def _split_along(x, given, axis):
    given = given[0] if len(given) == 1 else given
    return tensor_split(x, given if isinstance(given, int) else list(given), axis)


@method
def hsplit(x, *given):
    return _split_along(x, given, 0 if x.ndim == 1 else 1)


@method
def vsplit(x, *given):
    return _split_along(x, given, 0)


@method
def dsplit(x, *given):
    return _split_along(x, given, 2)


@method
def diag(x, diagonal=0):
    return paddle.diag(x, diagonal)


@method
def movedim(x, source, destination):
    return paddle.moveaxis(x, source, destination)


moveaxis = also("moveaxis", movedim)


@method
def rot90(x, k=1, dims=(0, 1)):
    return paddle.rot90(x, k, list(dims))


__all__ = [name for name in dir() if not name.startswith("_") and name not in ("np", "paddle", "Size")]
