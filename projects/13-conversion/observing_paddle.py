"""Paddle's side of observing.py: the helpers' random numbers come from the stream, and Paddle's own are refused."""

from collections import Counter
from typing import Any

import numpy as np
import paddle
from comparing import OBJECT

PLACES: Counter[str] = Counter()


def array(value: Any) -> np.ndarray | None:
    if not isinstance(value, paddle.Tensor):
        return None
    if not value._is_initialized():
        return np.zeros(value.shape, str(value.dtype).split(".")[-1]) if 0 in value.shape else None
    value = value.detach()
    if value.is_sparse():
        value = value.to_dense()
    return (value.astype("float32") if value.dtype in (paddle.bfloat16, paddle.float16) else value).numpy()


def is_own(value: Any) -> bool:
    """Whether its text is Paddle's own: a layer, an optimiser, a device."""
    if type(value).__name__ == "device":
        return True
    return isinstance(value, paddle.nn.Layer | paddle.optimizer.Optimizer | paddle.base.core.Place)


def name(value: Any) -> str | None:
    """Of a type of numbers, as both frameworks call it; a device and an iterator of PyTorch's are none to compare."""
    if isinstance(value, paddle.dtype):
        return str(value).rpartition(".")[2]
    return OBJECT if type(value).__name__ in ("device", "Listed") else None


def note(variables: dict[str, Any]) -> None:
    for value in list(variables.values()):
        if isinstance(value, paddle.nn.Layer):
            PLACES.update(str(each.place) for each in value.parameters())
        elif isinstance(value, paddle.Tensor) and value._is_initialized():
            PLACES[str(value.place)] += 1


def prepare(stream: Any, device: str, observer: Any) -> None:
    paddle.set_device(device)
    try:
        import mended
    except ImportError:
        paddle.save = observer.saved(paddle.save)
        return
    mended.common.reached = lambda line: observer.write("reached", "", 0, line)
    mended.chance.source = mended.chance.Recorded(stream)
    mended.save = observer.saved(mended.save)
