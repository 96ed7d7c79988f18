"""Three small computations in float32 on the device, each held against numpy in float64.

They are the ones that most programs live on. A missing term or a wrong layout makes an error of order 1,
float32 makes one of about 1e-7, and units of lower precision (TF32, HF32) one of up to 1e-3.
"""

import numpy as np
import paddle
import paddle.nn.functional as F


def matmul(numbers: np.random.Generator, size: int) -> tuple[paddle.Tensor, float]:
    """A product of two (size, size) matrices: the result on the device, and its relative L2 error."""
    a, b = numbers.normal(size=(2, size, size)).astype("float32")
    found = paddle.matmul(paddle.to_tensor(a), paddle.to_tensor(b))
    return found, _error(found, a.astype(float) @ b.astype(float))


def convolution(numbers: np.random.Generator) -> tuple[paddle.Tensor, float]:
    """A 3 × 3 convolution of 2 images, 8 channels to 16: the result on the device, its relative L2 error."""
    images = numbers.normal(size=(2, 8, 32, 32)).astype("float32")  # (batch, channels, height, width)
    kernels = numbers.normal(size=(16, 8, 3, 3)).astype("float32")  # (to, from, height, width)
    found = F.conv2d(paddle.to_tensor(images), paddle.to_tensor(kernels), padding=1)
    padded = np.pad(images.astype(float), ((0, 0), (0, 0), (1, 1), (1, 1)))
    # (batch, from, height, width, 3, 3)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    expected = np.einsum("bihwyx,oiyx->bohw", windows, kernels.astype(float), optimize=True)
    return found, _error(found, expected)


def solve(numbers: np.random.Generator, size: int) -> tuple[paddle.Tensor, float]:
    """A linear system A x = b: the solution on the device, (size,), and its relative L2 error.

    By conjugate gradients, which need nothing but products and sums, so that every kind of device can do it
    itself (a dense solver is among the kernels that many of them leave to the CPU). A is symmetric and its
    eigenvalues lie between about 1 and 5, so that two dozen steps exhaust float32.
    """
    factor = numbers.normal(size=(size, size)) / size**0.5
    a = (np.eye(size) + factor @ factor.T).astype("float32")
    b = numbers.normal(size=size).astype("float32")

    matrix, residual = paddle.to_tensor(a), paddle.to_tensor(b)
    x, direction = paddle.zeros_like(residual), residual
    square = (residual * residual).sum()
    for _ in range(24):
        image = paddle.matmul(matrix, direction)
        length = square / (direction * image).sum()
        x, residual = x + length * direction, residual - length * image
        previous, square = square, (residual * residual).sum()
        direction = residual + square / previous * direction
    return x, _error(x, np.linalg.solve(a.astype(float), b.astype(float)))


def _error(found: paddle.Tensor, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found.numpy() - expected) / np.linalg.norm(expected))
