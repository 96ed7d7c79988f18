"""The same network once more, in numpy and float64, with the backward pass derived by hand.

It shares no line with Paddle, so that an error would have to be made twice to stay unseen.

Notation: N tokens, H hidden, I inner; dX is the gradient of the loss with respect to X.
For a linear layer Y = X W + b:      dX = dY Wᵀ,   dW = Xᵀ dY,   db = Σ_tokens dY.
For a layer normalisation Y = x̂ g + s with x̂ = (x − μ)/σ over the H numbers of a token, and d = dY g:
    dx = (d − mean(d) − x̂ mean(d x̂)) / σ,   dg = Σ_tokens dY x̂,   ds = Σ_tokens dY,
because μ and σ depend on x too: the two means take out what a shift and a scaling of the token would change.

It computes in the type of what it is given. In float32 it says how far plain rounding takes a network of these sizes
from float64, which is what a device's error is to be compared with.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

# "up.weight" (H, I), "up.bias" (I,), "down.weight" (I, H), "down.bias", "norm.weight" and "norm.bias" (H,)
Weights = dict[str, np.ndarray]

EPSILON = float(np.float32(1e-5))  # of the normalisation: in float64 too Paddle has it in float32

_erf = np.vectorize(math.erf, otypes=[float])


def activate(name: str, z: np.ndarray, kink: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The activation and its derivative at `z`, of any shape, in the type of `z`.

    relu's derivative jumps at `kink`. Raises KeyError for an unknown name.
    """
    if name == "relu":
        return np.maximum(z, 0), (z > kink).astype(z.dtype)
    if name == "gelu":  # z Φ(z), the exact form, not the one with tanh
        distribution = (1 + _erf(z / math.sqrt(2)).astype(z.dtype)) / 2
        near = np.clip(z, -40, 40)  # beyond, the density is 0, and the square could overflow
        density = np.exp(-(near**2) / 2) / math.sqrt(2 * math.pi)
        return z * distribution, distribution + z * density
    if name == "swish":  # z σ(z)
        sigmoid = (1 + np.tanh(z / 2)) / 2  # 1/(1 + exp(-z)) would overflow for large negative z
        return z * sigmoid, sigmoid * (1 + z * (1 - sigmoid))
    raise KeyError(name)


def forward(
    weights: Weights, x: np.ndarray, activation: str, kink: float = 0.0, epsilon: float = EPSILON
) -> tuple[np.ndarray, dict[str, Any]]:
    """One network's output (N, H) for `x` (N, H), and what `backward` needs. With residual if there is "norm.weight".

    Args:
        kink: where relu's derivative jumps, in root mean squares of what relu is applied to.
    """
    kept: dict[str, Any] = {"h": x}
    if "norm.weight" in weights:
        kept["deviation"] = np.sqrt(x.var(axis=-1, keepdims=True) + x.dtype.type(epsilon))  # (N, 1)
        kept["unit"] = (x - x.mean(axis=-1, keepdims=True)) / kept["deviation"]  # (N, H)
        kept["h"] = kept["unit"] * weights["norm.weight"] + weights["norm.bias"]
    z = kept["h"] @ weights["up.weight"] + weights["up.bias"]  # (N, I)
    kept["a"], kept["slope"] = activate(activation, z, kink * float(np.sqrt(np.mean(z**2))))  # (N, I)
    y = kept["a"] @ weights["down.weight"] + weights["down.bias"]  # (N, H)
    return (x + y if "norm.weight" in weights else y), kept


def backward(weights: Weights, kept: dict[str, Any], dy: np.ndarray) -> tuple[np.ndarray, Weights]:
    """From the output's gradient (N, H) to the input's, and the gradients of the weights."""
    gradients = {"down.weight": kept["a"].T @ dy, "down.bias": dy.sum(axis=0)}
    dz = (dy @ weights["down.weight"].T) * kept["slope"]  # (N, I)
    gradients |= {"up.weight": kept["h"].T @ dz, "up.bias": dz.sum(axis=0)}
    dx = dz @ weights["up.weight"].T  # (N, H)
    if "unit" in kept:
        unit = kept["unit"]
        gradients |= {"norm.weight": (dx * unit).sum(axis=0), "norm.bias": dx.sum(axis=0)}
        d = dx * weights["norm.weight"]
        through = d - d.mean(axis=-1, keepdims=True) - unit * (d * unit).mean(axis=-1, keepdims=True)
        dx = dy + through / kept["deviation"]  # the residual hands the gradient on unchanged
    return dx, gradients


def loss_and_gradients(
    weights: Weights, x: np.ndarray, target: np.ndarray, activation: str, kink: float = 0.0, dtype: str = "float64"
) -> tuple[np.ndarray, float, Weights]:
    """One network's output, mean squared error against `target`, and the gradients of that loss.

    `x` and `target` have the shape (..., H). The gradients have the names and shapes of `weights`, and "x" is that of
    the input.
    """
    output, loss, (gradients,), dx = chain([weights], x, target, activation, kink, dtype)
    return output, loss, gradients | {"x": dx}


def chain(
    blocks: Sequence[Weights], x: np.ndarray, target: np.ndarray, activation: str, kink: float = 0.0,
    dtype: str = "float64",
) -> tuple[np.ndarray, float, list[Weights], np.ndarray]:  # fmt: skip
    """The same of networks one behind the other: output, loss, the gradients of each, and the input's."""
    shape, hidden = x.shape, x.shape[-1]
    blocks = [{name: value.astype(dtype) for name, value in weights.items()} for weights in blocks]
    y, target = x.astype(dtype).reshape(-1, hidden), target.astype(dtype).reshape(-1, hidden)  # (N, H)
    passed = []
    for weights in blocks:
        y, kept = forward(weights, y, activation, kink)
        passed.append(kept)
    loss = float(np.mean((y - target) ** 2))
    dx, gradients = 2 * (y - target) / y.size, []
    for weights, kept in zip(reversed(blocks), reversed(passed), strict=True):
        dx, own = backward(weights, kept, dx)
        gradients.append(own)
    return y.reshape(shape), loss, gradients[::-1], dx.reshape(shape)


def kinks(blocks: Sequence[Weights], x: np.ndarray, target: np.ndarray, activation: str, unit: float) -> float:
    """The largest relative change of a gradient when what is within rounding of relu's kink changes sides.

    Args:
        unit: the roundoff that it is rounded with, 2⁻²⁴ for float32. What relu is applied to is a sum, and off by some
            units of its size; 32 of them are taken.
    """
    if activation != "relu":
        return 0.0
    above, below = (chain(blocks, x, target, activation, sign * 32 * unit)[2:] for sign in (1, -1))
    pairs = [(above[1], below[1])]
    pairs += [(one[name], other[name]) for one, other in zip(above[0], below[0], strict=True) for name in one]
    return max(relative_error(*pair) for pair in pairs)


class AdamW:
    """AdamW in numpy, as Paddle has it: https://arxiv.org/abs/1711.05101, algorithm 2, with its default numbers."""

    def __init__(self, rate: float, decay: float = 0.01) -> None:
        self.rate, self.decay, self.steps = rate, decay, 0
        self.moments: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def step(self, weights: Weights, gradients: Weights) -> None:
        """Change the weights."""
        self.steps += 1
        one, two = 1 - 0.9**self.steps, 1 - 0.999**self.steps
        for name, gradient in gradients.items():
            first, second = self.moments.get(name, (0.0, 0.0))
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            self.moments[name] = first, second
            change = self.rate * first / one / (np.sqrt(second / two) + 1e-8)
            weights[name] = weights[name] * (1 - self.rate * self.decay) - change


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """‖found − expected‖ / ‖expected‖ in L2 over all elements.

    Infinite where only `expected` is all zero, and where the shapes differ.
    """
    if found.shape != expected.shape:
        return math.inf
    difference, size = np.linalg.norm(found - expected), np.linalg.norm(expected)
    return float(difference / size) if size else (0.0 if difference == 0 else math.inf)
