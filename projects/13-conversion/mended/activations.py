"""Activations of torch.nn.functional: Paddle's operators hold their numbers in float32, whatever the tensors are."""

import numpy as np
import paddle
import paddle.nn.functional as F

from .common import is_integer, method, writes
from .halves import cast, narrow, rounded
from .views import kept


def _below(x):
    """Its numbers that are not positive, and 0 for the others."""
    return paddle.where(x > 0, paddle.zeros_like(x), x)


@writes
@method
def relu(x, inplace=False):
    return F.relu(x) if not is_integer(x) else paddle.maximum(x, paddle.zeros_like(x))


@writes
def relu6(x, inplace=False):
    return kept(F.relu6(x))


@method
def sigmoid(x):
    return F.sigmoid(x.astype(paddle.get_default_dtype()) if is_integer(x) else x)


@method
def tanh(x):
    return paddle.tanh(x.astype(paddle.get_default_dtype()) if is_integer(x) else x)


def gelu(x, approximate="none"):
    return F.gelu(x, approximate == "tanh")


@writes
def silu(x, inplace=False):
    return kept(F.silu(x))


@writes
def elu(x, alpha=1.0, inplace=False):
    return paddle.where(x > 0, x, alpha * paddle.expm1(_below(x)))


@writes
def selu(x, inplace=False):
    return elu(x, 1.6732632423543772848170429916717) * 1.0507009873554804934193349852946


@writes
def celu(x, alpha=1.0, inplace=False):
    return elu(x / alpha, 1.0) * alpha if alpha != 1 else elu(x)


@writes
def mish(x, inplace=False):
    return F.mish(x)


@writes
def leaky_relu(x, negative_slope=0.01, inplace=False):
    return paddle.where(x > 0, x, x * negative_slope)  # at 0 its gradient is the slope, in Paddle 1


def prelu(x, weight):
    return F.prelu(x, weight)


def softplus(x, beta=1.0, threshold=20.0):
    over = x * beta > threshold
    return paddle.where(over, x, paddle.log1p(paddle.exp(paddle.where(over, paddle.zeros_like(x), x * beta))) / beta)


def softsign(x):
    return F.softsign(x)


@writes
def hardtanh(x, min_val=-1.0, max_val=1.0, inplace=False):
    return paddle.where((x > min_val) & (x < max_val), x, paddle.clip(x.detach(), min_val, max_val))


@writes
def hardswish(x, inplace=False):
    return F.hardswish(x)


@writes
def hardsigmoid(x, inplace=False):
    inside = ((x > -3) & (x < 3)).astype(x.dtype)
    slope = float(np.float32(1 / 6)) * inside  # PyTorch's gradient, whatever the type
    return paddle.clip(x.detach() / 6 + 0.5, 0.0, 1.0) + (x - x.detach()) * slope


def logsigmoid(x):
    return F.log_sigmoid(x)


def tanhshrink(x):
    return x - paddle.tanh(x)


def softshrink(x, lambd=0.5):
    return paddle.where(paddle.abs(x) > lambd, x - lambd * paddle.sign(x.detach()), paddle.zeros_like(x))


def hardshrink(x, lambd=0.5):
    return paddle.where(paddle.abs(x) > lambd, x, paddle.zeros_like(x))


@writes
def threshold(x, threshold, value, inplace=False):
    return paddle.where(x > threshold, x, paddle.full_like(x, value))


def glu(x, dim=-1):
    return F.glu(x, dim)


def _old_axis(x, dim):
    return dim if dim is not None else (0 if x.ndim in (0, 1, 3) else 1)


@method
def softmax(x, dim=None, _stacklevel=3, dtype=None):
    x = x if dtype is None else x.astype(dtype)
    return F.softmax(x, _old_axis(x, dim))


@method
def log_softmax(x, dim=None, _stacklevel=3, dtype=None):
    x = x if dtype is None else x.astype(dtype)
    axis = _old_axis(x, dim)
    if narrow(x) and axis in (-1, x.ndim - 1):  # the sum and its logarithm are rounded too
        wide = x.astype("float32")
        wide = wide - paddle.max(wide, axis, keepdim=True).detach()
        total = rounded(paddle.exp(wide).sum(axis, keepdim=True), x.dtype)
        return cast(wide - rounded(paddle.log(total), x.dtype), x.dtype)
    return F.log_softmax(x, axis)


def softmin(x, dim=None):
    return F.softmax(-x, _old_axis(x, dim))
