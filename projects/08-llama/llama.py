"""Llama, or the part of it that one stage of a pipeline holds, in plain Paddle: it knows nothing of other ranks.

Layers and weights have the names that they have in PaddleNLP's LlamaForCausalLMNet, so that its plan for
`dist.parallelize` and its weights fit. The architecture: Touvron et al., 2023, https://arxiv.org/abs/2302.13971.

Shapes: b sequences of s tokens, hidden width h, n heads of width d = h / n, inner width f, vocabulary v.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn
from paddle.distributed.fleet.utils import recompute
from paddle.incubate.nn.functional import swiglu

EPSILON = 1e-6  # of the norms
BASE = 10000.0  # of the rotary angles
Constants = dict[str, paddle.Tensor]


@dataclass(frozen=True)
class Sizes:
    """Of a whole network."""

    hidden: int
    inner: int
    layers: int
    heads: int
    vocabulary: int


@dataclass(frozen=True)
class Section:
    """What one stage holds: layers `start` to `stop`, and with the first and the last one what is at the ends."""

    start: int
    stop: int
    first: bool
    last: bool


def section(sizes: Sizes, stage: int, stages: int) -> Section:
    """The section of one stage; layers are shared out evenly."""
    each = sizes.layers // stages
    return Section(stage * each, (stage + 1) * each, stage == 0, stage == stages - 1)


def constants(length: int, head: int) -> dict[str, np.ndarray]:
    """What all layers share: the rotary embedding (Su et al., https://arxiv.org/abs/2104.09864) and the causal mask.

    cosine and sine (1, s, 1, d); quarter (d, d), which turns the pairs (i, i + d/2) of a head by 90 degrees; mask
    (1, 1, s, s), 0 where a token may look and a large negative number where it may not.
    """
    frequencies = BASE ** (-np.arange(0, head, 2) / head)  # (d / 2,)
    angles = np.outer(np.arange(length), np.concatenate([frequencies, frequencies]))[None, :, None, :]
    half, quarter = np.arange(head // 2), np.zeros((head, head))
    quarter[half + head // 2, half], quarter[half, half + head // 2] = -1, 1
    mask = np.triu(np.full((length, length), -1e9), 1)[None, None]
    found = {"cosine": np.cos(angles), "sine": np.sin(angles), "quarter": quarter, "mask": mask}
    return {name: value.astype("float32") for name, value in found.items()}


class RMSNorm(nn.Layer):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.weight = self.create_parameter([hidden], default_initializer=nn.initializer.Constant(1.0))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return x * paddle.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPSILON) * self.weight


class Attention(nn.Layer):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.head = sizes.hidden // sizes.heads
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(sizes.hidden, sizes.hidden, bias_attr=False))

    def forward(self, x: paddle.Tensor, given: Constants) -> paddle.Tensor:
        b, s, _ = x.shape
        # Where the weights are this rank's pieces, there are fewer heads: hence the -1.
        q, k, v = (project(x).reshape([b, s, -1, self.head]) for project in (self.q_proj, self.k_proj, self.v_proj))
        q, k, v = (each.transpose([0, 2, 1, 3]) for each in (turn(q, given), turn(k, given), v))  # (b, n, s, d)
        scores = paddle.matmul(q * self.head**-0.5, k, transpose_y=True) + given["mask"]  # (b, n, s, s)
        mixed = paddle.matmul(F.softmax(scores), v)  # (b, n, s, d)
        return self.o_proj(mixed.transpose([0, 2, 1, 3]).reshape([b, s, -1]))


def turn(x: paddle.Tensor, given: Constants) -> paddle.Tensor:
    """(b, s, n, d), turned by the angles of each token."""
    return x * given["cosine"] + paddle.matmul(x, given["quarter"]) * given["sine"]


class MLP(nn.Layer):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(sizes.hidden, sizes.inner, bias_attr=False)
        self.up_proj = nn.Linear(sizes.hidden, sizes.inner, bias_attr=False)
        self.down_proj = nn.Linear(sizes.inner, sizes.hidden, bias_attr=False)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.down_proj(swiglu(self.gate_proj(x), self.up_proj(x)))


class Layer(nn.Layer):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(sizes.hidden)
        self.self_attn = Attention(sizes)
        self.post_attention_layernorm = RMSNorm(sizes.hidden)
        self.mlp = MLP(sizes)

    def forward(self, x: paddle.Tensor, given: Constants) -> paddle.Tensor:
        x = x + self.self_attn(self.input_layernorm(x), given)
        return x + self.mlp(self.post_attention_layernorm(x))


class Trunk(nn.Layer):
    """What PaddleNLP calls `llama`: all but the head."""

    def __init__(self, sizes: Sizes, held: Section) -> None:
        super().__init__()
        if held.first:
            self.embed_tokens = nn.Embedding(sizes.vocabulary, sizes.hidden)
        self.layers = nn.LayerList([Layer(sizes) for _ in range(held.start, held.stop)])
        if held.last:
            self.norm = RMSNorm(sizes.hidden)


class Llama(nn.Layer):
    """A section of the network: token numbers (b, s) or activations (b, s, h), to activations or logits (b, s, v).

    `given` are the constants, laid out as the activations are. Layers are numbered from 0 in every section.
    """

    def __init__(self, sizes: Sizes, held: Section, given: Constants, recomputing: bool = False) -> None:
        super().__init__()
        self.held, self.given, self.recomputing = held, given, recomputing
        self.llama = Trunk(sizes, held)
        if held.last:
            self.lm_head = nn.Linear(sizes.hidden, sizes.vocabulary, bias_attr=False)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.llama.embed_tokens(x) if self.held.first else x
        for layer in self.llama.layers:
            x = recompute(layer, x, self.given) if self.recomputing and self.training else layer(x, self.given)
        return self.lm_head(self.llama.norm(x)) if self.held.last else x


def shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Of all weights of a whole network, by their names."""
    h, f, v = sizes.hidden, sizes.inner, sizes.vocabulary
    inside: dict[str, tuple[int, ...]] = {f"self_attn.{name}_proj": (h, h) for name in "qkvo"}
    inside |= {"mlp.gate_proj": (h, f), "mlp.up_proj": (h, f), "mlp.down_proj": (f, h)}
    inside |= {"input_layernorm": (h,), "post_attention_layernorm": (h,)}
    found: dict[str, tuple[int, ...]] = {"llama.embed_tokens.weight": (v, h)}
    for number in range(sizes.layers):
        found |= {f"llama.layers.{number}.{name}.weight": shape for name, shape in inside.items()}
    return found | {"llama.norm.weight": (h,), "lm_head.weight": (h, v)}


class FirstWeights(Mapping[str, np.ndarray]):
    """Weights of a whole network, each drawn when it is asked for: normal, standard deviation 0.02; norms 1.

    By numpy, because Paddle's own generators give other numbers on every kind of device.
    """

    def __init__(self, sizes: Sizes, seed: int) -> None:
        self.shapes, self.seed = shapes(sizes), seed

    def __getitem__(self, name: str) -> np.ndarray:
        shape = self.shapes[name]
        if len(shape) == 1:
            return np.ones(shape, "float32")
        generator = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        return generator.standard_normal(shape, "float32") * np.float32(0.02)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def name_in_whole(name: str, held: Section) -> str:
    """The name in the whole network of a section's weight: of stage 1 of 2 with 4 layers, layers.0 is layers.2."""
    words = name.split(".")
    if words[1] == "layers":
        words[2] = str(held.start + int(words[2]))
    return ".".join(words)


def fill(network: nn.Layer, held: Section, weights: Mapping[str, np.ndarray]) -> None:
    """Give a section its part of the whole network's weights. Raises KeyError where a name is not in both."""
    for name, parameter in network.named_parameters():
        parameter.set_value(weights[name_in_whole(name, held)])


def plan(dist: Any) -> dict[str, Any]:
    """How `dist.parallelize` cuts the weights: PaddleNLP's plan of the same network (auto_dist_config, mp_config)."""
    columns, rows = dist.ColWiseParallel(), dist.RowWiseParallel()
    inside = {f"self_attn.{name}_proj": columns for name in "qkv"} | {"self_attn.o_proj": rows}
    inside |= {"mlp.gate_proj": columns, "mlp.up_proj": columns, "mlp.down_proj": rows}
    return {
        "llama.embed_tokens": dist.ColWiseParallel(gather_output=True),
        **{f"llama.layers.*.{name}": how for name, how in inside.items()},
        "lm_head.weight": columns,
    }


# The axis along which mp cuts a layer's weight, as that plan does; those that are not here every rank has whole.
CUT_BY_MP = dict.fromkeys(("embed_tokens", "q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "lm_head"), 1)
CUT_BY_MP |= {"o_proj": 0, "down_proj": 0}


def cut_axis(name: str) -> int | None:
    """Of a weight "llama.layers.0.mlp.up_proj.weight"."""
    return CUT_BY_MP.get(name.split(".")[-2])


def piece(whole: np.ndarray, name: str, parts: int, index: int) -> np.ndarray:
    """What slice `index` of `parts` holds of a weight."""
    axis = cut_axis(name)
    return whole if axis is None else np.split(whole, parts, axis=axis)[index]
