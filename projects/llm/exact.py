"""The decoder once more in numpy on the host: what another computation of it is held against.

In float64 it is the truth that float32 rounds; in float32 it says how far rounding alone goes, with the same weights
on the same text. A bound made of the two holds on every processor, and for every model.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .config import Config
from .rope import Rope

Array = np.ndarray[Any, np.dtype[Any]]
Rounding = Callable[[Array], Array]


def unchanged(x: Array) -> Array:
    return x


def rms_norm(x: Array, weight: Array, epsilon: float) -> Array:
    found: Array = x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight
    return found


def rotate(x: Array, rope: Rope, places: Array, length: int) -> Array:
    """Turn x (..., T, heads, D): the pair (i, i + D/2) is a complex number, and its position turns it."""
    frequencies, sizes = rope.turns(length)
    half = frequencies.size
    turned = (x[..., :half] + 1j * x[..., half:]) * (sizes * np.exp(1j * places[:, None, None] * frequencies))
    found: Array = np.concatenate([turned.real, turned.imag], -1).astype(x.dtype)
    return found


def capped(x: Array, cap: float) -> Array:
    """cap tanh(x / cap), or x itself where the cap is 0."""
    return np.asarray(np.tanh(x / cap) * cap, x.dtype) if cap else x


def attend(q: Array, k: Array, v: Array, scale: float, cap: float, window: int) -> Array:
    """Attention of queries (..., T, H, D) to keys and values (..., T, KV, D) up to their own place: (..., T, H D)."""
    *_, length, heads, _ = q.shape
    k, v = (np.repeat(x, heads // x.shape[-2], axis=-2).swapaxes(-3, -2) for x in (k, v))  # (..., H, T, D)
    scores = capped(q.swapaxes(-3, -2) @ k.swapaxes(-2, -1) * np.asarray(scale, q.dtype), cap)
    seen = np.tri(length, dtype=bool) & ~np.tri(length, length, -window, dtype=bool) if window else np.tri(length)
    scores = np.where(seen, scores, -np.inf)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    mixed: Array = shares / shares.sum(-1, keepdims=True) @ v
    return mixed.swapaxes(-3, -2).reshape(*q.shape[:-2], -1)


def activate(x: Array, name: str) -> Array:
    """The activation of the feed-forward network."""
    if name == "silu":
        found: Array = x / (1 + np.exp(-x))
    elif name == "gelu_tanh":
        found = x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    else:
        found = x / 2 * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))
    return found.astype(x.dtype)


class Decoder:
    """The layers, in numpy numbers of `dtype`; see `logits`."""

    def __init__(
        self, config: Config, weights: Mapping[str, Array], dtype: str, inputs: Rounding, cached: Rounding
    ) -> None:
        self.config, self.weights, self.dtype, self.inputs, self.cached = config, weights, dtype, inputs, cached

    def tensor(self, name: str) -> Array:
        return self.weights[name + ".weight"].astype(self.dtype)

    def product(self, x: Array, *names: str) -> list[Array]:
        x, found = self.inputs(x).astype(self.dtype), []
        for name in names:
            y = x @ self.tensor(name).T
            bias = f"{name}.bias"
            found.append(y + self.weights[bias].astype(self.dtype) if bias in self.weights else y)
        return found

    def norm(self, x: Array, name: str) -> Array:
        return rms_norm(x, self.tensor(name), self.config.epsilon)

    def attention(self, y: Array, layer: int, prefix: str) -> Array:
        c = self.config
        projected = self.product(y, *(f"{prefix}{name}_proj" for name in "qkv"))
        q, k, v = (each.reshape(*y.shape[:-1], -1, c.head_dim) for each in projected)
        if c.head_norms:
            q, k = self.norm(q, prefix + "q_norm"), self.norm(k, prefix + "k_norm")
        if c.turned[layer] >= 0:
            places = np.arange(y.shape[-2])
            q, k = (rotate(each, c.ropes[c.turned[layer]], places, places.size) for each in (q, k))
        k, v = (self.cached(each).astype(self.dtype) for each in (k, v))
        (mixed,) = self.product(attend(q, k, v, c.score_scale, c.score_cap, c.windows[layer]), prefix + "o_proj")
        return mixed

    def network(self, y: Array, prefix: str) -> Array:
        gate, up = self.product(y, prefix + "gate_proj", prefix + "up_proj")
        (found,) = self.product(activate(gate, self.config.activation) * up, prefix + "down_proj")
        return found

    def experts(self, y: Array, prefix: str) -> Array:
        experts = self.config.experts
        assert experts is not None
        scores = y @ self.tensor(prefix + "gate").T
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        chosen = np.argsort(-shares, -1, kind="stable")[..., : experts.chosen]
        kept = np.zeros_like(shares)
        np.put_along_axis(kept, chosen, np.take_along_axis(shares, chosen, -1), -1)
        if experts.renormalised:
            kept /= kept.sum(-1, keepdims=True)
        found = np.zeros_like(y)
        for number in range(experts.count):
            took = kept[..., number] > 0
            if took.any():
                found[took] += kept[..., number][took][:, None] * self.network(y[took], f"{prefix}experts.{number}.")
        return found

    def layer(self, x: Array, number: int) -> Array:
        prefix, c = f"model.layers.{number}.", self.config
        y = self.attention(self.norm(x, prefix + "input_layernorm"), number, prefix + "self_attn.")
        x = x + (self.norm(y, prefix + "post_attention_layernorm") if c.sandwich else y)
        y = self.norm(x, prefix + ("pre_feedforward_layernorm" if c.sandwich else "post_attention_layernorm"))
        y = self.experts(y, prefix + "mlp.") if c.has_experts(number) else self.network(y, prefix + "mlp.")
        return x + (self.norm(y, prefix + "post_feedforward_layernorm") if c.sandwich else y)


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
    decoder = Decoder(config, weights, dtype, inputs, cached)
    x = weights["model.embed_tokens.weight"][tokens].astype(dtype) * np.asarray(config.embedding_scale, dtype)
    for number in range(config.layers):
        x = decoder.layer(x, number)
    (found,) = decoder.product(decoder.norm(x, "model.norm"), "model.embed_tokens" if config.tied else "lm_head")
    return capped(found, config.logit_cap)


def error(found: Array, truth: Array) -> float:
    """The relative error of logits (..., vocabulary) in the Euclidean norm: the root mean square of all places'."""
    off = np.linalg.norm(found.astype("float64") - truth, axis=-1) / np.linalg.norm(truth, axis=-1)
    return float(np.sqrt((off * off).mean()))
