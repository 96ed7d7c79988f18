"""Parts of a tensor that overlap, read by indices: the gradients of Paddle's own count what is read often but once."""

import numpy as np
import paddle

from .common import method
from .views import noted, refusing


@method
def as_strided(x, size, stride, storage_offset=None):
    if not x.is_contiguous() or hasattr(x, "_turned") or (hasattr(x, "_of") and x._of[0].size != x.size):
        raise NotImplementedError("as_strided of a part of a tensor is not converted")
    places = np.full([1] * len(size), storage_offset or 0)
    for axis, (side, step) in enumerate(zip(size, stride, strict=True)):
        places = places + (np.arange(side) * step).reshape([-1 if axis == each else 1 for each in range(len(size))])
    places = paddle.to_tensor(places.reshape(-1))

    def strided(x):
        return paddle.gather(x.reshape([-1]), places).reshape(list(size))

    return noted(x, strided(x), strided, refusing("a strided tensor"), copied=True)


@method
def unfold(x, dimension, size, step):
    axis = dimension % max(x.ndim, 1)
    starts = np.arange(0, x.shape[axis] - size + 1, step) if x.ndim else np.zeros(1, "int64")
    places = paddle.to_tensor((starts[:, None] + np.arange(size)).reshape(-1))

    def windows(x):
        if not x.ndim:
            return x.reshape([size])
        shape = [*x.shape[:axis], len(starts), size, *x.shape[axis + 1 :]]
        return paddle.moveaxis(paddle.index_select(x, places, axis).reshape(shape), axis + 1, -1)

    return noted(x, windows(x), windows, refusing("windows"), copied=True)
