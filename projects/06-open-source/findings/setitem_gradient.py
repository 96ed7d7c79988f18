"""Under to_static the gradient goes through what y[:, 0] = 0 has written over

The backward program has `pd_op.set_value_grad` for it, which hands the whole gradient on; eager mode has
`set_value_with_scalar_grad`, which clears what was written over (since PaddlePaddle/Paddle#59034). A tensor of zeros
in place of the number is right under to_static too. The forward result is right, so nothing tells of it. Expected: no
gradient where x has no influence, as in eager mode.
"""

import paddle
from verdict import absent, present

paddle.set_device("cpu")


def cleared(x):
    y = x * 2
    y[:, 0] = 0
    return y.sum()


def gradient(function):
    x = paddle.ones([1, 3])
    x.stop_gradient = False
    return paddle.grad(function(x), x)[0].tolist()


eager, static = gradient(cleared), gradient(paddle.jit.to_static(cleared, full_graph=True))
right = [[0.0, 2.0, 2.0]]
found = f"of 2x with the first column set to 0 the gradient is {static}, in eager mode {eager}; right is {right}"
(absent if static == eager == right else present)(found)
