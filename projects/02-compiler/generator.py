"""Out of a PIR program and back into it: a hook of to_static that puts kernels in the place of groups of operators.

fusion.py forms the groups, outlining.py makes programs of them. Both a group and its gradient are lowered, scheduled,
emitted and compiled; one custom operator with the kernels' paths as its attributes takes the group's place, before
Paddle appends the backward pass to the whole program.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import emission
import entry
import expansion
import folding
import loops
import lowering
import paddle
import toolchain
from fusion import connected, units
from layout import name_of, type_of
from operators import SAME_VALUE
from outlining import Group
from paddle import pir
from tracing import CONSTANTS, Hook, short, static_mode
from values import Unsupported

IDLE = CONSTANTS | {"data", "shadow_output", "combine", "split", *SAME_VALUE, "slice", "concat"}
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
    whole: entry.Whole | None = None

    @property
    def kernels(self) -> list[Generated]:
        return [*self.forward, *self.backward]

    @property
    def compilation(self) -> float:
        """Seconds that compiling the kernels took."""
        return sum(kernel.library.seconds for kernel in self.kernels)


class Generator(Hook):
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

    def rewrite(self, program: Any, targets: list[Any]) -> list[Any]:
        """Put kernels into `program`; returns its targets, some of which kernels now compute."""
        block = program.global_block()
        started = time.perf_counter()
        targets = simplified(program, targets)
        groups = self.groups(program, targets)
        self.report.seconds["groups"] += time.perf_counter() - started
        for number, operations in enumerate(groups):
            group = Group(program, operations, targets)
            try:
                place = group.place(program)  # kernels may stand elsewhere than what they replaced
            except Unsupported as error:
                self.report.left += [(name_of(operation), str(error)) for operation in operations]
                continue
            results = self._insert(program, place, group, self.generate(f"{self.name}_{number}", group))
            stopped = all(value.stop_gradient for value in group.outputs)
            for old, new in zip(group.outputs, results, strict=True):
                new.stop_gradient = stopped
                targets = [new if target.is_same(old) else target for target in targets]
                old.replace_all_uses_with(new)
            for operation in reversed(operations):
                block.remove_op(operation)
        for operation in reversed(list(block.ops)):
            if name_of(operation) in CONSTANTS and all(result.use_empty() for result in operation.results()):
                block.remove_op(operation)
        self.report.whole = self._whole(program, targets)
        return targets

    def _whole(self, program: Any, targets: list[Any]) -> entry.Whole | None:
        """The one kernel that the rewritten program is, or None."""
        computing = [
            op for op in program.global_block().ops if name_of(op) not in ("data", "parameter", "shadow_output")
        ]
        if len(computing) != 1 or len(self.report.forward) != 1:
            return None
        (operation,) = computing
        inputs = [operand.source() for operand in operation.operands()]
        results = [[target.is_same(result) for result in operation.results()] for target in targets]
        constant = tuple(value.stop_gradient for value in inputs)
        if not all(map(any, results)) or (
            not all(constant) and any(result.stop_gradient for result in operation.results())
        ):
            return None
        kernels = [kernel.library.path for kernel in self.report.kernels]
        places = tuple(same.index(True) for same in results)
        return entry.Whole(tuple(kernels), tuple(map(name_given, inputs)), constant, places)

    def called(self, usual: Callable[..., Any], partial: Any, plain: Callable[..., Any]) -> Callable[..., Any]:
        return entry.Call(usual, partial, self, plain)

    # Groups.

    def groups(self, program: Any, targets: Sequence[Any]) -> list[list[Any]]:
        """The operators to generate, in lists that are each one kernel; notes what is left and why."""
        candidates = []
        for unit in units(program.global_block().ops):
            why = "" if carried(unit) else self._refusal(program, unit, targets)
            if why:
                self.report.left.append((name_of(unit[-1]), why))
            else:
                candidates += unit
        groups = []
        for operations in connected(program, candidates):
            for part in self._lowerable(program, operations, targets):
                if all(name_of(operation) in IDLE for operation in part):
                    self.report.left += [(name_of(operation), "nothing to compute") for operation in part]
                else:
                    groups.append(part)
        return groups

    def _lowerable(self, program: Any, operations: list[Any], targets: Sequence[Any]) -> Iterator[list[Any]]:
        """The operators if they can be one kernel, else parts of them that can, grown operator by operator."""
        if not self._refusal(program, operations, targets):
            yield operations
            return
        part: list[Any] = []
        for unit in units(operations):
            if part and self._refusal(program, [*part, *unit], targets):
                yield part
                part = []
            part += unit
        yield part

    def _refusal(self, program: Any, operations: list[Any], targets: Sequence[Any]) -> str:
        """Why `operations` cannot be one kernel, or nothing."""
        try:
            group = Group(program, operations, targets)
            if not (1 <= len(group.inputs) <= MOST_INPUTS and 1 <= len(group.outputs) <= MOST_RESULTS):
                raise Unsupported("data", counted(len(group.inputs), len(group.outputs)))
            if not all(value.is_dense_tensor_type() for value in [*group.inputs, *group.outputs]):
                raise Unsupported("data", "a list of tensors")
            differentiated = (self.gradients or self.spoil) and group.differentiable  # spoilt are the same groups
            if differentiated and not all(value.shape for value in group.inputs):
                raise Unsupported("data", "a tensor without axes, which Paddle takes for one that is missing")
            group.place(program)
            with group.program_of(False) as (small, inputs, outputs):
                lowering.lower(small, inputs, outputs)
            if differentiated:
                with group.program_of(True) as (small, inputs, outputs):
                    lowering.lower(small, inputs, outputs)
        except Unsupported as error:
            return str(error)
        return ""

    # Kernels.

    def generate(self, name: str, group: Group) -> tuple[Generated, Generated | None]:
        forward = self._kernel(name, group, False)
        self.report.forward.append(forward)
        if not (self.gradients and group.differentiable):
            return forward, None
        backward = self._kernel(name + "_gradient", group, True)
        self.report.backward.append(backward)
        return forward, backward

    def _kernel(self, name: str, group: Group, gradient: bool) -> Generated:
        times = [time.perf_counter()]
        with group.program_of(gradient) as (small, inputs, outputs):
            times.append(time.perf_counter())
            nest = loops.schedule(lowering.lower(small, inputs, outputs, self.spoil))
            source = emission.emit(nest)
            times.append(time.perf_counter())
            decomposed, operations = str(small), Counter(short(op.name() for op in small.global_block().ops))
        for stage, first, last in zip(("decomposed", "loops"), times, times[1:], strict=False):
            self.report.seconds[stage] += last - first
        grouped = Counter(short(operation.name() for operation in group.operations))
        library = toolchain.compile_kernel(name, source)
        told = f"# {name}\n{loops.described(nest)}"
        return Generated(name, group.text, grouped, decomposed, operations, told, len(nest.loops), source, library)

    def _insert(self, program: Any, place: Any, group: Group, kernels: tuple[Generated, Generated | None]) -> list[Any]:
        toolchain.load_carrier()
        forward, backward = kernels
        paths = [str(kernel.library.path) if kernel else "" for kernel in (forward, backward)]
        with static_mode(program):
            pir.set_insertion_point(place)
            results = paddle._C_ops._run_custom_op(
                OPERATOR.format(len(group.inputs), len(group.outputs)), *group.inputs, *paths
            )
        pir.set_insertion_point_to_block_end(program.global_block())
        (results,) = results if len(results) == 1 and isinstance(results[0], list | tuple) else (results,)
        return list(results)


def simplified(program: Any, targets: Sequence[Any]) -> list[Any]:
    """Fold and expand; returns the program's targets, some of which are others now."""
    outputs = [
        next(user for user in target.all_used_ops() if user.name() == "builtin.shadow_output") for target in targets
    ]
    folding.fold(program)
    expansion.expand(program)
    return [output.operand_source(0) for output in outputs]


def carried(unit: Sequence[Any]) -> bool:
    """Whether it hands on whole numbers or truth values, which no kernel does for itself."""
    tensors = [unit[-1].operand_source(0), *unit[-1].results()] if len(unit) == 1 and unit[0].num_operands() else []
    return name_of(unit[-1]) in SAME_VALUE and bool(tensors) and {type_of(t) for t in tensors} <= {"INT64", "BOOL"}


def counted(inputs: int, results: int) -> str:
    """Why so many tensors are no kernel."""
    if not inputs:
        return "it takes no tensor"
    return f"{inputs} inputs and {results} results; a kernel has up to {MOST_INPUTS} and {MOST_RESULTS}"


def name_given(value: Any) -> str:
    """The name of a program's input or parameter."""
    attributes = value.get_defining_op().attrs()
    return str(attributes.get("name") or attributes["parameter_name"])
