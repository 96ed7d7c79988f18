"""The decoder once more in numpy on the host: what another computation of it is held against.

In float64 it is the truth that float32 rounds; in float32 it says how far rounding alone goes, with the same weights
on the same text. A bound made of the two holds on every processor, and for every model.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .config import Config

Array = np.ndarray[Any, np.dtype[Any]]
Rounding = Callable[[Array], Array]


def unchanged(x: Array) -> Array:
    return x


def rms_norm(x: Array, weight: Array, epsilon: float) -> Array:
    found: Array = x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight
    return found


def rotate(x: Array, frequencies: Array) -> Array:
    """Turn x (..., T, heads, D): the pair (i, i + D/2) is a complex number, and its position turns it."""
    half = frequencies.size
    angles = np.arange(x.shape[-3])[:, None, None] * frequencies
    turned = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angles)
    return np.concatenate([turned.real, turned.imag], -1).astype(x.dtype)


def attend(q: Array, k: Array, v: Array) -> Array:
    """Attention of queries (..., T, H, D) to keys and values (..., T, KV, D) up to their own place: (..., T, H D)."""
    *_, length, heads, size = q.shape
    k, v = (np.repeat(x, heads // x.shape[-2], axis=-2).swapaxes(-3, -2) for x in (k, v))  # (..., H, T, D)
    scores = q.swapaxes(-3, -2) @ k.swapaxes(-2, -1) / np.asarray(size**0.5, q.dtype)
    scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    mixed: Array = shares / shares.sum(-1, keepdims=True) @ v
    return mixed.swapaxes(-3, -2).reshape(*q.shape[:-2], -1)


def logits(
    config: Config,
    weights: Mapping[str, Array],
    tokens: Array,
    dtype: str = "float64",
    inputs: Rounding = unchanged,
    cached: Rounding = unchanged,
) -> Array:
    """Logits (..., T, vocabulary) after each of `tokens` (..., T), one text or several of one length.

    `inputs` rounds what a product with a weight is given (..., inputs), `cached` keys and values (..., KV, D).
    """
    frequencies = config.rope_theta ** (-np.arange(0, config.head_dim, 2) / config.head_dim)

    def tensor(name: str) -> Array:
        return weights[name + ".weight"].astype(dtype)

    def product(x: Array, *names: str) -> list[Array]:
        x = inputs(x).astype(dtype)
        return [x @ tensor(name).T for name in names]

    x = weights["model.embed_tokens.weight"][tokens].astype(dtype)
    for prefix in (f"model.layers.{number}." for number in range(config.layers)):
        y = rms_norm(x, tensor(prefix + "input_layernorm"), config.epsilon)
        projected = product(y, *(f"{prefix}self_attn.{name}_proj" for name in "qkv"))
        q, k, v = (each.reshape(*tokens.shape, -1, config.head_dim) for each in projected)
        k, v = (cached(each).astype(dtype) for each in (rotate(k, frequencies), v))
        (y,) = product(attend(rotate(q, frequencies), k, v), prefix + "self_attn.o_proj")
        x = x + y
        y = rms_norm(x, tensor(prefix + "post_attention_layernorm"), config.epsilon)
        gate, up = product(y, prefix + "mlp.gate_proj", prefix + "mlp.up_proj")
        (y,) = product(gate / (1 + np.exp(-gate)) * up, prefix + "mlp.down_proj")
        x = x + y
    last = rms_norm(x, tensor("model.norm"), config.epsilon)
    (found,) = product(last, "model.embed_tokens" if config.tied else "lm_head")
    return found


def error(found: Array, truth: Array) -> float:
    """The relative error of logits (..., vocabulary) in the Euclidean norm: the root mean square of all places'."""
    off = np.linalg.norm(found.astype("float64") - truth, axis=-1) / np.linalg.norm(truth, axis=-1)
    return float(np.sqrt((off * off).mean()))
