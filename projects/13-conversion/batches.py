"""Batches: Paddle's loader gives each thing of an epoch once, as PyTorch's does."""

import numpy as np
import paddle


def same_batches() -> bool:
    """Whether a shuffled epoch of Paddle's loader has each thing once, in batches of the size asked for."""
    data = paddle.io.TensorDataset([paddle.arange(50)])
    batches = [batch[0].numpy() for batch in paddle.io.DataLoader(data, batch_size=16, shuffle=True)]
    order = np.concatenate(batches)
    return [len(batch) for batch in batches] == [16, 16, 16, 2] and sorted(order) == list(range(50))
