"""The packed weights of a model in one piece of memory, which is written while the model's files are read."""

import sys
import time
from collections.abc import Mapping
from typing import Any

import calibration
import numpy as np
from layout import Part, filled, parts
from packing import CALIBRATED, embedding_kind, quantise
from pages import large_memory, page_kinds

LINE = 64  # bytes: each weight begins with a line of the cache
WORTH_SHOWING = 1.0  # seconds, after which progress is shown


class Packed:
    """The memory (bytes,), where each weight is in it, (weights, 2) int64, and the embedding (vocabulary, width)."""

    def __init__(self, config: Any, weights: Mapping[str, np.ndarray], kind: str) -> None:
        self.config, self.parts, self.kind = config, parts(config, weights, kind), kind
        sizes = np.array([part.size if part else 0 for part in self.parts])
        ends = np.cumsum(-(-sizes // LINE) * LINE)
        self.places = np.stack([np.r_[0, ends[:-1]], sizes], 1).astype("int64")
        self.shape = (config.vocabulary, filled(config.hidden))
        self.bytes = int(ends[-1])

    def take_memory(self) -> None:
        self.memory = large_memory(self.bytes)

    @property
    def embedding(self) -> np.ndarray:
        dtype = "float32" if embedding_kind(self.kind) == "float32" else "uint16"
        return self.memory[: self.places[0, 1]].view(dtype).reshape(self.shape)

    @property
    def weight_bytes(self) -> int:
        """What a step reads."""
        return int(self.places[1:, 1].sum())

    def fill(self, weights: Mapping[str, np.ndarray], rows: int) -> None:
        """Read the model and pack it for panels of `rows`, some rows of a tensor after others."""
        importance = calibration.importance(self.config, weights) if self.kind in CALIBRATED else {}
        progress = Progress(self.bytes)
        for number, (part, (at, _)) in enumerate(zip(self.parts, self.places.tolist(), strict=True)):
            if part is None:
                continue
            for made in self._embedding(part, weights) if number == 0 else part.packed(weights, rows, importance):
                self.memory[at : at + made.size] = made
                at += made.size
                progress.add(made.size)
        progress.finish()

    def _embedding(self, part: Part, weights: Mapping[str, np.ndarray]) -> Any:
        for _, block in part.blocks(weights):
            numbers = quantise(block, part.kind).numbers
            yield np.ascontiguousarray(numbers).reshape(-1).view(np.uint8)

    def pages(self) -> str:
        """Which pages the weights lie in."""
        return page_kinds(self.memory)


class Progress:
    """A line that says how much of the weights is packed, where it takes long and somebody looks."""

    def __init__(self, whole: int) -> None:
        self.whole, self.done, self.began, self.shown = whole, 0, time.perf_counter(), -1

    def add(self, size: int) -> None:
        self.done += size
        share = 100 * self.done // max(self.whole, 1)
        step = 1 if sys.stdout.isatty() else 20
        if time.perf_counter() - self.began > WORTH_SHOWING and share // step > self.shown // step:
            self.shown = share
            end = "\r" if sys.stdout.isatty() else "\n"
            print(f"packed {share:3} % of {self.whole / 1e6:.0f} MB", end=end, flush=True)

    def finish(self) -> None:
        if self.shown >= 0 and sys.stdout.isatty():
            print(" " * 40, end="\r")


def pack_weights(config: Any, weights: Mapping[str, np.ndarray], kind: str, rows: int) -> Packed:
    """What native_decoder.py reads, made of the weights."""
    packed = Packed(config, weights, kind)
    packed.take_memory()
    packed.fill(weights, rows)
    return packed
