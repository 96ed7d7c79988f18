"""Sums, extremes and orders with PyTorch's arguments, result types and ties."""

from collections import namedtuple

import numpy as np
import paddle

from .common import Tensor, is_half, is_integer, method, root
from .halves import narrow, refused

Pair = namedtuple("Pair", "values indices")


def _axis(dim, axis):
    dim = axis if dim is None else dim
    return list(dim) if isinstance(dim, (list, tuple)) else dim


def _wide(x):
    """Narrow whole numbers as int64, which sums of them are."""
    return x.astype("int64") if x.dtype in (paddle.bool, paddle.uint8, paddle.int8, paddle.int16, paddle.int32) else x


@method
def sum(x, dim=None, keepdim=False, *, dtype=None, axis=None, keepdims=False):
    x = _wide(x) if dtype is None else x.astype(dtype)
    axis = _axis(dim, axis)
    return paddle.sum(x, None if axis == [] else axis, keepdim=keepdim or keepdims)


@method
def mean(x, dim=None, keepdim=False, *, dtype=None, axis=None, keepdims=False):
    if dtype is None and is_integer(x):
        raise RuntimeError("mean(): the input has to be floating point or complex")
    x = x if dtype is None else x.astype(dtype)
    return paddle.mean(x, _axis(dim, axis), keepdim=keepdim or keepdims)


@method
def prod(x, dim=None, keepdim=False, *, dtype=None):
    refused(x, "prod")
    x = _wide(x) if dtype is None else x.astype(dtype)
    if x.stop_gradient or not bool((x == 0).any()):
        return paddle.prod(x, dim, keepdim=keepdim)
    found = _product(x.flatten(), 0) if dim is None else _product(x, dim % x.ndim)
    return found if dim is not None and keepdim else found.squeeze(0 if dim is None else dim)


def _product(x, axis):
    """By pairs, since the gradient of Paddle's product divides by its factors."""
    while x.shape[axis] > 1:
        if x.shape[axis] % 2:
            x = paddle.concat([x, paddle.ones([*x.shape[:axis], 1, *x.shape[axis + 1 :]], x.dtype)], axis)
        a, b = paddle.split(x, 2, axis)
        x = a * b
    return x


@method
def cumsum(x, dim, *, dtype=None):
    return paddle.cumsum(_wide(x) if dtype is None else x.astype(dtype), dim)


@method
def cumprod(x, dim, *, dtype=None):
    x = _wide(x) if dtype is None else x.astype(dtype)
    if x.stop_gradient or not bool((x == 0).any()):
        return paddle.cumprod(x, dim)
    step, length, axis = 1, x.shape[dim], dim % x.ndim
    while step < length:
        first, last = paddle.split(x, [step, length - step], axis)
        before, _ = paddle.split(x, [length - step, step], axis)
        x, step = paddle.concat([first, last * before], axis), 2 * step
    return x


def _correction(dim, unbiased, correction):
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    return dim, correction


@method
def var(x, dim=None, unbiased=None, keepdim=False, *, correction=None):
    dim, correction = _correction(dim, unbiased, correction)
    dim = list(dim) if isinstance(dim, tuple) else dim
    axes = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    count = int(np.prod([x.shape[each] for each in axes])) if x.ndim else 1
    squares = paddle.sum((x - paddle.mean(x, dim, keepdim=True)) ** 2, dim, keepdim=keepdim)
    left = count - correction
    return squares / left if left > 0 else squares * float("nan")


@method
def std(x, dim=None, unbiased=None, keepdim=False, *, correction=None):
    return root(var(x, dim, unbiased, keepdim, correction=correction))


def var_mean(x, dim=None, unbiased=None, keepdim=False, *, correction=None):
    return var(x, dim, unbiased, keepdim, correction=correction), mean(
        x, None if isinstance(dim, bool) else dim, keepdim
    )


def std_mean(x, dim=None, unbiased=None, keepdim=False, *, correction=None):
    return std(x, dim, unbiased, keepdim, correction=correction), mean(
        x, None if isinstance(dim, bool) else dim, keepdim
    )


def _index(x, order, dim, keepdim):
    """The first index of the greatest, which PyTorch gives too."""
    return order(x, axis=dim, keepdim=keepdim)


def _narrow(x, compute):
    """Paddle has no extremes of some narrow types: by way of a wider one, which is exact."""
    wide = {paddle.bool: "int32", paddle.uint8: "int32", paddle.int8: "int32", paddle.int16: "int32"}
    wide |= {paddle.float16: "float32", paddle.bfloat16: "float32"}
    if x.dtype not in wide:
        return compute(x)
    found = compute(x.astype(wide[x.dtype]))
    return Pair(found[0].astype(x.dtype), found[1]) if isinstance(found, tuple) else found.astype(x.dtype)


def _where(x, dim, keepdim, greatest):
    """The index of the extreme; the first that is no number goes before all."""
    order = paddle.argmax if greatest else paddle.argmin
    none = paddle.isnan(x) if x.is_floating_point() else None
    if none is None or not bool(none.any()):
        return order(x, axis=dim, keepdim=keepdim)
    found = order(paddle.nan_to_num(x, 0.0, float("inf"), -float("inf")), axis=dim, keepdim=keepdim)
    first = paddle.argmax(none.astype("int32"), axis=dim, keepdim=keepdim)
    return paddle.where(none.any(axis=dim, keepdim=keepdim), first, found)


def _extreme(x, dim, keepdim, greatest):
    indices = _where(x, dim, True, greatest)
    values = paddle.take_along_axis(x, indices, dim) if x.ndim else x
    if x.ndim and not keepdim:
        values, indices = values.squeeze(dim), indices.squeeze(dim)
    return Pair(values, indices)


@method
def max(x, dim=None, keepdim=False, *, axis=None):
    if isinstance(dim, Tensor):
        return maximum(x, dim)
    dim = _axis(dim, axis)
    if dim is None:
        return _narrow(x, paddle.max if x.stop_gradient else paddle.amax)
    return _narrow(x, lambda x: _extreme(x, dim, keepdim, True))


@method
def min(x, dim=None, keepdim=False, *, axis=None):
    if isinstance(dim, Tensor):
        return minimum(x, dim)
    dim = _axis(dim, axis)
    if dim is None:
        return _narrow(x, paddle.min if x.stop_gradient else paddle.amin)
    return _narrow(x, lambda x: _extreme(x, dim, keepdim, False))


def _same(x, other):
    if x.dtype == other.dtype:
        return x, other
    kind = (
        paddle.result_type(x, other)
        if hasattr(paddle, "result_type")
        else (x[..., :0].sum() + other[..., :0].sum()).dtype
    )
    return x.astype(kind), other.astype(kind)


@method
def maximum(x, other):
    return _greater(*_same(x, other), paddle.maximum, lambda a, b: a > b)


@method
def minimum(x, other):
    return _greater(*_same(x, other), paddle.minimum, lambda a, b: a < b)


def _greater(a, b, whole, ahead):
    """What is no number stays none, and where both are equal each has half of the gradient."""
    if not a.is_floating_point():
        return whole(a, b)
    one = paddle.where(ahead(a, b) | paddle.isnan(a), a, b)
    return paddle.where(a == b, a * 0.5 + b * 0.5, one)


@method
def amax(x, dim=(), keepdim=False):
    return _narrow(
        x,
        lambda x: paddle.amax(x, list(dim) if isinstance(dim, tuple) and dim else None if dim == () else dim, keepdim),
    )


@method
def amin(x, dim=(), keepdim=False):
    return _narrow(
        x,
        lambda x: paddle.amin(x, list(dim) if isinstance(dim, tuple) and dim else None if dim == () else dim, keepdim),
    )


@method
def argmax(x, dim=None, keepdim=False, *, axis=None):
    dim = _axis(dim, axis)
    x = x.astype("float32") if is_half(x) else x.astype("int32") if x.dtype == paddle.bool else x
    return _where(x, dim, keepdim, True)


@method
def argmin(x, dim=None, keepdim=False, *, axis=None):
    dim = _axis(dim, axis)
    x = x.astype("float32") if is_half(x) else x.astype("int32") if x.dtype == paddle.bool else x
    return _where(x, dim, keepdim, False)


@method
def median(x, dim=None, keepdim=False):
    """The lower one of an even count."""
    if x.is_floating_point() and bool(paddle.isnan(x).any()):
        if dim is not None:
            raise NotImplementedError("median over an axis where there is no number")
        return paddle.full([], float("nan"), x.dtype)
    if dim is None:
        found = paddle.sort(x.flatten())[(numel(x) - 1) // 2]
        if found.stop_gradient:
            return found
        shared = x[x == found.detach()].mean()  # the gradient is parted among equals
        return found.detach() + shared - shared.detach()
    return kthvalue(x, (x.shape[dim] - 1) // 2 + 1, dim, keepdim)


@method
def nanmedian(x, dim=None, keepdim=False):
    """The lower one of what is a number."""
    if dim is None:
        return median(x[~paddle.isnan(x)])
    none = paddle.isnan(x)
    order = paddle.argsort(paddle.where(none, paddle.full_like(x, float("inf")), x), axis=dim, stable=True)
    middle = paddle.clip(((~none).astype("int64").sum(dim, keepdim=True) - 1) // 2, min=0)
    index = paddle.take_along_axis(order, middle, dim)
    values = paddle.take_along_axis(x, index, dim)
    return Pair(values, index) if keepdim else Pair(values.squeeze(dim), index.squeeze(dim))


def numel(x):
    return int(np.prod(x.shape)) if x.shape else 1


@method
def kthvalue(x, k, dim=-1, keepdim=False):
    order = paddle.argsort(x, axis=dim, stable=True)
    index = paddle.slice(order, [dim % x.ndim], [k - 1], [k])
    values = paddle.take_along_axis(x, index, dim)
    return Pair(values, index) if keepdim else Pair(values.squeeze(dim), index.squeeze(dim))


@method
def sort(x, dim=-1, descending=False, stable=False):
    indices = paddle.argsort(x, axis=dim, descending=descending, stable=True)
    return Pair(paddle.take_along_axis(x, indices, dim) if x.ndim else x, indices)


@method
def argsort(x, dim=-1, descending=False, stable=False):
    return paddle.argsort(x, axis=dim, descending=descending, stable=True)


@method
def topk(x, k, dim=-1, largest=True, sorted=True):
    values, indices = paddle.topk(x, k, axis=dim, largest=largest, sorted=True)
    return Pair(values, indices)


@method
def any(x, dim=None, keepdim=False):
    return paddle.any(x.astype("bool"), _axis(dim, None), keepdim)


@method
def all(x, dim=None, keepdim=False):
    return paddle.all(x.astype("bool"), _axis(dim, None), keepdim)


@method
def logsumexp(x, dim, keepdim=False):
    dim = _axis(dim, None)
    if narrow(x):  # rounded as often in PyTorch
        top = amax(x, () if dim is None else dim, True).detach()
        found = paddle.log(paddle.sum(paddle.exp(x - top), dim, keepdim=True)) + top
        return found if keepdim else found.reshape(paddle.sum(x, dim).shape)
    return paddle.logsumexp(x, dim, keepdim)


@method
def norm(x, p="fro", dim=None, keepdim=False, *, dtype=None):
    x = x if dtype is None else x.astype(dtype)
    p = 2.0 if p in ("fro", None) else p
    axis = list(range(x.ndim)) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    size = paddle.abs(x)
    if p == float("inf"):
        return paddle.amax(size, axis, keepdim)
    if p == float("-inf"):
        return paddle.amin(size, axis, keepdim)
    if p == 0:
        return paddle.sum((size != 0).astype(x.dtype), axis, keepdim=keepdim)
    if p == 1:
        return paddle.sum(size, axis, keepdim=keepdim)
    return root(paddle.sum(size * size if p == 2 else size**p, axis, keepdim=keepdim), p)


@method
def dist(x, other, p=2):
    return norm(x - other, p)


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    return norm(x, ord, dim, keepdim, dtype=dtype)


@method
def unique(x, sorted=True, return_inverse=False, return_counts=False, dim=None):
    found = paddle.unique(x, return_inverse=return_inverse, return_counts=return_counts, axis=dim)
    if return_inverse and dim is None:
        found = (found[0], found[1].reshape(x.shape), *found[2:])
    return found


@method
def bincount(x, weights=None, minlength=0):
    return paddle.bincount(x, weights, minlength)


@method
def cummax(x, dim):
    values, indices = paddle.cummax(x, dim)
    return Pair(values, indices)


@method
def cummin(x, dim):
    values, indices = paddle.cummin(x, dim)
    return Pair(values, indices)


@method
def quantile(x, q, dim=None, keepdim=False, *, interpolation="linear"):
    q = q.tolist() if isinstance(q, Tensor) else q
    return paddle.quantile(x, q, dim, keepdim, interpolation).astype(x.dtype)


@method
def mode(x, dim=-1, keepdim=False):
    values, indices = paddle.mode(x, dim, keepdim)
    return Pair(values, indices)


@method
def count_nonzero(x, dim=None):
    return paddle.count_nonzero(x, _axis(dim, None))


@method
def histc(x, bins=100, min=0, max=0):
    return paddle.histogram(x, bins, min, max).astype(x.dtype)


@method
def aminmax(x, *, dim=None, keepdim=False):
    return namedtuple("aminmax", "min max")(
        amin(x, () if dim is None else dim, keepdim), amax(x, () if dim is None else dim, keepdim)
    )
