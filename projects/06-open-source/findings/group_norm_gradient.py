"""On the CPU the gradient of group_norm without a weight is wrong

A weight of ones changes nothing in the result, and has to change nothing in the gradient. With it the gradient agrees
with differences in float64; without it it is off by as much as it is large. The forward result is right, so nothing
tells of it. Expected: the same gradient.
"""

import numpy as np
import paddle
import paddle.nn.functional as F
from verdict import absent, present

paddle.set_device("cpu")
random = np.random.default_rng(6)
numbers, slopes = (random.standard_normal([2, 4, 3, 3]) for _ in range(2))


def scaled(x, **weight):
    """The sum of group_norm's results, each times a number of its own."""
    return (F.group_norm(x, num_groups=2, **weight) * paddle.to_tensor(slopes)).sum()


def gradient(**weight):
    x = paddle.to_tensor(numbers, stop_gradient=False)
    return paddle.grad(scaled(x, **weight), x)[0].numpy()


def differences(step=1e-6):
    """The gradient by central differences."""
    found = np.zeros_like(numbers)
    for place in np.ndindex(numbers.shape):
        ends = []
        for sign in (1, -1):
            moved = numbers.copy()
            moved[place] += sign * step
            ends.append(scaled(paddle.to_tensor(moved)).item())
        found[place] = (ends[0] - ends[1]) / (2 * step)
    return found


right, without = differences(), gradient()
with_ones = gradient(weight=paddle.ones([4], "float64"))
errors = [float(np.abs(each - right).max()) for each in (without, with_ones)]
said = f"off by {errors[0]:.1e} without a weight, by {errors[1]:.1e} with ones, of {np.abs(right).max():.1f} at most"
(absent if max(errors) < 1e-6 else present)(said)  # a difference rounds to 1e-16 of the sum over the step: 1e-9
