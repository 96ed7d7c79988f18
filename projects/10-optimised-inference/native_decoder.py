"""The decoder on the CPU by the kernels in C++ (kernels/, native.py)."""

from typing import Any

import numpy as np
import packing
import paddle
from decoder import BLOCK, Seen
from formats import KINDS
from layout import filled
from llm import Config
from llm.places import by_pair
from llm.rope import Rope
from native import Kernels
from packed import Packed
from pages import large_memory

WIDEST = 512  # kernels.h: a head
VOCABULARY = 9  # its place among the sizes; 0 of it: what the head would be given is wanted
ACTIVATIONS = {"silu": 0, "gelu_tanh": 1, "gelu": 2}  # kernels.h: Activation


def angles(rope: Rope, places: np.ndarray, width: int) -> np.ndarray:
    """(rows, width): cosines of the angles of each row, then their sines, for pairs filled up to the width.

    `places` are the rows' positions (rows, 1), or those of each pair of a head (rows, D/2).
    """
    frequencies, sizes = rope.turns(0)
    turned = places * frequencies
    rest = np.zeros((len(places), width // 2 - frequencies.size))
    return np.concatenate([sizes * np.cos(turned), rest + 1, sizes * np.sin(turned), rest], axis=1).astype("float32")


def tensor_of(memory: np.ndarray, shape: list[int], dtype: str) -> paddle.Tensor:
    """A tensor of zeros in this memory, which it keeps alive."""
    return paddle.utils.dlpack.from_dlpack(memory.view(dtype).reshape(shape))


class NativeDecoder:
    """The decoder on the CPU by the kernels of kernels/; `packed` as weights of `kind`, its cache of formats.CACHES.

    Raises ValueError for heads that are wider than the kernels take.
    """

    block_size = BLOCK

    def __init__(self, config: Config, packed: Packed, kernels: Kernels, kind: str, cache: str, blocks: int) -> None:
        self.config, self.kernels, self.kind, self.blocks, self.packed = config, kernels, kind, blocks, packed
        self.width = width = filled(config.head_dim)
        if width > WIDEST:
            raise ValueError(f"heads of {config.head_dim} numbers: the kernels take up to {WIDEST}")
        self.embedding, self.weight_bytes = packed.embedding, packed.weight_bytes
        self.weights = [
            paddle.utils.dlpack.from_dlpack(packed.memory),  # shares the memory, and keeps it alive
            paddle.to_tensor(packed.places[1:]),
            paddle.to_tensor(np.array([config.turned, config.windows], "int32")),
        ]
        longest = min(config.longest, blocks * BLOCK)
        self.angles = self._angles(np.arange(longest)[:, None])
        positions = [config.layers, blocks, config.kv_heads, BLOCK]
        shapes = [[*positions[:-1], width, BLOCK], [*positions, width]]
        size = np.dtype(cache).itemsize * int(np.prod(shapes[0]))
        self.cache = [tensor_of(large_memory(size), shape, cache) for shape in shapes]
        self.cache += [paddle.zeros(positions if cache == "int8" else [1], "float32") for _ in "kv"]
        self.cache_bytes = sum(tensor.size * tensor.element_size() for tensor in self.cache)
        c, e = config, config.experts
        head_kind = packing.HEADS.get(kind, kind)
        experts = (e.count, e.chosen, filled(e.inner), int(e.renormalised)) if e else (0, 0, 0, 0)
        self.sizes = [c.heads, c.head_dim, c.hidden, filled(c.inner), *experts, ACTIVATIONS[c.activation]]
        self.sizes += [filled(c.vocabulary), KINDS[kind], KINDS[head_kind]]
        self.reals = [c.epsilon, c.score_scale, c.score_cap]

    def _angles(self, places: np.ndarray) -> paddle.Tensor:
        return paddle.to_tensor(np.stack([angles(rope, places, self.width) for rope in self.config.ropes]))

    def step(self, tokens, sequences, positions, tables, wanted, seen: Seen | None = None) -> np.ndarray:
        c = self.config
        logits = self._compute(tokens, sequences, positions, tables, wanted, self.sizes, seen)[:, : c.vocabulary]
        return np.tanh(logits / c.logit_cap) * np.float32(c.logit_cap) if c.logit_cap else logits

    def hidden(self, tokens, sequences, positions, tables, wanted) -> np.ndarray:
        without_head = [*self.sizes[:VOCABULARY], 0, *self.sizes[VOCABULARY + 1 :]]
        return self._compute(tokens, sequences, positions, tables, wanted, without_head)[:, : self.config.hidden]

    def _compute(self, tokens, sequences, positions, tables, wanted, sizes, seen=None) -> np.ndarray:
        if not len(wanted):
            wanted = np.array([0])  # the kernels compute at least one row of logits
        c = self.config
        embedded = packing.dequantise(packing.Quantised(self.embedding[tokens]), packing.embedding_kind(self.kind))
        if c.embedding_scale != 1:
            embedded = embedded * np.float32(c.embedding_scale)
        if seen is not None:
            embedded[seen.rows, : c.hidden] = seen.vectors
        padded = np.zeros((len(tables), max(map(len, tables))), "int32")
        for number, blocks in enumerate(tables):
            padded[number, : len(blocks)] = blocks
        turns, table = positions, self.angles  # each row by its position
        if seen is not None:
            turns, table = np.arange(len(tokens)), self._angles(by_pair(seen.places, c.sections))
        # As one tensor, as decoder.cc takes it apart: to make one takes longer than a layer's norms.
        rows = [(len(wanted), padded.shape[1]), sequences, positions, turns, wanted, padded.ravel()]
        found: Any = self.kernels(
            "step",
            paddle.to_tensor(embedded),
            paddle.to_tensor(np.concatenate(rows).astype("int32")),
            table,
            *self.cache,
            *self.weights,
            sizes,
            self.reals,
        )
        return found.numpy()
