"""Three small computations in float32 on the device, each held against numpy in float64.

They are the ones that most programs live on. A missing term or a wrong layout makes an error of order 1. What rounding
makes depends on the device: the sums grow it as √(length of the sums), and units of lower precision (TF32, HF32) round
the factors of products before they multiply. How far they do is found by products with 1 (`Result.roundoff`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F

U = 2.0**-24  # unit roundoff of float32
STEPS = 40


@dataclass(frozen=True)
class Result:
    """What came out on the device, its relative L2 error, and how far the device rounds factors (at least U)."""

    found: paddle.Tensor
    error: float
    roundoff: float = U


def matmul(numbers: np.random.Generator, size: int) -> Result:
    """A product of two (size, size) matrices."""
    a, b = numbers.normal(size=(2, size, size)).astype("float32")
    found = paddle.matmul(paddle.to_tensor(a), paddle.to_tensor(b))
    itself = paddle.matmul(paddle.eye(size), paddle.to_tensor(b))
    return Result(found, _error(found, a.astype(float) @ b.astype(float)), _roundoff(itself, b))


def convolution(numbers: np.random.Generator) -> Result:
    """A 3 × 3 convolution of 2 images, 8 channels to 16: sums of 72 products."""
    images = numbers.normal(size=(2, 8, 32, 32)).astype("float32")  # (batch, channels, height, width)
    kernels = numbers.normal(size=(16, 8, 3, 3)).astype("float32")  # (to, from, height, width)
    found = _convolve(images, kernels)
    padded = np.pad(images.astype(float), ((0, 0), (0, 0), (1, 1), (1, 1)))
    # (batch, from, height, width, 3, 3)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    expected = np.einsum("bihwyx,oiyx->bohw", windows, kernels.astype(float), optimize=True)
    same = np.zeros_like(kernels)
    same[np.arange(8), np.arange(8), 1, 1] = 1  # the first 8 channels out are those that came in
    return Result(found, _error(found, expected), _roundoff(_convolve(images, same)[:, :8], images))


def solve(numbers: np.random.Generator, size: int) -> Result:
    """A linear system A x = b: the solution on the device, (size,).

    By conjugate gradients, which need nothing but products and sums, so that every kind of device can do it
    itself (a dense solver is among the kernels that many of them leave to the CPU). A = 1 + F Fᵀ with N(0, 1/size) in
    F, so that its eigenvalues lie between 1 and about (1 + 2²), for small sizes a little more
    (https://arxiv.org/abs/1011.3027, theorem 2.6); some two dozen steps exhaust float32.
    """
    factor = numbers.normal(size=(size, size)) / size**0.5
    a = (np.eye(size) + factor @ factor.T).astype("float32")
    b = numbers.normal(size=size).astype("float32")

    matrix, residual = paddle.to_tensor(a), paddle.to_tensor(b)
    x, direction = paddle.zeros_like(residual), residual
    square = (residual * residual).sum()
    enough = square.item() * U**2
    for _ in range(STEPS):
        image = paddle.matmul(matrix, direction)
        length = square / (direction * image).sum()
        x, residual = x + length * direction, residual - length * image
        previous, square = square, (residual * residual).sum()
        if square.item() <= enough:  # a small system is solved before; then 0 / 0 would follow
            break
        direction = residual + square / previous * direction
    return Result(x, _error(x, np.linalg.solve(a.astype(float), b.astype(float))))


def _convolve(images: np.ndarray, kernels: np.ndarray) -> Any:
    return F.conv2d(paddle.to_tensor(images), paddle.to_tensor(kernels), padding=1)


def _error(found: paddle.Tensor, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found.numpy() - expected) / np.linalg.norm(expected))


def _roundoff(found: paddle.Tensor, exact: np.ndarray) -> float:
    return max(U, float(np.abs(found.numpy().astype(float) / exact - 1).max()))
