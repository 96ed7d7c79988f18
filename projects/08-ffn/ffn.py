"""The feed-forward network of a transformer block, in Paddle."""

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

ACTIVATIONS = {"gelu": F.gelu, "relu": F.relu, "swish": F.swish}


class FFN(nn.Layer):
    """Two linear layers with an activation between them, applied to every token alone.

        y = x + down(activation(up(norm(x))))     with residual: pre-norm, as in GPT-2 and later
        y = down(activation(up(x)))               without

    `norm` is a layer normalisation over the hidden axis. Input and output have the shape (batch, length, hidden).
    Sources: "Attention is all you need", https://arxiv.org/abs/1706.03762, section 3.3, has the second;
    Xiong et al., https://arxiv.org/abs/2002.04745, the first.
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


def first_weights(
    hidden: int, inner: int, generator: np.random.Generator, gain: float = 1.0, residual: bool = True
) -> dict[str, np.ndarray]:
    """Weights to start from, in float64: normal with standard deviation gain/√inputs, and small biases.

    By numpy, because Paddle's own generators give other numbers on every kind of device: this way all
    hardware starts from the same network, and their losses can be compared step by step.
    """
    weights = {"norm.weight": np.ones(hidden), "norm.bias": np.zeros(hidden)} if residual else {}
    for name, inputs, outputs in (("up", hidden, inner), ("down", inner, hidden)):
        weights[f"{name}.weight"] = generator.normal(0, gain / inputs**0.5, (inputs, outputs))
        weights[f"{name}.bias"] = generator.normal(0, 0.02, outputs)
    return weights


def fill(network: nn.Layer, weights: dict[str, np.ndarray]) -> None:
    """Give the network these weights, rounded to its own type."""
    for name, parameter in network.named_parameters():
        parameter.set_value(weights[name].astype("float64" if parameter.dtype == paddle.float64 else "float32"))
