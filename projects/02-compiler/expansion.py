"""Expansion: operators that Paddle's decomposition takes apart with a reshape in the middle, or with axes that no
kernel can lay over each other, written out before groups are formed, so that reshapes stand between kernels.

The formulas are those of Paddle's kernels. What is expanded is float32, of known sizes behind the first axis, and of
operators of which only the first result is used.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import paddle
from layout import name_of, shape_of, type_of
from paddle import pir
from tracing import static_mode

Attributes = Mapping[str, Any]


def along_channels(value: Any, rank: int) -> Any:
    """A tensor with a number for each channel, which is axis 1 of `rank`."""
    return paddle.reshape(value, [-1, *[1] * (rank - 2)])


def weighted(x: Any, scale: Any, bias: Any) -> Any:
    """x with a factor and a summand for each channel, either of which may be missing."""
    rank = len(x.shape)
    x = x if scale is None else x * along_channels(scale, rank)
    return x if bias is None else x + along_channels(bias, rank)


def normalised(x: Any, axes: list[int], epsilon: float) -> Any:
    centred = x - x.mean(axes, keepdim=True)
    return centred * paddle.rsqrt((centred * centred).mean(axes, keepdim=True) + epsilon)


def batch_norm(attributes: Attributes, x: Any, mean: Any, variance: Any, scale: Any, bias: Any) -> Any:
    """In evaluation, with the statistics that it is given; in training Paddle's own does it."""
    if (
        not attributes["is_test"]
        or attributes["trainable_statistics"]
        or attributes["data_format"] not in ("NCHW", "NCL")
    ):
        return None
    rank = len(x.shape)
    centred = x - along_channels(mean, rank)
    return weighted(centred * paddle.rsqrt(along_channels(variance, rank) + attributes["epsilon"]), scale, bias)


def group_norm(attributes: Attributes, x: Any, scale: Any, bias: Any) -> Any:
    """Without a factor Paddle's gradient is wrong on the CPU (3.0.0 to 3.3.1): another would not be taken for right."""
    if attributes["data_format"] != "NCHW" or scale is None:
        return None
    shape = list(x.shape)
    groups = paddle.reshape(x, [shape[0], attributes["groups"], math.prod(shape[1:]) // attributes["groups"]])
    return weighted(paddle.reshape(normalised(groups, [-1], attributes["epsilon"]), shape), scale, bias)


def instance_norm(attributes: Attributes, x: Any, scale: Any, bias: Any) -> Any:
    return weighted(normalised(x, list(range(2, len(x.shape))), attributes["epsilon"]), scale, bias)


EXPANSIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function for function in (batch_norm, group_norm, instance_norm)
}


def expand(program: Any) -> None:
    """Write such operators of `program` out, in place."""
    block = program.global_block()
    for operation in list(block.ops):
        write = EXPANSIONS.get(name_of(operation))
        if write is None or not expandable(operation):
            continue
        sources = [operand.source() for operand in operation.operands()]
        with static_mode(program):
            pir.set_insertion_point(operation)
            result = write(operation.attrs(), *(source if source.initialized() else None for source in sources))
        pir.set_insertion_point_to_block_end(block)
        if result is not None:
            operation.result(0).replace_all_uses_with(result)
            block.remove_op(operation)


def expandable(operation: Any) -> bool:
    x = operation.operand_source(0)
    others = [result for result in operation.results()[1:] if result.initialized()]
    known = all(size > 0 for size in shape_of(x)[1:]) and len(shape_of(x)) >= 2
    return type_of(x) == "FLOAT32" and known and all(result.use_empty() for result in others)
