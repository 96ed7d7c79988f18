"""One step of a Llama decoder over a paged cache, in two ways: the C++ kernels, and Paddle's plain operators.

Both answer the same call. A step is a flat list of tokens of several sequences, each token with its sequence and its
position; a sequence is the list of the cache's blocks that hold it. So sequences of any lengths, and whole pieces
of prompts beside single tokens, go through one product.
"""

import contextlib
import mmap
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import fused
import numpy as np
import packing
import paddle
import paddle.nn.functional as F
from native import Kernels

BLOCK = 16  # positions in a block
HEADS = {"int4": "int8", "float8": "int8"}  # the output layer bears fewer bits less well: it has int8 there
WIDEST = 512  # kernels.h: a head
NOT_SEEN = -1e9


class Decoder(Protocol):
    """What the engine needs."""

    config: Any
    blocks: int
    block_size: int
    weight_bytes: int  # read for each step
    cache_bytes: int

    def step(
        self,
        tokens: np.ndarray,
        sequences: np.ndarray,
        positions: np.ndarray,
        tables: Sequence[Sequence[int]],
        wanted: np.ndarray,
    ) -> np.ndarray:
        """Logits (wanted, vocabulary) of the rows `wanted`; keys and values of all rows go into the cache."""
        ...


def angles(config: Any) -> np.ndarray:
    """(context, head_dim): cosines of the angles of each position, then their sines."""
    frequencies = config.rope_theta ** (-np.arange(0, config.head_dim, 2) / config.head_dim)
    turned = np.outer(np.arange(config.context), frequencies)
    return np.concatenate([np.cos(turned), np.sin(turned)], axis=1).astype("float32")


def layer_weights(weights: Mapping[str, np.ndarray], layer: int) -> list[np.ndarray]:
    """norm, query-key-value, output, norm, gate-up, down of a layer; linear ones (outputs, inputs)."""

    def get(*names: str) -> np.ndarray:
        return np.concatenate([weights[f"model.layers.{layer}.{name}.weight"] for name in names])

    return [
        get("input_layernorm"),
        get("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        get("self_attn.o_proj"),
        get("post_attention_layernorm"),
        get("mlp.gate_proj", "mlp.up_proj"),
        get("mlp.down_proj"),
    ]


def head_of(weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """The output layer (vocabulary, hidden), which may be the embedding."""
    return weights["lm_head.weight" if "lm_head.weight" in weights else "model.embed_tokens.weight"]


def round_to_16_bits(x: paddle.Tensor) -> paddle.Tensor:
    """x as a cache of float16 gives it back."""
    return x.astype("float16").astype(x.dtype)


def round_to_8_bits(x: paddle.Tensor) -> paddle.Tensor:
    """x (..., D) as an 8-bit cache gives it back: whole numbers up to 127 times a scale for the last axis."""
    scale = (x.abs().max(-1, keepdim=True) / 127).clip(min=1e-30)
    return (x / scale).round() * scale


ROUNDING = {"float32": lambda x: x, "float16": round_to_16_bits, "int8": round_to_8_bits}  # by the cache's kind


def cache_for(kind: str) -> str:
    """The kind of cache that goes with weights of `kind`, where no other is asked for: half the bytes lose nothing."""
    return "float32" if kind == "float32" else "float16"


def in_large_pages(arrays: Sequence[np.ndarray]) -> tuple[paddle.Tensor, paddle.Tensor]:
    """The bytes of the arrays, side by side in memory for which the system is asked for pages of 2 MB.

    A step reads every weight once. In pages of 4 kB it would look a page up for every 64 lines it reads, and the
    processor's own reading ahead would end with each.

    Returns:
        The memory (bytes,) as uint8, and of each array its first byte and how many it has, (arrays, 2) int64.
    """
    sizes = np.array([array.nbytes for array in arrays])
    ends = np.cumsum(-(-sizes // 64) * 64)
    starts = np.r_[0, ends[:-1]]
    memory = mmap.mmap(-1, int(ends[-1]))
    if hasattr(mmap, "MADV_HUGEPAGE"):  # Linux
        with contextlib.suppress(OSError):  # a kernel without them: the pages are small
            memory.madvise(mmap.MADV_HUGEPAGE)
    for array, start in zip(arrays, starts, strict=True):
        np.frombuffer(memory, array.dtype, array.size, start)[...] = array.ravel()
    data = paddle.utils.dlpack.from_dlpack(np.frombuffer(memory, "uint8"))  # shares the memory, and keeps it alive
    return data, paddle.to_tensor(np.stack([starts, sizes], 1))


def pack_weights(config: Any, weights: Mapping[str, np.ndarray], kind: str, rows: int) -> list[np.ndarray]:
    """What NativeDecoder reads: the embedding, the packed weights of each layer, the last norm and the output layer.

    The embedding is float32 or bfloat16: a row of it is read once for each token. Raises ValueError for a model whose
    sizes the kernels' panels of `rows` do not divide.
    """

    def packed(weight: np.ndarray, kind: str) -> np.ndarray:
        return weight if weight.ndim == 1 else packing.pack(packing.quantise(weight, kind), kind, rows)

    embedding = packing.quantise(weights["model.embed_tokens.weight"], embedding_kind(kind)).numbers
    own = [weight for layer in range(config.layers) for weight in layer_weights(weights, layer)]
    own += [weights["model.norm.weight"], head_of(weights)]
    kinds = [kind] * (len(own) - 1) + [HEADS.get(kind, kind)]
    with ThreadPoolExecutor() as pool:  # numpy lets other threads compute
        return [embedding, *pool.map(packed, own, kinds)]


def embedding_kind(kind: str) -> str:
    return "float32" if kind == "float32" else "bfloat16"


class NativeDecoder:
    """The decoder on the CPU by the kernels of kernels/; `packed` by pack_weights as `kind`, its cache of ROUNDING.

    Raises ValueError for heads that the kernels do not divide.
    """

    block_size = BLOCK

    def __init__(
        self, config: Any, packed: Sequence[np.ndarray], kernels: Kernels, kind: str, cache: str, blocks: int
    ) -> None:
        self.config, self.kernels, self.kind, self.blocks = config, kernels, kind, blocks
        self.head_kind = HEADS.get(kind, kind)
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
        embedded = packing.dequantise(packing.Quantised(self.embedding[tokens]), embedding_kind(self.kind))
        padded = np.zeros((len(tables), max(map(len, tables))), "int32")
        for number, table in enumerate(tables):
            padded[number, : len(table)] = table
        integers = [paddle.to_tensor(np.asarray(x, "int32")) for x in (sequences, positions, padded, wanted)]
        kinds = packing.KINDS[self.kind], packing.KINDS[self.head_kind]
        logits = self.kernels(
            "step", paddle.to_tensor(embedded), *integers, self.angles, *self.cache, *self.weights,
            c.heads, c.inner, c.vocabulary, *kinds, c.epsilon,
        )  # fmt: skip
        return logits.numpy()


class PlainDecoder:
    """The decoder in Paddle's plain operators, in float32, on any device.

    Weights, keys and values are rounded to what the kinds can hold, so that answers are as good or bad as theirs; they
    still take four bytes each. A device whose Paddle has fused products for few bits gets those for int8 and int4
    (fused.py).
    """

    block_size = BLOCK

    def __init__(self, config: Any, weights: Mapping[str, np.ndarray], kind: str, cache: str, blocks: int) -> None:
        self.config, self.blocks, self.round = config, blocks, ROUNDING[cache]
        linear = fused.linear_for(kind, paddle.get_device())
        head = fused.linear_for(HEADS.get(kind, kind), paddle.get_device())
        self.embedding = paddle.to_tensor(weights["model.embed_tokens.weight"])
        self.layers = [
            [
                paddle.to_tensor(weight) if weight.ndim == 1 else linear(weight)
                for weight in layer_weights(weights, layer)
            ]
            for layer in range(config.layers)
        ]
        self.norm, self.head = paddle.to_tensor(weights["model.norm.weight"]), head(head_of(weights))
        self.angles = angles(config)
        self.weight_bytes = self.head.bytes + sum(
            w.bytes for layer in self.layers for w in layer if hasattr(w, "bytes")
        )
        shape = [blocks * BLOCK, config.kv_heads, config.head_dim]
        self.keys = [paddle.zeros(shape) for _ in range(config.layers)]
        self.values = [paddle.zeros(shape) for _ in range(config.layers)]
        self.cache_bytes = 8 * config.layers * int(np.prod(shape))

    def _norm(self, x: paddle.Tensor, weight: paddle.Tensor) -> paddle.Tensor:
        return x * paddle.rsqrt((x * x).mean(-1, keepdim=True) + self.config.epsilon) * weight

    @paddle.no_grad()
    def step(self, tokens, sequences, positions, tables, wanted) -> np.ndarray:
        c = self.config
        width = max(map(len, tables)) * BLOCK
        # Where each position of each sequence lies in the cache: (sequences, width).
        places = np.zeros((len(tables), width), "int64")
        for number, table in enumerate(tables):
            places[number, : len(table) * BLOCK] = (np.array(table)[:, None] * BLOCK + np.arange(BLOCK)).ravel()
        written = paddle.to_tensor(places[sequences, positions])
        # Rows of one sequence side by side, padded to the longest: (sequences, most) indices into the rows.
        most = int(np.bincount(sequences).max())
        padded, inside = np.zeros((len(tables), most), "int64"), np.zeros(len(tokens), "int64")
        for number in range(len(tables)):
            rows = np.flatnonzero(sequences == number)
            padded[number, : len(rows)], inside[rows] = rows, number * most + np.arange(len(rows))
        seen = np.arange(width)[None, None] <= positions[padded][..., None]  # (sequences, most, width)
        mask = paddle.to_tensor(np.where(seen, 0, NOT_SEEN).astype("float32"))[:, None, None]
        inside, padded, places = (paddle.to_tensor(x) for x in (inside, padded.ravel(), places.ravel()))
        cos, sin = np.split(self.angles[positions], 2, axis=1)
        cos, sin = (paddle.to_tensor(np.concatenate([x, x], 1))[:, None] for x in (cos, sin))  # (rows, 1, D)

        def rotate(x: paddle.Tensor) -> paddle.Tensor:
            first, second = paddle.split(x, 2, axis=-1)
            return x * cos + paddle.concat([-second, first], -1) * sin

        x = F.embedding(paddle.to_tensor(np.asarray(tokens, "int64")), self.embedding)  # (rows, hidden)
        for number, (norm, qkv, output, mlp_norm, gate_up, down) in enumerate(self.layers):
            heads = qkv(self._norm(x, norm)).reshape([len(tokens), -1, c.head_dim])
            q, k, v = paddle.split(heads, [c.heads, c.kv_heads, c.kv_heads], axis=1)
            k, v = self.round(rotate(k)), self.round(v)
            self.keys[number] = paddle.scatter(self.keys[number], written, k)
            self.values[number] = paddle.scatter(self.values[number], written, v)
            k, v = (
                paddle.gather(cache[number], places).reshape([len(tables), width, c.kv_heads, 1, c.head_dim])
                for cache in (self.keys, self.values)
            )
            q = paddle.gather(rotate(q), padded).reshape([len(tables), most, c.kv_heads, c.group, c.head_dim])
            q, k, v = (y.transpose([0, 2, 3, 1, 4]) for y in (q, k, v))  # (sequences, KV, group, most or width, D)
            shares = F.softmax(paddle.matmul(q, k, transpose_y=True) * c.head_dim**-0.5 + mask)
            mixed = paddle.matmul(shares, v).transpose([0, 3, 1, 2, 4]).reshape([-1, c.heads * c.head_dim])
            x = x + output(paddle.gather(mixed, inside))
            gate, up = paddle.split(gate_up(self._norm(x, mlp_norm)), 2, -1)
            x = x + down(F.silu(gate) * up)
        if not len(wanted):
            return np.zeros((0, c.vocabulary), "float32")
        return self.head(self._norm(paddle.gather(x, paddle.to_tensor(np.asarray(wanted))), self.norm)).numpy()
