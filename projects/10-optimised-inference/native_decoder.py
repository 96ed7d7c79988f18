"""The decoder on the CPU by the kernels in C++ (kernels/, native.py)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import packing
import paddle
from decoder import BLOCK
from formats import KINDS
from llm.decoder import rotary_frequencies
from native import Kernels
from pages import in_large_pages

WIDEST = 512  # kernels.h: a head


def angles(config: Any) -> np.ndarray:
    """(context, head_dim): cosines of the angles of each position, then their sines."""
    turned = np.outer(np.arange(config.context), rotary_frequencies(config.rope_theta, config.head_dim))
    return np.concatenate([np.cos(turned), np.sin(turned)], axis=1).astype("float32")


class NativeDecoder:
    """The decoder on the CPU by the kernels of kernels/; `packed` by packing.pack_weights as `kind`, its
    cache of formats.CACHES.

    Raises ValueError for heads that the kernels do not divide.
    """

    block_size = BLOCK

    def __init__(
        self, config: Any, packed: Sequence[np.ndarray], kernels: Kernels, kind: str, cache: str, blocks: int
    ) -> None:
        self.config, self.kernels, self.kind, self.blocks = config, kernels, kind, blocks
        self.head_kind = packing.HEADS.get(kind, kind)
        if config.head_dim % 32 or config.head_dim > WIDEST:
            raise ValueError(f"heads of {config.head_dim} numbers: the kernels want a multiple of 32 up to {WIDEST}")
        self.embedding = packed[0]
        self.weights = in_large_pages(packed[1:])
        self.weight_bytes = sum(weight.nbytes for weight in packed[1:])
        self.angles = paddle.to_tensor(angles(config))
        positions = [config.layers, blocks, config.kv_heads, BLOCK]
        keys, values = [*positions[:-1], config.head_dim, BLOCK], [*positions, config.head_dim]
        self.cache = [paddle.zeros(shape, cache) for shape in (keys, values)]
        self.cache += [paddle.zeros(positions if cache == "int8" else [1], "float32") for _ in "kv"]
        self.cache_bytes = sum(tensor.size * tensor.element_size() for tensor in self.cache)

    def step(self, tokens, sequences, positions, tables, wanted) -> np.ndarray:
        c = self.config
        if not len(wanted):
            wanted = np.array([0])  # the kernels compute at least one row of logits
        embedded = packing.dequantise(packing.Quantised(self.embedding[tokens]), packing.embedding_kind(self.kind))
        padded = np.zeros((len(tables), max(map(len, tables))), "int32")
        for number, table in enumerate(tables):
            padded[number, : len(table)] = table
        integers = [paddle.to_tensor(np.asarray(x, "int32")) for x in (sequences, positions, padded, wanted)]
        kinds = KINDS[self.kind], KINDS[self.head_kind]
        logits = self.kernels(
            "step", paddle.to_tensor(embedded), *integers, self.angles, *self.cache, *self.weights,
            c.heads, c.inner, c.vocabulary, *kinds, c.epsilon,
        )  # fmt: skip
        return logits.numpy()
