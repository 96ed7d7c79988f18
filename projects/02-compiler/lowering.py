"""From a decomposed PIR program to values: what each tensor is, seen from inside a loop over rows.

All tensors of a kernel are laid over one *domain*, the shape that they broadcast to. Its last axis (or its last few,
where a reduction runs over several) is the *row* that one thread holds in its cache; the axes before it are *leading*,
may be unknown until the kernel runs, and are walked in parallel. Inside the loop a tensor is then a `Value`: so many
numbers of the row (`width`), another set of them for each index of the leading `axes` it varies over.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

TYPES = {"FLOAT32": "float", "BFLOAT16": "bfloat16"}  # of tensors that a kernel reads and writes, with their C types

UNARY = {"exp", "log", "tanh", "erf", "sqrt", "rsqrt", "sigmoid", "abs"}
BINARY = {
    "add", "subtract", "multiply", "divide", "maximum", "minimum",
    "equal", "not_equal", "less_than", "less_equal", "greater_than", "greater_equal",
}  # fmt: skip
COMPARISONS = {"equal", "not_equal", "less_than", "less_equal", "greater_than", "greater_equal"}
SAME_VALUE = {"assign", "cast", "expand", "reshape", "squeeze", "unsqueeze", "share_data"}  # seen from inside the loop
REDUCTIONS = {"sum": "sum", "mean": "sum", "max": "max", "min": "min", "reduce_as": "sum"}
NO_VALUE = {"full", "full_int_array", "shape64", "shape", "data", "shadow_output"}


class Unsupported(Exception):
    """An operator, or a way of using it, that the generator cannot do; `operator` names it."""

    def __init__(self, operator: str, why: str) -> None:
        super().__init__(f"{operator}: {why}")
        self.operator, self.why = operator, why


@dataclass(frozen=True, eq=False)
class Value:
    """`width` numbers (1: a single one) for each index of the leading `axes`.

    `number` is a constant's value or a load's input, `offset` where in the row a load or slice begins.
    """

    operation: str
    arguments: tuple["Value", ...] = ()
    width: int = 1
    axes: frozenset[int] = frozenset()
    number: float = 0
    offset: int = 0

    @property
    def truth(self) -> bool:
        """Whether it is a mask, which C keeps in a type of its own, and not a number."""
        return self.operation in COMPARISONS


@dataclass(frozen=True)
class Tensor:
    """A tensor that a kernel reads or writes: C type, and sizes, where -1-k is the size of leading axis k."""

    type: str
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Result:
    """A value to be written; with `accumulated`, summed over the leading axes that `axes` does not name."""

    value: Value
    tensor: Tensor
    axes: tuple[int, ...]
    width: int
    accumulated: bool


@dataclass(frozen=True)
class Kernel:
    """All that loops.py needs. `axes` says for each leading axis the input, and axis of it, with its size."""

    width: int
    axes: tuple[tuple[int, int], ...]
    inputs: tuple[Tensor, ...]
    input_axes: tuple[tuple[int, ...], ...]  # leading axes over which each input varies
    input_widths: tuple[int, ...]
    results: tuple[Result, ...]


@dataclass
class Seen:
    """A PIR value while it is lowered: its Value, and the domain's axis of each of its axes (None: broadcast)."""

    value: Value
    axes: tuple[int | None, ...]
    reduced: bool = False  # summed over leading axes: can only be written


def name_of(operation: Any) -> str:
    return str(operation.name()).rpartition(".")[2].removesuffix("_")


def shape_of(value: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in value.shape)


def type_of(value: Any) -> str:
    return str(value.dtype).rpartition(".")[2].upper()


def lower(program: Any, inputs: Sequence[Any], outputs: Sequence[Any], spoil: bool = False) -> Kernel:
    """The kernel that computes `outputs` from `inputs`, PIR values of `program`.

    Tries a row of one axis first, then of more. `spoil` doubles every result: the deliberately wrong kernel that shows
    whether a kernel really runs. Raises Unsupported, with the first operator that cannot be lowered.
    """
    rank = max((len(shape_of(value)) for value in [*inputs, *outputs]), default=0) or 1
    first: Unsupported | None = None
    for trailing in range(1, rank + 1):
        try:
            return Lowering(program, inputs, outputs, rank, trailing).kernel(spoil)
        except Unsupported as error:
            first = first or error
    assert first
    raise first


@dataclass
class Lowering:
    """One attempt, with the last `trailing` axes of the domain as the row."""

    program: Any
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    rank: int
    trailing: int
    seen: dict[int, Any] = field(default_factory=dict)
    domain: list[int] = field(default_factory=list)

    def kernel(self, spoil: bool) -> Kernel:
        self.domain = self._domain()
        self.width = math.prod(self.domain[self.leading :])
        if self.width <= 0:
            raise Unsupported("data", "the last axis has to have a fixed size above 0")
        sources = []
        for number, value in enumerate(self.inputs):
            sources.append(self._load(number, value))
        for operation in self.program.global_block().ops:
            if operation.name() not in ("builtin.shadow_output", "pd_op.data"):
                self._operation(operation)
        return Kernel(
            width=self.width,
            axes=tuple(self._source(axis) for axis in range(self.leading)),
            inputs=tuple(self._tensor(value, seen.axes) for value, seen in zip(self.inputs, sources, strict=True)),
            input_axes=tuple(tuple(sorted(seen.value.axes)) for seen in sources),
            input_widths=tuple(seen.value.width for seen in sources),
            results=tuple(self._result(value, spoil) for value in self.outputs),
        )

    @property
    def leading(self) -> int:
        return self.rank - self.trailing

    def _domain(self) -> list[int]:
        domain = [1] * self.rank
        for value in self.inputs:
            shape = shape_of(value)
            for axis, size in enumerate(shape, self.rank - len(shape)):
                if axis == self.rank - 1 and self.trailing == 1:
                    domain[axis] = max(domain[axis], size)  # rows may have parts, of other lengths
                    continue
                if size != 1 and domain[axis] not in (1, size):
                    raise Unsupported("data", f"shapes that do not broadcast: {size} and {domain[axis]}")
                domain[axis] = size if size != 1 else domain[axis]
        return domain

    def _source(self, axis: int) -> tuple[int, int]:
        for number, value in enumerate(self.inputs):
            own = axis - (self.rank - len(shape_of(value)))
            if own >= 0 and shape_of(value)[own] == self.domain[axis]:
                return number, own
        raise Unsupported("data", f"no input has axis {axis}")

    def _load(self, number: int, value: Any) -> Seen:
        if type_of(value) not in TYPES:
            raise Unsupported("data", f"a tensor of {type_of(value).lower()}; float32 and bfloat16 are generated")
        shape = shape_of(value)
        axes = tuple(None if size == 1 else axis for axis, size in enumerate(shape, self.rank - len(shape)))
        inner = [axis for axis in axes if axis is not None and axis >= self.leading]
        varying = [axis for axis in range(self.leading, self.rank) if self.domain[axis] != 1]
        if inner and inner != varying:
            raise Unsupported("data", "a tensor that is broadcast inside the row")
        leading = frozenset(axis for axis in axes if axis is not None and axis < self.leading)
        width = math.prod(shape[len(shape) - self.trailing :]) if inner else 1
        load = Value("load", width=width, axes=leading, number=number)
        seen = self.seen[value.id] = Seen(load, axes)
        return seen

    def _tensor(self, value: Any, axes: tuple[int | None, ...]) -> Tensor:
        sizes = [
            size if axis is None or axis >= self.leading else -1 - axis
            for axis, size in zip(axes, shape_of(value), strict=True)
        ]
        return Tensor(TYPES[type_of(value)], tuple(sizes))

    def _result(self, value: Any, spoil: bool) -> Result:
        seen = self.seen.get(value.id)
        if not isinstance(seen, Seen):
            raise Unsupported("output", "not a tensor of the kernel")
        if type_of(value) not in TYPES:
            raise Unsupported("output", f"a result of {type_of(value).lower()}; float32 and bfloat16 are generated")
        axes = tuple(axis for axis in seen.axes if axis is not None and axis < self.leading)
        width = math.prod(
            size for axis, size in zip(seen.axes, shape_of(value), strict=True) if axis is None or axis >= self.leading
        )
        walked = {axis for axis in range(self.leading) if self.domain[axis] != 1}
        if not seen.reduced and walked - set(axes):
            raise Unsupported("output", "a result that is smaller than what it is computed beside")
        if list(axes) != sorted(axes) or width not in (seen.value.width, self.width, 1) or width < seen.value.width:
            raise Unsupported("output", "a result in another order than its sources")
        inner = seen.value
        if spoil:
            inner = Value("multiply", (inner, Value("constant", number=2.0)), inner.width, inner.axes)
        return Result(inner, self._tensor(value, seen.axes), axes, width, seen.reduced)

    # From here on: one PIR operation after the other.

    def _operation(self, operation: Any) -> None:
        name = name_of(operation)
        arguments = [operand.source() for operand in operation.operands()]
        if operation.name() == "builtin.combine":
            self.seen[operation.result(0).id] = list(arguments)
            return
        if operation.name() == "builtin.split":
            for result, part in zip(operation.results(), self.seen[arguments[0].id], strict=True):
                self.seen[result.id] = part
            return
        if name == "full":
            self._full(operation)
            return
        if name in NO_VALUE:
            return
        result = operation.result(0)
        if name == "split":
            self._split(operation, arguments)
        elif name in UNARY | BINARY:
            self.seen[result.id] = self._elementwise(name, name, [self._see(name, value) for value in arguments])
        elif name in SAME_VALUE:
            seen = self._see(name, arguments[0], truth=True)
            if name == "cast":
                seen = self._cast(seen, result)
            self.seen[result.id] = self._same_value(name, seen, arguments[0], result)
        elif name in REDUCTIONS:
            self.seen[result.id] = self._reduction(name, operation, arguments)
        elif name in STRUCTURES:
            self.seen[result.id] = STRUCTURES[name](self, operation, arguments)
        else:
            raise Unsupported(name, "no rule for it")
        if name != "split" and type_of(result) not in {*TYPES, "BOOL"}:
            raise Unsupported(name, f"a result of {type_of(result).lower()}")

    def _see(self, name: str, value: Any, truth: bool = False) -> Seen:
        """What `value` is; a truth value only where the operator can take one."""
        seen = self.seen.get(value.id)
        if not isinstance(seen, Seen):
            raise Unsupported(name, "an argument that is no tensor of the kernel")
        if seen.value.truth and not truth:
            raise Unsupported(name, "a truth value in place of a number")
        return seen

    def _full(self, operation: Any) -> None:
        result = operation.result(0)
        shape = shape_of(result)
        axes = tuple(None if size == 1 else axis for axis, size in enumerate(shape, self.rank - len(shape)))
        number = operation.attrs()["value"]
        self.seen[result.id] = Seen(Value("constant", number=float(number)), axes)

    def _elementwise(self, name: str, operation: str, arguments: Sequence[Seen]) -> Seen:
        if any(argument.reduced for argument in arguments):
            raise Unsupported(name, "it uses a sum over leading axes, which is known only after the last row")
        rank = max(len(argument.axes) for argument in arguments)
        axes: list[int | None] = [None] * rank
        for argument in arguments:
            for place, axis in enumerate(argument.axes, rank - len(argument.axes)):
                if axis is not None and axes[place] not in (None, axis):
                    raise Unsupported(name, "two tensors whose axes lie across each other")
                axes[place] = axes[place] if axis is None else axis
        values = [argument.value for argument in arguments]
        return Seen(combine(operation, values), tuple(axes))

    def _cast(self, seen: Seen, after: Any) -> Seen:
        """Between the types of numbers nothing changes, all is computed in float32; a truth value becomes 1 or 0."""
        zero, one = (Seen(Value("constant", number=number), ()) for number in (0.0, 1.0))
        if type_of(after) == "BOOL":
            return seen if seen.value.truth else self._elementwise("cast", "not_equal", [seen, zero])
        return self._elementwise("cast", "where", [seen, one, zero]) if seen.value.truth else seen

    def _same_value(self, name: str, seen: Seen, before: Any, after: Any) -> Seen:
        """Shapes that differ by axes of size 1 or by broadcasting."""
        old, new = shape_of(before), shape_of(after)
        if old == new:
            return Seen(seen.value, seen.axes, seen.reduced)
        if name == "expand":
            start = self.rank - len(new)
            axes = list[int | None](None if size == 1 else axis for axis, size in enumerate(new, start))
            for place, axis in enumerate(seen.axes, len(new) - len(old)):
                if axis is not None and axes[place] != axis:
                    raise Unsupported(name, "two tensors whose axes lie across each other")
            return Seen(seen.value, tuple(axes), seen.reduced)
        kept = [(size, axis) for size, axis in zip(old, seen.axes, strict=True) if size != 1]
        if [size for size, _ in kept] != [size for size in new if size != 1]:
            raise Unsupported(name, f"from {list(old)} to {list(new)}: more than axes of size 1 change")
        rest = iter(axis for _, axis in kept)
        return Seen(seen.value, tuple(None if size == 1 else next(rest) for size in new), seen.reduced)

    def _reduction(self, name: str, operation: Any, arguments: Sequence[Any]) -> Seen:
        seen = self._see(name, arguments[0])
        if seen.reduced:
            raise Unsupported(name, "a sum of a sum over leading axes")
        rank, result = len(seen.axes), shape_of(operation.result(0))
        if name == "reduce_as":
            target = shape_of(arguments[1])
            given, kept = shape_of(arguments[0]), rank - len(target)
            places = {p for p in range(rank) if p < kept or (target[p - kept] == 1 and given[p] != 1)}
            keep = False
            axes = tuple(None if target[p - kept] == 1 else seen.axes[p] for p in range(kept, rank))
        else:
            numbers = constant_of(name, arguments[1]) or list(range(rank))
            places = {number % rank for number in numbers}
            keep = bool(operation.attrs()["keepdim"])
            axes = tuple(
                None if place in places else axis for place, axis in enumerate(seen.axes) if keep or place not in places
            )
        if len(axes) != len(result):
            raise Unsupported(name, "a result of a shape that is not understood")
        shape = shape_of(arguments[0])
        inner, leading, count = [], [], 1
        for place in sorted(places):
            axis, size = seen.axes[place], shape[place]
            if axis is None:
                if size != 1:
                    raise Unsupported(name, "over an axis that is broadcast")
                continue
            (inner if axis >= self.leading else leading).append(axis)
            if name == "mean" and size < 0:
                raise Unsupported(name, "over an axis of unknown size")
            count *= size
        value = seen.value
        if inner:
            value = self._row_reduction(name, value, inner)
        if leading:
            walked = {axis for axis in range(self.leading) if self.domain[axis] != 1}
            if REDUCTIONS[name] != "sum" or walked - {axis for axis in axes if axis is not None} != set(leading):
                raise Unsupported(name, "over leading axes, other than as a sum over all that the result lacks")
        if name == "mean" and count != 1:
            value = combine("multiply", [value, Value("constant", number=1 / count)])
        return Seen(value, axes, bool(leading))

    def _row_reduction(self, name: str, value: Value, inner: Sequence[int]) -> Value:
        varying = [axis for axis in range(self.leading, self.rank) if self.domain[axis] != 1]
        if sorted(inner) != varying:
            raise Unsupported(name, "over a part of the row")
        operation = REDUCTIONS[name]
        if value.width == 1:  # the same number in the whole row
            times = Value("constant", number=float(self.width))
            return combine("multiply", [value, times]) if operation == "sum" else value
        return Value("reduce_" + operation, (value,), 1, value.axes)

    # Parts of the row: slices, and rows put together from parts.

    def _last(self, name: str, axis: int, seen: Seen) -> None:
        if self.trailing != 1 or axis % len(seen.axes) != len(seen.axes) - 1 or seen.reduced:
            raise Unsupported(name, "along another axis than the last")

    def _part(self, seen: Seen, start: int, width: int) -> Seen:
        value = seen.value
        if value.width == 1 or value.width == width:
            return seen
        if value.operation in ("load", "slice"):
            part = Value(value.operation, value.arguments, width, value.axes, value.number, value.offset + start)
        else:
            part = Value("slice", (value,), width, value.axes, offset=start)
        return Seen(part, seen.axes)

    def _slice(self, operation: Any, arguments: Sequence[Any]) -> Seen:
        seen, attributes = self._see("slice", arguments[0]), operation.attrs()
        if attributes["decrease_axis"] or len(attributes["axes"]) != 1:
            raise Unsupported("slice", "of several axes, or with an index")
        self._last("slice", attributes["axes"][0], seen)
        size = shape_of(arguments[0])[-1]
        start, _ = bounds(arguments[1], arguments[2], size)
        width = shape_of(operation.result(0))[-1]
        if width == 1 != size:
            raise Unsupported("slice", "of a single number")
        return self._part(seen, start, width)

    def _split(self, operation: Any, arguments: Sequence[Any]) -> None:
        seen = self._see("split", arguments[0])
        self._last("split", int(constant_of("split", arguments[2])), seen)
        start, parts = 0, []
        for width in constant_of("split", arguments[1]):
            parts.append(self._part(seen, start, width))
            start += width
        self.seen[operation.result(0).id] = parts

    def _concat(self, operation: Any, arguments: Sequence[Any]) -> Seen:
        combined = self.seen.get(arguments[0].id)
        if not isinstance(combined, list):
            raise Unsupported("concat", "of what is no list of tensors")
        parts = [self._see("concat", value) for value in combined]
        for part in parts:
            self._last("concat", int(constant_of("concat", arguments[1])), part)
        widths = [shape_of(value)[-1] for value in combined]
        return Seen(joined([part.value for part in parts], widths), parts[0].axes)

    def _slice_grad(self, operation: Any, arguments: Sequence[Any]) -> Seen:
        """The slope of a slice: zeros around it."""
        seen, size = self._see("slice_grad", arguments[1]), shape_of(operation.result(0))[-1]
        attributes = operation.attrs()
        if attributes["decrease_axis"] or len(attributes["axes"]) != 1:
            raise Unsupported("slice_grad", "of several axes, or with an index")
        self._last("slice_grad", attributes["axes"][0], seen)
        start, stop = bounds(arguments[2], arguments[3], size)
        zero = Value("constant")
        parts = [(zero, start), (seen.value, stop - start), (zero, size - stop)]
        parts = [(value, width) for value, width in parts if width]
        return Seen(joined([value for value, _ in parts], [width for _, width in parts]), seen.axes)

    def _scale(self, operation: Any, arguments: Sequence[Any]) -> Seen:
        seen, attributes = self._see("scale", arguments[0]), operation.attrs()
        factor = Value("constant", number=float(constant_of("scale", arguments[1])))
        bias = Value("constant", number=float(attributes["bias"]))
        if seen.reduced:
            raise Unsupported("scale", "it uses a sum over leading axes, which is known only after the last row")
        if attributes["bias_after_scale"]:
            return Seen(combine("add", [combine("multiply", [seen.value, factor]), bias]), seen.axes)
        return Seen(combine("multiply", [combine("add", [seen.value, bias]), factor]), seen.axes)

    def _where(self, _: Any, arguments: Sequence[Any]) -> Seen:
        condition = self._see("where", arguments[0], truth=True)
        if not condition.value.truth:
            raise Unsupported("where", "a condition that no comparison computes")
        return self._elementwise("where", "where", [condition, *(self._see("where", value) for value in arguments[1:])])

    def _add_n(self, _: Any, arguments: Sequence[Any]) -> Seen:
        terms = [self._see("add_n", value) for value in self.seen[arguments[0].id]]
        total = terms[0]
        for term in terms[1:]:
            total = self._elementwise("add_n", "add", [total, term])
        return total

    def _relu(self, _: Any, arguments: Sequence[Any]) -> Seen:
        zero = Seen(Value("constant"), ())
        return self._elementwise("relu", "maximum", [self._see("relu", arguments[0]), zero])

    def _square(self, _: Any, arguments: Sequence[Any]) -> Seen:
        seen = self._see("square", arguments[0])
        return self._elementwise("square", "multiply", [seen, seen])

    def _silu(self, _: Any, arguments: Sequence[Any]) -> Seen:
        seen = self._see("silu", arguments[0])
        return self._elementwise("silu", "multiply", [seen, self._elementwise("silu", "sigmoid", [seen])])


STRUCTURES: dict[str, Callable[[Lowering, Any, Sequence[Any]], Seen]] = {
    "slice": Lowering._slice,
    "concat": Lowering._concat,
    "slice_grad": Lowering._slice_grad,
    "scale": Lowering._scale,
    "where": Lowering._where,
    "add_n": Lowering._add_n,
    "relu": Lowering._relu,
    "square": Lowering._square,
    "silu": Lowering._silu,
}


def constant_of(name: str, value: Any) -> Any:
    """The number or list that a PIR value holds; raises Unsupported if it is computed at run time."""
    definition = value.get_defining_op()
    if definition is None or name_of(definition) not in ("full", "full_int_array"):
        raise Unsupported(name, "an axis, size or factor that is known only at run time")
    return definition.attrs()["value"]


def bounds(start: Any, stop: Any, size: int) -> tuple[int, int]:
    first, last, _ = slice(constant_of("slice", start)[0], constant_of("slice", stop)[0]).indices(size)
    return first, last


def combine(operation: str, arguments: Sequence[Value]) -> Value:
    """The elementwise value. Multiplying by 1 and adding 0 are left out; a row is divided by a single number as it is
    multiplied by its inverse, which is far quicker and a rounding less exact."""
    if operation in ("add", "multiply") and len(arguments) == 2:
        neutral = {"add": 0.0, "multiply": 1.0}[operation]
        for one, other in (arguments, arguments[::-1]):
            if one.operation == "constant" and one.number == neutral:
                return other
    if (
        operation == "divide"
        and arguments[1].width == 1
        and (arguments[0].width > 1 or arguments[1].operation == "constant")
    ):
        divisor = arguments[1]
        if divisor.operation == "constant" and divisor.number:
            inverse = Value("constant", number=1 / divisor.number)
        else:
            inverse = Value("divide", (Value("constant", number=1.0), divisor), 1, divisor.axes)
        return combine("multiply", [arguments[0], inverse])
    widths = {argument.width for argument in arguments if argument.width != 1}
    if len(widths) > 1:
        raise Unsupported(operation, "rows of different lengths")
    axes = frozenset[int]().union(*(argument.axes for argument in arguments))
    return Value(operation, tuple(arguments), max(widths, default=1), axes)


def joined(values: Sequence[Value], widths: Sequence[int]) -> Value:
    """A row put together from parts of these `widths`; a part that is one number is repeated."""
    offset, parts = 0, []
    for value, width in zip(values, widths, strict=True):
        parts.append(Value("part", (value,), width, value.axes, offset=offset))
        offset += width
    axes = frozenset[int]().union(*(value.axes for value in values))
    return Value("concat", tuple(parts), offset, axes)
