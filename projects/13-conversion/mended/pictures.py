"""Pools, pads, and pictures of another size."""

import math

import numpy as np
import paddle
import paddle.nn.functional as F


def _pooled(x, axes, call):
    bare = x.ndim == axes + 1
    found = call(x.unsqueeze(0) if bare else x)
    if isinstance(found, (tuple, list)):
        return tuple(each.squeeze(0) if bare else each for each in found)
    return found.squeeze(0) if bare else found


def _max_pool(axes):
    function = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[axes]

    def call(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        if dilation not in (1, [1] * axes, (1,) * axes):
            raise NotImplementedError("max_pool with dilation")
        named = {"ceil_mode": ceil_mode, "return_mask": return_indices}
        found = _pooled(x, axes, lambda x: function(x, kernel_size, stride, padding, **named))
        return (found[0], found[1].astype("int64")) if return_indices else found

    return call


max_pool1d, max_pool2d, max_pool3d = map(_max_pool, (1, 2, 3))


def _avg_pool(axes):
    function = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[axes]

    def call(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
        named = {"divisor_override": divisor_override} if axes > 1 else {}
        if ceil_mode and count_include_pad and padding:
            raise NotImplementedError("avg_pool with ceil_mode and padding")
        return _pooled(x, axes, lambda x: function(
            x, kernel_size, stride, padding, exclusive=not count_include_pad, ceil_mode=ceil_mode, **named,
        ))  # fmt: skip

    return call


avg_pool1d, avg_pool2d, avg_pool3d = map(_avg_pool, (1, 2, 3))


def _adaptive(axes, function):
    def call(x, output_size):
        size = output_size
        if isinstance(size, (tuple, list)) and axes == 1:
            size = size[0]
        elif isinstance(size, (tuple, list)):
            size = [x.shape[each - axes] if one is None else one for each, one in enumerate(size)]
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
    if antialias:
        raise NotImplementedError("interpolate with antialias")
    axes = x.ndim - 2
    if size is None:
        factors = [scale_factor] * axes if isinstance(scale_factor, (int, float)) else list(scale_factor)
        size = [math.floor(side * factor) for side, factor in zip(x.shape[2:], factors, strict=False)]
        if mode != "nearest" and any(
            side * factor != whole for side, factor, whole in zip(x.shape[2:], factors, size, strict=False)
        ):
            raise NotImplementedError("interpolate by a factor that gives no whole size")
    size = [int(size)] * axes if isinstance(size, (int, np.integer)) else [int(each) for each in size]
    if mode == "nearest":
        for axis, wanted in enumerate(size, 2):
            index = np.floor(np.arange(wanted, dtype="float32") * np.float32(x.shape[axis] / wanted)).astype("int64")
            x = paddle.index_select(x, paddle.to_tensor(np.minimum(index, x.shape[axis] - 1)), axis)
        return x
    if mode == "area":
        return {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d}[axes](x, size)
    order = {1: "NCW", 2: "NCHW", 3: "NCDHW"}[axes]
    return F.interpolate(x, size, None, mode, bool(align_corners), 0, data_format=order)


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
