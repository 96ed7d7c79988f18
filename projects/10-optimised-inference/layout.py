"""What a decoder's weights are to the kernels: which they are, in which order, filled up to whole panels and groups.

A layer has the weights that kernels/parts.h lists as Slot, in that order; after all layers come the last norm and the
output layer. Each is made from rows of the model's tensors as they are read, some thousand at a time, so that no
tensor is ever whole in memory: a row or input of the kernels' that is none of the model's is zeros.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import llm
import numpy as np
from packing import GROUP, HEADS, embedding_kind, pack, packed_size, quantise

AT_ONCE = 2**22  # numbers that are read at a time
NOTHING = -1


def read_rows(weights: Mapping[str, np.ndarray], name: str, low: int, high: int) -> np.ndarray:
    """Rows of a tensor; of one that is in a file, without the others."""
    return weights.rows(name, low, high) if hasattr(weights, "rows") else weights[name][low:high]


def filled(size: int) -> int:
    """The least whole number of groups, which is of panels, too."""
    return -(-size // GROUP) * GROUP


def whole(size: int) -> np.ndarray:
    """Where each of the kernels' rows or inputs comes from, of `size` in the model: itself, or nothing behind them."""
    return np.where(np.arange(filled(size)) < size, np.arange(filled(size)), NOTHING)


def heads(count: int, size: int) -> np.ndarray:
    """The same for heads, whose halves are filled up each: so the pairs stay half a head apart."""
    half = filled(size) // 2
    place = np.arange(filled(size))
    own = np.where(place % half < size // 2, place // half * (size // 2) + place % half, NOTHING)
    return np.where(own == NOTHING, NOTHING, own + size * np.arange(count)[:, None]).ravel()


@dataclass(frozen=True)
class Part:
    """A weight or vector of the kernels: tensors one below the other, and where its rows and inputs come from."""

    names: tuple[str, ...]
    rows: tuple[np.ndarray, ...]  # of each tensor
    inputs: np.ndarray | None = None  # none: a vector, which stays float32
    kind: str = "float32"
    plain: bool = False  # stays as it is, in float32, row by row

    @property
    def outputs(self) -> int:
        return sum(map(len, self.rows))

    @property
    def size(self) -> int:
        """In bytes."""
        if self.inputs is None or self.plain:
            return 4 * self.outputs * (1 if self.inputs is None else len(self.inputs))
        return packed_size(self.kind, self.outputs, len(self.inputs))

    def blocks(self, weights: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
        """Some rows after others, as float32, with the name of their tensor."""
        for name, origin in zip(self.names, self.rows, strict=True):
            step = len(origin) if self.inputs is None else max(AT_ONCE // len(self.inputs) // GROUP, 1) * GROUP
            for first in range(0, len(origin), step):
                yield name, self._block(weights, name, origin[first : first + step])

    def _block(self, weights: Mapping[str, np.ndarray], name: str, origin: np.ndarray) -> np.ndarray:
        real = origin != NOTHING
        shape = (len(origin),) if self.inputs is None else (len(origin), len(self.inputs))
        if name not in weights or not real.any():  # a bias that one of several projections has not
            return np.zeros(shape, "float32")
        low, high = int(origin[real].min()), int(origin.max()) + 1
        read = read_rows(weights, name, low, high)
        if real.all() and len(read) == len(origin) and read.shape == shape:
            return read if (origin - low == np.arange(len(read))).all() else read[origin - low]
        found = np.zeros(shape, "float32")
        if self.inputs is None:
            found[real] = read[origin[real] - low]
        else:
            there = self.inputs != NOTHING
            found[np.ix_(real, there)] = read[np.ix_(origin[real] - low, self.inputs[there])]
        return found

    def packed(
        self, weights: Mapping[str, np.ndarray], rows: int, importance: Mapping[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        """Its bytes (uint8,), some after others, for panels of `rows`; `importance` as calibration.py has it."""
        for name, block in self.blocks(weights):
            if self.inputs is None or self.plain:
                yield np.ascontiguousarray(block, "float32").reshape(-1).view(np.uint8)
            else:
                counting = np.r_[importance[name], 0][self.inputs] if name in importance else None  # [NOTHING] is 0
                made = pack(quantise(block, self.kind, counting), self.kind, rows)
                yield np.ascontiguousarray(made).reshape(-1).view(np.uint8)


def layer(config: Any, weights: Mapping[str, np.ndarray], number: int, kind: str) -> list[Part | None]:
    """The parts of a layer in the order of parts.h's Slot, none for what it has not."""
    c, prefix = config, f"model.layers.{number}."
    hidden, size = whole(c.hidden), c.head_dim
    queries, keys, head = heads(c.heads, size), heads(c.kv_heads, size), heads(1, size)
    inner = whole(c.experts.inner if c.has_experts(number) else c.inner)

    def vector(name: str, rows: np.ndarray) -> Part | None:
        return Part((prefix + name,), (rows,)) if prefix + name in weights else None

    def linear(names: Sequence[str], rows: Sequence[np.ndarray], inputs: np.ndarray) -> Part:
        return Part(tuple(f"{prefix}{name}.weight" for name in names), tuple(rows), inputs, kind)

    def bias(names: Sequence[str], rows: Sequence[np.ndarray]) -> Part | None:
        full = tuple(f"{prefix}{name}.bias" for name in names)
        return Part(full, tuple(rows)) if any(name in weights for name in full) else None

    qkv, qkv_rows = [f"self_attn.{name}_proj" for name in "qkv"], [queries, keys, keys]
    networks = [f"mlp.experts.{each}." for each in range(c.experts.count)] if c.has_experts(number) else ["mlp."]
    gates = [f"{network}{name}_proj" for network in networks for name in ("gate", "up")]
    downs = [f"{network}down_proj" for network in networks]
    router = (
        Part((f"{prefix}mlp.gate.weight",), (np.arange(c.experts.count),), hidden, plain=True) if c.experts else None
    )
    second = "pre_feedforward_layernorm" if c.sandwich else "post_attention_layernorm"
    return [
        vector("input_layernorm.weight", hidden),
        linear(qkv, qkv_rows, hidden),
        bias(qkv, qkv_rows),
        vector("self_attn.q_norm.weight", head),
        vector("self_attn.k_norm.weight", head),
        linear(["self_attn.o_proj"], [hidden], queries),
        bias(["self_attn.o_proj"], [hidden]),
        vector("post_attention_layernorm.weight", hidden) if c.sandwich else None,
        vector(f"{second}.weight", hidden),
        router if c.has_experts(number) else None,
        linear(gates, [inner] * len(gates), hidden),
        bias(gates, [inner] * len(gates)),
        linear(downs, [hidden] * len(downs), inner),
        bias(downs, [hidden] * len(downs)),
        vector("post_feedforward_layernorm.weight", hidden),
    ]


def parts(config: llm.Config, weights: Mapping[str, np.ndarray], kind: str) -> list[Part | None]:
    """The embedding, as rows of the kernels' width, then all that a step reads."""
    hidden, vocabulary = whole(config.hidden), np.arange(config.vocabulary)
    embedding = Part(("model.embed_tokens.weight",), (vocabulary,), hidden, embedding_kind(kind))
    found: list[Part | None] = [embedding]
    for number in range(config.layers):
        found += layer(config, weights, number, kind)
    head = "lm_head.weight" if "lm_head.weight" in weights and not config.tied else "model.embed_tokens.weight"
    found.append(Part(("model.norm.weight",), (hidden,)))
    found.append(Part((head,), (whole(config.vocabulary),), hidden, HEADS.get(kind, kind)))
    return found
