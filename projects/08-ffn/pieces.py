"""Which piece of each weight of a block a rank holds."""

import numpy as np

# How each weight of a block lies on (dp, mp): the axis of the weight that mp cuts, or None where each rank has all.
# The first layer is cut by columns and the second by rows, so that between them nothing has to be sent (Shoeybi et
# al., "Megatron-LM", 2019, section 3). dp cuts no weight.
CUT_BY_MP = {"up.weight": 1, "up.bias": 0, "down.weight": 0, "down.bias": None, "norm.weight": None, "norm.bias": None}


def local_shape(shape: tuple[int, ...], weight: str, mp: int) -> tuple[int, ...]:
    """The shape of one rank's piece of a weight ("up.weight") with that whole shape."""
    cut = CUT_BY_MP[weight]
    return tuple(length // mp if axis == cut else length for axis, length in enumerate(shape))


def piece(whole: np.ndarray, weight: str, mp: int, index: int) -> np.ndarray:
    """The piece of a whole weight that belongs to slice `index` of `mp`."""
    cut = CUT_BY_MP[weight]
    return whole if cut is None else np.split(whole, mp, axis=cut)[index]
