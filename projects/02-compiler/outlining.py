"""Outlining: a group of operators cut out of a PIR program, as a small decomposed program of its own.

Paddle decomposes it, and differentiates it too: the gradient's program begins from the group's inputs and recomputes
what it needs, so that nothing is kept in memory between forward and backward.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import paddle
from layout import name_of
from paddle import pir
from tracing import decomposing, remove_unused, static_mode
from values import Unsupported

# Not taken apart: of a label that is no class, its parts would make a row of zeros.
WHOLE = frozenset({"pd_op.one_hot"})


class Group:
    """A group of `operations` and the PIR values that go in and come out."""

    def __init__(self, program: Any, operations: Sequence[Any], targets: Sequence[Any]) -> None:
        self.operations = list(operations)
        inside = {result.id for operation in operations for result in operation.results()}
        self.constants = constants_for(operations, inside)
        copied = {result.id for operation in self.constants for result in operation.results()}
        inputs: dict[int, Any] = {}
        for operation in operations:
            for operand in operation.operands():
                value = operand.source()
                if value.initialized() and value.id not in inside | copied:
                    inputs.setdefault(value.id, value)
        self.variable = [value for value in inputs.values() if not value.stop_gradient]
        self.inputs = [*self.variable, *(value for value in inputs.values() if value.stop_gradient)]
        numbers = {operation.id() for operation in operations}
        self.outputs = [
            result
            for operation in operations
            for result in operation.results()
            if any(target.is_same(result) for target in targets)
            or any(user.id() not in numbers for user in result.all_used_ops())
        ]
        self.text = "\n".join(str(operation) for operation in operations)

    @property
    def differentiable(self) -> bool:
        return bool(self.variable)

    def place(self, program: Any) -> Any:
        """The operator of `program` before which a kernel in the group's place has to stand.

        It comes after all that the group takes, and before all that takes from it. Raises Unsupported if there is none.
        """
        order = {operation.id(): place for place, operation in enumerate(program.global_block().ops)}
        own = {operation.id() for operation in self.operations}
        users = [user for output in self.outputs for user in output.all_used_ops() if user.id() not in own]
        if any(user.id() not in order for user in users):
            raise Unsupported("data", "a result that a branch or loop takes")
        first = min([self.operations[-1], *users], key=lambda operation: order[operation.id()])
        sources = [value.get_defining_op() for value in self.inputs]
        if any(order[source.id()] >= order[first.id()] for source in sources):
            raise Unsupported("data", "an operator of Paddle's takes from it before all is there that it takes itself")
        return first

    @contextmanager
    def program_of(self, gradient: bool) -> Iterator[tuple[Any, list[Any], list[Any]]]:
        """The group as a decomposed program of its own, or its gradient's: program, inputs, outputs."""
        program = paddle.static.Program()
        mapping = pir.IrMapping()
        with static_mode(program), decomposing():
            inputs = [self._data(f"input{number}", value) for number, value in enumerate(self.inputs)]
            for old, new in zip(self.inputs, inputs, strict=True):
                new.stop_gradient = old.stop_gradient
                mapping.add(old, new)
            for operation in [*self.constants, *self.operations]:
                operation.clone(mapping, pir.CloneOptions(False, True, True))
            outputs = [mapping.look_up(value) for value in self.outputs]
            if gradient:
                slopes = [self._data(f"slope{number}", value) for number, value in enumerate(outputs)]
                variable = inputs[: len(self.variable)]
                try:
                    outputs = paddle.autograd.ir_backward.grad(outputs, variable, slopes, allow_unused=True)
                except Exception as error:
                    raise Unsupported("gradient", str(error).strip().splitlines()[-1]) from None
                outputs = [
                    zeros_like(one) if found is None else found for one, found in zip(variable, outputs, strict=True)
                ]
                inputs = [*inputs, *slopes]
            outputs = paddle.decomposition.decompose(program, list(outputs), blacklist=WHOLE)
            remove_unused(program, outputs)
            yield program, inputs, outputs

    @staticmethod
    def _data(name: str, value: Any) -> Any:
        return paddle.static.data(name, value.shape, value.dtype)


def zeros_like(value: Any) -> Any:
    """The gradient of a value that no result depends on."""
    if any(size < 0 for size in value.shape):
        raise Unsupported("gradient", "of an input of unknown size that does not reach a result")
    return paddle.zeros(value.shape, value.dtype)


def constants_for(operations: Sequence[Any], inside: set[int]) -> list[Any]:
    """The constants that `operations` use, however indirectly, each once and in order."""
    found: dict[int, Any] = {}

    def visit(operation: Any) -> None:
        for operand in operation.operands():
            definition = operand.source().get_defining_op() if operand.source().initialized() else None
            if definition is not None and name_of(definition) in ("full", "full_int_array"):
                found.setdefault(definition.id(), definition)

    for operation in operations:
        visit(operation)
    return list(found.values())
