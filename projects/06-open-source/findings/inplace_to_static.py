"""Under to_static y.add_(1) leaves y as it was: the result is wrong, with a warning alone

The decorator `inplace_apis_in_dygraph_only` takes add for add_, warns that it "does not perform inplace operation",
and what follows reads the old y. The documentation of add_ says "Inplace version of add API" and names no exception.
Expected: what eager mode computes, or an error. Reported upstream: PaddlePaddle/Paddle#79145, open in 2026.
"""

import paddle
from verdict import absent, present

paddle.set_device("cpu")


def added(x):
    y = x * 2
    y.add_(paddle.ones_like(y))
    return y


x = paddle.ones([2])
eager, static = added(x).tolist(), paddle.jit.to_static(added, full_graph=True)(x).tolist()
right = [3.0, 3.0]
found = f"2x with 1 added in place is {static} for x = 1, in eager mode {eager}; right is {right}"
(absent if static == eager == right else present)(found)
