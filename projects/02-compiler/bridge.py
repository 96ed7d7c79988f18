"""Out of a PIR program and back into it: which operators become one kernel, and the kernel in their place.

A group is cut out of the program as a small program of its own. Paddle decomposes it, and differentiates it too:
the gradient's program begins from the group's inputs and recomputes what it needs, so that nothing is kept in memory
between forward and backward. Both are lowered, scheduled, emitted and compiled; one custom operator with the kernels'
paths as its attributes takes the group's place, before Paddle appends the backward pass to the whole program.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import emission
import loops
import lowering
import paddle
import toolchain
from lowering import Unsupported, name_of
from paddle import pir

CONSTANTS = {"full", "full_int_array", "shape64", "shape"}  # copied into every group that needs them
IDLE = CONSTANTS | {
    "data",
    "shadow_output",
    "combine",
    "split",
    *lowering.SAME_VALUE,
    "slice",
    "concat",
}  # no arithmetic
OPERATOR = "generated_kernel_{}_{}"  # the names under which carrier.cc registers it, by inputs and results
MOST_INPUTS, MOST_RESULTS = 12, 4


@dataclass
class Generated:
    """A group's kernel, or its gradient's: the programs it came from, its C source and its shared object."""

    name: str
    before: str
    grouped: Counter[str]
    decomposed: str
    operations: Counter[str]
    loops: str
    passes: int
    source: str
    library: toolchain.Library


@dataclass
class Report:
    """What the generator did with a program."""

    program: str = ""
    operations: Counter[str] = field(default_factory=Counter)
    rewritten: str = ""
    seconds: Counter[str] = field(default_factory=Counter)  # by stage: groups, decomposed, loops
    forward: list[Generated] = field(default_factory=list)
    backward: list[Generated] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)  # operators that stay with Paddle, and why


class Generator:
    """A hook for to_static's partial programs; `report` says what it did.

    `spoil` makes every kernel wrong on purpose (its results are doubled): if the output does not change with it, the
    kernels do not run.
    """

    def __init__(self, name: str = "kernel", gradients: bool = True, spoil: bool = False) -> None:
        self.name, self.gradients, self.spoil = re.sub(r"\W", "_", name), gradients, spoil
        self.report = Report()

    def before_append_backward(self, program: Any, targets: Sequence[Any]) -> tuple[Any, list[Any]]:
        self.report.program = str(program)
        self.report.operations = Counter(short(operation.name() for operation in program.global_block().ops))
        targets = self.rewrite(program, list(targets))
        self.report.rewritten = str(program)
        return program, targets

    def after_append_backward(
        self, program: Any, inputs: Any, targets: Any, slopes: Any, forward_end: int, backward_start: int
    ) -> tuple[Any, int, Any]:
        return program, forward_end, targets

    def after_infer(self, program: Any) -> None:
        """The program of inference is not the one that is run."""

    def rewrite(self, program: Any, targets: list[Any]) -> list[Any]:
        """Put kernels into `program`; returns its targets, some of which kernels now compute."""
        block = program.global_block()
        started = time.perf_counter()
        groups = self._groups(program, targets)
        self.report.seconds["groups"] += time.perf_counter() - started
        for number, group in enumerate(groups):
            cut = Cut(program, group, targets)
            results = self._insert(program, cut, self._generate(f"{self.name}_{number}", cut))
            for old, new in zip(cut.outputs, results, strict=True):
                targets = [new if target.is_same(old) else target for target in targets]
                old.replace_all_uses_with(new)
            for operation in reversed(group):
                block.remove_op(operation)
        for operation in reversed(list(block.ops)):
            if name_of(operation) in CONSTANTS and all(result.use_empty() for result in operation.results()):
                block.remove_op(operation)
        return targets

    # Groups.

    def _groups(self, program: Any, targets: Sequence[Any]) -> list[list[Any]]:
        """The operators to generate, in lists that are each one kernel; notes what is left and why."""
        candidates = []
        for unit in units(program.global_block().ops):
            why = self._refusal(program, unit, targets)
            if why:
                self.report.left.append((name_of(unit[-1]), why))
            else:
                candidates += unit
        groups = []
        for group in connected(program, candidates):
            for part in self._lowerable(program, group, targets):
                if all(name_of(operation) in IDLE for operation in part):
                    self.report.left += [(name_of(operation), "nothing to compute") for operation in part]
                else:
                    groups.append(part)
        return groups

    def _lowerable(self, program: Any, group: list[Any], targets: Sequence[Any]) -> Iterator[list[Any]]:
        """The group if it can be one kernel, else parts of it that can, grown operator by operator."""
        if not self._refusal(program, group, targets):
            yield group
            return
        part: list[Any] = []
        for unit in units(group):
            if part and self._refusal(program, [*part, *unit], targets):
                yield part
                part = []
            part += unit
        yield part

    def _refusal(self, program: Any, group: list[Any], targets: Sequence[Any]) -> str:
        """Why `group` cannot be one kernel, or nothing."""
        try:
            cut = Cut(program, group, targets)
            if not (1 <= len(cut.inputs) <= MOST_INPUTS and 1 <= len(cut.outputs) <= MOST_RESULTS):
                raise Unsupported("data", f"{len(cut.inputs)} inputs and {len(cut.outputs)} results")
            if not all(value.is_dense_tensor_type() for value in [*cut.inputs, *cut.outputs]):
                raise Unsupported("data", "a list of tensors")
            with cut.program_of(False) as (small, inputs, outputs):
                lowering.lower(small, inputs, outputs)
            if self.gradients and cut.differentiable:
                with cut.program_of(True) as (small, inputs, outputs):
                    lowering.lower(small, inputs, outputs)
        except Unsupported as error:
            return str(error)
        return ""

    # Kernels.

    def _generate(self, name: str, cut: "Cut") -> tuple[Generated, Generated | None]:
        forward = self._kernel(name, cut, False)
        self.report.forward.append(forward)
        if not (self.gradients and cut.differentiable):
            return forward, None
        backward = self._kernel(name + "_gradient", cut, True)
        self.report.backward.append(backward)
        return forward, backward

    def _kernel(self, name: str, cut: "Cut", gradient: bool) -> Generated:
        times = [time.perf_counter()]
        with cut.program_of(gradient) as (small, inputs, outputs):
            times.append(time.perf_counter())
            nest = loops.schedule(lowering.lower(small, inputs, outputs, self.spoil))
            source = emission.emit(nest)
            times.append(time.perf_counter())
            decomposed, operations = str(small), Counter(short(op.name() for op in small.global_block().ops))
        for stage, first, last in zip(("decomposed", "loops"), times, times[1:], strict=False):
            self.report.seconds[stage] += last - first
        grouped = Counter(short(operation.name() for operation in cut.operations))
        library = toolchain.compile_kernel(name, source)
        told = f"# {name}\n{loops.described(nest)}"
        return Generated(name, cut.text, grouped, decomposed, operations, told, len(nest.loops), source, library)

    def _insert(self, program: Any, cut: "Cut", kernels: tuple[Generated, Generated | None]) -> list[Any]:
        toolchain.load_carrier()
        forward, backward = kernels
        paths = [str(kernel.library.path) if kernel else "" for kernel in (forward, backward)]
        with static_mode(program):
            pir.set_insertion_point(cut.operations[-1])
            results = paddle._C_ops._run_custom_op(
                OPERATOR.format(len(cut.inputs), len(cut.outputs)), *cut.inputs, *paths
            )
        pir.set_insertion_point_to_block_end(program.global_block())
        (results,) = results if len(results) == 1 and isinstance(results[0], list | tuple) else (results,)
        return list(results)


class Cut:
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
                if any(output is None for output in outputs):
                    raise Unsupported("gradient", "of an input that does not reach a result")
                inputs = [*inputs, *slopes]
            outputs = paddle.decomposition.decompose(program, list(outputs))
            remove_unused(program, outputs)
            yield program, inputs, outputs

    @staticmethod
    def _data(name: str, value: Any) -> Any:
        return paddle.static.data(name, value.shape, value.dtype)


def units(operations: Sequence[Any]) -> list[list[Any]]:
    """Each operator that may become part of a kernel, with the builtin ones that pack and unpack its lists."""
    found = []
    for operation in operations:
        if operation.name() in ("builtin.combine", "builtin.split", "builtin.shadow_output", "pd_op.data"):
            continue
        if name_of(operation) in CONSTANTS:
            continue
        sources = [
            operand.source().get_defining_op() for operand in operation.operands() if operand.source().initialized()
        ]
        packing = [source for source in sources if source is not None and source.name() == "builtin.combine"]
        users = [user for result in operation.results() for user in result.all_used_ops()]
        found.append([*packing, operation, *(user for user in users if user.name() == "builtin.split")])
    return found


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


def connected(program: Any, candidates: Sequence[Any]) -> list[list[Any]]:
    """Candidates that hand tensors to each other, as large groups as can be run in one go.

    Two groups are joined unless something between them stays outside: then one would have to wait for itself.
    """
    order = {operation.id(): place for place, operation in enumerate(program.global_block().ops)}
    reaches: dict[int, set[int]] = {}  # for each operation, all that it depends on
    group_of: dict[int, set[int]] = {}
    chosen = {operation.id(): operation for operation in candidates}
    for operation in program.global_block().ops:
        sources = [
            operand.source().get_defining_op() for operand in operation.operands() if operand.source().initialized()
        ]
        direct = {source.id() for source in sources if source is not None}
        reaches[operation.id()] = direct.union(*(reaches[number] for number in direct))
        if operation.id() not in chosen:
            continue
        group = {operation.id()}
        for source in sorted(direct & set(chosen), key=order.__getitem__, reverse=True):
            other = group_of[source]
            joined = group | other
            between = {number for member in joined for number in reaches[member] if number not in joined}
            if not any(reaches[number] & joined for number in between):
                group = joined
        for member in group:
            group_of[member] = group
    unique = {id(group): group for group in group_of.values()}
    return [[chosen[number] for number in sorted(group, key=order.__getitem__)] for group in unique.values()]


def short(names: Iterable[str]) -> list[str]:
    """The names of operators that do something: without the dialect, constants, inputs and outputs."""
    left = (name for name in names if name not in ("pd_op.data", "builtin.shadow_output", "builtin.shadow_input"))
    return [name.rpartition(".")[2] for name in left if name.rpartition(".")[2] not in CONSTANTS]


def remove_unused(program: Any, outputs: Sequence[Any]) -> None:
    block = program.global_block()
    kept = {output.id for output in outputs}
    for operation in reversed(list(block.ops)):
        results = operation.results()
        if operation.name() != "pd_op.data" and all(r.use_empty() and r.id not in kept for r in results):
            block.remove_op(operation)


@contextmanager
def static_mode(program: Any) -> Iterator[None]:
    with paddle.base.framework._dygraph_guard(None), pir.core.program_guard(program):
        yield


@contextmanager
def decomposing() -> Iterator[None]:
    """Composite operators are split, by Paddle's own rules, forward and backward, and with unknown sizes too."""
    before = paddle.base.core._is_fwd_prim_enabled(), paddle.base.core._is_bwd_prim_enabled()
    flag = "FLAGS_prim_skip_dynamic"
    skipped = paddle.get_flags(flag)[flag]
    paddle.base.core._set_prim_all_enabled(True)
    paddle.set_flags({flag: False})
    try:
        yield
    finally:
        paddle.base.core._set_prim_forward_enabled(before[0])
        paddle.base.core._set_prim_backward_enabled(before[1])
        paddle.set_flags({flag: skipped})


def to_static(
    function: Callable[..., Any], arguments: Sequence[Any], hook: Any = None
) -> tuple[Callable[..., Any], Any]:
    """`function` through Paddle's dy2st and PIR, with `hook` in the path; returns it, and its partial program.

    `arguments` are tensors, or `paddle.static.InputSpec` with None where a size is not fixed.
    """
    specification = None if all(isinstance(argument, paddle.Tensor) for argument in arguments) else list(arguments)
    static = paddle.jit.to_static(function, input_spec=specification, full_graph=True, backend=None)
    if specification is None:
        _, partial = static.get_concrete_program(*arguments)
    else:
        static.concrete_program_specify_input_spec(input_spec=None)
        _, (_, partial) = static._program_cache.last()
    if hook is None:
        return static, partial
    partial._hookers.insert(0, hook)
    return (guarded(static, partial, arguments) if specification is None else static), partial


def guarded(static: Callable[..., Any], partial: Any, traced: Sequence[Any]) -> Callable[..., Any]:
    """`static`, at once where the tensors are like the `traced` ones: Paddle's own search costs each call 0.1 ms."""

    def kind(tensor: Any) -> tuple[Any, ...]:
        return tensor.shape, tensor.dtype, tensor.stop_gradient

    expected = [kind(tensor) for tensor in traced]

    def call(*tensors: Any) -> Any:
        return partial(tensors) if [kind(tensor) for tensor in tensors] == expected else static(*tensors)

    return call
