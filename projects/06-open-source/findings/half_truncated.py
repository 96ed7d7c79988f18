"""On the CPU a cast from float32 to float16 cuts the last bits off; it does not round to the nearest

Of normal numbers half come out one unit in the last place too small in size, so that what is cast loses 0.02 % of its
size on average. NumPy and PyTorch round to the nearest, as IEEE 754 has it, and so does Paddle's own cast to bfloat16.
Expected: the nearest.
"""

import numpy as np
import paddle
from verdict import absent, present

paddle.set_device("cpu")
numbers = np.random.default_rng(6).standard_normal(10_000).astype("float32")
found = paddle.to_tensor(numbers).astype("float16").numpy()
nearest = numbers.astype("float16")
other = found != nearest
smaller = (np.abs(found) < np.abs(nearest)) & other
said = f"of {numbers.size} numbers {other.sum()} are not the nearest of float16, of which {smaller.sum()} are smaller"
(present if other.any() else absent)(said)
