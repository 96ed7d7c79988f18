"""Where the tensors of a kernel lie: the domain over which they broadcast, its row, and its leading axes.

A Scope holds what was seen of a program so far: all that the rules of operators know.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from values import Result, Tensor, Unsupported, Value, combine, constant

# Of tensors that a kernel reads and writes, with their C types.
TYPES = {"FLOAT32": "float", "BFLOAT16": "bfloat16", "FLOAT64": "double"}
READ = {**TYPES, "BOOL": "uint8_t", "INT64": "int64_t"}  # and of those that it reads


@dataclass
class Seen:
    """A PIR value while it is lowered: its Value, and the domain's axis of each of its axes (None: broadcast)."""

    value: Value
    axes: tuple[int | None, ...]
    reduced: bool = False  # summed over leading axes: can only be written
    whole: bool = False  # whole numbers, of which a float32 holds those below 2^24: can only be compared


def name_of(operation: Any) -> str:
    return str(operation.name()).rpartition(".")[2].removesuffix("_")


def shape_of(value: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in value.shape)


def type_of(value: Any) -> str:
    return str(value.dtype).rpartition(".")[2].upper()


class Layout:
    """The domain of the PIR values `inputs`, with `rank` axes of which the last `trailing` are the row.

    `starts` are the axes with which they begin: one of fewer axes ends with the domain, as Paddle broadcasts, or lies
    over others, as labels, channels and the slopes of sums do; rules refuse what does not meet. Raises Unsupported if
    they do not fit, or the row's size is not known.
    """

    def __init__(self, inputs: Sequence[Any], rank: int, trailing: int, starts: Sequence[int]) -> None:
        self.inputs, self.rank, self.trailing, self.starts = inputs, rank, trailing, starts
        self.leading = rank - trailing
        kinds = {type_of(value) for value in inputs} & {*TYPES}
        self.wide = "FLOAT64" in kinds
        if self.wide and len(kinds) > 1:
            raise Unsupported("data", "float64 beside numbers of another type")
        self.domain = self._domain()
        self.width = math.prod(self.domain[self.leading :])

    def _domain(self) -> list[int]:
        domain = [1] * self.rank
        for value, start in zip(self.inputs, self.starts, strict=True):
            for axis, size in enumerate(shape_of(value), start):
                if axis >= self.leading and size <= 0:
                    raise Unsupported("data", "the last axis has to have a fixed size above 0")
                if axis == self.rank - 1 and self.trailing == 1:
                    domain[axis] = max(domain[axis], size)  # rows may have parts, of other lengths
                    continue
                if size != 1 and domain[axis] not in (1, size):
                    raise Unsupported("data", f"shapes that do not broadcast: {size} and {domain[axis]}")
                domain[axis] = size if size != 1 else domain[axis]
        return domain

    @property
    def walked(self) -> set[int]:
        """The leading axes that have more than one index, or a number of them that is not known yet."""
        return {axis for axis in range(self.leading) if self.domain[axis] != 1}

    @property
    def varying(self) -> list[int]:
        """The same of the row's axes."""
        return [axis for axis in range(self.leading, self.rank) if self.domain[axis] != 1]

    def axes_of(self, shape: Sequence[int], start: int | None = None) -> tuple[int | None, ...]:
        """The domain's axis of each axis of a tensor of this shape, laid over the domain's end, or from `start` on."""
        start = self.rank - len(shape) if start is None else start
        return tuple(None if size == 1 else axis for axis, size in enumerate(shape, start))

    def source(self, axis: int) -> tuple[int, int]:
        """The input, and axis of it, that has the size of this leading axis."""
        for number, value in enumerate(self.inputs):
            own = axis - self.starts[number]
            if 0 <= own < len(shape_of(value)) and shape_of(value)[own] == self.domain[axis]:
                return number, own
        raise Unsupported("data", f"no input has axis {axis}")

    def load(self, number: int, value: Any) -> Seen:
        """The input of this number, as it is read inside the loop."""
        if type_of(value) not in READ:
            raise Unsupported(
                "data", f"a tensor of {type_of(value).lower()}; float32, bfloat16 and float64 are generated"
            )
        shape = shape_of(value)
        axes = self.axes_of(shape, self.starts[number])
        inner = [axis for axis in axes if axis is not None and axis >= self.leading]
        if inner and inner != self.varying:
            raise Unsupported("data", "a tensor that is broadcast inside the row")
        leading = frozenset(axis for axis in axes if axis is not None and axis < self.leading)
        width = math.prod(size for size, axis in zip(shape, axes, strict=True) if axis in inner)
        loaded, whole = Value("load", width=width, axes=leading, number=number), type_of(value) == "INT64"
        if whole and width > 1:
            raise Unsupported("data", "whole numbers along the row")
        if type_of(value) == "BOOL":
            loaded = combine("not_equal", [loaded, constant(0)])
        return Seen(loaded, axes, whole=whole)

    def tensor(self, value: Any, axes: tuple[int | None, ...]) -> Tensor:
        """What the kernel has to know of a PIR value that it reads or writes."""
        sizes = [
            size if axis is None or axis >= self.leading else -1 - axis
            for axis, size in zip(axes, shape_of(value), strict=True)
        ]
        return Tensor(READ[type_of(value)], tuple(sizes))

    def result(self, value: Any, seen: Seen, spoil: bool) -> Result:
        """How a PIR value is written that was seen like this; doubled if `spoil`."""
        if type_of(value) not in TYPES:
            raise Unsupported(
                "output", f"a result of {type_of(value).lower()}; float32, bfloat16 and float64 are generated"
            )
        axes = tuple(axis for axis in seen.axes if axis is not None and axis < self.leading)
        width = math.prod(
            size for axis, size in zip(seen.axes, shape_of(value), strict=True) if axis is None or axis >= self.leading
        )
        if not seen.reduced and self.walked - set(axes):
            raise Unsupported("output", "a result that is smaller than what it is computed beside")
        if list(axes) != sorted(axes) or width not in (seen.value.width, self.width, 1) or width < seen.value.width:
            raise Unsupported("output", "a result in another order than its sources")
        inner = seen.value
        if spoil:
            inner = Value("multiply", (inner, Value("constant", number=2.0)), inner.width, inner.axes)
        return Result(inner, self.tensor(value, seen.axes), axes, width, seen.reduced)


class Scope:
    """All that a rule knows: the layout, and in `seen` what each PIR value is: a Seen, or a list of values or Seens."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.seen: dict[int, Any] = {}

    def see(self, name: str, value: Any, truth: bool = False, whole: bool = False) -> Seen:
        """What `value` is; a truth value or whole numbers only where the operator `name` can take them."""
        seen = self.seen.get(value.id)
        if not isinstance(seen, Seen):
            raise Unsupported(name, "an argument that is no tensor of the kernel")
        if seen.value.truth and not truth:
            raise Unsupported(name, "a truth value in place of a number")
        if seen.whole and not whole:
            raise Unsupported(name, "arithmetic on whole numbers; they are only compared")
        return seen
