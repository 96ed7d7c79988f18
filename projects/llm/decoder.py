"""The decoder of the Llama family in Paddle's plain operators, so that it runs wherever Paddle runs.

The shapes: B sequences, T new tokens each, S tokens so far, H heads of D numbers, KV key and value heads, V tokens in
the vocabulary. The parts are attention (https://arxiv.org/abs/1706.03762) with rotary positions
(https://arxiv.org/abs/2104.09864) and with keys and values shared by groups of heads
(https://arxiv.org/abs/2305.13245), RMSNorm (https://arxiv.org/abs/1910.07467) and a gated feed-forward network
(https://arxiv.org/abs/2002.05202). All is float32.

    from llm.decoder import KVCache, Llama

    network, cache = Llama(model.config, model.weights), KVCache()
    logits = network.step(np.array([prompt]), cache)        # (1, T, V)
    logits = network.step(np.array([[token]]), cache)       # goes on behind the prompt
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from .config import Config
from .model import expected_shapes

Array = np.ndarray[Any, np.dtype[Any]]
Product = Callable[[paddle.Tensor], paddle.Tensor]  # of x (..., inputs) with a weight: (..., outputs)
NOT_SEEN = -1e9  # added to a score before the softmax


class Linear(nn.Layer):
    """x @ weight + bias; in the file the weight is (outputs, inputs), here (inputs, outputs), which is faster."""

    def __init__(self, weight: Array, bias: Array | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", paddle.to_tensor(np.ascontiguousarray(weight.T)))
        self.register_buffer("bias", None if bias is None else paddle.to_tensor(bias))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = paddle.matmul(x, self.weight)
        return y if self.bias is None else y + self.bias


class TiedHead(nn.Layer):
    """The output layer of a model whose embedding (V, hidden) also gives a vector its tokens."""

    def __init__(self, embedding: paddle.Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", embedding)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return paddle.matmul(x, self.weight, transpose_y=True)


class RMSNorm(nn.Layer):
    """x (..., size) scaled to a root mean square of 1, times the weight (size,)."""

    def __init__(self, weight: Array, epsilon: float) -> None:
        super().__init__()
        self.register_buffer("weight", paddle.to_tensor(weight))
        self.epsilon = epsilon

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return x * paddle.rsqrt((x * x).mean(-1, keepdim=True) + self.epsilon) * self.weight


def rotary_frequencies(theta: float, head_dim: int) -> Array:
    """Radians a position for each pair of a head, (D/2,)."""
    frequencies: Array = theta ** (-np.arange(0, head_dim, 2) / head_dim)
    return frequencies


def turns(angles: Array) -> tuple[paddle.Tensor, paddle.Tensor]:
    """cos and sin (..., D) of the angles (..., D/2) of a head's pairs."""
    angles = np.concatenate([angles, angles], -1)
    return paddle.to_tensor(np.cos(angles).astype("float32")), paddle.to_tensor(np.sin(angles).astype("float32"))


def rotate(x: paddle.Tensor, cos: paddle.Tensor, sin: paddle.Tensor) -> paddle.Tensor:
    """Turn the pairs (i, i + D/2) of x (..., T, D) by the angles whose cos and sin (..., T, D) are given."""
    first, second = paddle.split(x, 2, axis=-1)
    return x * cos + paddle.concat([-second, first], -1) * sin


class KVCache:
    """Keys and values of the tokens so far, (B, KV, S, D) in each layer; grows with every step."""

    def __init__(self) -> None:
        self.keys: list[paddle.Tensor] = []
        self.values: list[paddle.Tensor] = []
        self.real: Array | None = None  # (B, S), False where a shorter sequence is padded
        self.position: Array | int = 0  # (B, 1), of each sequence's next token

    def admit(self, real: Array) -> tuple[Array, paddle.Tensor]:
        """Take in new tokens, `real` (B, T) where they are no padding.

        Returns:
            Their positions (B, T), and what is added to their scores, (B, 1, T, S): a token sees the real ones up to
            itself.
        """
        new = real.shape[1]
        places = np.maximum(self.position + real.cumsum(1) - 1, 0)  # padding takes no position
        self.position = places[:, -1:] + 1
        self.real = real if self.real is None else np.concatenate([self.real, real], 1)
        seen = self.real.shape[1]
        allowed = np.tri(new, seen, seen - new, dtype=bool) & self.real[:, None, None, :]
        return places, paddle.to_tensor(np.where(allowed, 0, NOT_SEEN).astype("float32"))

    def extend(self, layer: int, keys: paddle.Tensor, values: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Add keys and values (B, KV, T, D) of new tokens to a layer's; returns all of it, (B, KV, S, D)."""
        if layer == len(self.keys):
            self.keys.append(keys)
            self.values.append(values)
        else:
            self.keys[layer] = paddle.concat([self.keys[layer], keys], 2)
            self.values[layer] = paddle.concat([self.values[layer], values], 2)
        return self.keys[layer], self.values[layer]


def attend(q: paddle.Tensor, k: paddle.Tensor, v: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
    """Attention of queries (B, H, T, D) to keys and values (B, KV, S, D); mask (B, 1, T, S) is added to the scores."""
    batch, heads, new, size = q.shape
    # The heads that share keys and values stand one below the other, in one product: (B, KV, H/KV T, D).
    q = q.reshape([batch, k.shape[1], -1, size])
    scores = paddle.matmul(q, k, transpose_y=True) * size**-0.5  # (B, KV, H/KV T, S)
    shares = F.softmax(scores.reshape([batch, heads, new, -1]) + mask).reshape(scores.shape)
    return paddle.matmul(shares, v).reshape([batch, heads, new, size])


class GroupedQueryAttention(nn.Layer):
    """Attention whose H query heads share KV key and value heads, one for each H/KV of them."""

    def __init__(self, config: Config, part: "Part", linear: Callable[..., Product]) -> None:
        super().__init__()
        self.heads = [config.heads, config.kv_heads, config.kv_heads]
        self.head_dim = config.head_dim
        self.qkv = linear(*part("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"))
        self.output = linear(*part("self_attn.o_proj"))

    def project(self, x: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
        """Queries (B, H, T, D), keys and values (B, KV, T, D) of x (B, T, hidden)."""
        heads = self.qkv(x).reshape([*x.shape[:2], -1, self.head_dim]).transpose([0, 2, 1, 3])
        q, k, v = paddle.split(heads, self.heads, axis=1)
        return q, k, v

    def forward(self, x: paddle.Tensor, turn: tuple, mask: paddle.Tensor, cache: Any, layer: int) -> paddle.Tensor:
        q, k, v = self.project(x)
        k, v = cache.extend(layer, rotate(k, *turn), v)
        mixed = attend(rotate(q, *turn), k, v, mask).transpose([0, 2, 1, 3])
        return self.output(mixed.reshape([*x.shape[:2], -1]))


class GatedFeedForward(nn.Layer):
    """down(silu(gate x) * up x), "SwiGLU"."""

    def __init__(self, part: "Part", linear: Callable[..., Product]) -> None:
        super().__init__()
        self.gate_up = linear(*part("mlp.gate_proj", "mlp.up_proj"))
        self.down = linear(*part("mlp.down_proj"))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        gate, up = paddle.split(self.gate_up(x), 2, -1)
        return self.down(F.silu(gate) * up)


class DecoderLayer(nn.Layer):
    """x + attention(norm(x)), then the same with the feed-forward network."""

    def __init__(self, config: Config, part: "Part", attention: type, linear: Callable[..., Product]) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(part("input_layernorm")[0], config.epsilon)
        self.attention = attention(config, part, linear)
        self.feed_forward_norm = RMSNorm(part("post_attention_layernorm")[0], config.epsilon)
        self.feed_forward = GatedFeedForward(part, linear)

    def forward(self, x: paddle.Tensor, turn: tuple, mask: paddle.Tensor, cache: Any, layer: int) -> paddle.Tensor:
        x = x + self.attention(self.attention_norm(x), turn, mask, cache, layer)
        return x + self.feed_forward(self.feed_forward_norm(x))


class Part:
    """The tensors of one layer, by the ends of their names."""

    def __init__(self, weights: Mapping[str, Array], prefix: str) -> None:
        self.weights, self.prefix = weights, prefix

    def __call__(self, *names: str) -> list[Array]:
        """The weight, and the bias if there is one; of several, side by side: one large product, not three."""
        found = [[f"{self.prefix}{name}.{kind}" for name in names] for kind in ("weight", "bias")]
        return [np.concatenate([self.weights[name] for name in each]) for each in found if each[0] in self.weights]


class Llama(nn.Layer):
    """The decoder on the current device; `weights` under Hugging Face's names.

    Another model of the family hands in what differs: its `frequencies` (D/2,), its `attention`; or, for weights in
    other than float32, what makes a product of a weight, `linear`, and that of the output layer, `head`.
    """

    def __init__(
        self,
        config: Config,
        weights: Mapping[str, Array],
        *,
        frequencies: Array | None = None,
        attention: type[GroupedQueryAttention] = GroupedQueryAttention,
        linear: Callable[..., Product] = Linear,
        head: Callable[..., Product] = Linear,
    ) -> None:
        super().__init__()
        self.config = config
        standard = rotary_frequencies(config.rope_theta, config.head_dim)
        self.frequencies = standard if frequencies is None else frequencies
        self.register_buffer("embedding", paddle.to_tensor(weights["model.embed_tokens.weight"]))  # (V, hidden)
        parts = [Part(weights, f"model.layers.{number}.") for number in range(config.layers)]
        self.layers = nn.LayerList([DecoderLayer(config, part, attention, linear) for part in parts])
        self.norm = RMSNorm(weights["model.norm.weight"], config.epsilon)
        if head is Linear and config.tied:
            self.head = TiedHead(self.embedding)
        else:
            self.head = head(weights["model.embed_tokens.weight" if config.tied else "lm_head.weight"])

    @staticmethod
    def shapes(config: Config) -> dict[str, tuple[int, ...]]:
        """Every tensor that a checkpoint of this configuration has."""
        return expected_shapes(config)

    @paddle.no_grad()
    def step(
        self,
        tokens: Array,
        cache: KVCache,
        real: Array | None = None,
        states: list[paddle.Tensor] | None = None,
        last: bool = False,
    ) -> paddle.Tensor:
        """Logits (B, T, V) after each of `tokens` (B, T), which go on behind what `cache` holds and are added to it.

        A prompt is one step of many tokens, an answer many steps of one. `real` (B, T) is False where a sequence is
        padded; by default all tokens are real. `states` is given what enters the first layer, what leaves each but the
        last, and the last one's after the norm, (B, T, hidden). `last` asks for the logits after the last token alone,
        (B, 1, V).
        """
        places, mask = cache.admit(np.ones(tokens.shape, bool) if real is None else real)
        turn = turns(places[:, None, :, None] * self.frequencies)  # (B, 1, T, D) each
        x = F.embedding(paddle.to_tensor(tokens), self.embedding)
        x = self.hidden(x, turn, mask, cache, states)
        return self.head(x[:, -1:] if last else x)

    def hidden(
        self, x: paddle.Tensor, turn: tuple, mask: paddle.Tensor, cache: Any, states: list[paddle.Tensor] | None = None
    ) -> paddle.Tensor:
        """What leaves the last norm for the embedded tokens x (B, T, hidden)."""
        for number, layer in enumerate(self.layers):
            if states is not None:
                states.append(x)
            x = layer(x, turn, mask, cache, number)
        x = self.norm(x)
        if states is not None:
            states.append(x)
        return x
