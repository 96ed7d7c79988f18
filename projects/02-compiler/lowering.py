"""Lowering: from a decomposed PIR program to the values of a kernel (values.py), operator by operator.

layout.py says where its tensors lie, operators.py has a rule for each operator.
"""

from collections.abc import Iterator, Sequence
from itertools import islice, product
from typing import Any

import composites  # noqa: F401  its rules are entered when it is imported
from layout import TYPES, Layout, Scope, Seen, name_of, shape_of, type_of
from operators import RULES
from values import Kernel, Unsupported

MOST_PLACEMENTS = 16  # that are tried
NO_VALUE = {"full_int_array", "shape64", "shape", "data", "shadow_output"}


def lower(program: Any, inputs: Sequence[Any], outputs: Sequence[Any], spoil: bool = False) -> Kernel:
    """The kernel that computes `outputs` from `inputs`, PIR values of `program`.

    Tries a row of one axis first, then of more, with inputs of fewer axes over the domain's end first, then elsewhere.
    `spoil` doubles every result: the deliberately wrong kernel that shows whether a kernel really runs. Raises
    Unsupported, with the first operator that cannot be lowered.
    """
    rank = max((len(shape_of(value)) for value in [*inputs, *outputs]), default=0) or 1
    first: Unsupported | None = None
    for trailing in range(1, rank + 1):
        for placed in placements(inputs, rank):
            try:
                return Lowering(Layout(inputs, rank, trailing, placed)).kernel(program, outputs, spoil)
            except Unsupported as error:
                first = first or error
    assert first
    raise first


def placements(inputs: Sequence[Any], rank: int) -> Iterator[tuple[int, ...]]:
    """For each input the axis of the domain with which it begins: so that it ends with the domain, or elsewhere where
    its sizes are a larger input's. Those of one shape and type move together."""
    kinds = [(shape_of(value), type_of(value)) for value in inputs]
    larger = [shape for shape, _ in kinds if len(shape) == rank]

    def starts(shape: tuple[int, ...]) -> list[int]:
        last, length = rank - len(shape), len(shape)
        fits = [start for start in range(last) if any(whole[start : start + length] == shape for whole in larger)]
        return [last, *(fits if shape else [])]

    choices = {kind: starts(kind[0]) for kind in kinds}
    for chosen in islice(product(*choices.values()), MOST_PLACEMENTS):
        start = dict(zip(choices, chosen, strict=True))
        yield tuple(start[kind] for kind in kinds)


class Lowering(Scope):
    """One attempt, with one layout."""

    def kernel(self, program: Any, outputs: Sequence[Any], spoil: bool) -> Kernel:
        layout, sources = self.layout, []
        for number, value in enumerate(layout.inputs):
            self.seen[value.id] = layout.load(number, value)
            sources.append(self.seen[value.id])
        for operation in program.global_block().ops:
            if operation.name() not in ("builtin.shadow_output", "pd_op.data"):
                self._operation(operation)
        return Kernel(
            width=layout.width,
            axes=tuple(layout.source(axis) for axis in range(layout.leading)),
            inputs=tuple(layout.tensor(value, seen.axes) for value, seen in zip(layout.inputs, sources, strict=True)),
            input_axes=tuple(tuple(sorted(seen.value.axes)) for seen in sources),
            input_widths=tuple(seen.value.width for seen in sources),
            results=tuple(layout.result(value, self.see("output", value, truth=True), spoil) for value in outputs),
        )

    def _operation(self, operation: Any) -> None:
        name = name_of(operation)
        arguments = [operand.source() for operand in operation.operands()]
        if operation.name() == "builtin.combine":
            self.seen[operation.result(0).id] = list(arguments)
        elif operation.name() == "builtin.split":
            for result, part in zip(operation.results(), self.seen[arguments[0].id], strict=True):
                self.seen[result.id] = part
        elif name in NO_VALUE:
            return
        elif name not in RULES:
            raise Unsupported(name, "no rule for it")
        else:
            self._keep(name, operation, RULES[name](self, operation, arguments))

    def _keep(self, name: str, operation: Any, seen: Any) -> None:
        """Note what an operator's results are seen as: all of them in a list, but for a list that is one result."""
        results = [(operation.result(0), seen)]
        if isinstance(seen, list) and operation.num_results() > 1:
            results = list(zip(operation.results(), seen, strict=True))
        for result, one in results:
            self.seen[result.id] = one
            whole = isinstance(one, Seen) and one.whole
            if name in ("split", "full"):
                continue
            if type_of(result) in TYPES and (type_of(result) == "FLOAT64") != self.layout.wide:
                raise Unsupported(name, "float64 beside numbers of another type")
            if type_of(result) not in {*TYPES, "BOOL"} and not whole:
                raise Unsupported(name, f"a result of {type_of(result).lower()}")
