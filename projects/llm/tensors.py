"""Where each weight of a decoder lies in a file: under which name, in which rows, in which order.

A decoder's weights have the names that Hugging Face gave Llama's. Other families join them in one tensor, name them
otherwise or keep norms less 1; GGUF has its own names and orders. All of it is here, so that nothing else knows of it.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .config import Config
from .errors import ModelError
from .unknown import refuse_tensors

Array = np.ndarray[Any, np.dtype[Any]]
Shapes = dict[str, tuple[int, ...]]
# Hugging Face's name → GGUF's: of the tensors outside the layers, and of those in one.
OUTSIDE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
INSIDE = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "mlp.gate": "ffn_gate_inp",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
SANDWICH = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
EXPERTS = {"gate_proj": "ffn_gate_exps", "up_proj": "ffn_up_exps", "down_proj": "ffn_down_exps"}
MIXTRAL = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}


def expected_shapes(config: Config) -> Shapes:
    """The shapes of all weights that a decoder of this configuration has."""
    shapes: Shapes = {
        "model.embed_tokens.weight": (config.vocabulary, config.hidden),
        "model.norm.weight": (config.hidden,),
    }
    for number in range(config.layers):
        for name, shape in {**_attention(config), **_feed_forward(config, number)}.items():
            shapes[f"model.layers.{number}.{name}"] = shape
    if not config.tied:
        shapes["lm_head.weight"] = (config.vocabulary, config.hidden)
    return shapes


def _attention(config: Config) -> Shapes:
    queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    linear = {"q_proj": (queries, config.hidden), "k_proj": (keys, config.hidden), "v_proj": (keys, config.hidden)}
    linear["o_proj"] = (config.hidden, queries)
    norms = ["post_attention_layernorm"]
    norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"] if config.sandwich else []
    shapes: Shapes = {"input_layernorm.weight": (config.hidden,)}
    for name, shape in linear.items():
        shapes[f"self_attn.{name}.weight"] = shape
        if name in config.biases:
            shapes[f"self_attn.{name}.bias"] = shape[:1]
    if config.head_norms:
        shapes |= {f"self_attn.{name}_norm.weight": (config.head_dim,) for name in "qk"}
    return shapes | {f"{name}.weight": (config.hidden,) for name in norms}


def _feed_forward(config: Config, layer: int) -> Shapes:
    def network(prefix: str, inner: int) -> Shapes:
        linear: Shapes = {"gate_proj": (inner, config.hidden), "up_proj": (inner, config.hidden)}
        linear["down_proj"] = (config.hidden, inner)
        biased: Shapes = {f"{prefix}{name}.bias": shape[:1] for name, shape in linear.items() if name in config.biases}
        return {f"{prefix}{name}.weight": shape for name, shape in linear.items()} | biased

    if not config.has_experts(layer):
        return network("mlp.", config.inner)
    assert config.experts is not None
    shapes: Shapes = {"mlp.gate.weight": (config.experts.count, config.hidden)}
    for expert in range(config.experts.count):
        shapes |= network(f"mlp.experts.{expert}.", config.experts.inner)
    return shapes


@dataclass(frozen=True)
class Piece:
    """Rows of a file's tensor from `start` on, in `order` (numbers of rows from there), with `plus` added."""

    tensor: str
    start: int = 0
    order: Array | None = None
    plus: float = 0.0


class File(Protocol):
    """What is asked of a file of tensors."""

    def __iter__(self) -> Iterator[str]: ...

    def shape(self, name: str) -> tuple[int, ...]: ...

    def rows(self, name: str, start: int, stop: int) -> Array: ...


class Weights(Mapping[str, Array]):
    """The weights of a decoder as float32 arrays, each read when it is asked for, whole or some rows of it.

    Raises ModelError unless the file has exactly what the configuration says.
    """

    def __init__(
        self, where: Any, file: File, shapes: Shapes, pieces: Mapping[str, Piece], known: Collection[str] = ()
    ) -> None:
        self.file, self.shapes, self.pieces = file, shapes, pieces
        there = set(file)
        used: dict[str, list[str]] = {}
        for name in shapes:
            used.setdefault(pieces[name].tensor, []).append(name)
        refuse_tensors(where, sorted(there), {*used, *known})
        for tensor, names in used.items():
            if tensor not in there:
                raise ModelError(f"{where} has no tensor {tensor}: the model is not whole, or of another architecture")
            rows, columns = sum(shapes[name][0] for name in names), shapes[names[0]][1:]
            expected: tuple[int, ...] = (rows, *columns)
            if "_exps." in tensor:  # GGUF has all experts of a layer in one
                expected = (len(names), *shapes[names[0]])
            if (found := file.shape(tensor)) != expected:
                raise ModelError(f"{where}: {tensor} is {found}, its configuration says {expected}")

    def rows(self, name: str, start: int, stop: int) -> Array:
        """Rows `start` to `stop` of a weight."""
        piece = self.pieces[name]
        if piece.order is None:
            found = self.file.rows(piece.tensor, piece.start + start, piece.start + stop)
        else:
            order = piece.order[start:stop]
            first = int(order.min())
            found = self.file.rows(piece.tensor, piece.start + first, piece.start + int(order.max()) + 1)[order - first]
        return found + np.float32(piece.plus) if piece.plus else found

    def __getitem__(self, name: str) -> Array:
        shape = self.shapes[name]
        return self.rows(name, 0, math.prod(shape[:-1]) if len(shape) > 1 else shape[0]).reshape(shape)

    def __contains__(self, name: object) -> bool:
        return name in self.shapes

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def half_a_head_apart(heads: int, size: int) -> Array:
    """The order of rows by which a pair, whose numbers llama.cpp has side by side, is as Hugging Face has it."""
    found: Array = np.arange(heads * size).reshape(heads, size // 2, 2).swapaxes(1, 2).ravel()
    return found


def still_last(heads: int, pairs: int, still: int) -> Array:
    """The order of rows in which pairs that turn come before those that do not, in each half of a head."""
    rows = np.arange(2 * pairs + 2 * still)
    head = np.concatenate(
        [rows[:pairs], rows[2 * pairs : 2 * pairs + still], rows[pairs : 2 * pairs], rows[2 * pairs + still :]]
    )
    found: Array = (np.arange(heads)[:, None] * rows.size + head).ravel()
    return found


def orders(config: Config, permuted: bool) -> Mapping[str, Array]:
    """By the ends of names, the orders of rows that a file has otherwise than the decoder."""
    heads = {"q": config.heads, "k": config.kv_heads}
    if permuted:
        return {f"self_attn.{name}_proj": half_a_head_apart(count, config.head_dim) for name, count in heads.items()}
    if still := config.ropes[0].still:
        return {
            f"self_attn.{name}_proj": still_last(count, config.ropes[0].pairs, still) for name, count in heads.items()
        }
    return {}


def joined(config: Config) -> Mapping[str, tuple[str, int]]:
    """Of a layer that joins its projections as Phi-3 does: in which tensor and from which row each is."""
    queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    return {
        "self_attn.q_proj": ("self_attn.qkv_proj", 0),
        "self_attn.k_proj": ("self_attn.qkv_proj", queries),
        "self_attn.v_proj": ("self_attn.qkv_proj", queries + keys),
        "mlp.gate_proj": ("mlp.gate_up_proj", 0),
        "mlp.up_proj": ("mlp.gate_up_proj", config.inner),
    }


def _split(name: str) -> tuple[str, str, str]:
    """The layer's prefix, the name inside it without its end, and "weight" or "bias"."""
    stem, _, end = name.rpartition(".")
    if not name.startswith("model.layers."):
        return "", stem, end
    model, layers, number, inside = stem.split(".", 3)
    return f"{model}.{layers}.{number}.", inside, end


def in_folder(name: str, config: Config, shapes: Shapes) -> dict[str, Piece]:
    """The pieces of a Hugging Face folder of the architecture `name`."""
    order, pieces = orders(config, permuted=False), {}
    join = joined(config) if name.startswith("Phi3") else {}
    for own in shapes:
        prefix, inside, end = _split(own)
        tensor, start = join.get(inside, (inside, 0))
        if name.startswith("Mixtral") and inside.startswith("mlp."):
            tensor = inside.replace("mlp.", "block_sparse_moe.")
            stem, _, last = tensor.rpartition(".")
            tensor = f"{stem}.{MIXTRAL.get(last, last)}"
        plus = float(name.startswith("Gemma") and "norm" in inside.rpartition(".")[2])
        pieces[own] = Piece(f"{prefix}{tensor}.{end}", start, order.get(inside), plus)
    return pieces


def in_gguf(name: str, config: Config, shapes: Shapes, permuted: bool) -> dict[str, Piece]:
    """The pieces of a GGUF file of the architecture `name`; its norms are whole."""
    order, pieces = orders(config, permuted), {}
    join = joined(config) if name == "phi3" else {}
    inner = {"self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"}
    inside_names = {**INSIDE, **(SANDWICH if config.sandwich else {}), **inner}
    for own in shapes:
        prefix, inside, end = _split(own)
        if not prefix:
            pieces[own] = Piece(OUTSIDE[own])
            continue
        number = prefix.split(".")[2]
        tensor, start = join.get(inside, (inside, 0))
        if tensor.startswith("mlp.experts."):
            _, _, expert, last = tensor.split(".")
            start, theirs = int(expert) * shapes[own][0], EXPERTS[last]
        else:
            theirs = inside_names[tensor]
        pieces[own] = Piece(f"blk.{number}.{theirs}.{end}", start, order.get(inside))
    return pieces
