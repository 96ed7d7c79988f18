"""register_decomp: a split rule from Python is never called where the operator has a rule in C++

`paddle.decomposition.register.register_decomp` takes a rule for `pd_op.softmax` and returns without an error, and
`decomp.decompose` splits softmax; but the rule that splits it is the one in C++. Expected: the registered rule is
called, or `register_decomp` refuses an operator that it cannot serve.
"""

import paddle
from paddle.base import core
from paddle.decomposition import decomp
from paddle.decomposition.register import register_decomp
from verdict import absent, present

calls = 0


@register_decomp("pd_op.softmax")
def softmax(x, axis):
    global calls
    calls += 1
    power = paddle.exp(x)
    return power / power.sum(axis, keepdim=True)


paddle.enable_static()
core._set_prim_all_enabled(True)
program = paddle.static.Program()
with paddle.static.program_guard(program):
    result = paddle.nn.functional.softmax(paddle.static.data("x", [4, 8], "float32"))
    decomp.decompose(program, [result])
names = [op.name() for op in program.global_block().ops]
assert "pd_op.softmax" not in names, f"softmax was not split at all: {names}"
if calls:
    absent(f"softmax was split, and the registered rule was called {calls} times")
present("softmax was split, and the registered rule was never called")
