"""From values to a loop nest: which loops over the row there are, in which order, and what each one does.

A reduction's result is known only when its loop is over, so whatever needs it waits for a later loop. Within that
limit all goes into as few loops as possible. A value that an earlier loop has computed is computed again where that is
cheap (a few operations on numbers that lie in the cache), and kept in a buffer of one row where it is not.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from values import Kernel, Result, Value

CHEAP = 6  # operations: below this, computing again is no dearer than a store and a load
COSTS = {"load": 0, "constant": 0, "divide": 4, "sqrt": 4, "rsqrt": 6}
DEAR = 16  # what a function such as exp costs
FUNCTIONS = {"exp", "log", "tanh", "erf", "sigmoid"}


@dataclass(frozen=True)
class Statement:
    """`compute` a value, `keep` it in a buffer, `reduce` it, `accumulate` it into a result, or `write` a result."""

    action: str
    value: Value
    result: int = -1  # of accumulate and write


@dataclass
class Loop:
    """One pass over `width` numbers of the row, after the single numbers in `before` have been computed."""

    phase: int
    width: int
    before: list[Value] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)


@dataclass(frozen=True)
class Nest:
    """The loops for one row, in order, and what comes after them; `buffers` are rows kept between loops."""

    kernel: Kernel
    loops: tuple[Loop, ...]
    after: tuple[Value, ...]
    last: tuple[Statement, ...]
    buffers: tuple[Value, ...]


def schedule(kernel: Kernel) -> Nest:
    """Distribute the kernel's values over loops."""
    return Schedule(kernel).nest()


@dataclass
class Schedule:
    kernel: Kernel
    ready: dict[Value, int] = field(default_factory=dict)  # the first loop that may use a value
    loops: dict[tuple[int, int], Loop] = field(default_factory=dict)
    computed: dict[Value, tuple[int, int]] = field(default_factory=dict)  # the loop that computes a wide value
    buffers: list[Value] = field(default_factory=list)
    single: set[Value] = field(default_factory=set)  # single numbers that have been placed

    def nest(self) -> Nest:
        roots = [result.value for result in self.kernel.results]
        last = []
        demands: list[tuple[int, int, Statement]] = []  # phase, width
        for value in in_order(roots):
            self.ready[value] = self._ready(value)
            if value.operation.startswith("reduce_"):
                (argument,) = value.arguments
                demands.append((self.ready[argument], argument.width, Statement("reduce", value)))
            elif value.operation == "part":
                (argument,) = value.arguments
                demands.append((self.ready[argument], value.width, Statement("keep", value)))
            elif value.operation == "slice":
                (argument,) = value.arguments
                if argument.operation != "concat":
                    demands.append((self.ready[argument], argument.width, Statement("keep", argument)))
        for number, result in enumerate(self.kernel.results):
            statement = Statement("accumulate" if result.accumulated else "write", result.value, number)
            if written_width(result) == 1:
                last.append(statement)
            else:
                demands.append((self.ready[result.value], written_width(result), statement))
        for phase, width, statement in sorted(demands, key=lambda demand: demand[:2]):
            self._place(self.loops.setdefault((phase, width), Loop(phase, width)), statement)
        after: list[Value] = []
        for statement in last:
            self._single(statement.value, after)
        ordered = [self.loops[key] for key in sorted(self.loops)]
        return Nest(self.kernel, tuple(ordered), tuple(after), tuple(last), tuple(dict.fromkeys(self.buffers)))

    def _ready(self, value: Value) -> int:
        known = max((self.ready[argument] for argument in value.arguments), default=0)
        if value.operation in ("slice", "concat") or value.operation.startswith("reduce_"):
            return known + 1
        return known

    def _place(self, loop: Loop, statement: Statement) -> None:
        value = statement.value
        if statement.action == "reduce" or value.operation == "part":
            (needed,) = value.arguments
        else:
            needed = value
        self._compute(loop, needed)
        if statement.action == "keep":
            self._keep(loop, value)
        else:
            loop.statements.append(statement)

    def _compute(self, loop: Loop, value: Value) -> None:
        """Make `value` available inside `loop`."""
        here = (loop.phase, loop.width)
        if value.width == 1:
            self._single(value, loop.before)
            return
        if value.operation in ("slice", "concat", "load") or Statement("compute", value) in loop.statements:
            return
        earlier = self.computed.get(value)
        if earlier and earlier != here and cost(value) > CHEAP and not value.truth:
            self._keep(self.loops[earlier], value)
            return
        for argument in value.arguments:
            self._compute(loop, argument)
        loop.statements.append(Statement("compute", value))
        self.computed.setdefault(value, here)

    def _keep(self, loop: Loop, value: Value) -> None:
        if Statement("keep", value) not in loop.statements:
            loop.statements.append(Statement("keep", value))
        if value.operation != "part":
            self.buffers.append(value)

    def _single(self, value: Value, place: list[Value]) -> None:
        """Compute a single number once, in front of the first loop that needs it."""
        if value in self.single or value.width != 1:
            return
        self.single.add(value)
        if value.operation.startswith("reduce_"):  # its loop computes it
            return
        for argument in value.arguments:
            self._single(argument, place)
        if value.operation != "constant":
            place.append(value)


def written_width(result: Result) -> int:
    return max(result.width, result.value.width)


def in_order(roots: list[Value]) -> Iterator[Value]:
    """Every value that the roots need, arguments first, each once."""
    done: set[Value] = set()
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        value, expanded = stack.pop()
        if value in done:
            continue
        if expanded:
            done.add(value)
            yield value
        else:
            stack.append((value, True))
            stack.extend((argument, False) for argument in reversed(value.arguments))


def cost(value: Value) -> int:
    """Operations to compute one number of `value` from the inputs and from single numbers."""
    if value.width == 1 or value.operation in ("slice", "concat"):
        return 0
    own = DEAR if value.operation in FUNCTIONS else COSTS.get(value.operation, 1)
    return own + sum(cost(argument) for argument in value.arguments)


def described(nest: Nest) -> str:
    """The loop nest in words, as it is before it becomes C."""
    names: dict[Value, str] = {}

    def name(value: Value) -> str:
        if value.operation == "constant":
            return f"{value.number:g}"
        if value.operation == "load":
            index = f"[{value.offset}+j]" if value.offset else "[j]"
            return f"x{int(value.number)}" + (index if value.width > 1 else "")
        return names.setdefault(value, f"v{len(names)}")

    def told(value: Value) -> str:
        arguments = ", ".join(name(argument) for argument in value.arguments)
        return f"{name(value)} = {value.operation}({arguments})" if value.arguments else f"{name(value)} is read"

    lines = ["for each row, shared by the threads:"]
    for loop in nest.loops:
        lines += [f"  {told(value)}" for value in loop.before]
        lines.append(f"  for j in 0..{loop.width - 1}:")
        for statement in loop.statements:
            if statement.action == "compute" or statement.action == "reduce":
                lines.append(f"    {told(statement.value)}")
            else:
                target = f" y{statement.result}" if statement.result >= 0 else ""
                lines.append(f"    {statement.action}{target} {name(statement.value)}")
    lines += [f"  {told(value)}" for value in nest.after]
    lines += [f"  {statement.action} y{statement.result} {name(statement.value)}" for statement in nest.last]
    return "\n".join(lines)
