"""What the engine asks of a decoder: one step of many sequences over a paged cache.

A step is a flat list of tokens of several sequences, each token with its sequence and its position; a sequence is the
list of the cache's blocks that hold it. So sequences of any lengths, and whole pieces of prompts beside single tokens,
go through one product. native_decoder.py answers by the kernels in C++, plain_decoder.py by Paddle's own operators.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

BLOCK = 16  # positions in a block


@dataclass(frozen=True)
class Seen:
    """What a step's rows have of pictures: some are tokens of one, and those behind it turn by other positions."""

    places: np.ndarray  # (3, rows): time, row and column
    rows: np.ndarray  # which rows are a picture's,
    vectors: np.ndarray  # and what enters the first layer there, (len(rows), hidden)


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
        seen: Seen | None = None,
    ) -> np.ndarray:
        """Logits (wanted, vocabulary) of the rows `wanted`; keys and values of all rows go into the cache.

        `seen` is given where one of the sequences has pictures, to a decoder that has `config.sections`.
        """
        ...

    def hidden(
        self,
        tokens: np.ndarray,
        sequences: np.ndarray,
        positions: np.ndarray,
        tables: Sequence[Sequence[int]],
        wanted: np.ndarray,
    ) -> np.ndarray:
        """What the head would be given instead, (wanted, hidden): the vectors of a text's tokens."""
        ...


def cache_for(kind: str) -> str:
    """The kind of cache that goes with weights of `kind`, where no other is asked for: half the bytes lose nothing."""
    return "float32" if kind == "float32" else "float16"
