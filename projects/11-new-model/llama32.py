"""Llama 3.2, text, in Paddle's plain operators (https://arxiv.org/abs/2407.21783).

What it adds to the Llama of task 9: rotary frequencies stretched for a long context ("llama3" scaling), and several
sequences of different lengths in one batch, padded on the left.

The shapes: B sequences, T new tokens each, S tokens so far, H heads of D numbers, KV key and value heads, V tokens
in the vocabulary. `config` is the dictionary of the checkpoint's config.json, under its names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from llm import ModelError

NOT_SEEN = -1e9  # added to a score before the softmax
Config = Mapping[str, Any]
Shapes = dict[str, tuple[int, ...]]


@dataclass
class Cache:
    """What a step leaves to the next one."""

    layers: list[tuple[paddle.Tensor, paddle.Tensor]]  # keys and values: (B, KV, S, D) each
    real: np.ndarray  # (B, S), False where a shorter sequence is padded
    position: np.ndarray  # (B,) of the next token


def head_dim(config: Config) -> int:
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def frequencies(config: Config) -> np.ndarray:
    """Radians a position for each pair of a head, (D/2,). Raises ModelError for a scaling that is not known here."""
    # Newer files have all in rope_parameters, older ones rope_theta beside rope_scaling.
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    theta = rope.get("rope_theta", config.get("rope_theta", 10000.0))
    size = head_dim(config)
    turns = theta ** (-np.arange(0, size, 2) / size)
    if kind == "default":
        return turns
    if kind != "llama3":
        raise ModelError(f"rope scaling {kind!r} is unknown here, there is default and llama3: take another model")
    # Fast pairs, which turn high_freq_factor times and more in the old context, stay; slow ones are stretched.
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    turned = rope["original_max_position_embeddings"] * turns / (2 * np.pi)
    kept = np.clip((turned - low) / (high - low), 0, 1)  # 1: as it was, 0: stretched by the whole factor
    return turns * (kept + (1 - kept) / rope["factor"])


def rms_norm(x: paddle.Tensor, weight: paddle.Tensor, epsilon: float) -> paddle.Tensor:
    """x (..., size) scaled to a root mean square of 1, times the weight (size,)."""
    return x * paddle.rsqrt((x * x).mean(-1, keepdim=True) + epsilon) * weight


def rotate(x: paddle.Tensor, cos: paddle.Tensor, sin: paddle.Tensor) -> paddle.Tensor:
    """Turn the pairs (i, i + D/2) of x (B, heads, T, D) by their positions' angles, cos and sin (B, 1, T, D)."""
    first, second = paddle.split(x, 2, axis=-1)
    return x * cos + paddle.concat([-second, first], -1) * sin


class Llama32:
    """The decoder on the current device, in float32; weights under Hugging Face's names."""

    @staticmethod
    def shapes(c: Config) -> Shapes:
        """Every tensor that a checkpoint of this configuration has."""
        hidden, inner, d = c["hidden_size"], c["intermediate_size"], head_dim(c)
        queries, keys = c["num_attention_heads"] * d, c["num_key_value_heads"] * d
        shapes: Shapes = {
            "model.embed_tokens.weight": (c["vocab_size"], hidden),
            "model.norm.weight": (hidden,),
        }
        if not c.get("tie_word_embeddings", False):
            shapes["lm_head.weight"] = (c["vocab_size"], hidden)
        for number in range(c["num_hidden_layers"]):
            prefix = f"model.layers.{number}."
            shapes |= {
                prefix + "input_layernorm.weight": (hidden,),
                prefix + "self_attn.q_proj.weight": (queries, hidden),
                prefix + "self_attn.k_proj.weight": (keys, hidden),
                prefix + "self_attn.v_proj.weight": (keys, hidden),
                prefix + "self_attn.o_proj.weight": (hidden, queries),
                prefix + "post_attention_layernorm.weight": (hidden,),
                prefix + "mlp.gate_proj.weight": (inner, hidden),
                prefix + "mlp.up_proj.weight": (inner, hidden),
                prefix + "mlp.down_proj.weight": (hidden, inner),
            }
        return shapes

    def __init__(self, config: Config, weights: Mapping[str, np.ndarray]) -> None:
        self.config = config
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.epsilon, self.head_dim = config["rms_norm_eps"], head_dim(config)
        self.frequencies = frequencies(config)
        # A linear layer lies in the file as (outputs, inputs); here x (…, inputs) is multiplied from the left.
        self.weights = {
            name: paddle.to_tensor(weights[name].T.copy() if name.endswith("_proj.weight") else weights[name])
            for name in self.shapes(config)
        }
        # Tied embeddings: the table that gives a token its vector also gives a vector its tokens.
        self.head = self.weights.get("lm_head.weight", self.weights["model.embed_tokens.weight"])  # (V, hidden)

    def project(self, x: paddle.Tensor, prefix: str) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
        """Queries (B, H, T, D), keys and values (B, KV, T, D) of x (B, T, hidden)."""
        batch, new, _ = x.shape
        return tuple(
            paddle.matmul(x, self.weights[f"{prefix}self_attn.{name}_proj.weight"])
            .reshape([batch, new, heads, self.head_dim])
            .transpose([0, 2, 1, 3])
            for name, heads in (("q", self.heads), ("k", self.kv_heads), ("v", self.kv_heads))
        )

    @paddle.no_grad()
    def step(
        self,
        tokens: np.ndarray,
        real: np.ndarray | None = None,
        cache: Cache | None = None,
        states: list[paddle.Tensor] | None = None,
        last: bool = False,
    ) -> tuple[paddle.Tensor, Cache]:
        """Logits (B, T, V) after each of `tokens` (B, T), and the cache for the step after.

        `real` (B, T) is False where a sequence is padded; by default all tokens are real. `states` is given what
        enters the first layer, what leaves each but the last, and the last one's after the norm, (B, T, hidden).
        `last` asks for the logits after the last token alone, (B, 1, V).
        """
        w, (batch, new) = self.weights, tokens.shape
        real = np.ones((batch, new), bool) if real is None else real
        before = cache.real.shape[1] if cache else 0
        start = cache.position if cache else np.zeros(batch, int)
        positions = np.maximum(start[:, None] + real.cumsum(1) - 1, 0)  # (B, T): padding takes no position
        real = np.concatenate([cache.real, real], 1) if cache else real  # (B, S)
        angles = positions[:, None, :, None] * np.concatenate([self.frequencies, self.frequencies])  # (B, 1, T, D)
        cos, sin = (paddle.to_tensor(turn(angles).astype("float32")) for turn in (np.cos, np.sin))
        # A token sees the real ones up to itself: (B, 1, T, S).
        allowed = np.tri(new, before + new, before, dtype=bool) & real[:, None, None, :]
        mask = paddle.to_tensor(np.where(allowed, 0, NOT_SEEN).astype("float32"))
        layers = []
        x = F.embedding(paddle.to_tensor(tokens), w["model.embed_tokens.weight"])  # (B, T, hidden)
        for number in range(self.config["num_hidden_layers"]):
            if states is not None:
                states.append(x)
            prefix = f"model.layers.{number}."
            q, k, v = self.project(rms_norm(x, w[prefix + "input_layernorm.weight"], self.epsilon), prefix)
            q, k = rotate(q, cos, sin), rotate(k, cos, sin)
            if cache:
                k, v = (paddle.concat([old, now], 2) for old, now in zip(cache.layers[number], (k, v), strict=True))
            layers.append((k, v))
            # The heads that share keys and values stand one below the other, in one product: (B, KV, H/KV T, D).
            q = q.reshape([batch, self.kv_heads, -1, self.head_dim])
            scores = paddle.matmul(q, k, transpose_y=True) * self.head_dim**-0.5  # (B, KV, H/KV T, S)
            shares = F.softmax(scores.reshape([batch, self.heads, new, -1]) + mask).reshape(scores.shape)
            mixed = paddle.matmul(shares, v).reshape([batch, self.heads, new, self.head_dim]).transpose([0, 2, 1, 3])
            x = x + paddle.matmul(mixed.reshape([batch, new, -1]), w[prefix + "self_attn.o_proj.weight"])
            y = rms_norm(x, w[prefix + "post_attention_layernorm.weight"], self.epsilon)
            gate = F.silu(paddle.matmul(y, w[prefix + "mlp.gate_proj.weight"]))  # (B, T, inner)
            y = gate * paddle.matmul(y, w[prefix + "mlp.up_proj.weight"])
            x = x + paddle.matmul(y, w[prefix + "mlp.down_proj.weight"])
        x = rms_norm(x, w["model.norm.weight"], self.epsilon)
        if states is not None:
            states.append(x)
        x = x[:, -1:] if last else x
        return paddle.matmul(x, self.head, transpose_y=True), Cache(layers, real, positions[:, -1] + 1)
