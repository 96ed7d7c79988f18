"""A lowering rule for each operator of a decomposed PIR program that a kernel can hold.

A rule is called with the Scope, the operator, and the PIR values it takes; it returns what the result is seen as
(for split: a list), or raises Unsupported.
"""

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from layout import Layout, Scope, Seen, name_of, shape_of, type_of
from values import COMPARISONS, LOGIC, Unsupported, Value, combine, constant, joined

UNARY = {"exp", "log", "tanh", "erf", "sqrt", "rsqrt", "sigmoid", "abs", "sign"}
BINARY = {"add", "subtract", "multiply", "divide", "maximum", "minimum", *COMPARISONS}
SAME_VALUE = {"assign", "cast", "expand", "reshape", "squeeze", "unsqueeze", "share_data"}  # seen from inside the loop
REDUCTIONS = {"sum": "sum", "mean": "sum", "max": "max", "min": "min", "reduce_as": "sum"}

ROUNDED = (2 / math.pi**0.5, (2 / math.pi) ** 0.5, 0.5**0.5, (2 * math.pi) ** -0.5, 0.044715)
EXACT = 2**24  # whole numbers below are float32 numbers

Rule = Callable[[Scope, Any, Sequence[Any]], Any]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Enter a function as the rule of the operators of these names."""

    def enter(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return enter


def constant_of(name: str, value: Any) -> Any:
    """The number or list that a PIR value holds; raises Unsupported if it is computed at run time."""
    definition = value.get_defining_op()
    if definition is None or name_of(definition) not in ("full", "full_int_array"):
        raise Unsupported(name, "an axis, size or factor that is known only at run time")
    return definition.attrs()["value"]


def in_float64(number: float) -> float:
    """What Paddle's decompositions of erf and gelu meant by a constant that they round to float32."""
    return next((exact for exact in ROUNDED if number == struct.unpack("f", struct.pack("f", exact))[0]), number)


@rule("full")
def full(scope: Scope, operation: Any, _: Sequence[Any]) -> Seen:
    shape, number = shape_of(operation.result(0)), float(operation.attrs()["value"])
    return Seen(constant(in_float64(number) if scope.layout.wide else number), scope.layout.axes_of(shape))


# Elementwise operators.


def elementwise(name: str, operation: str, arguments: Sequence[Seen]) -> Seen:
    """`operation` on tensors that broadcast; `name` is the PIR operator for which it is done."""
    if any(argument.reduced for argument in arguments):
        return of_a_sum(name, operation, arguments)
    rank = max(len(argument.axes) for argument in arguments)
    axes: list[int | None] = [None] * rank
    for argument in arguments:
        for place, axis in enumerate(argument.axes, rank - len(argument.axes)):
            if axis is not None and axes[place] not in (None, axis):
                raise Unsupported(name, "two tensors whose axes lie across each other")
            axes[place] = axes[place] if axis is None else axis
    return Seen(combine(operation, [argument.value for argument in arguments]), tuple(axes))


def of_a_sum(name: str, operation: str, arguments: Sequence[Seen]) -> Seen:
    """A sum over leading axes times a constant, which is the sum of so much of each term; all else has to wait."""
    total, *others = sorted(arguments, key=lambda argument: not argument.reduced)
    linear = operation == "multiply" or (operation == "divide" and total is arguments[0])
    if not linear or any(other.value.operation != "constant" or len(other.axes) > len(total.axes) for other in others):
        raise Unsupported(name, "it uses a sum over leading axes, which is known only after the last row")
    return replace(total, value=combine(operation, [total.value, *(other.value for other in others)]))


@rule(*sorted(UNARY | BINARY))
def itself(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    name = name_of(operation)
    seen = [scope.see(name, value, whole=name in COMPARISONS) for value in arguments]
    if any(one.whole for one in seen) and not any(is_exact(one) for one in seen):
        raise Unsupported(name, "whole numbers with anything but a constant below 2^24")
    return elementwise(name, name, seen)


def is_exact(seen: Seen) -> bool:
    """Whether it is a constant to which whole numbers compare in float32 as they do themselves."""
    return seen.value.operation == "constant" and abs(seen.value.number) < EXACT


@rule(*sorted(LOGIC))
def logic(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    name = name_of(operation)
    seen = [scope.see(name, value, truth=True) for value in arguments]
    if not all(one.value.truth for one in seen):
        raise Unsupported(name, "numbers in place of truth values")
    return elementwise(name, name, seen)


@rule("scale")
def scale(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    seen, attributes = scope.see("scale", arguments[0]), operation.attrs()
    factor, bias = constant(float(constant_of("scale", arguments[1]))), constant(float(attributes["bias"]))
    if seen.reduced:
        if attributes["bias"]:
            raise Unsupported("scale", "it uses a sum over leading axes, which is known only after the last row")
        return of_a_sum("scale", "multiply", [seen, Seen(factor, ())])
    if attributes["bias_after_scale"]:
        return Seen(combine("add", [combine("multiply", [seen.value, factor]), bias]), seen.axes)
    return Seen(combine("multiply", [combine("add", [seen.value, bias]), factor]), seen.axes)


@rule("where")
def where(scope: Scope, _: Any, arguments: Sequence[Any]) -> Seen:
    condition = scope.see("where", arguments[0], truth=True)
    if not condition.value.truth:
        raise Unsupported("where", "a condition that no comparison computes")
    return elementwise("where", "where", [condition, *(scope.see("where", value) for value in arguments[1:])])


@rule("add_n")
def add_n(scope: Scope, _: Any, arguments: Sequence[Any]) -> Seen:
    terms = [scope.see("add_n", value) for value in scope.seen[arguments[0].id]]
    total = terms[0]
    for term in terms[1:]:
        total = elementwise("add_n", "add", [total, term])
    return total


@rule("relu")
def relu(scope: Scope, _: Any, arguments: Sequence[Any]) -> Seen:
    return elementwise("relu", "maximum", [scope.see("relu", arguments[0]), Seen(constant(0), ())])


@rule("square")
def square(scope: Scope, _: Any, arguments: Sequence[Any]) -> Seen:
    seen = scope.see("square", arguments[0])
    return elementwise("square", "multiply", [seen, seen])


@rule("silu")
def silu(scope: Scope, _: Any, arguments: Sequence[Any]) -> Seen:
    seen = scope.see("silu", arguments[0])
    return elementwise("silu", "multiply", [seen, elementwise("silu", "sigmoid", [seen])])


# Operators that change the type or the shape and no number.


@rule(*sorted(SAME_VALUE))
def same_value(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    name, result = name_of(operation), operation.result(0)
    seen = scope.see(name, arguments[0], truth=True, whole=name != "cast" or type_of(result) == "INT64")
    if name == "cast":
        seen = cast(seen, result)
    return reshaped(scope.layout, name, seen, shape_of(arguments[0]), shape_of(result))


def cast(seen: Seen, after: Any) -> Seen:
    """Between the types of numbers nothing changes, all is computed in float32; a truth value becomes 1 or 0."""
    zero, one = (Seen(constant(number), ()) for number in (0.0, 1.0))
    if type_of(after) == "BOOL":
        return seen if seen.value.truth else elementwise("cast", "not_equal", [seen, zero])
    return elementwise("cast", "where", [seen, one, zero]) if seen.value.truth else seen


def reshaped(layout: Layout, name: str, seen: Seen, old: Sequence[int], new: Sequence[int]) -> Seen:
    """From shape `old` to `new`, which differ by axes of size 1 or by broadcasting."""
    if old == new:
        return seen
    if name == "expand":
        axes = layout.axes_of(new)
        for place, axis in enumerate(seen.axes, len(new) - len(old)):
            if axis is not None and axes[place] != axis:
                raise Unsupported(name, "two tensors whose axes lie across each other")
        return replace(seen, axes=axes)
    kept = [(size, axis) for size, axis in zip(old, seen.axes, strict=True) if size != 1]
    if [size for size, _ in kept] != [size for size in new if size != 1]:
        raise Unsupported(name, f"from {list(old)} to {list(new)}: more than axes of size 1 change")
    rest = iter(axis for _, axis in kept)
    return replace(seen, axes=tuple(None if size == 1 else next(rest) for size in new))


# Reductions: over the row inside the loop, over leading axes by adding to a result.


@rule(*REDUCTIONS)
def reduction(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    name = name_of(operation)
    seen = scope.see(name, arguments[0])
    if seen.reduced:
        raise Unsupported(name, "a sum of a sum over leading axes")
    places, axes = reduced_places(name, operation, arguments, seen)
    if len(axes) != len(shape_of(operation.result(0))):
        raise Unsupported(name, "a result of a shape that is not understood")
    return reduced(name, scope.layout, seen, shape_of(arguments[0]), places, axes)


def reduced(
    name: str, layout: Layout, seen: Seen, shape: Sequence[int], places: set[int], axes: tuple[int | None, ...]
) -> Seen:
    """The reduction `name` of what has this shape over the axes at `places`; `axes` are its result's in the domain."""
    inner, leading, count = split_places(name, layout, seen, shape, places)
    value = row_reduction(name, layout, seen.value, inner) if inner else seen.value
    if leading:
        left = layout.walked - {axis for axis in axes if axis is not None}
        if REDUCTIONS[name] != "sum" or left != set(leading):
            raise Unsupported(name, "over leading axes, other than as a sum over all that the result lacks")
    if name == "mean" and count != 1:
        value = combine("multiply", [value, constant(1 / count)])
    return Seen(value, axes, bool(leading))


def reduced_places(
    name: str, operation: Any, arguments: Sequence[Any], seen: Seen
) -> tuple[set[int], tuple[int | None, ...]]:
    """Which of the argument's axes the reduction runs over, and the domain's axes of its result."""
    rank = len(seen.axes)
    if name == "reduce_as":
        given, target = shape_of(arguments[0]), shape_of(arguments[1])
        kept = rank - len(target)
        places = {p for p in range(rank) if p < kept or (target[p - kept] == 1 and given[p] != 1)}
        return places, tuple(None if target[p - kept] == 1 else seen.axes[p] for p in range(kept, rank))
    numbers = constant_of(name, arguments[1]) or list(range(rank))
    places = {number % rank for number in numbers}
    keep = bool(operation.attrs()["keepdim"])
    return places, tuple(
        None if place in places else axis for place, axis in enumerate(seen.axes) if keep or place not in places
    )


def split_places(
    name: str, layout: Layout, seen: Seen, shape: Sequence[int], places: set[int]
) -> tuple[list[int], list[int], int]:
    """The domain's axes at `places`, those of the row and the leading ones, and how many numbers they hold."""
    inner, leading, count = [], [], 1
    for place in sorted(places):
        axis, size = seen.axes[place], shape[place]
        if axis is None:
            if size != 1:
                raise Unsupported(name, "over an axis that is broadcast")
            continue
        (inner if axis >= layout.leading else leading).append(axis)
        if name == "mean" and size < 0:
            raise Unsupported(name, "over an axis of unknown size")
        count *= size
    return inner, leading, count


def row_reduction(name: str, layout: Layout, value: Value, inner: Sequence[int]) -> Value:
    if sorted(inner) != layout.varying:
        raise Unsupported(name, "over a part of the row")
    operation = REDUCTIONS[name]  # of "sum" and "max" it is the name itself
    if value.width == 1:  # the same number in the whole row
        return combine("multiply", [value, constant(float(layout.width))]) if operation == "sum" else value
    return Value("reduce_" + operation, (value,), 1, value.axes)


# Parts of the row: slices, and rows put together from parts.


def require_last(name: str, layout: Layout, axis: int, seen: Seen) -> None:
    """Raise Unsupported unless `axis` of `seen` is the last one, and the row."""
    if layout.trailing != 1 or axis % len(seen.axes) != len(seen.axes) - 1 or seen.reduced:
        raise Unsupported(name, "along another axis than the last")


def part_of(seen: Seen, start: int, width: int) -> Seen:
    value = seen.value
    if value.width == 1 or value.width == width:
        return seen
    if value.operation in ("load", "slice"):
        part = Value(value.operation, value.arguments, width, value.axes, value.number, value.offset + start)
    else:
        part = Value("slice", (value,), width, value.axes, offset=start)
    return Seen(part, seen.axes)


def bounds(start: Any, stop: Any, size: int) -> tuple[int, int]:
    first, last, _ = slice(constant_of("slice", start)[0], constant_of("slice", stop)[0]).indices(size)
    return first, last


def sliced_axis(name: str, operation: Any) -> int:
    """The one axis that a slice or its gradient is along."""
    attributes = operation.attrs()
    if attributes["decrease_axis"] or len(attributes["axes"]) != 1:
        raise Unsupported(name, "of several axes, or with an index")
    return int(attributes["axes"][0])


@rule("slice")
def slice_(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    seen = scope.see("slice", arguments[0])
    require_last("slice", scope.layout, sliced_axis("slice", operation), seen)
    size, width = shape_of(arguments[0])[-1], shape_of(operation.result(0))[-1]
    start, _ = bounds(arguments[1], arguments[2], size)
    if width == 1 != size:
        raise Unsupported("slice", "of a single number")
    return part_of(seen, start, width)


@rule("slice_grad")
def slice_grad(scope: Scope, operation: Any, arguments: Sequence[Any]) -> Seen:
    """The slope of a slice: zeros around it."""
    seen, size = scope.see("slice_grad", arguments[1]), shape_of(operation.result(0))[-1]
    require_last("slice_grad", scope.layout, sliced_axis("slice_grad", operation), seen)
    start, stop = bounds(arguments[2], arguments[3], size)
    zero = Value("constant")
    parts = [(zero, start), (seen.value, stop - start), (zero, size - stop)]
    parts = [(value, width) for value, width in parts if width]
    return Seen(joined([value for value, _ in parts], [width for _, width in parts]), seen.axes)


@rule("split")
def split(scope: Scope, _: Any, arguments: Sequence[Any]) -> list[Seen]:
    seen = scope.see("split", arguments[0])
    require_last("split", scope.layout, int(constant_of("split", arguments[2])), seen)
    start, parts = 0, []
    for width in constant_of("split", arguments[1]):
        parts.append(part_of(seen, start, width))
        start += width
    return parts


@rule("concat")
def concat(scope: Scope, _: Any, arguments: Sequence[Any]) -> Seen:
    combined = scope.seen.get(arguments[0].id)
    if not isinstance(combined, list):
        raise Unsupported("concat", "of what is no list of tensors")
    parts = [scope.see("concat", value) for value in combined]
    for part in parts:
        require_last("concat", scope.layout, int(constant_of("concat", arguments[1])), part)
    widths = [shape_of(value)[-1] for value in combined]
    return Seen(joined([part.value for part in parts], widths), parts[0].axes)
