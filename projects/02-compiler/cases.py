# ruff: noqa: F722  the annotations are shapes, as in subgraphs.py
"""Chains that the rules of part 2-2 have to replace, and near-misses: nearly the same chain, and another function.

A near-miss that were replaced would still run, and compute something else without a word.
"""

import paddle
import paddle.nn.functional as F
import subgraphs


def softmax(x: "6 8"):
    power = paddle.exp(x - x.max(-1, keepdim=True))
    return power / power.sum(-1, keepdim=True)


def softmax_by_number(x: "2 3 8"):
    power = paddle.exp(x - x.max(2, keepdim=True))
    return power / power.sum(-1, keepdim=True)


def gate_first(x: "6 8", gate: "6 8"):
    return gate * F.sigmoid(gate) * x


def sigmoid_first(x: "6 8", gate: "6 8"):
    return F.sigmoid(gate) * gate * x


def gate_last(x: "6 8", gate: "6 8"):
    return x * (gate * F.sigmoid(gate))


def sigmoid_second(x: "6 8", gate: "6 8"):
    return x * (F.sigmoid(gate) * gate)


def silu_first(x: "6 8", gate: "6 8"):
    return F.silu(gate) * x


def silu_last(x: "6 8", gate: "6 8"):
    return x * F.silu(gate)


def transformer_block(x: "6 8", up: "8 8", gate: "8 8", down: "8 8"):
    """Attention of x to itself, then the feed-forward network of LLaMA (arXiv:2302.13971): one chain of each kind."""
    scores = paddle.matmul(x, x, transpose_y=True)
    power = paddle.exp(scores - scores.max(-1, keepdim=True))
    x = x + paddle.matmul(power / power.sum(-1, keepdim=True), x)
    opened = paddle.matmul(x, gate)
    return x + paddle.matmul(opened * F.sigmoid(opened) * paddle.matmul(x, up), down)


MATCHING = {  # and how many chains each has
    softmax: 1, softmax_by_number: 1, gate_first: 1, sigmoid_first: 1, gate_last: 1, sigmoid_second: 1,
    silu_first: 1, silu_last: 1, transformer_block: 2,
}  # fmt: skip


def another_axis(x: "6 8"):
    power = paddle.exp(x - x.max(0, keepdim=True))
    return power / power.sum(0, keepdim=True)


def two_axes(x: "6 8"):
    """The maximum of each column and the sum of each row."""
    power = paddle.exp(x - x.max(0, keepdim=True))
    return power / power.sum(-1, keepdim=True)


def whole_tensor(x: "6 8"):
    power = paddle.exp(x - x.max([0, 1], keepdim=True))
    return power / power.sum([0, 1], keepdim=True)


def axis_lost(x: "8 8"):
    """Rows and columns are equally long, so that it broadcasts, along the wrong axis."""
    power = paddle.exp(x - x.max(-1))
    return power / power.sum(-1)


def sum_axis_lost(x: "8 8"):
    power = paddle.exp(x - x.max(-1, keepdim=True))
    return power / power.sum(-1)


def from_the_minimum(x: "6 8"):
    power = paddle.exp(x - x.min(-1, keepdim=True))
    return power / power.sum(-1, keepdim=True)


def of_the_mean(x: "6 8"):
    power = paddle.exp(x - x.max(-1, keepdim=True))
    return power / power.mean(-1, keepdim=True)


def of_another_sum(x: "6 8", y: "6 8"):
    power = paddle.exp(x - x.max(-1, keepdim=True))
    return power / paddle.exp(y).sum(-1, keepdim=True)


def of_another_maximum(x: "6 8", y: "6 8"):
    power = paddle.exp(x - y.max(-1, keepdim=True))
    return power / power.sum(-1, keepdim=True)


def upside_down(x: "6 8"):
    power = paddle.exp(x - x.max(-1, keepdim=True))
    return power.sum(-1, keepdim=True) / power


def power_used_again(x: "6 8"):
    power = paddle.exp(x - x.max(-1, keepdim=True))
    return power / power.sum(-1, keepdim=True) + power


def in_float64(x: "6 8"):
    wide = x.astype("float64")
    power = paddle.exp(wide - wide.max(-1, keepdim=True))
    return (power / power.sum(-1, keepdim=True)).astype(x.dtype)


def gate_broadcast(x: "6 8", gate: "8"):
    return gate * F.sigmoid(gate) * x


def x_broadcast(x: "6 1", gate: "6 8"):
    return gate * F.sigmoid(gate) * x


def two_gates(x: "6 8", gate: "6 8"):
    return x * F.sigmoid(gate) * x


def tanh_gate(x: "6 8", gate: "6 8"):
    return gate * paddle.tanh(gate) * x


def added(x: "6 8", gate: "6 8"):
    return gate * F.sigmoid(gate) + x


def gate_used_again(x: "6 8", gate: "6 8"):
    opened = F.sigmoid(gate)
    return gate * opened * x + opened


def gated_used_again(x: "6 8", gate: "6 8"):
    gated = F.silu(gate)
    return gated * x + gated


NEAR_MISSES = (
    another_axis, two_axes, whole_tensor, axis_lost, sum_axis_lost, from_the_minimum, of_the_mean, of_another_sum,
    of_another_maximum, upside_down, power_used_again, in_float64, gate_broadcast, x_broadcast, two_gates, tanh_gate,
    added, gate_used_again, gated_used_again,
)  # fmt: skip


def arrays(function, seed=0):
    """Random tensors of the shapes that `function` is annotated with."""
    return subgraphs.from_function(function.__name__, function).arrays(1, 1, seed)
