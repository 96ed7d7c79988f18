"""A decoder of the Llama family in Paddle's plain operators, so that it runs wherever Paddle runs.

The shapes of a step: B sequences, T new tokens each, S tokens so far, H heads of D numbers, KV key and value heads.
Attention is https://arxiv.org/abs/1706.03762 with rotary positions (https://arxiv.org/abs/2104.09864), keys and
values shared by groups of heads (https://arxiv.org/abs/2305.13245), RMSNorm (https://arxiv.org/abs/1910.07467) and
a gated feed-forward network (https://arxiv.org/abs/2002.05202).
"""

from collections.abc import Mapping

import numpy as np
import paddle
import paddle.nn.functional as F

NOT_SEEN = -1e9  # added to a score before the softmax
Cache = list[tuple[paddle.Tensor, paddle.Tensor]]  # keys and values of each layer: (B, KV, S, D)


def rms_norm(x: paddle.Tensor, weight: paddle.Tensor, epsilon: float) -> paddle.Tensor:
    """x (..., hidden) scaled to a root mean square of 1, times the weight (hidden,)."""
    return x * paddle.rsqrt((x * x).mean(-1, keepdim=True) + epsilon) * weight


def rotate(x: paddle.Tensor, cos: paddle.Tensor, sin: paddle.Tensor) -> paddle.Tensor:
    """Turn the pairs (i, i + D/2) of x (B, heads, T, D) by the angles of their positions, cos and sin (T, D)."""
    first, second = paddle.split(x, 2, axis=-1)
    return x * cos + paddle.concat([-second, first], -1) * sin


class Llama:
    """The decoder on the current device, in float32; `weights` under Hugging Face's names, config as in `llm`."""

    def __init__(self, config, weights: Mapping[str, np.ndarray]) -> None:
        self.config = config

        def linear(*names: str) -> paddle.Tensor:
            """Several (outputs, inputs) weights as one (inputs, all outputs): one large product, not three."""
            return paddle.to_tensor(np.concatenate([weights[f"{name}.weight"] for name in names]).T.copy())

        def vector(name: str) -> paddle.Tensor:
            return paddle.to_tensor(weights[f"{name}.weight"])

        self.embedding = vector("model.embed_tokens")  # (vocabulary, hidden)
        self.head = None if config.tied else linear("lm_head")
        self.norm = vector("model.norm")
        self.layers = []
        for prefix in (f"model.layers.{number}." for number in range(config.layers)):
            attention, mlp = prefix + "self_attn.", prefix + "mlp."
            self.layers.append(
                {
                    "attention_norm": vector(prefix + "input_layernorm"),
                    "qkv": linear(attention + "q_proj", attention + "k_proj", attention + "v_proj"),
                    "output": linear(attention + "o_proj"),
                    "mlp_norm": vector(prefix + "post_attention_layernorm"),
                    "gate_up": linear(mlp + "gate_proj", mlp + "up_proj"),
                    "down": linear(mlp + "down_proj"),
                }
            )
        frequencies = config.rope_theta ** (-np.arange(0, config.head_dim, 2) / config.head_dim)
        angles = np.outer(np.arange(config.context), np.concatenate([frequencies, frequencies]))
        self.cos = np.cos(angles).astype("float32")  # (context, D)
        self.sin = np.sin(angles).astype("float32")

    @property
    def tensors(self) -> list[paddle.Tensor]:
        """All weights."""
        outside = [self.embedding, self.norm] + ([] if self.head is None else [self.head])
        return outside + [weight for layer in self.layers for weight in layer.values()]

    @paddle.no_grad()
    def step(self, tokens: paddle.Tensor, cache: Cache | None = None) -> tuple[paddle.Tensor, Cache]:
        """Logits (B, vocabulary) after the last of `tokens` (B, T), and the cache with their keys and values.

        Without a cache the tokens begin a text; with one they go on with it. A prompt is one step of many tokens,
        an answer many steps of one.
        """
        c = self.config
        batch, new = tokens.shape
        before = cache[0][0].shape[2] if cache else 0
        cos, sin = (paddle.to_tensor(table[before : before + new]) for table in (self.cos, self.sin))
        # Token i may see what was before and the new tokens up to itself: (T, S).
        mask = paddle.to_tensor(np.triu(np.full((new, before + new), NOT_SEEN, "float32"), k=before + 1))
        after: Cache = []
        x = F.embedding(tokens, self.embedding)  # (B, T, hidden)
        for number, layer in enumerate(self.layers):
            heads = paddle.matmul(rms_norm(x, layer["attention_norm"], c.epsilon), layer["qkv"])
            heads = heads.reshape([batch, new, c.heads + 2 * c.kv_heads, c.head_dim]).transpose([0, 2, 1, 3])
            q, k, v = paddle.split(heads, [c.heads, c.kv_heads, c.kv_heads], axis=1)
            q, k = rotate(q, cos, sin), rotate(k, cos, sin)
            if cache:
                k, v = paddle.concat([cache[number][0], k], 2), paddle.concat([cache[number][1], v], 2)
            after.append((k, v))
            # The heads of a group stand one below the other, so that they share one product: (B, KV, group T, D).
            q = q.reshape([batch, c.kv_heads, c.group * new, c.head_dim])
            scores = paddle.matmul(q, k, transpose_y=True) * c.head_dim**-0.5  # (B, KV, group T, S)
            scores = scores.reshape([batch, c.heads, new, before + new]) + mask
            shares = F.softmax(scores).reshape([batch, c.kv_heads, c.group * new, before + new])
            mixed = paddle.matmul(shares, v).reshape([batch, c.heads, new, c.head_dim])
            x = x + paddle.matmul(mixed.transpose([0, 2, 1, 3]).reshape([batch, new, -1]), layer["output"])
            gate, up = paddle.split(paddle.matmul(rms_norm(x, layer["mlp_norm"], c.epsilon), layer["gate_up"]), 2, -1)
            x = x + paddle.matmul(F.silu(gate) * up, layer["down"])
        last = rms_norm(x[:, -1], self.norm, c.epsilon)
        if self.head is None:
            return paddle.matmul(last, self.embedding, transpose_y=True), after
        return paddle.matmul(last, self.head), after
