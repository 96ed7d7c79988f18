"""The same network once more, in numpy and float64, with the backward pass derived by hand.

It shares no line with Paddle, so that an error would have to be made twice to stay unseen.

Notation: N tokens, H hidden, I inner; dX is the gradient of the loss with respect to X.
For a linear layer Y = X W + b:      dX = dY Wᵀ,   dW = Xᵀ dY,   db = Σ_tokens dY.
For a layer normalisation Y = x̂ g + s with x̂ = (x − μ)/σ over the H numbers of a token, and d = dY g:
    dx = (d − mean(d) − x̂ mean(d x̂)) / σ,   dg = Σ_tokens dY x̂,   ds = Σ_tokens dY,
because μ and σ depend on x too: the two means take out what a shift and a scaling of the token would change.
"""

import math

import numpy as np

# "up.weight" (H, I), "up.bias" (I,), "down.weight" (I, H), "down.bias", "norm.weight" and "norm.bias" (H,)
Weights = dict[str, np.ndarray]

_erf = np.vectorize(math.erf, otypes=[float])


def activate(name: str, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The activation and its derivative at `z`, of any shape. Raises KeyError for an unknown name."""
    if name == "relu":
        return np.maximum(z, 0), (z > 0).astype(float)
    if name == "gelu":  # z Φ(z), the exact form, not the one with tanh
        distribution = (1 + _erf(z / math.sqrt(2))) / 2
        near = np.clip(z, -40, 40)  # beyond, the density is 0, and the square could overflow
        density = np.exp(-(near**2) / 2) / math.sqrt(2 * math.pi)
        return z * distribution, distribution + z * density
    if name == "swish":  # z σ(z)
        sigmoid = (1 + np.tanh(z / 2)) / 2  # 1/(1 + exp(-z)) would overflow for large negative z
        return z * sigmoid, sigmoid * (1 + z * (1 - sigmoid))
    raise KeyError(name)


def loss_and_gradients(
    weights: Weights, x: np.ndarray, target: np.ndarray, activation: str, epsilon: float = 1e-5
) -> tuple[np.ndarray, float, Weights]:
    """Output, mean squared error against `target`, and the gradients of that loss.

    `x` and `target` have the shape (..., H). The network is the one with residual if `weights` has
    "norm.weight". The gradients have the names and shapes of `weights`, and "x" is that of the input.
    """
    shape, hidden = x.shape, x.shape[-1]
    weights = {name: value.astype(float) for name, value in weights.items()}
    x, target = x.astype(float).reshape(-1, hidden), target.astype(float).reshape(-1, hidden)  # (N, H)
    residual = "norm.weight" in weights

    # Forward
    h = x  # (N, H)
    if residual:
        deviation = np.sqrt(x.var(axis=-1, keepdims=True) + epsilon)  # (N, 1)
        unit = (x - x.mean(axis=-1, keepdims=True)) / deviation  # (N, H)
        h = unit * weights["norm.weight"] + weights["norm.bias"]
    z = h @ weights["up.weight"] + weights["up.bias"]  # (N, I)
    a, slope = activate(activation, z)  # (N, I)
    y = a @ weights["down.weight"] + weights["down.bias"]  # (N, H)
    if residual:
        y = x + y
    loss = float(np.mean((y - target) ** 2))

    # Backward, from the loss to the input
    dy = 2 * (y - target) / y.size  # (N, H)
    gradients = {"down.weight": a.T @ dy, "down.bias": dy.sum(axis=0)}
    dz = (dy @ weights["down.weight"].T) * slope  # (N, I)
    gradients |= {"up.weight": h.T @ dz, "up.bias": dz.sum(axis=0)}
    dx = dz @ weights["up.weight"].T  # (N, H)
    if residual:
        gradients |= {"norm.weight": (dx * unit).sum(axis=0), "norm.bias": dx.sum(axis=0)}
        d = dx * weights["norm.weight"]
        through = d - d.mean(axis=-1, keepdims=True) - unit * (d * unit).mean(axis=-1, keepdims=True)
        dx = dy + through / deviation  # the residual hands the gradient on unchanged
    gradients["x"] = dx.reshape(shape)
    return y.reshape(shape), loss, gradients


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """‖found − expected‖ / ‖expected‖ in L2 over all elements; infinite where only `expected` is all zero."""
    difference, size = np.linalg.norm(found - expected), np.linalg.norm(expected)
    return float(difference / size) if size else (0.0 if difference == 0 else math.inf)
