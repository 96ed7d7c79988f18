"""Losses with PyTorch's defaults and means, and the distances that they take."""

import math

import paddle
import paddle.nn.functional as F

from .arithmetic import clamp
from .common import root
from .halves import refused
from .reductions import norm


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    def length(x):
        found = root(paddle.sum(x * x, dim, keepdim=True))
        return found + (paddle.clip(found, min=eps) - found).detach()

    return paddle.sum((x1 / length(x1)) * (x2 / length(x2)), dim)


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    return norm(x1 - x2 + eps, p, -1, keepdim)


def _reduced(loss, reduction, size_average=None, reduce=None):
    if size_average is not None or reduce is not None:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if reduction == "mean":
        return loss.mean()
    raise ValueError(f"{reduction} is not a valid value for reduction")


def _picked(logs, target, weight, ignore_index, reduction, smoothing):
    """Minus the log at the target, those of `ignore_index` left out of sum and count."""
    if logs.ndim == 1:
        if reduction == "none":
            return _picked(logs.unsqueeze(0), target.unsqueeze(0), weight, ignore_index, reduction, smoothing).squeeze(
                0
            )
        logs, target = logs.unsqueeze(0), target.unsqueeze(0)
    counted = target != ignore_index
    safe = paddle.where(counted, target, paddle.zeros_like(target)).astype("int64")
    if ((safe < 0) | (safe >= logs.shape[1])).any():
        raise IndexError("Target is out of bounds.")
    scale = counted.astype(logs.dtype)
    each = paddle.ones_like(scale) if weight is None else paddle.gather(weight, safe.flatten()).reshape(safe.shape)
    loss = -paddle.take_along_axis(logs, safe.unsqueeze(1), 1).squeeze(1) * each
    if smoothing:
        shape = [1, -1, *[1] * (logs.ndim - 2)]
        even = -(logs if weight is None else logs * weight.reshape(shape)).sum(1) / logs.shape[1]
        loss = (1 - smoothing) * loss + smoothing * even
    loss = loss * scale
    if reduction == "mean":
        return loss.sum() / (each * scale).sum()
    return _reduced(loss, reduction)


def _old(reduction, size_average, reduce):
    if size_average is not None or reduce is not None:
        return "none" if reduce is False else "sum" if size_average is False else "mean"
    return reduction


def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    refused(input, "nll_loss")
    return _picked(input, target, weight, ignore_index, _old(reduction, size_average, reduce), 0.0)


def cross_entropy(
    input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0
):
    refused(input, "cross_entropy")
    reduction = _old(reduction, size_average, reduce)
    logs = F.log_softmax(input, 0 if input.ndim == 1 else 1)
    if list(target.shape) == list(input.shape):
        axis = 0 if input.ndim == 1 else 1
        classes = input.shape[axis]
        target = target * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else target
        shape = [-1] if input.ndim == 1 else [1, -1, *[1] * (input.ndim - 2)]
        loss = -(logs * target * (1 if weight is None else weight.reshape(shape))).sum(axis)
        return loss.sum() / (loss.numel() if loss.ndim else 1) if reduction == "mean" else _reduced(loss, reduction)
    return _picked(logs, target, weight, ignore_index, reduction, label_smoothing)


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    return _reduced((input - target) ** 2, reduction, size_average, reduce)


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    return _reduced(paddle.abs(input - target), reduction, size_average, reduce)


def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    apart = paddle.abs(input - target)
    if beta == 0:
        return _reduced(apart, reduction, size_average, reduce)
    return _reduced(
        paddle.where(apart < beta, 0.5 * apart**2 / beta, apart - 0.5 * beta), reduction, size_average, reduce
    )


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    apart = paddle.abs(input - target)
    return _reduced(paddle.where(apart <= delta, 0.5 * apart**2, delta * (apart - 0.5 * delta)), reduction)


def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    logs = paddle.clip(paddle.log(input), min=-100.0)
    other = paddle.clip(paddle.log(1 - input), min=-100.0)
    loss = -(target * logs + (1 - target) * other)
    return _reduced(loss if weight is None else loss * weight, reduction, size_average, reduce)


def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    if list(input.shape) != list(target.shape):
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    log_one, log_zero = F.log_sigmoid(input), F.log_sigmoid(-input)
    loss = -((target if pos_weight is None else target * pos_weight) * log_one + (1 - target) * log_zero)
    return _reduced(loss if weight is None else loss * weight, reduction, size_average, reduce)


def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    if log_target:
        loss = paddle.exp(target) * (target - input)
    else:
        safe = paddle.where(target > 0, target, paddle.ones_like(target))
        loss = target * paddle.log(safe) - target * input
    if reduction == "batchmean":
        return loss.sum() / input.shape[0]
    return _reduced(loss, reduction, size_average, reduce)


def margin_ranking_loss(input1, input2, target, margin=0.0, size_average=None, reduce=None, reduction="mean"):
    return _reduced(clamp(-target * (input1 - input2) + margin, 0), reduction, size_average, reduce)


def hinge_embedding_loss(input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"):
    return _reduced(paddle.where(target == 1, input, clamp(margin - input, 0)), reduction, size_average, reduce)


def cosine_embedding_loss(input1, input2, target, margin=0.0, size_average=None, reduce=None, reduction="mean"):
    axis, small = input1.ndim - 1, 1e-12
    sizes = paddle.sum(input1 * input1, axis) + small, paddle.sum(input2 * input2, axis) + small
    alike = paddle.sum(input1 * input2, axis) / paddle.sqrt(sizes[0] * sizes[1])
    return _reduced(paddle.where(target == 1, 1 - alike, clamp(alike - margin, 0)), reduction, size_average, reduce)


def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    return _reduced(paddle.log1p(paddle.exp(-target * input)), reduction, size_average, reduce)


def triplet_margin_loss(
    anchor,
    positive,
    negative,
    margin=1.0,
    p=2.0,
    eps=1e-6,
    swap=False,
    size_average=None,
    reduce=None,
    reduction="mean",
):
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    far = paddle.minimum(far, pairwise_distance(positive, negative, p, eps)) if swap else far
    return _reduced(clamp(near - far + margin, 0), reduction, size_average, reduce)


def triplet_margin_with_distance_loss(
    anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction="mean"
):
    apart = distance_function or pairwise_distance
    near, far = apart(anchor, positive), apart(anchor, negative)
    far = paddle.minimum(far, apart(positive, negative)) if swap else far
    return _reduced(clamp(near - far + margin, 0), reduction)


def poisson_nll_loss(
    input, target, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean"
):
    loss = paddle.exp(input) - target * input if log_input else input - target * paddle.log(input + eps)
    if full:
        large = paddle.where(target > 1, target, paddle.ones_like(target))
        stirling = target * paddle.log(large) - target + 0.5 * paddle.log(2 * math.pi * large)
        loss = loss + paddle.where(target > 1, stirling, paddle.zeros_like(loss))
    return _reduced(loss, reduction, size_average, reduce)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    var = paddle.clip(var, min=eps)
    loss = 0.5 * (paddle.log(var) + (input - target) ** 2 / var) + (0.5 * math.log(2 * math.pi) if full else 0)
    return _reduced(loss, reduction)
