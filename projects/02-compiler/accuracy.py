"""How far results and gradients are from the same function in float64, and how far plain Paddle's are.

A result computed in finite precision is held to what that precision allows: to the error that the function itself has
when plain Paddle runs it eagerly in float32 on the same numbers, and to the unit roundoff and the length of sums.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paddle

TYPES = {"float32": paddle.float32, "bfloat16": paddle.bfloat16}
BYTES = 200  # for each number of the largest tensor, at most: the function in float32 and float64, and its gradients


class NoMemory(Exception):
    """The tensors do not fit into the memory that is free."""

    exit_code = 3


@dataclass(frozen=True)
class Outcome:
    """A result and the gradients of sum(result * slope), in float64."""

    result: np.ndarray
    gradients: list[np.ndarray]

    @property
    def finite(self) -> bool:
        return all(bool(np.isfinite(array).all()) for array in (self.result, *self.gradients))


@dataclass(frozen=True)
class Errors:
    """Relative maximum errors against float64, `plain` those of plain Paddle in float32; the longest sum's length."""

    forward: float
    gradient: float
    plain_forward: float
    plain_gradient: float
    longest_sum: int

    def metrics(self) -> dict[str, float]:
        return {
            "forward_error": self.forward,
            "gradient_error": self.gradient,
            "plain_forward_error": self.plain_forward,
            "plain_gradient_error": self.plain_gradient,
            "longest_sum": self.longest_sum,
        }


def tensors(arrays: Sequence[np.ndarray], dtype: str, device: str | None = None) -> list[paddle.Tensor]:
    """Leaves of autograd with these numbers, rounded to `dtype`, on `device` or where Paddle computes."""
    place = paddle.CPUPlace() if device == "cpu" else None
    found = [paddle.to_tensor(array, place=place).astype(dtype).detach() for array in arrays]
    for tensor in found:
        tensor.stop_gradient = False
    return found


def random_slope(shape: Sequence[int], dtype: str, seed: int) -> np.ndarray:
    """Normal random numbers that `dtype` can hold, in float32: the slope of a loss at the result."""
    slope = np.random.default_rng(seed + 1).standard_normal(shape, dtype="float32")
    return double(paddle.to_tensor(slope).astype(dtype)).astype("float32")


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


def plain(function: Callable[..., paddle.Tensor], inputs: Sequence[paddle.Tensor], slope: np.ndarray) -> Outcome:
    """The same by plain Paddle, eagerly in float32, rounded to the type of `inputs` at the end."""
    dtype = inputs[0].dtype
    found = evaluate(function, tensors([double(tensor) for tensor in inputs], "float32"), slope)
    if dtype == paddle.float32:
        return found
    result, *gradients = [
        double(paddle.to_tensor(array.astype("float32")).astype(dtype)) for array in (found.result, *found.gradients)
    ]
    return Outcome(result, gradients)


def double(tensor: paddle.Tensor) -> np.ndarray:
    tensor = tensor.detach()
    return np.asarray((tensor.astype("float32") if tensor.dtype == paddle.bfloat16 else tensor).numpy(), "float64")


def relative(found: np.ndarray, exact: np.ndarray) -> float:
    """The largest difference over the largest number: the maximum error relative to float64."""
    difference, largest = float(np.abs(found - exact).max()), float(np.abs(exact).max())
    return difference / largest if largest else float(difference and np.inf)  # where all is 0, 0 is exact


def errors(found: Outcome, exact: Outcome) -> tuple[float, float]:
    """Relative maximum errors of the result and of the worst gradient."""
    pairs = zip(found.gradients, exact.gradients, strict=True)
    return relative(found.result, exact.result), max(relative(a, b) for a, b in pairs)


def compare(found: Outcome, usual: Outcome, exact: Outcome, inputs: Sequence[paddle.Tensor]) -> Errors:
    """The errors of `found` beside those of `usual`, which plain Paddle computed."""
    return Errors(*errors(found, exact), *errors(usual, exact), longest_sum(inputs, exact.result))


def longest_sum(inputs: Sequence[paddle.Tensor], result: np.ndarray) -> int:
    """The numbers in the longest sum: along a row, or in the gradient of a tensor that is broadcast to the result."""
    rows = [size for tensor in inputs for size in tensor.shape[-1:]]
    return max(1, *rows, *(result.size // tensor.size for tensor in inputs))


def require_memory(numbers: int) -> None:
    """Raise NoMemory if tensors of so many numbers, and all that is compared with them, do not fit."""
    try:
        words = Path("/proc/meminfo").read_text().split()
        free = 1024 * int(words[words.index("MemAvailable:") + 1])
    except (OSError, ValueError):
        return  # not Linux: nobody says
    if BYTES * numbers > free:
        raise NoMemory(
            f"{numbers} numbers do not fit into this machine's memory.\n"
            f"With float64 beside it takes up to {BYTES * numbers / 2**30:.1f} GiB, and {free / 2**30:.1f} are free.\n"
            "Ask for fewer rows or columns."
        )
