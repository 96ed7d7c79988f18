"""On the CPU the gradient of v in y[index] = v is memory that nobody wrote, unless v is float32

Seen where index is a tensor of places and the numbers are float64, from 3.1 on. What comes out is what stood in the
memory before, at first mostly zeros. Expected: ones, the gradient of a sum.
"""

import paddle
from verdict import absent, present

paddle.set_device("cpu")
places = paddle.to_tensor([1, 4])
for _ in range(20):
    v = paddle.ones([2, 6], "float64")
    v.stop_gradient = False
    y = paddle.zeros([8, 6], "float64")
    y[places] = v
    total = y.sum()
    before = [paddle.full([2, 6], 3e20, "float64") for _ in range(200)]
    del before  # memory that is free holds this number now
    found = paddle.grad(total, v)[0]
    if not bool((found == 1).all()):
        present(f"the gradient of v is {found.flatten()[:4].tolist()}; right is 1 everywhere")
absent("the gradient of v is 1 everywhere, 20 times")
