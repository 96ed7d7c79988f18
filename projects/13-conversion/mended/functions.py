"""torch.nn.functional with PyTorch's arguments, defaults and means."""

import math

import numpy as np
import paddle
import paddle.nn.functional as F

from .chance import dropout
from .halves import cast, narrow, of_input, refused, rounded, single
from .reductions import norm
from .shapes import flatten, unflatten  # noqa: F401
from .views import apart

_conv = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_transpose = {1: F.conv1d_transpose, 2: F.conv2d_transpose, 3: F.conv3d_transpose}


def linear(input, weight, bias=None):
    if 0 in input.shape:  # the gradient of Paddle's product is an error there
        found = paddle.zeros([*input.shape[:-1], weight.shape[0]], input.dtype) + input.sum() + 0 * weight.sum()
    else:
        found = paddle.matmul(input, weight, transpose_y=True)
    return found if bias is None else found + bias


def bilinear(input1, input2, weight, bias=None):
    found = paddle.einsum("...i,oij,...j->...o", input1, weight, input2)
    return found if bias is None else found + bias


def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
    """The padding row is read as it is, and gets no gradient."""
    if max_norm is not None:
        raise NotImplementedError("embedding with max_norm")
    found = F.embedding(input.astype("int64"), weight)
    if padding_idx is None:
        return found
    padded = (input == padding_idx % weight.shape[0]).unsqueeze(-1).astype(weight.dtype)
    return found * (1 - padded) + (found * padded).detach()


def _list(value, axes):
    return [value] * axes if isinstance(value, int) else list(value)


def conv(axes):
    @single
    def call(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        bare = input.ndim == axes + 1
        padding = padding.upper() if isinstance(padding, str) else _list(padding, axes)
        given = input.unsqueeze(0) if bare else input
        found = _conv[axes](given, weight, bias, _list(stride, axes), padding, _list(dilation, axes), groups)
        return found.squeeze(0) if bare else found

    return call


def conv_transpose(axes):
    @single
    def call(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
        bare = input.ndim == axes + 1
        given = input.unsqueeze(0) if bare else input
        found = _transpose[axes](
            given, weight, bias, stride=_list(stride, axes), padding=_list(padding, axes),
            output_padding=_list(output_padding, axes), groups=groups, dilation=_list(dilation, axes),
        )  # fmt: skip
        return found.squeeze(0) if bare else found

    def called(input, *given, **named):
        if input.dtype == paddle.float16:  # bfloat16 is rounded once
            refused(input, "a transposed convolution")
        return call(input, *given, **named)

    return called


conv1d, conv2d, conv3d = conv(1), conv(2), conv(3)
conv_transpose1d, conv_transpose2d, conv_transpose3d = conv_transpose(1), conv_transpose(2), conv_transpose(3)


@of_input
def batch_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
    kind=None,
):
    """Normalised by the biased variance; the running one is kept unbiased. The mean of halves is of their `kind`."""
    axes = [0, *range(2, input.ndim)]
    shape = [1, -1, *[1] * (input.ndim - 2)]
    if training:
        mean = paddle.mean(input, axes)
        variance = paddle.mean((input - mean.reshape(shape)) ** 2, axes)
        if running_mean is not None:
            count = math.prod(input.shape[axis] for axis in axes)
            with paddle.no_grad():
                paddle.assign((1 - momentum) * running_mean + momentum * mean.detach(), running_mean)
                unbiased = variance.detach() * (count / max(count - 1, 1))
                paddle.assign((1 - momentum) * running_var + momentum * unbiased, running_var)
    else:
        mean, variance = running_mean, running_var
    if training and kind is not None:
        scale, mean = rounded(1 / paddle.sqrt(variance + eps), kind), rounded(mean, kind)
        scale = scale if weight is None else scale * weight
        shift = -mean * scale if bias is None else bias - mean * scale
        return input * scale.reshape(shape) + shift.reshape(shape)
    if training and input.dtype == paddle.float32:  # Paddle's own kernel, whose running statistics are another's
        ones, zeros = paddle.ones([input.shape[1]]), paddle.zeros([input.shape[1]])
        given = (ones if weight is None else weight, zeros if bias is None else bias)
        return F.batch_norm(input, zeros.clone(), ones.clone(), *given, training=True, epsilon=eps)
    found = (input - mean.reshape(shape)) / paddle.sqrt(variance.reshape(shape) + eps)
    if weight is not None:
        found = found * weight.reshape(shape)
    return found if bias is None else found + bias.reshape(shape)


def _normal(input, axes, eps):
    centred = input - paddle.mean(input, axes, keepdim=True)
    return centred / paddle.sqrt(paddle.mean(centred * centred, axes, keepdim=True) + eps)


@of_input
def instance_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    axes, shape = list(range(2, input.ndim)), [1, -1, *[1] * (input.ndim - 2)]
    if not use_input_stats:
        found = (input - running_mean.reshape(shape)) / paddle.sqrt(running_var.reshape(shape) + eps)
    else:
        found = _normal(input, axes, eps)
        if running_mean is not None:
            with paddle.no_grad():
                for kept, now in ((running_mean, input.mean(axes)), (running_var, input.var(axes))):
                    paddle.assign((1 - momentum) * kept + momentum * now.mean(0), kept)
    found = found if weight is None else found * weight.reshape(shape)
    return found if bias is None else found + bias.reshape(shape)


@of_input
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    found = _normal(input, list(range(input.ndim - len(normalized_shape), input.ndim)), eps)
    found = found if weight is None else found * weight
    return found if bias is None else found + bias


def rms_norm(input, normalized_shape, weight=None, eps=None):
    kind = "float64" if input.dtype == paddle.float64 else "float32"  # half precision computes in float32
    eps = float(np.finfo(kind).eps) if eps is None else eps
    axes = list(range(input.ndim - len(normalized_shape), input.ndim))
    wide = input.astype(kind)
    found = wide * paddle.rsqrt(paddle.mean(wide * wide, axes, keepdim=True) + eps)
    found = found if weight is None else found * weight.astype(kind)
    return found.astype(input.dtype)


@of_input
def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    found = _normal(input.reshape([input.shape[0], num_groups, -1]), [2], eps)
    apart(found)
    found = found.reshape(input.shape)
    shape = [1, -1, *[1] * (input.ndim - 2)]
    found = found if weight is None else found * weight.reshape(shape)
    return found if bias is None else found + bias.reshape(shape)


def normalize(input, p=2.0, dim=1, eps=1e-12):
    return input / paddle.clip(single(norm)(input, p, dim, keepdim=True), min=eps)


def one_hot(x, num_classes=-1):
    count = int(x.max()) + 1 if num_classes == -1 else num_classes
    return F.one_hot(x, count).astype("int64")


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    if not narrow(query):
        return _attended(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    kind = query.dtype if query.ndim == 4 and not dropout_p else None
    wide = [each.astype("float32") for each in (query, key, value)]
    mask = attn_mask if attn_mask is None or attn_mask.dtype == paddle.bool else attn_mask.astype("float32")
    return cast(_attended(*wide, mask, dropout_p, is_causal, scale, enable_gqa, kind), query.dtype)


def _attended(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, kind=None):
    """With a `kind` the exponentials are rounded to it before they are parted by their sum, as in PyTorch's kernel."""
    if enable_gqa:
        times = query.shape[-3] // key.shape[-3]
        key, value = (paddle.repeat_interleave(each, times, -3) for each in (key, value))
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = paddle.matmul(query, key, transpose_y=True) * scale
    if is_causal:
        seen = paddle.tril(paddle.ones(scores.shape[-2:], "int32")).astype("bool")
        scores = paddle.where(seen.expand(scores.shape), scores, paddle.full([], float("-inf"), scores.dtype))
    if attn_mask is not None and attn_mask.dtype == paddle.bool:
        scores = paddle.where(attn_mask.expand(scores.shape), scores, paddle.full([], float("-inf"), scores.dtype))
    elif attn_mask is not None:
        scores = scores + attn_mask
    if kind is None:
        return paddle.matmul(dropout(F.softmax(scores, -1), dropout_p), value)
    exps = paddle.exp(scores - paddle.max(scores, -1, keepdim=True).detach())
    return paddle.matmul(rounded(exps, kind), value) / exps.sum(-1, keepdim=True)


def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    from .chance import exponential_
    from .kinds import empty_like

    noise = -paddle.log(exponential_(empty_like(logits)))
    soft = F.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = paddle.argmax(soft, dim, keepdim=True)
    one = paddle.put_along_axis(paddle.zeros_like(logits), index, 1.0, dim)
    return one - soft.detach() + soft


from .activations import *  # noqa: E402, F403
from .losses import *  # noqa: E402, F403
from .pictures import *  # noqa: E402, F403
