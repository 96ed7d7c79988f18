"""The decoder of ../llm/decoder.py over a paged cache, in Paddle's plain operators and in float32, on any device."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import calibration
import fused
import numpy as np
import packing
import paddle
from decoder import BLOCK, Seen
from llm.decoder import NOT_SEEN, Linear, Llama, turns_of
from llm.places import by_pair


def round_to_16_bits(x: paddle.Tensor) -> paddle.Tensor:
    """x as a cache of float16 gives it back."""
    return x.astype("float16").astype(x.dtype)


def round_to_8_bits(x: paddle.Tensor) -> paddle.Tensor:
    """x (..., D) as an 8-bit cache gives it back: whole numbers up to 127 times a scale for the last axis."""
    scale = (x.abs().max(-1, keepdim=True) / 127).clip(min=1e-30)
    return (x / scale).round() * scale


ROUNDING = {"float32": lambda x: x, "float16": round_to_16_bits, "int8": round_to_8_bits}  # by the cache's kind


class PagedCache:
    """Keys and values of many sequences in blocks of 16 positions; what llm.decoder.KVCache is to a batch of texts.

    They are rounded to what the kind of cache can hold, and still take four bytes each.
    """

    def __init__(self, config: Any, kind: str, blocks: int) -> None:
        shape = [blocks * BLOCK, config.kv_heads, config.head_dim]
        self.round = ROUNDING[kind]
        self.keys = [paddle.zeros(shape) for _ in range(config.layers)]
        self.values = [paddle.zeros(shape) for _ in range(config.layers)]
        self.bytes = 8 * config.layers * int(np.prod(shape))

    def admit(
        self, sequences: np.ndarray, positions: np.ndarray, tables: Sequence[Sequence[int]], windows: Collection[int]
    ) -> dict[int, paddle.Tensor]:
        """Take in rows, each a position of a sequence whose blocks `tables` lists.

        Returns for each of the windows what is added to their scores (1, 1, rows, S), where S counts all positions of
        all the blocks: a row sees those of its own sequence up to its own, as many of the last as the window has.
        """
        lengths = [len(table) * BLOCK for table in tables]
        places = np.concatenate([np.add.outer(np.array(table) * BLOCK, np.arange(BLOCK)).ravel() for table in tables])
        owners = np.repeat(np.arange(len(tables)), lengths)  # (S,): whose each place is,
        inside = np.concatenate([np.arange(length) for length in lengths])  # and its position there
        starts = np.cumsum([0, *lengths[:-1]])
        self.written = paddle.to_tensor(places[starts[sequences] + positions])
        self.places = paddle.to_tensor(places)
        before = positions[:, None] - inside  # (rows, S)
        seen = (owners == sequences[:, None]) & (before >= 0)
        near = {window: seen & (before < window) if window else seen for window in windows}
        return {
            w: paddle.to_tensor(np.where(each, 0, NOT_SEEN).astype("float32"))[None, None] for w, each in near.items()
        }

    def extend(self, layer: int, keys: paddle.Tensor, values: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Write keys and values (1, KV, rows, D) of the rows; returns those of all the blocks, (1, KV, S, D)."""
        found = []
        for pool, new in ((self.keys, keys), (self.values, values)):
            pool[layer] = paddle.scatter(pool[layer], self.written, self.round(new[0].transpose([1, 0, 2])))
            found.append(paddle.gather(pool[layer], self.places).transpose([1, 0, 2])[None])
        return found[0], found[1]


class Rounded(Mapping[str, np.ndarray]):
    """The weights of a model, those of the layers' products rounded to `kind` when they are asked for."""

    def __init__(self, config: Any, weights: Mapping[str, np.ndarray], kind: str) -> None:
        self.weights, self.kind = weights, kind
        self.importance = calibration.importance(config, weights) if kind in packing.CALIBRATED else {}

    def __getitem__(self, name: str) -> np.ndarray:
        weight = self.weights[name]
        return fused.rounded(weight, self.kind, self.importance.get(name)) if name.endswith("_proj.weight") else weight

    def __iter__(self) -> Iterator[str]:
        return iter(self.weights)

    def __len__(self) -> int:
        return len(self.weights)


class PlainDecoder:
    """Answers are as good or bad as those of the kernels: weights are rounded to what their kind can hold.

    They still take four bytes each. A device whose Paddle has fused products for few bits gets those for int8 and int4
    (fused.py).
    """

    block_size = BLOCK

    def __init__(self, config: Any, weights: Mapping[str, np.ndarray], kind: str, cache: str, blocks: int) -> None:
        self.config, self.blocks = config, blocks
        linear, head = (fused.linear_for(each, paddle.get_device()) for each in (kind, packing.HEADS.get(kind, kind)))
        if not fused.is_fused(kind, paddle.get_device()):
            weights, linear = Rounded(config, weights, kind), Linear
        self.network = Llama(config, weights, linear=linear, head=head)
        self.cache = PagedCache(config, cache, blocks)
        self.cache_bytes = self.cache.bytes
        read = [buffer for buffer in self.network.buffers() if buffer is not self.network.embedding]
        self.weight_bytes = sum(buffer.size * buffer.element_size() for buffer in read)

    @paddle.no_grad()
    def step(self, tokens, sequences, positions, tables, wanted, seen: Seen | None = None) -> np.ndarray:
        found = self._compute(tokens, sequences, positions, tables, wanted, seen)
        return self.network.logits(found).numpy() if len(wanted) else np.zeros((0, self.config.vocabulary), "float32")

    @paddle.no_grad()
    def hidden(self, tokens, sequences, positions, tables, wanted) -> np.ndarray:
        return self._compute(tokens, sequences, positions, tables, wanted).numpy()

    def _compute(self, tokens, sequences, positions, tables, wanted, seen=None) -> paddle.Tensor:
        masks = self.cache.admit(sequences, positions, tables, set(self.config.windows))
        places = positions[:, None] if seen is None else by_pair(seen.places, self.config.sections)
        turn = turns_of(self.config.ropes, places, 0)  # (rows, D) each
        x = self.network.embed(np.asarray(tokens, "int64")[None])
        if seen is not None and len(seen.rows):
            x = paddle.scatter(x[0], paddle.to_tensor(seen.rows), paddle.to_tensor(seen.vectors))[None]
        x = self.network.hidden(x, turn, masks, self.cache)[0]  # (rows, hidden)
        return x if not len(wanted) else paddle.gather(x, paddle.to_tensor(np.asarray(wanted)))
