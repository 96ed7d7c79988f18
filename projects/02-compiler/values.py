"""What a kernel computes, without a word of PIR: values seen from inside a loop over rows.

All tensors of a kernel are laid over one *domain*, the shape that they broadcast to. Its last axis (or its last few,
where a reduction runs over several) is the *row* that one thread holds in its cache; the axes before it are *leading*,
may be unknown until the kernel runs, and are walked in parallel. Inside the loop a tensor is then a `Value`: so many
numbers of the row (`width`), another set of them for each index of the leading `axes` it varies over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

COMPARISONS = {"equal", "not_equal", "less_than", "less_equal", "greater_than", "greater_equal"}
LOGIC = {"logical_and", "logical_or", "logical_not"}
TRUTHS = {*COMPARISONS, *LOGIC, "isnan", "isfinite"}  # operators whose results are truth values


class Unsupported(Exception):
    """An operator, or a way of using it, that the generator cannot do; `operator` names it."""

    def __init__(self, operator: str, why: str) -> None:
        super().__init__(f"{operator}: {why}")
        self.operator, self.why = operator, why


@dataclass(frozen=True, eq=False)
class Value:
    """`width` numbers (1: a single one) for each index of the leading `axes`.

    `number` is a constant's value or a load's input, `offset` where in the row a load or slice begins. An `index` is
    0, 1, 2 … along the row.
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
        return self.operation in COMPARISONS | LOGIC


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

    @property
    def wide(self) -> bool:
        """Whether it computes in float64."""
        return any(tensor.type == "double" for tensor in (*self.inputs, *(result.tensor for result in self.results)))


def constant(number: float) -> Value:
    return Value("constant", number=number)


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
            inverse = constant(1 / divisor.number)
        else:
            inverse = Value("divide", (constant(1.0), divisor), 1, divisor.axes)
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
