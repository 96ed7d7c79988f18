"""A model's decoder for a server: how much memory it will take, said before it is taken, and then itself."""

from pathlib import Path

import gallery
import kept
import llm
import numpy as np
from decoder import BLOCK
from layout import filled
from native import Kernels
from native_decoder import NativeDecoder
from packed import Packed
from packing import CALIBRATED
from plain_decoder import PlainDecoder

MEGABYTE = 1e6
READING = 256e6  # bytes: tensors are read some rows at a time; and what a step computes with
PAGES = Path("/proc/meminfo")
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
USED = (Path("/sys/fs/cgroup/memory.current"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"))


def available() -> float:
    """Bytes that this machine, or the container's limit, has free; infinite where neither says."""
    found = [float("inf")]
    try:
        line = next(line for line in PAGES.read_text().splitlines() if line.startswith("MemAvailable"))
        found.append(1024 * float(line.split()[1]))
    except (OSError, StopIteration, ValueError, IndexError):
        pass
    for limit, used in zip(LIMITS, USED, strict=True):
        try:
            found.append(float(limit.read_text()) - float(used.read_text()))
        except (OSError, ValueError):  # none, or "max"
            continue
    return min(found)


def cache_bytes(config: llm.Config, kind: str, blocks: int) -> int:
    """What keys and values of so many blocks take."""
    numbers = 2 * config.layers * blocks * config.kv_heads * BLOCK
    return numbers * (filled(config.head_dim) * np.dtype(kind).itemsize + 4 * (kind == "int8"))


def plan(model: llm.Model, weights: str, cache: str, blocks: int, native: bool) -> None:
    """Print what will be taken. Raises ValueError where that is more than is free."""
    c = model.config
    if native:
        size = Packed(c, model.weights, weights).bytes
    else:  # float32, and each tensor once more while it is turned
        size = 4 * sum(int(np.prod(shape)) for shape in model.weights.shapes.values())
        size += 4 * c.vocabulary * c.hidden * (1 if c.tied else 0)
    if weights in CALIBRATED:  # which reads the weights of its products whole, and takes them in float32
        size += 8 * max(int(np.prod(shape)) for name, shape in model.weights.shapes.items() if ".layers." in name)
    kept_bytes, free = cache_bytes(c, cache if native else "float32", blocks), available()
    seeing = gallery.bytes_of(model.vision, blocks * BLOCK) if model.vision else 0
    need = size + kept_bytes + READING + seeing
    print(
        f"memory: {size / MEGABYTE:.0f} MB of weights, {kept_bytes / MEGABYTE:.0f} MB of cache, "
        f"about {READING / MEGABYTE:.0f} MB to work in"
        + (f" and {seeing / MEGABYTE:.0f} MB for pictures, with the tower in float32" if seeing else "")
        + ("" if free == float("inf") else f"; {free / 1e9:.1f} GB are free"),
        flush=True,
    )
    if need > free:
        raise ValueError(
            f"{model.name} as {weights} needs {need / 1e9:.1f} GB of memory and {free / 1e9:.1f} are free: "
            "take --weights of fewer bits, fewer --blocks, or a larger machine"
        )


def open_decoder(
    model: llm.Model, kernels: Kernels | None, weights: str, cache: str, blocks: int
) -> NativeDecoder | PlainDecoder:
    """The decoder with its weights and its cache in memory. Raises ValueError where they do not fit."""
    plan(model, weights, cache, blocks, kernels is not None)
    if model.config.longest < model.config.context:
        print(f"a text is at most {model.config.longest} tokens: beyond, the model's rotary embedding turns otherwise")
    if kernels is None:
        return PlainDecoder(model.config, model.weights, weights, cache, blocks)
    packed = kept.packed_weights(model, weights, kernels.rows)
    decoder = NativeDecoder(model.config, packed, kernels, weights, cache, blocks)
    print(f"weights: {packed.pages()}", flush=True)
    return decoder
