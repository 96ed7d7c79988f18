"""Which floating-point type the current device computes in: float64 where it really has it, else float32.

Many accelerators have no float64, or take it and compute in something else. A program asks once, and says the answer.
"""

import numpy as np
import paddle

FALLBACK = "FLAGS_enable_api_kernel_fallback"  # lets Paddle compute on the host what the device cannot


def choose_dtype() -> tuple[str, str]:
    """`"float64"` or `"float32"`, and the reason in words.

    Asked of the device by products, exp and tanh of 101 numbers, with Paddle's fall-back to the host switched off.
    """
    before = paddle.get_flags(FALLBACK)
    paddle.set_flags({FALLBACK: False})
    points = np.linspace(-3, 3, 101)
    try:
        x = paddle.to_tensor(points, dtype="float64")
        found = paddle.exp(x * x / 3) + paddle.tanh(x * x + x)
        error = np.abs(found.numpy() - np.exp(points * points / 3) - np.tanh(points * points + points)).max()
    except Exception as refusal:  # what a device raises for a type that it lacks differs from one to the next
        return "float32", f"{paddle.get_device()} refuses float64 ({type(refusal).__name__})"
    finally:
        paddle.set_flags(before)
    if not error < 1e-12:
        return "float32", f"{paddle.get_device()} takes float64, but is wrong by {error:.0e}"
    return "float64", f"{paddle.get_device()} computes in float64"
