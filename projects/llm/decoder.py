"""The decoder of Llama and its relatives in Paddle's plain operators, so that it runs wherever Paddle runs.

The shapes: B sequences, T new tokens each, S tokens so far, H heads of D numbers, KV key and value heads, V tokens in
the vocabulary. The parts are attention (https://arxiv.org/abs/1706.03762) with rotary positions
(https://arxiv.org/abs/2104.09864) and with keys and values shared by groups of heads
(https://arxiv.org/abs/2305.13245), RMSNorm (https://arxiv.org/abs/1910.07467) and a gated feed-forward network
(https://arxiv.org/abs/2002.05202), or several of which each token takes a few. What a family has beside Llama's, such
as windows, biases or norms of heads, its configuration says (config.py). All is float32.

    from llm.decoder import KVCache, Llama

    network, cache = Llama(model.config, model.weights), KVCache()
    logits = network.step(np.array([prompt]), cache)        # (1, T, V)
    logits = network.step(np.array([[token]]), cache)       # goes on behind the prompt
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from .config import Config
from .rope import Rope
from .tensors import expected_shapes

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


def turns(angles: Array, factor: Array | None = None) -> tuple[paddle.Tensor, paddle.Tensor]:
    """cos and sin (..., D) of the angles (..., D/2) of a head's pairs, times the factor (D/2,)."""
    angles, factor = np.concatenate([angles, angles], -1), np.ones(1) if factor is None else np.tile(factor, 2)
    cos, sin = (paddle.to_tensor((factor * each(angles)).astype("float32")) for each in (np.cos, np.sin))
    return cos, sin


def turns_of(ropes: Sequence[Rope], places: Array, length: int) -> list[tuple[paddle.Tensor, paddle.Tensor]]:
    """cos and sin (..., D) by each of the ropes in a text of this length.

    `places` are (..., 1), or (..., D/2) where the pairs of a head turn by positions of their own (places.py).
    """
    return [turns(places * frequencies, sizes) for frequencies, sizes in (r.turns(length) for r in ropes)]


def rotate(x: paddle.Tensor, cos: paddle.Tensor, sin: paddle.Tensor) -> paddle.Tensor:
    """Turn the pairs (i, i + D/2) of x (..., T, D) by the angles whose cos and sin (..., T, D) are given."""
    first, second = paddle.split(x, 2, axis=-1)
    return x * cos + paddle.concat([-second, first], -1) * sin


class KVCache:
    """Keys and values of the tokens so far, (B, KV, S, D) in each layer; grows with every step."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all tokens."""
        self.keys: list[paddle.Tensor] = []
        self.values: list[paddle.Tensor] = []
        self.tokens: Array | None = None  # (B, S)
        self.real: Array | None = None  # (B, S), False where a shorter sequence is padded
        self.position: Array | int = 0  # (B, 1), of each sequence's next token

    @property
    def length(self) -> int:
        """Positions of the longest sequence."""
        return int(np.max(self.position))

    def admit(self, real: Array, windows: Collection[int] = (0,)) -> tuple[Array, dict[int, paddle.Tensor]]:
        """Take in new tokens, `real` (B, T) where they are no padding.

        Returns:
            Their positions (B, T), and for each of the windows what is added to their scores, (B, 1, T, S): a token
            sees the real ones up to itself, and of these as many of the last as the window has; all, where that is 0.
        """
        new = real.shape[1]
        places = np.maximum(self.position + real.cumsum(1) - 1, 0)  # padding takes no position
        self.position = places[:, -1:] + 1
        self.real = real if self.real is None else np.concatenate([self.real, real], 1)
        seen = self.real.shape[1]
        allowed = np.tri(new, seen, seen - new, dtype=bool) & self.real[:, None, None, :]
        masks = {}
        for window in windows:
            near = ~np.tri(new, seen, seen - new - window, dtype=bool) if window else True
            masks[window] = paddle.to_tensor(np.where(allowed & near, 0, NOT_SEEN).astype("float32"))
        return places, masks

    def extend(self, layer: int, keys: paddle.Tensor, values: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Add keys and values (B, KV, T, D) of new tokens to a layer's; returns all of it, (B, KV, S, D)."""
        if layer == len(self.keys):
            self.keys.append(keys)
            self.values.append(values)
        else:
            self.keys[layer] = paddle.concat([self.keys[layer], keys], 2)
            self.values[layer] = paddle.concat([self.values[layer], values], 2)
        return self.keys[layer], self.values[layer]


def attend(
    q: paddle.Tensor, k: paddle.Tensor, v: paddle.Tensor, mask: paddle.Tensor, scale: float, cap: float = 0.0
) -> paddle.Tensor:
    """Attention of queries (B, H, T, D) to keys and values (B, KV, S, D); mask (B, 1, T, S) is added to the scores.

    The scores are products times `scale`, and none is beyond `cap`, unless that is 0.
    """
    batch, heads, new, size = q.shape
    # The heads that share keys and values stand one below the other, in one product: (B, KV, H/KV T, D).
    q = q.reshape([batch, k.shape[1], -1, size])
    scores = capped(paddle.matmul(q, k, transpose_y=True) * scale, cap)  # (B, KV, H/KV T, S)
    shares = F.softmax(scores.reshape([batch, heads, new, -1]) + mask).reshape(scores.shape)
    return paddle.matmul(shares, v).reshape([batch, heads, new, size])


def capped(x: paddle.Tensor, cap: float) -> paddle.Tensor:
    """cap tanh(x / cap), or x itself where the cap is 0."""
    return paddle.tanh(x / cap) * cap if cap else x


class GroupedQueryAttention(nn.Layer):
    """Attention whose H query heads share KV key and value heads, one for each H/KV of them."""

    def __init__(self, config: Config, part: "Part", linear: Callable[..., Product]) -> None:
        super().__init__()
        self.heads = [config.heads, config.kv_heads, config.kv_heads]
        self.head_dim, self.scale, self.cap = config.head_dim, config.score_scale, config.score_cap
        self.qkv = linear(*part("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"))
        self.output = linear(*part("self_attn.o_proj"))
        self.norms = nn.LayerList()
        if config.head_norms:
            self.norms.extend(RMSNorm(part(f"self_attn.{name}_norm")[0], config.epsilon) for name in "qk")

    def project(self, x: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
        """Queries (B, H, T, D), keys and values (B, KV, T, D) of x (B, T, hidden)."""
        heads = self.qkv(x).reshape([*x.shape[:2], -1, self.head_dim]).transpose([0, 2, 1, 3])
        q, k, v = paddle.split(heads, self.heads, axis=1)
        if self.norms:
            q, k = (norm(each) for norm, each in zip(self.norms, (q, k), strict=True))
        return q, k, v

    def forward(
        self, x: paddle.Tensor, turn: tuple | None, mask: paddle.Tensor, cache: Any, layer: int
    ) -> paddle.Tensor:
        q, k, v = self.project(x)
        if turn is not None:
            q, k = rotate(q, *turn), rotate(k, *turn)
        k, v = cache.extend(layer, k, v)
        mixed = attend(q, k, v, mask, self.scale, self.cap).transpose([0, 2, 1, 3])
        return self.output(mixed.reshape([*x.shape[:2], -1]))


ACTIVATIONS = {"silu": F.silu, "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate=True)}


class GatedFeedForward(nn.Layer):
    """down(activation(gate x) * up x), "SwiGLU" or "GeGLU"; `prefix` is that of its projections' names."""

    def __init__(self, config: Config, part: "Part", linear: Callable[..., Product], prefix: str = "mlp") -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config.activation]
        self.gate_up = linear(*part(f"{prefix}.gate_proj", f"{prefix}.up_proj"))
        self.down = linear(*part(f"{prefix}.down_proj"))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        gate, up = paddle.split(self.gate_up(x), 2, -1)
        return self.down(self.activation(gate) * up)


class MixtureOfExperts(nn.Layer):
    """Of many feed-forward networks each token takes the few that a router gives the greatest shares."""

    def __init__(self, config: Config, part: "Part", linear: Callable[..., Product]) -> None:
        super().__init__()
        assert config.experts is not None
        self.chosen, self.renormalised = config.experts.chosen, config.experts.renormalised
        self.router = Linear(*part("mlp.gate"))
        self.experts = nn.LayerList(
            GatedFeedForward(config, part, linear, f"mlp.experts.{number}") for number in range(config.experts.count)
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        rows = x.reshape([-1, x.shape[-1]])
        shares, chosen = paddle.topk(F.softmax(self.router(rows)), self.chosen)  # (rows, chosen) each
        if self.renormalised:
            shares = shares / shares.sum(-1, keepdim=True)
        # Sorted by expert, each computes its rows at once; then they return to their places.
        wanted = chosen.numpy().ravel()
        order = np.argsort(wanted, kind="stable")
        taken = paddle.gather(rows, paddle.to_tensor(order // self.chosen))
        numbers = np.bincount(wanted, minlength=len(self.experts)).tolist()
        used = [(expert, count) for expert, count in zip(self.experts, numbers, strict=True) if count]
        parts = paddle.split(taken, [count for _, count in used])
        made = paddle.concat([expert(part) for (expert, _), part in zip(used, parts, strict=True)])
        back = paddle.gather(made, paddle.to_tensor(np.argsort(order, kind="stable")))
        mixed = back.reshape([len(rows), self.chosen, -1]) * shares.unsqueeze(-1)
        return mixed.sum(1).reshape(x.shape)


class DecoderLayer(nn.Layer):
    """x + attention(norm(x)), then the same with the feed-forward network; perhaps with norms behind both, too."""

    def __init__(
        self, config: Config, part: "Part", attention: type, linear: Callable[..., Product], number: int
    ) -> None:
        super().__init__()

        def norm(name: str) -> RMSNorm:
            return RMSNorm(part(name)[0], config.epsilon)

        self.attention_norm = norm("input_layernorm")
        self.attention = attention(config, part, linear)
        self.feed_forward_norm = norm("pre_feedforward_layernorm" if config.sandwich else "post_attention_layernorm")
        network = MixtureOfExperts if config.has_experts(number) else GatedFeedForward
        self.feed_forward = network(config, part, linear)
        self.behind = nn.LayerList()
        if config.sandwich:
            self.behind.extend([norm("post_attention_layernorm"), norm("post_feedforward_layernorm")])

    def forward(
        self, x: paddle.Tensor, turn: tuple | None, mask: paddle.Tensor, cache: Any, layer: int
    ) -> paddle.Tensor:
        y = self.attention(self.attention_norm(x), turn, mask, cache, layer)
        x = x + (self.behind[0](y) if self.behind else y)
        y = self.feed_forward(self.feed_forward_norm(x))
        return x + (self.behind[1](y) if self.behind else y)


class Part:
    """The tensors of one layer, by the ends of their names."""

    def __init__(self, weights: Mapping[str, Array], prefix: str) -> None:
        self.weights, self.prefix = weights, prefix

    def __call__(self, *names: str) -> list[Array]:
        """The weight, and the bias if there is one; of several, side by side: one large product, not three."""
        weights = [self.weights[f"{self.prefix}{name}.weight"] for name in names]
        biases = [self.weights.get(f"{self.prefix}{name}.bias") for name in names]
        if all(bias is None for bias in biases):
            return [np.concatenate(weights)]
        whole = [np.zeros(len(w), w.dtype) if b is None else b for w, b in zip(weights, biases, strict=True)]
        return [np.concatenate(weights), np.concatenate(whole)]


class Llama(nn.Layer):
    """The decoder on the current device; `weights` under Hugging Face's names.

    Another model of the family hands in its `attention`; weights in other than float32 what makes a product of a
    weight, `linear`, and that of the output layer, `head`.
    """

    def __init__(
        self,
        config: Config,
        weights: Mapping[str, Array],
        *,
        attention: type[GroupedQueryAttention] = GroupedQueryAttention,
        linear: Callable[..., Product] = Linear,
        head: Callable[..., Product] = Linear,
    ) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("embedding", paddle.to_tensor(weights["model.embed_tokens.weight"]))  # (V, hidden)
        parts = [Part(weights, f"model.layers.{number}.") for number in range(config.layers)]
        self.layers = nn.LayerList(
            [DecoderLayer(config, part, attention, linear, number) for number, part in enumerate(parts)]
        )
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
        real = np.ones(tokens.shape, bool) if real is None else real
        begin = 0
        if self._begins_anew(cache, real):
            begin = cache.tokens.shape[1]  # the first that was asked for now
            tokens, real = np.concatenate([cache.tokens, tokens], 1), np.concatenate([cache.real, real], 1)
            cache.clear()
        cache.tokens = tokens if cache.tokens is None else np.concatenate([cache.tokens, tokens], 1)
        places, masks = cache.admit(real, set(self.config.windows))
        turn = turns_of(self.config.ropes, places[:, None, :, None], cache.length)  # (B, 1, T, D) each
        x = self.hidden(self.embed(tokens), turn, masks, cache, states)[:, begin:]
        return self.logits(x[:, -1:] if last else x)

    def _begins_anew(self, cache: KVCache, real: Array) -> bool:
        """Whether the text outgrows what its keys were turned for, so that all are turned otherwise: "longrope"."""
        after = int(np.max(cache.position + real.sum(1, keepdims=True)))
        limits = [rope.longest for rope in self.config.ropes if rope.kind == "longrope"]
        return cache.tokens is not None and any(cache.length <= limit < after for limit in limits)

    def embed(self, tokens: Array) -> paddle.Tensor:
        """The vectors (..., hidden) that enter the first layer."""
        x = F.embedding(paddle.to_tensor(tokens), self.embedding)
        return x * self.config.embedding_scale if self.config.embedding_scale != 1 else x

    def logits(self, x: paddle.Tensor) -> paddle.Tensor:
        """Logits (..., V) of what leaves the last norm."""
        return capped(self.head(x), self.config.logit_cap)

    def hidden(
        self,
        x: paddle.Tensor,
        turn: Sequence[tuple],
        masks: Mapping[int, paddle.Tensor],
        cache: Any,
        states: list[paddle.Tensor] | None = None,
    ) -> paddle.Tensor:
        """What leaves the last norm for the embedded tokens x (B, T, hidden).

        `turn` has cos and sin by each of the configuration's ropes, `masks` what each of its windows adds to scores.
        """
        for number, layer in enumerate(self.layers):
            if states is not None:
                states.append(x)
            rope = self.config.turned[number]
            x = layer(x, None if rope < 0 else turn[rope], masks[self.config.windows[number]], cache, number)
        x = self.norm(x)
        if states is not None:
            states.append(x)
        return x
