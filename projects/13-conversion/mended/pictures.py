"""Pools, pads, and pictures of another size."""

import math

import numpy as np
import paddle
import paddle.nn.functional as F

from .halves import refused
from .views import kept


def _pooled(x, axes, call):
    bare = x.ndim == axes + 1
    found = call(x.unsqueeze(0) if bare else x)
    if isinstance(found, (tuple, list)):
        return tuple(each.squeeze(0) if bare else kept(each) for each in found)
    return found.squeeze(0) if bare else kept(found)


def _max_pool(axes):
    function = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[axes]

    def call(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        if dilation not in (1, [1] * axes, (1,) * axes):
            if ceil_mode or return_indices:
                raise NotImplementedError("max_pool with dilation and ceil_mode or indices")
            return _dilated(x, axes, kernel_size, stride or kernel_size, padding, dilation)
        named = {"ceil_mode": ceil_mode, "return_mask": return_indices}
        found = _pooled(x, axes, lambda x: function(x, kernel_size, stride, padding, **named))
        if ceil_mode:
            sides = zip(x.shape[-axes:], _sides(axes, kernel_size, stride or kernel_size, padding), strict=True)
            kept = (..., *(slice(0, _count(length, *side)) for length, side in sides))
            found = tuple(each[kept] for each in found) if return_indices else found[kept]
        return (found[0], found[1].astype("int64")) if return_indices else found

    return call


def _dilated(x, axes, *settings):
    """The greatest of windows with gaps, one axis after the other."""
    for axis, (size, step, edge, gap) in enumerate(_sides(axes, *settings), x.ndim - axes):
        pads = [0] * 2 * (x.ndim - 1 - axis) + [edge, edge]
        x = pad(x, pads, value=-math.inf)
        count = (x.shape[axis] - gap * (size - 1) - 1) // step + 1
        parts = [
            paddle.strided_slice(x, [axis], [first], [first + step * (count - 1) + 1], [step])
            for first in range(0, gap * size, gap)
        ]
        x = paddle.stack(parts).amax(0)
    return x


max_pool1d, max_pool2d, max_pool3d = map(_max_pool, (1, 2, 3))


def _sides(axes, *settings):
    """One of each setting for each axis."""
    return zip(*([one] * axes if isinstance(one, int) else one for one in settings), strict=True)


def _count(length, size, step, edge, gap=1):
    """How many windows ceil_mode makes: none begins beyond what was there and the edge before it."""
    count = -(-(length + 2 * edge - gap * (size - 1) - 1) // step) + 1
    return count - ((count - 1) * step >= length + edge)


def _sums(x, sizes, steps):
    """Of windows, along one axis after the other: Paddle divides by their size in float32, also in float64."""
    for axis, size, step in zip(range(x.ndim - len(sizes), x.ndim), sizes, steps, strict=True):
        count = (x.shape[axis] - size) // step + 1
        ends = [first + step * (count - 1) + 1 for first in range(size)]
        x = paddle.add_n([paddle.strided_slice(x, [axis], [first], [end], [step]) for first, end in enumerate(ends)])
    return x


def _means(x, sizes):
    """Of as many windows as are asked for, which cover the axis."""
    for axis, size in zip(range(x.ndim - len(sizes), x.ndim), sizes, strict=True):
        length = x.shape[axis]
        spans = [(number * length // size, -(-(number + 1) * length // size)) for number in range(size)]
        x = paddle.concat(
            [paddle.slice(x, [axis], *map(list, zip(each))).mean(axis, keepdim=True) for each in spans], axis
        )
    return x


def _avg_pool(axes):
    function = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[axes]

    def call(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
        sides = list(_sides(axes, kernel_size, stride or kernel_size, padding))
        if not ceil_mode and not divisor_override and x.dtype != paddle.float64:
            sizes, steps, edges = map(list, zip(*sides, strict=True))
            return _pooled(x, axes, lambda x: function(x, sizes, steps, edges, exclusive=not count_include_pad))
        pads, counted = [], paddle.ones([])
        for length, (size, step, edge) in zip(x.shape[-axes:], sides, strict=True):
            count = _count(length, size, step, edge) if ceil_mode else (length + 2 * edge - size) // step + 1
            first = np.arange(count) * step - edge
            last = np.minimum(first + size, length + edge)
            pads = [edge, (count - 1) * step + size - length - edge, *pads]
            inside = last - first if count_include_pad else np.minimum(last, length) - np.maximum(first, 0)
            counted = counted.unsqueeze(-1) * paddle.to_tensor(inside.astype("float32"))
        sizes, steps, _ = map(list, zip(*sides, strict=True))
        sums = _sums(pad(x, pads), sizes, steps)
        return sums / (divisor_override or counted.astype(x.dtype))

    return call


avg_pool1d, avg_pool2d, avg_pool3d = map(_avg_pool, (1, 2, 3))


def _adaptive(axes, function):
    def call(x, output_size):
        size = output_size
        if isinstance(size, (tuple, list)) and axes == 1:
            size = size[0]
        elif isinstance(size, (tuple, list)):
            size = [x.shape[each - axes] if one is None else one for each, one in enumerate(size)]
        if x.dtype == paddle.float64 and "avg" in function.__name__:
            return _means(x, [size] * axes if isinstance(size, int) else size)
        return _pooled(x, axes, lambda x: function(x, size))

    return call


adaptive_avg_pool1d, adaptive_max_pool1d = _adaptive(1, F.adaptive_avg_pool1d), _adaptive(1, F.adaptive_max_pool1d)
adaptive_avg_pool2d, adaptive_max_pool2d = _adaptive(2, F.adaptive_avg_pool2d), _adaptive(2, F.adaptive_max_pool2d)


def pad(x, pad, mode="constant", value=None):
    """`pad` begins with the last dimension. Negative numbers cut."""
    if mode == "constant":
        pairs = [pad[i : i + 2] for i in range(0, len(pad), 2)]
        for axis, (before, after) in zip(range(x.ndim - 1, -1, -1), pairs, strict=False):
            cut = [slice(None)] * axis
            if before < 0 or after < 0:
                x = x[(*cut, slice(max(-before, 0), x.shape[axis] - max(-after, 0)))]
            parts = [x]
            for count, at in ((before, 0), (after, 1)):
                if count > 0:
                    shape = [*x.shape[:axis], count, *x.shape[axis + 1 :]]
                    parts.insert(0 if at == 0 else len(parts), paddle.full(shape, value or 0, x.dtype))
            x = paddle.concat(parts, axis) if len(parts) > 1 else x
        return x
    axes = len(pad) // 2
    order = {1: "NCL", 2: "NCHW", 3: "NCDHW"}[axes]
    return _pooled(x, axes, lambda x: F.pad(x, list(pad), mode, data_format=order))


def interpolate(
    x, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None, antialias=False
):
    axes, steps = x.ndim - 2, None
    if size is None:
        factors = [scale_factor] * axes if isinstance(scale_factor, (int, float)) else list(scale_factor)
        size = [math.floor(side * factor) for side, factor in zip(x.shape[2:], factors, strict=False)]
        steps = None if recompute_scale_factor else [1 / factor for factor in factors]
    size = [int(size)] * axes if isinstance(size, (int, np.integer)) else [int(each) for each in size]
    steps = steps or [side / wanted for side, wanted in zip(x.shape[2:], size, strict=True)]
    if mode.startswith("nearest"):
        middle = np.float32(0.5 if mode == "nearest-exact" else 0)
        for axis, (wanted, step) in enumerate(zip(size, steps, strict=True), 2):
            index = np.floor((np.arange(wanted, dtype="float32") + middle) * np.float32(step)).astype("int64")
            x = paddle.index_select(x, paddle.to_tensor(np.minimum(index, x.shape[axis] - 1)), axis)
        return x
    if mode == "area":
        return {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d}[axes](x, size)
    refused(x, f"interpolate(mode={mode!r})")
    for axis, (wanted, step) in enumerate(zip(size, steps, strict=True), 2):
        weights = paddle.to_tensor(_weights(x.shape[axis], wanted, step, mode == "bicubic", align_corners, antialias))
        x = paddle.moveaxis(paddle.matmul(paddle.moveaxis(x, axis, -1), weights.astype(x.dtype)), -1, axis)
    return x


def _cubic(x, a):
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, (((x - 5) * x + 8) * x - 4) * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _weights(length, wanted, step, cubic, corners, antialias):
    """What each of the old positions gives to each of the new ones: (length, wanted)."""
    reach = 2 if cubic else 1
    if corners:
        step = (length - 1) / (wanted - 1) if wanted > 1 else 0.0
    at = np.arange(wanted) * step if corners else (np.arange(wanted) + 0.5) * step - 0.5
    if antialias:
        wide = max(step, 1.0)
        apart = np.abs(np.arange(length)[:, None] - at) / wide
        made = _cubic(apart, -0.5) if cubic else np.maximum(1 - apart, 0)
        inside = np.abs(np.arange(length)[:, None] - at) < reach * wide
        return made * inside / (made * inside).sum(0)
    at = at if cubic else np.maximum(at, 0)
    made, first = np.zeros((length, wanted)), np.floor(at).astype(int)
    for more in range(1 - reach, reach + 1):
        apart = np.abs(first + more - at)
        np.add.at(
            made,
            (np.clip(first + more, 0, length - 1), np.arange(wanted)),
            _cubic(apart, -0.75) if cubic else np.maximum(1 - apart, 0),
        )
    return made


upsample = interpolate


def pixel_shuffle(x, upscale_factor):
    return _pooled(x, 2, lambda x: F.pixel_shuffle(x, upscale_factor))


def pixel_unshuffle(x, downscale_factor):
    return _pooled(x, 2, lambda x: F.pixel_unshuffle(x, downscale_factor))


def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    return F.unfold(x, kernel_size, stride, padding, dilation)


def fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    return F.fold(x, output_size, kernel_size, stride, padding, dilation)


def grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    return F.grid_sample(x, grid, mode, padding_mode, bool(align_corners))


def affine_grid(theta, size, align_corners=None):
    return F.affine_grid(theta, list(size), bool(align_corners))


def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    """Over the squares of `size` channels around each, on its left one more where that is even."""
    before = size // 2
    squares = F.pad((x * x).flatten(2).unsqueeze(1), [0, 0, before, size - 1 - before, 0, 0]).squeeze(1)
    total = sum(squares[:, shift : shift + x.shape[1]] for shift in range(size)).reshape(x.shape)
    return x / (total / size * alpha + k) ** beta


def lp_pool(axes):
    pool = {1: avg_pool1d, 2: avg_pool2d}[axes]

    def call(x, norm_type, kernel_size, stride=None, ceil_mode=False):
        mean = pool(x ** float(norm_type), kernel_size, stride, 0, ceil_mode)
        count = math.prod([kernel_size] * axes if isinstance(kernel_size, int) else kernel_size)
        return (paddle.sign(mean.detach()) * F.relu(paddle.abs(mean)) * count) ** (1.0 / norm_type)

    return call


lp_pool1d, lp_pool2d = lp_pool(1), lp_pool(2)
