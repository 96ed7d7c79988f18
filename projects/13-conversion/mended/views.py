"""Views that keep their gradients: a write into one reaches what it is a view of, and what is a view of it."""

import ctypes
import functools
import weakref

import numpy as np
import paddle

from .halves import cast, narrow, single

Tensor = paddle.Tensor
_read, _put, _zero, _add = Tensor.__getitem__, Tensor.__setitem__, Tensor.zero_, Tensor.add_


def take(x, made):
    """Values and history of `made` for x, in x's memory, also where that is no whole piece."""
    apart(x)
    if x.is_contiguous():
        paddle.assign(made, x)
    else:
        made = made.clone()
        _zero(x)
        _add(x, made)


def noted(base, made, forward, back, copied=False):
    """`made` is forward(base) and shares its memory, or would; back(base, made) is the base with other values there."""
    if copied or (made is not base and made._is_shared_buffer_with(base)):
        made._of = (base, back, copied)
        if not hasattr(base, "_views"):
            base._views = {}
        views, key = base._views, id(made)
        views[key] = weakref.ref(made, lambda _: views.pop(key, None)), forward, copied
    return made


def refusing(what):
    """The way back of a copy whose memory PyTorch shares: a write into it is refused."""

    def refused(*_):
        raise NotImplementedError(f"a write into {what}, which shares its memory in PyTorch, is not converted")

    return refused


def reshaped(base, made):
    shape = list(made.shape)
    return noted(base, made, lambda x: paddle.reshape(x, shape), lambda x, part: paddle.reshape(part, x.shape))


def transposed(base, order):
    back = sorted(range(len(order)), key=order.__getitem__)
    made = paddle.transpose(base, order)
    wide = [each for each in order if base.shape[each] > 1]
    if wide != sorted(wide):
        made._turned = True  # in PyTorch it is not contiguous
    return noted(base, made, lambda x: paddle.transpose(x, order), lambda x, part: paddle.transpose(part, back))


def kept(made):
    """The result of an operator that Paddle keeps for the gradient, and PyTorch does not: it may be written into."""
    if not made.stop_gradient:
        made._kept = True
    return made


def keeping(function):
    @functools.wraps(function)
    def called(*given, **named):
        made = function(*given, **named)
        return kept(made) if isinstance(made, Tensor) else made

    return called


def apart(x):
    """Before a write into x: what Paddle keeps of it gets another memory."""
    if hasattr(x, "_kept") and not hasattr(x, "_of") and not getattr(x, "_views", None):
        x.detach().clone()._share_underline_tensor_to(x)
        del x._kept


def array(x):
    """numpy's array over x's memory, which stays as long as the array."""
    if not x.place.is_cpu_place() or x.dtype == paddle.bfloat16 or 0 in x.shape:
        return x.numpy()
    kept = x.detach()
    kind = np.dtype(str(x.dtype).split(".")[-1])
    strides = [each * kind.itemsize for each in x.strides]
    span = kind.itemsize + sum((side - 1) * step for side, step in zip(x.shape, strides, strict=True))
    memory = (ctypes.c_byte * span).from_address(kept.data_ptr())
    memory.kept = kept
    return np.lib.stride_tricks.as_strided(np.frombuffer(memory, kind), x.shape, strides)


def of_array(given):
    """A tensor over an array's memory; where that cannot be, a copy, and writes into either are refused."""
    if given.dtype.name in ("uint16", "uint32", "uint64"):
        raise NotImplementedError(f"a tensor of {given.dtype.name}, which Paddle has not, is not converted")
    whole = given.flags.c_contiguous and given.flags.writeable and given.dtype.kind in "iufc" and given.size
    if whole and paddle.get_device() == "cpu":
        return paddle.utils.dlpack.from_dlpack(given.__dlpack__())
    made = paddle.to_tensor(np.ascontiguousarray(given))
    if given.flags.owndata:
        given.flags.writeable = False
    made._of = (made.detach(), refusing("an array's tensor"), True)
    return made


def allow(x):
    """Before a write with gradients: into a leaf, or a part of one, it is refused as in PyTorch."""
    while paddle.is_grad_enabled():
        if x.is_leaf and not x.stop_gradient:
            raise RuntimeError("a leaf that requires grad, or a view of it, is used in an in-place operation")
        if not hasattr(x, "_of"):
            return
        x = x._of[0]


def written(x):
    """After a write into x: the memory is shared, the history is not, and copies have neither."""
    if hasattr(x, "_of"):
        base, back, copied = x._of
        if copied or _matters(base, x):
            take(base, back(base.clone(), x))
        written(base)
    else:
        _down(x)


def _down(x):
    for reference, forward, copied in list(getattr(x, "_views", {}).values()):
        view = reference()
        if view is not None and (copied or _matters(x, view)):
            take(view, forward(x))
        if view is not None:
            _down(view)


def _matters(base, view):
    return paddle.is_grad_enabled() and not (base.stop_gradient and view.stop_gradient)


def _is_part(index):
    """Whether it reads a part and no copy."""
    return all(
        each is None or each is Ellipsis or isinstance(each, slice) or type(each) is int
        for each in (index if isinstance(index, tuple) else (index,))
    )


def _written_into(x, index, part):
    _put(x, index, part.clone())
    return x


def _nested(index):
    """A list with lists, slices or tensors in it is a tuple of indices."""
    inner = (list, tuple, slice, Tensor, type(None), type(Ellipsis))
    return tuple(index) if isinstance(index, list) and any(isinstance(each, inner) for each in index) else index


def read(self, index):
    index = _nested(index)
    if not _is_part(index):  # Paddle 3.3.1 reads and writes elsewhere by indices where a tensor is no whole piece
        return single(_read)(self if self.is_contiguous() else self.clone(), index)
    made = _read(self, index)
    return noted(self, made, lambda x: _read(x, index), lambda x, part: _written_into(x, index, part))


def put_at(self, index, value):
    index = _nested(index)
    if isinstance(value, Tensor) and hasattr(value, "_of") and not value.stop_gradient:
        value = value.clone()  # a write into what it is a view of is a write into it
    allow(self)
    apart(self)
    tracked = isinstance(value, Tensor) and paddle.is_grad_enabled() and not value.stop_gradient
    if tracked and (0 in value.shape or not _is_part(index)):
        _put_tracked(self, index, value)
    elif (narrow(self) or not self.is_contiguous()) and not _is_part(index):
        kind = "float32" if narrow(self) else self.dtype
        wide = self.astype(kind).clone()
        _put(wide, index, value.astype(kind) if isinstance(value, Tensor) else value)
        take(self, cast(wide, self.dtype))
    elif not (isinstance(value, Tensor) and 0 in value.shape):
        _put(self, index, value)
    written(self)


def _put_tracked(self, index, value):
    """Paddle 3.3.1's gradient of what is written by numbers or masks is what lay in memory, unless it is float32."""
    whole = self.clone()
    places = _read(paddle.arange(whole.size).reshape(whole.shape), index)
    value = paddle.expand(value.astype(whole.dtype), places.shape)
    if 0 in places.shape:
        made = whole + value.sum()
    else:
        flat = paddle.index_put(paddle.reshape(whole, [-1]), (paddle.flatten(places),), paddle.flatten(value))
        made = paddle.reshape(flat, whole.shape)
    take(self, made)


def _followed(change):
    @functools.wraps(change)
    def changed(self, *given, **named):
        made = change(self, *given, **named)
        if hasattr(self, "_of") or hasattr(self, "_views"):
            written(self)
        return made

    return changed


def install():
    Tensor.__getitem__, Tensor.__setitem__ = read, put_at
    for name in dir(Tensor):
        if name.endswith("_") and not name.startswith("_"):
            setattr(Tensor, name, _followed(getattr(Tensor, name)))
