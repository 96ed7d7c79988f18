"""Reading and writing by indices, also with an index that is smaller than the tensor."""

import paddle

from .common import Tensor, method
from .common import write as _write
from .views import kept


@method
def gather(x, dim, index, *, sparse_grad=False):
    """Also with an index that is smaller than x in other dimensions."""
    if x.ndim == 0:
        return x.clone()
    return paddle.take_along_axis(_cut(x, dim, index), index.astype("int64"), dim, broadcast=False)


def _cut(x, dim, index):
    dim %= x.ndim
    for axis in range(x.ndim):
        if axis != dim and index.shape[axis] < x.shape[axis]:
            x = paddle.slice(x, [axis], [0], [index.shape[axis]])
    return x


@method
def take(x, index):
    return paddle.take(x, index)


@method
def take_along_dim(x, indices, dim=None):
    if dim is None:
        return paddle.take_along_axis(x.flatten(), indices.flatten(), 0)
    return paddle.take_along_axis(x, indices, dim)


@method
def index_select(x, dim, index):
    return paddle.index_select(x, index, dim)


@method
def masked_select(x, mask):
    shape = paddle.broadcast_shape(x.shape, mask.shape)
    return paddle.masked_select(paddle.expand(x, shape), paddle.expand(mask, shape))


@method
def masked_fill(x, mask, value):
    value = value.astype(x.dtype) if isinstance(value, Tensor) else paddle.full([], value, x.dtype)
    shape = paddle.broadcast_shape(x.shape, mask.shape)
    return paddle.where(mask.astype("bool").expand(shape), value.expand(shape), x.expand(shape))


@method
def masked_fill_(x, mask, value):
    return _write(x, masked_fill(x, mask, value))


@method
def scatter(x, dim, index, src=None, *, value=None, reduce=None):
    value = src if src is not None else value
    if not isinstance(value, Tensor):
        value = paddle.full(index.shape, value, x.dtype)
    else:
        value = (
            value[tuple(slice(0, each) for each in index.shape)] if list(value.shape) != list(index.shape) else value
        )
    how = {None: "assign", "add": "add", "multiply": "mul"}[reduce]
    return kept(paddle.put_along_axis(x, index, value.astype(x.dtype), dim, how, broadcast=False))


@method
def scatter_(x, dim, index, src=None, *, value=None, reduce=None):
    return _write(x, scatter(x, dim, index, src, value=value, reduce=reduce))


@method
def scatter_add(x, dim, index, src):
    src = src[tuple(slice(0, each) for each in index.shape)] if list(src.shape) != list(index.shape) else src
    return paddle.put_along_axis(x, index, src, dim, "add", include_self=True, broadcast=False)


@method
def scatter_add_(x, dim, index, src):
    return _write(x, scatter_add(x, dim, index, src))


@method
def index_add(x, dim, index, source, *, alpha=1):
    return paddle.index_add(x, index, dim, source * alpha if alpha != 1 else source)


@method
def index_add_(x, dim, index, source, *, alpha=1):
    return _write(x, index_add(x, dim, index, source, alpha=alpha))


@method
def index_fill(x, dim, index, value):
    return paddle.index_fill(x, index, dim, value)


@method
def index_fill_(x, dim, index, value):
    return _write(x, index_fill(x, dim, index, value))


@method
def index_copy(x, dim, index, source):
    shape = [1] * x.ndim
    shape[dim] = -1
    return paddle.put_along_axis(x, index.reshape(shape).expand(source.shape), source, dim, "assign", broadcast=False)


@method
def index_copy_(x, dim, index, source):
    return _write(x, index_copy(x, dim, index, source))
