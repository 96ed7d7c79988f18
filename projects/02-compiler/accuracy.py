"""How far results and gradients are from the same function in float64, which Paddle computes eagerly on the CPU."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import paddle

TYPES = {"float32": paddle.float32, "bfloat16": paddle.bfloat16}


@dataclass(frozen=True)
class Outcome:
    """A result and the gradients of sum(result * slope), in float64."""

    result: np.ndarray
    gradients: list[np.ndarray]


def tensors(arrays: Sequence[np.ndarray], dtype: str, device: str | None = None) -> list[paddle.Tensor]:
    """Leaves of autograd with these numbers, rounded to `dtype`, on `device` or where Paddle computes."""
    place = paddle.CPUPlace() if device == "cpu" else None
    found = [paddle.to_tensor(array, place=place).astype(dtype).detach() for array in arrays]
    for tensor in found:
        tensor.stop_gradient = False
    return found


def evaluate(function: Callable[..., paddle.Tensor], inputs: Sequence[paddle.Tensor], slope: np.ndarray) -> Outcome:
    """Forward and backward; clears the gradients."""
    result = function(*inputs)
    weights = paddle.to_tensor(slope, place=result.place).astype(result.dtype)
    gradients = paddle.grad(result, list(inputs), weights)
    return Outcome(double(result), [double(gradient) for gradient in gradients])


def reference(function: Callable[..., paddle.Tensor], inputs: Sequence[paddle.Tensor], slope: np.ndarray) -> Outcome:
    """The same in float64 on the CPU, from numbers exactly those of `inputs`."""
    before = paddle.get_device()
    paddle.set_device("cpu")
    try:
        return evaluate(function, tensors([double(tensor) for tensor in inputs], "float64", "cpu"), slope)
    finally:
        paddle.set_device(before)


def double(tensor: paddle.Tensor) -> np.ndarray:
    tensor = tensor.detach()
    return np.asarray((tensor.astype("float32") if tensor.dtype == paddle.bfloat16 else tensor).numpy(), "float64")


def relative(found: np.ndarray, exact: np.ndarray) -> float:
    """The largest difference over the largest number: the maximum error relative to float64."""
    return float(np.abs(found - exact).max() / np.abs(exact).max())


def errors(found: Outcome, exact: Outcome) -> tuple[float, float]:
    """Relative maximum errors of the result and of the worst gradient."""
    pairs = zip(found.gradients, exact.gradients, strict=True)
    return relative(found.result, exact.result), max(relative(a, b) for a, b in pairs)
