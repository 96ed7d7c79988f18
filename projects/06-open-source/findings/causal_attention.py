"""scaled_dot_product_attention(is_causal=True) fails on the CPU

Expected: the same answer as softmax(QKᵀ/√width + mask)V. The fault is known to be in 3.0.0; 3.3 answers.
"""

import numpy as np
import paddle
from verdict import absent, present

BATCH, LENGTH, HEADS, WIDTH = 1, 5, 2, 8
paddle.set_device("cpu")
query, key, value = (paddle.randn([BATCH, LENGTH, HEADS, WIDTH]) for _ in range(3))
try:
    result = paddle.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
except Exception as error:  # whichever it is: any error is the fault
    lines = [line for line in str(error).splitlines() if line.strip()]
    present(f"{type(error).__name__}: {lines[-1] if lines else ''}")
scores = paddle.einsum("bqhw,bkhw->bhqk", query, key).numpy() / np.sqrt(WIDTH)
scores += np.triu(np.full((LENGTH, LENGTH), -np.inf), 1)  # no position sees those after it
weights = np.exp(scores - scores.max(-1, keepdims=True))
weights /= weights.sum(-1, keepdims=True)
difference = np.abs(np.einsum("bhqk,bkhw->bqhw", weights, value.numpy()) - result.numpy()).max()
(absent if difference < 1e-5 else present)(f"it answers, {difference:.1e} from its definition")
