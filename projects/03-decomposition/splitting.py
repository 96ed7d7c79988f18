"""How gelu is taken apart into primitive operators: Paddle's rule, a better one, and the two routes that put it to use.

With the tanh approximation (https://arxiv.org/abs/1606.08415, section 2)

    gelu(x) = x/2 (1 + tanh(z)),   z = sqrt(2/pi) (x + 0.044715 x^3)

Paddle's rule says just that, in eight operators, one of which is a general power. But (1 + tanh(z))/2 is sigmoid(2z),
and 2z is x times a polynomial in x^2, so five operators say the same:

    square = x * x;   slope = a square + b;   gelu(x) = x * sigmoid(x * slope),   b = 2 sqrt(2/pi), a = 0.044715 b

No operator is dearer than a sigmoid, and with huge |x| nothing cancels: sigmoid goes to exactly 0 or 1.
"""

import ctypes
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import paddle
import toolchain
import tracing
from paddle import pir

SOURCE = Path(__file__).with_name("override.cc")
OPERATOR = "pd_op.gelu"
CONSTANT = 2 * math.sqrt(2 / math.pi)


def split_gelu(x: Any, wrong: bool = False) -> Any:
    """The rule on a PIR value; `wrong` leaves the cubic term out, to show whether it is this rule that runs."""
    square = x * x
    slope = paddle.scale(square, scale=0.0 if wrong else 0.044715 * CONSTANT, bias=CONSTANT)
    return x * paddle.nn.functional.sigmoid(x * slope)


class Splitting(tracing.Hook):
    """A hook for to_static's partial programs, the route in Python: rewrites every approximate gelu by the own rule."""

    def __init__(self, wrong: bool = False) -> None:
        self.wrong = wrong
        self.calls = 0
        self.before = self.after = ""

    def before_append_backward(self, program: Any, targets: Sequence[Any]) -> tuple[Any, list[Any]]:
        self.before, targets = str(program), list(targets)
        block = program.global_block()
        for operation in list(block.ops):
            if operation.name() != OPERATOR or not operation.attrs()["approximate"]:
                continue
            (old,) = operation.results()
            with tracing.static_mode(program):
                pir.set_insertion_point(operation)
                new = split_gelu(operation.operand_source(0), self.wrong)
            targets = [new if target.is_same(old) else target for target in targets]
            old.replace_all_uses_with(new)
            block.remove_op(operation)
            self.calls += 1
        pir.set_insertion_point_to_block_end(block)
        self.after = str(program)
        return program, targets


class Override:
    """The route in C++: while it is entered, Paddle's own decomposition calls override.cc instead of its rule for gelu.

    Raises toolchain.NoCompiler or toolchain.CompilationFailed.
    """

    def __init__(self, wrong: bool = False) -> None:
        built = toolchain.build_extension(SOURCE)
        self.seconds = built.seconds
        self._library = ctypes.CDLL(str(built.path), ctypes.RTLD_GLOBAL)
        self._wrong = wrong

    @property
    def calls(self) -> int:
        """How often Paddle has called the rule, in this process."""
        return int(self._library.calls())

    def __enter__(self) -> "Override":
        if not self._library.install(self._wrong):
            raise RuntimeError("Paddle has no rule for gelu in C++ that could be replaced")
        return self

    def __exit__(self, *_: object) -> None:
        self._library.restore()


def decomposed(function: Any, shape: Sequence[int], hook: Splitting | None = None) -> Any:
    """The PIR program of `function` of one float32 tensor, with Paddle's rules applied where `hook` left something."""
    program = paddle.static.Program()
    with tracing.static_mode(program), tracing.decomposing():
        targets = [function(paddle.static.data("x", list(shape), "float32"))]
        if hook:
            _, targets = hook.before_append_backward(program, targets)
        targets = paddle.decomposition.decompose(program, targets)
        tracing.remove_unused(program, targets)
    return program


def traffic(program: Any) -> int:
    """Tensors read and written by a program's operators, each one run by itself; single numbers do not count."""
    sizes: list[int] = []
    for operation in program.global_block().ops:
        if operation.name() in ("pd_op.data", "pd_op.full", "pd_op.full_int_array", "builtin.shadow_output"):
            continue
        values = {operand.source().id: operand.source() for operand in operation.operands()}
        sizes += [math.prod(value.shape) for value in [*values.values(), *operation.results()]]
    return sizes.count(max(sizes))


def operators(program: Any) -> Counter[str]:
    """How many of each operator that computes something."""
    return Counter(tracing.short(operation.name() for operation in program.global_block().ops))
