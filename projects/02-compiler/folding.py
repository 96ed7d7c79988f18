"""Folding: what a program computes from fixed shapes alone becomes a constant.

`x.var()` divides by a number that Paddle's tracing computes with six operators from `numel`, on tensors without axes;
`zeros_like` and `full_like` ask for a tensor whose numbers they do not read.
"""

import math
from collections.abc import Callable
from typing import Any

import paddle
from layout import name_of, shape_of, type_of
from paddle import pir
from tracing import CONSTANTS, static_mode

COMPUTED: dict[str, Callable[..., float]] = {
    "cast": lambda x: x,
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "maximum": max,
    "minimum": min,
    "greater_than": lambda x, y: x > y,
    "less_than": lambda x, y: x < y,
    "where": lambda condition, x, y: x if condition else y,
}

FOLDED = {"numel", "full_like", "scale", *COMPUTED, *CONSTANTS}


def fold(program: Any) -> None:
    """Replace such operators of `program` by constants, in place."""
    known: dict[int, float] = {}
    for operation in list(program.global_block().ops):
        number = number_of(operation, known)
        if number is None:
            continue
        result = operation.result(0)
        known[result.id] = number
        if name_of(operation) == "full" or type_of(result) not in ("FLOAT32", "FLOAT64"):
            continue
        with static_mode(program):
            pir.set_insertion_point(operation)
            constant = paddle.full(shape_of(result), number, result.dtype)
        pir.set_insertion_point_to_block_end(program.global_block())
        constant.stop_gradient = True
        result.replace_all_uses_with(constant)
        known[constant.id] = number
    for operation in reversed(list(program.global_block().ops)):
        if name_of(operation) in FOLDED and all(result.use_empty() for result in operation.results()):
            program.global_block().remove_op(operation)


def number_of(operation: Any, known: dict[int, float]) -> float | None:
    """The one number that the result of `operation` holds if its shape is fixed and all it reads is known, or None."""
    name = name_of(operation)
    if name == "full":
        return float(operation.attrs()["value"])
    sources = [operand.source() for operand in operation.operands()]
    tensors = [*operation.results(), *sources]
    if operation.num_results() != 1 or not all(t.initialized() and t.is_dense_tensor_type() for t in tensors):
        return None
    if any(size < 0 for size in shape_of(operation.result(0))):
        return None
    if name == "numel":
        shape = shape_of(sources[0])
        return None if any(size < 0 for size in shape) else float(math.prod(shape))
    if name == "full_like":
        return known.get(sources[1].id)
    if any(source.id not in known for source in sources):
        return None
    if name == "scale":
        number, factor = (known[source.id] for source in sources)
        bias = float(operation.attrs()["bias"])
        return number * factor + bias if operation.attrs()["bias_after_scale"] else (number + bias) * factor
    number = float(COMPUTED[name](*(known[source.id] for source in sources))) if name in COMPUTED else None
    if number is not None and name == "cast" and type_of(operation.result(0)) == "BOOL":
        return float(bool(number))
    rounds = name == "cast" and "float" not in str(operation.result(0).dtype).lower() and number != int(number or 0)
    return None if rounds else number
