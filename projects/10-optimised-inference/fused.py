"""Products that a device's Paddle has fused, taken where they are there.

Whether one is there is asked of Paddle's own list of kernels, not of the device's name: a plug-in that gains a
kernel tomorrow is used tomorrow. None of this has been run on such a device yet; the choice is tested, the kernels
are Paddle's.
"""

from collections.abc import Callable

import numpy as np
import packing
import paddle
from llm.decoder import Linear
from paddle import nn

LINEAR = "weight_only_linear"  # paddle.nn.quant: weights of 8 or 4 bits, activations of 16
QUANTISE = "weight_quantize"
ALGORITHMS = {"int8": "weight_only_int8", "int4": "weight_only_int4"}


def has(operator: str, device: str, registered: dict[str, list[str]]) -> bool:
    """Whether Paddle lists a kernel of `operator` for `device`, such as "gpu:0"; see kit's device.py for the list."""
    place = "Place(cpu)" if device.startswith("cpu") else f"Place({device.partition(':')[0]}:0)"
    return any(place in line for line in registered.get(operator, []))


def choose(kind: str, device: str, registered: dict[str, list[str]]) -> str:
    """ "fused" where weights of `kind` have a fused product on the device, else "plain"."""
    able = kind in ALGORITHMS and all(has(operator, device, registered) for operator in (LINEAR, QUANTISE))
    return "fused" if able and not device.startswith("cpu") else "plain"


def is_fused(kind: str, device: str) -> bool:
    """Whether weights of `kind` have a fused product on the device."""
    return choose(kind, device, paddle.base.core._get_all_register_op_kernels("phi")) == "fused"


def linear_for(kind: str, device: str) -> Callable[..., "Plain | Fused"]:
    """What makes a product of a weight (outputs, inputs), and perhaps a bias (outputs,)."""
    product = Fused if is_fused(kind, device) else Plain
    return lambda weight, bias=None: product(weight, kind, bias)


def rounded(weight: np.ndarray, kind: str, importance: np.ndarray | None = None) -> np.ndarray:
    """The weight (outputs, inputs) as `kind` has it, in float32; see packing.quantise."""
    more = -weight.shape[1] % packing.GROUP
    whole = np.pad(weight, [(0, 0), (0, more)])
    counting = None if importance is None else np.pad(importance, (0, more))
    return packing.dequantise(packing.quantise(whole, kind, counting), kind)[:, : weight.shape[1]]


class Plain(Linear):
    """x @ weight.T in float32, the weight rounded to `kind`."""

    def __init__(self, weight: np.ndarray, kind: str, bias: np.ndarray | None = None) -> None:
        super().__init__(rounded(weight, kind), bias)


class Fused(nn.Layer):
    """Paddle's weight_only_linear: the weight in few bits with a scale for each output."""

    def __init__(self, weight: np.ndarray, kind: str, bias: np.ndarray | None = None) -> None:
        from paddle.nn import quant

        super().__init__()
        self.register_buffer("bias", None if bias is None else paddle.to_tensor(bias))
        self._multiply = quant.weight_only_linear
        self.dtype = kind
        whole = paddle.to_tensor(np.ascontiguousarray(weight.T)).astype("float16")
        for name, tensor in zip(("weight", "scale"), quant.weight_quantize(whole, algo=ALGORITHMS[kind]), strict=True):
            self.register_buffer(name, tensor)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = self._multiply(x.astype("float16"), self.weight, weight_scale=self.scale, weight_dtype=self.dtype)
        y = y.astype("float32")
        return y if self.bias is None else y + self.bias
