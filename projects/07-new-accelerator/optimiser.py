"""AdamW, all weights in one step.

Paddle's clips and takes them one by one, 1.3 ms for the eleven of the GPT, of which adamw.c takes 0.4. Its AdamW has
no use_multi_tensor, and the one of its Adam knows no decay apart from the gradient.
"""

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paddle
from paddle import nn

sys.path.append(str(Path(__file__).resolve().parents[1] / "02-compiler"))
import toolchain

STATE = ("moment1", "moment2", "beta1_pow_acc", "beta2_pow_acc")  # of each weight, as Paddle calls it


class AdamW(paddle.optimizer.AdamW):  # type: ignore[misc]
    """Paddle's, with its state and its numbers; all gradients together are clipped to a norm of `most`.

    On a CPU adamw.c takes the step. What is not in float32, other devices, and where no compiler is: Paddle takes it.
    """

    def __init__(self, rate: float, weights: list[paddle.Tensor], decay: float, most: float) -> None:
        super().__init__(rate, parameters=weights, weight_decay=decay, grad_clip=nn.ClipGradByGlobalNorm(most))
        self.weights, self.decay, self.most = weights, decay, most
        self._all_at_once = compiled()
        self._state: list[list[paddle.Tensor]] = []

    def step(self) -> None:
        gradients = [weight.grad for weight in self.weights]
        if self._all_at_once is None or not all(map(suits, gradients)):
            super().step()
            return
        if not self._state:
            self._create_accumulators(paddle.static.default_main_program().global_block(), self.weights)
            self._state = [[self._accumulators[word][weight.name] for weight in self.weights] for word in STATE]
        settings = self.get_lr(), self.decay, self._beta1, self._beta2, self._epsilon, self.most
        columns = [addresses(tensors) for tensors in (self.weights, gradients, *self._state)]
        sizes = (ctypes.c_int64 * len(gradients))(*(weight.size for weight in self.weights))
        self._all_at_once(len(gradients), sizes, *columns, (ctypes.c_float * len(settings))(*settings))


def suits(gradient: paddle.Tensor | None) -> bool:
    return (
        gradient is not None
        and gradient.dtype == paddle.float32
        and gradient.place.is_cpu_place()
        and gradient.is_contiguous()
    )


def addresses(tensors: list[paddle.Tensor]) -> Any:
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


def compiled() -> Callable[..., None] | None:
    """adamw.c's function, or None where there is no compiler."""
    try:
        library = toolchain.compile_kernel("adamw", Path(__file__).with_name("adamw.c").read_text())
    except toolchain.NoCompiler:
        return None
    step: Callable[..., None] = ctypes.CDLL(str(library.path)).step
    return step
