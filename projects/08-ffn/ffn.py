"""The feed-forward network of a transformer block, in Paddle."""

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

ACTIVATIONS = {"gelu": F.gelu, "relu": F.relu, "swish": F.swish}


class FFN(nn.Layer):
    """Two linear layers with an activation between them, applied to every token alone.

        y = x + down(activation(up(norm(x))))      residual: pre-norm, as in GPT-2 and later (Xiong et al.,
        2020) y = down(activation(up(x)))                else: as in "Attention is all you need", section 3.3

    `norm` is a layer normalisation over the hidden axis. Input and output have the shape (batch, length,
    hidden).
    """

    def __init__(self, hidden: int, inner: int, activation: str = "gelu", residual: bool = True) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden, epsilon=1e-5) if residual else None
        self.up = nn.Linear(hidden, inner)
        self.down = nn.Linear(inner, hidden)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        h = x if self.norm is None else self.norm(x)  # (batch, length, hidden)
        h = self.activation(self.up(h))  # (batch, length, inner)
        h = self.down(h)  # (batch, length, hidden)
        return h if self.norm is None else x + h


def initialise(network: FFN, generator: np.random.Generator, gain: float = 1.0) -> None:
    """Draw the weights, normal with standard deviation gain/√inputs, and small biases.

    By numpy, because Paddle's own generators give other numbers on every kind of device: this way all
    hardware starts from the same network, and their losses can be compared step by step.
    """
    for linear in (network.up, network.down):
        inputs, outputs = linear.weight.shape
        weight = generator.normal(0, gain / inputs**0.5, (inputs, outputs))
        linear.weight.set_value(_cast(weight, linear.weight))
        linear.bias.set_value(_cast(generator.normal(0, 0.02, outputs), linear.bias))


def _cast(values: np.ndarray, like: paddle.Tensor) -> np.ndarray:
    return values.astype("float64" if like.dtype == paddle.float64 else "float32")
