"""PyTorch's sparse tensors, as dense ones with the same numbers: they compute the same, in more memory."""

import paddle

from .common import Tensor, also, method
from .kinds import convert, get_default_dtype

MADE: list[bool] = []  # whether there is any


@method
def to_sparse(x, *_, **__):
    return _sparse(x.clone(), paddle.nonzero(x).T)


def _sparse(made, entries):
    made._entries = entries
    MADE[:] = [True]
    return made


@method
def to_dense(x, dtype=None, **__):
    made = x.clone() if dtype is None else convert(x, dtype)
    made._entries = None
    return made


def is_sparse(x):
    if not isinstance(x, Tensor):
        return x.is_sparse
    if MADE and not hasattr(x, "_entries"):
        raise NotImplementedError("whether a tensor is sparse that was computed is not converted")
    return getattr(x, "_entries", None) is not None


@method
def coalesce(x):
    return x


def _placed(x):
    if getattr(x, "_entries", None) is None:
        raise NotImplementedError("which entries a sparse tensor has that was computed is not converted")
    return x._entries


def install():
    """What was made sparse knows its entries, by row."""
    Tensor.indices = _placed
    Tensor.values = lambda x: paddle.gather_nd(x, _placed(x).T)
    Tensor._nnz = lambda x: _placed(x).shape[1]


to_sparse_coo = also("to_sparse_coo", to_sparse)


def sparse_coo_tensor(indices, values, size=None, *, dtype=None, device=None, requires_grad=False, **_):
    """Values at the same place are summed, which PyTorch does when it has to."""
    indices = indices if isinstance(indices, Tensor) else paddle.to_tensor(indices)
    if not isinstance(values, Tensor):
        whole = all(isinstance(each, int) for each in values)
        values = paddle.to_tensor(values, "int64" if whole else get_default_dtype())
    if size is None:
        size = [int(each) + 1 for each in indices.max(1)] + list(values.shape[1:])
    kind = dtype or values.dtype
    made = paddle.scatter_nd_add(
        paddle.zeros([int(each) for each in size], "float64"), indices.T.astype("int64"), values.astype("float64")
    ).astype(kind)
    if requires_grad:
        made = made.detach()
        made.stop_gradient = False
    return _sparse(made, paddle.unique(indices.astype("int64"), axis=1))


def float_coo_tensor(indices, values, size=None):
    return sparse_coo_tensor(indices, values, size, dtype=paddle.float32)


def spmm(a, b):
    return paddle.matmul(a, b)
