"""How far results and gradients are from the same function in float64, and how far plain Paddle's are.

A result computed in finite precision is held to what that precision allows: to the error that the function itself has
when plain Paddle runs it eagerly in float32 on the same numbers, and to the unit roundoff and the length of sums.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle

TYPES = {"float32": paddle.float32, "bfloat16": paddle.bfloat16}
Function = Callable[..., Any]
Slopes = Sequence[np.ndarray]
BYTES = 200  # for each number of the largest tensor, at most: the function in float32 and float64, and its gradients


class NoMemory(Exception):
    """The tensors do not fit into the memory that is free."""

    exit_code = 3


@dataclass(frozen=True)
class Outcome:
    """Results and the gradients of sum(result * slope) over them, in float64."""

    results: list[np.ndarray]
    gradients: list[np.ndarray]

    @property
    def finite(self) -> bool:
        return all(bool(np.isfinite(array).all()) for array in (*self.results, *self.gradients))


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


def tensors(arrays: Iterable[np.ndarray], dtype: str, device: str | None = None) -> list[paddle.Tensor]:
    """Leaves of autograd with these numbers, rounded to `dtype`, on `device` or where Paddle computes."""
    place = paddle.CPUPlace() if device == "cpu" else None
    found = [paddle.to_tensor(array, place=place).astype(dtype).detach() for array in arrays]
    for tensor in found:
        tensor.stop_gradient = False
    return found


def random_slopes(shapes: Sequence[Sequence[int]], dtype: str, seed: int) -> list[np.ndarray]:
    """Normal random numbers that `dtype` can hold, in float32: the slope of a loss at each result."""
    numbers = np.random.default_rng(seed + 1)
    slopes = [numbers.standard_normal(shape, dtype="float32") for shape in shapes]
    return [double(paddle.to_tensor(slope).astype(dtype)).astype("float32") for slope in slopes]


def results_of(value: Any) -> list[paddle.Tensor]:
    """The tensors that a function returns: one, or those in its tuples, lists and dictionaries, in order."""
    return [leaf for leaf in paddle.utils.flatten(value) if isinstance(leaf, paddle.Tensor)]


def parameters_of(function: Function) -> list[paddle.Tensor]:
    """The parameters of the layer whose method `function` is; a function has none."""
    layer = getattr(function, "__self__", None)
    return list(layer.parameters()) if isinstance(layer, paddle.nn.Layer) else []


def evaluate(
    function: Function, inputs: Sequence[paddle.Tensor], slopes: Slopes, parameters: Sequence[paddle.Tensor] = ()
) -> Outcome:
    """Forward and backward; what no result depends on has a gradient of zeros. Clears the gradients."""
    results, leaves = results_of(function(*inputs)), [*inputs, *parameters]
    pairs = [
        (result, paddle.to_tensor(slope, place=result.place).astype(result.dtype))
        for result, slope in zip(results, slopes, strict=True)
        if not result.stop_gradient
    ]
    found = [None] * len(leaves)
    if pairs:
        differentiable, weights = map(list, zip(*pairs, strict=True))
        found = paddle.grad(differentiable, leaves, weights, allow_unused=True)
    gradients = [
        np.zeros(leaf.shape) if gradient is None else double(gradient)
        for leaf, gradient in zip(leaves, found, strict=True)
    ]
    return Outcome([double(result) for result in results], gradients)


def reference(function: Function, inputs: Sequence[paddle.Tensor], slopes: Slopes) -> Outcome:
    """The same in float64 on the CPU, from numbers exactly those of `inputs` and of a layer's parameters."""
    before = paddle.get_device()
    paddle.set_device("cpu")
    try:
        exact = in_double(function)
        arguments = tensors([double(tensor) for tensor in inputs], "float64", "cpu")
        return evaluate(exact, arguments, slopes, parameters_of(exact))
    finally:
        paddle.set_device(before)


def in_double(function: Function) -> Function:
    """The same method of a copy of its layer in float64; a function is what it is."""
    layer = getattr(function, "__self__", None)
    if not isinstance(layer, paddle.nn.Layer):
        return function
    exact: Function = getattr(copy.deepcopy(layer).to(dtype="float64"), function.__name__)
    return exact


def plain(function: Function, inputs: Sequence[paddle.Tensor], slopes: Slopes) -> Outcome:
    """The same by plain Paddle, eagerly in float32, rounded to the type of `inputs` at the end."""
    dtype = inputs[0].dtype
    arguments = tensors([double(tensor) for tensor in inputs], "float32")
    found = evaluate(function, arguments, slopes, parameters_of(function))
    if dtype == paddle.float32:
        return found

    def rounded(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [double(paddle.to_tensor(array.astype("float32")).astype(dtype)) for array in arrays]

    return Outcome(rounded(found.results), rounded(found.gradients))


def double(tensor: paddle.Tensor) -> np.ndarray:
    tensor = tensor.detach()
    return np.asarray((tensor.astype("float32") if tensor.dtype == paddle.bfloat16 else tensor).numpy(), "float64")


def relative(found: np.ndarray, exact: np.ndarray) -> float:
    """The largest difference over the largest number: the maximum error relative to float64."""
    difference, largest = float(np.abs(found - exact).max()), float(np.abs(exact).max())
    return difference / largest if largest else float(difference and np.inf)  # where all is 0, 0 is exact


def errors(found: Outcome, exact: Outcome) -> tuple[float, float]:
    """Relative maximum errors of the worst result and of the worst gradient."""

    def worst(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> float:
        return max(relative(a, b) for a, b in zip(ours, theirs, strict=True))

    return worst(found.results, exact.results), worst(found.gradients, exact.gradients)


def relative_to(found: Outcome, exact: Outcome) -> float:
    """The worst of the errors of `found`."""
    return max(errors(found, exact))


def compare(found: Outcome, usual: Outcome, exact: Outcome, inputs: Sequence[paddle.Tensor]) -> Errors:
    """The errors of `found` beside those of `usual`, which plain Paddle computed."""
    return Errors(*errors(found, exact), *errors(usual, exact), longest_sum(inputs, exact.results))


def longest_sum(inputs: Sequence[paddle.Tensor], results: Sequence[np.ndarray]) -> int:
    """The numbers in the longest sum: along a row, or in the gradient of a tensor that is broadcast to the result."""
    rows = [size for tensor in inputs for size in tensor.shape[-1:]]
    return max(1, *rows, *(result.size // tensor.size for tensor in inputs for result in results))


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
