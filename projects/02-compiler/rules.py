"""Two substitutions on PIR, each a chain of operators for one fused operator, as rules of Paddle's DRR.

DRR (declarative rewrite rules) takes a source pattern, constraints on what was matched, and a result pattern; the pass
manager does the rest. It also sees to it that no intermediate value of the chain is used by anyone else. What it does
not know is when two chains of the same operators mean different things: that is what the constraints are for.

    exp(x - max(x)) / sum(…)     →  pd_op.softmax    both reductions over the last axis, which they keep
    gate * sigmoid(gate) * x     →  pd_op.swiglu     no broadcasting, all sizes known

upstream/ says the same in C++, as a pass that Paddle finds by its name, in the form of a pull request. `Substitution`
runs either in to_static.
"""

import ctypes
import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import paddle
import paddle.nn.functional as F
import toolchain
from paddle import pir
from tracing import Hook, static_mode

UPSTREAM = Path(__file__).with_name("upstream")
SOURCE = UPSTREAM / "paddle/fluid/pir/transforms/general/activation_fuse_pass.cc"
ROUTES = ("python", "c++")
FUSED = ("pd_op.softmax", "pd_op.swiglu")
FLOATING = (paddle.float32, paddle.float16, paddle.bfloat16)


def softmax(wrong: bool = False) -> pir.DrrPatternContext:
    """exp(x - max(x)) / sum(exp(x - max(x))); `wrong` puts log_softmax in its place, to show whether it runs."""
    context = pir.DrrPatternContext()
    source = context.SourcePattern()
    tensor = source.Tensor
    source.Op("pd_op.full_int_array", {"value": source.Attr("maximum_axes")})([], [tensor("axes")])
    source.Op("pd_op.max", {"keepdim": source.Attr("maximum_keeps")})([tensor("x"), tensor("axes")], [tensor("top")])
    source.Op("pd_op.subtract")([tensor("x"), tensor("top")], [tensor("below")])
    source.Op("pd_op.exp")([tensor("below")], [tensor("power")])
    source.Op("pd_op.full_int_array", {"value": source.Attr("sum_axes")})([], [tensor("other_axes")])
    source.Op("pd_op.sum", {"keepdim": source.Attr("sum_keeps")})(
        [tensor("power"), tensor("other_axes")], [tensor("total")]
    )
    source.Op("pd_op.divide")([tensor("power"), tensor("total")], [tensor("result")])
    source.AddConstraint(is_softmax)
    result = source.ResultPattern()
    fused = "pd_op.log_softmax" if wrong else "pd_op.softmax"
    result.Op(fused, {"axis": result.Int32Attr(-1)})([result.Tensor("x")], [result.Tensor("result")])
    return context


def swiglu(inner: Sequence[str], outer: Sequence[str], wrong: bool = False) -> pir.DrrPatternContext:
    """gate * sigmoid(gate) * x, in this order of factors; without `inner`, silu(gate) * x. `wrong` swaps gate and x."""
    context = pir.DrrPatternContext()
    source = context.SourcePattern()
    tensor = source.Tensor
    if inner:
        source.Op("pd_op.sigmoid")([tensor("gate")], [tensor("open")])
        source.Op("pd_op.multiply")([tensor(name) for name in inner], [tensor("gated")])
    else:
        source.Op("pd_op.silu")([tensor("gate")], [tensor("gated")])
    source.Op("pd_op.multiply")([tensor(name) for name in outer], [tensor("result")])
    source.AddConstraint(is_swiglu)
    result = source.ResultPattern()
    factors = ("x", "gate") if wrong else ("gate", "x")
    result.Op("pd_op.swiglu")([result.Tensor(name) for name in factors], [result.Tensor("result")])
    return context


def is_softmax(match: Any) -> bool:
    """Whether maximum and sum are both of the last axis, and keep it: else the rest broadcasts to something else."""
    x = match.Tensor("x")
    axes = [match.VectorInt64Attr(name) for name in ("maximum_axes", "sum_axes")]
    last = all(list(found) in ([-1], [len(x.shape) - 1]) for found in axes)
    kept = match.BoolAttr("maximum_keeps") and match.BoolAttr("sum_keeps")
    return bool(last and kept and x.shape and x.dtype in FLOATING and match.Tensor("total").dtype == x.dtype)


def is_swiglu(match: Any) -> bool:
    """Whether gate and x have the same shape: the fused operator does not broadcast, and unknown sizes may differ."""
    x, gate = match.Tensor("x"), match.Tensor("gate")
    known = x.shape and min(x.shape) >= 0
    return bool(known and x.shape == gate.shape and x.dtype in FLOATING and x.dtype == gate.dtype)


def patterns(wrong: bool) -> dict[str, pir.DrrPatternContext]:
    """Every rule by its name. DRR tells a * b from b * a, so each order of factors is a rule of its own."""
    orders = [
        (inner, outer)
        for outer in (("gated", "x"), ("x", "gated"))
        for inner in (("gate", "open"), ("open", "gate"), ())
    ]
    named = {f"swiglu_{number}": swiglu(*order, wrong) for number, order in enumerate(orders)}
    return {"softmax": softmax(wrong), **named}


def rewrite(program: Any, route: str = "python", wrong: bool = False) -> None:
    """Apply the rules to a PIR program, in place; raises toolchain.NoCompiler if the route is C++ and there is none."""
    manager = paddle.base.libpaddle.pir.PassManager(2)
    if route == "c++":
        load_pass()
        manager.add_pass("activation_fuse_pass", {})
    else:
        for name, pattern in patterns(wrong).items():
            manager.register_pass(name, pattern)
    manager.run(program)


def in_parts(program: Any) -> None:
    """Take apart, in place, what the CPU does worse as one operator: Paddle's swiglu goes number by number there, where
    silu and multiply go by vectors. In half precision it has no gradient, as silu has none."""
    block = program.global_block()
    for operation in list(block.ops):
        sources = [operand.source() for operand in operation.operands()]
        if operation.name() != "pd_op.swiglu" or not all(source.initialized() for source in sources):
            continue
        gate, x = sources
        with static_mode(program):
            pir.set_insertion_point(operation)
            gated = F.silu(gate) if gate.dtype == paddle.float32 else gate * F.sigmoid(gate)
            result = gated * x
        pir.set_insertion_point_to_block_end(block)
        operation.result(0).replace_all_uses_with(result)
        block.remove_op(operation)


@functools.cache
def load_pass() -> toolchain.Library:
    """Build the pass in C++ and register it, once a process. Raises as `toolchain.build_extension` does."""
    library = toolchain.build_extension(SOURCE, f"-I{UPSTREAM}")
    ctypes.CDLL(str(library.path), ctypes.RTLD_GLOBAL)
    return library


class Substitution(Hook):
    """A hook for to_static's partial programs that applies the rules before Paddle appends the backward pass.

    `before` and `after` are the program as the rules find and leave it.
    """

    def __init__(self, route: str = "python", wrong: bool = False) -> None:
        self.route, self.wrong = route, wrong
        self.before = self.after = ""
        self.operators: tuple[Counter[str], Counter[str]] = (Counter(), Counter())

    @property
    def matches(self) -> int:
        """How many chains were replaced."""
        before, after = self.operators
        return sum(after[name] - before[name] for name in FUSED)

    def before_append_backward(self, program: Any, targets: Sequence[Any]) -> tuple[Any, list[Any]]:
        outputs = [next(user for user in target.all_used_ops() if is_output(user)) for target in targets]
        self.before, before = str(program), counted(program)
        rewrite(program, self.route, self.wrong)
        self.after, self.operators = str(program), (before, counted(program))
        if paddle.get_device() == "cpu":
            in_parts(program)
        return program, [output.operand_source(0) for output in outputs]  # the values before may be gone


def is_output(operation: Any) -> bool:
    return operation.name() == "builtin.shadow_output"


def counted(program: Any) -> Counter[str]:
    return Counter(operation.name() for operation in program.global_block().ops)
