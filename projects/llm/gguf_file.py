"""GGUF, llama.cpp's file of a whole model: metadata, a table of tensors, and their (mostly quantised) data.

The layout is that of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, little-endian, versions 2 and 3.
The header is read here because the package `gguf` takes seconds for a vocabulary of 49,152 pieces; rarer
quantised blocks are still left to it.
"""

import math
import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ModelError
from .values import shown

Array = np.ndarray[Any, np.dtype[Any]]
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
BLOCK = 32  # weights that share a scale in the simple quantised types
PLAIN: dict[int, np.dtype[Any]] = {0: np.dtype("<f4"), 1: np.dtype("<f2"), 30: np.dtype("<u2")}  # 30 is bfloat16
# The simple quantised types: a block is a scale, perhaps a minimum, and 32 numbers of 4 or 8 bits.
Q4_0 = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
Q4_1 = np.dtype([("scale", "<f2"), ("minimum", "<f2"), ("nibbles", "u1", 16)])
Q8_0 = np.dtype([("scale", "<f2"), ("numbers", "i1", 32)])
QUANTISED: dict[int, np.dtype[Any]] = {2: Q4_0, 3: Q4_1, 8: Q8_0}


@dataclass(frozen=True)
class Entry:
    """One tensor of the table: its numpy shape, GGML's number for its type, and where its data begin."""

    shape: tuple[int, ...]
    kind: int
    offset: int


class Reader:
    """Reads numbers and strings one after another; knows when the file ends too early."""

    def __init__(self, data: mmap.mmap | bytes, path: Path) -> None:
        self.data, self.path, self.at = data, path, 0

    def number(self, code: str) -> Any:
        size = struct.calcsize(f"<{code}")
        self._need(size)
        (value,) = struct.unpack_from(f"<{code}", self.data, self.at)
        self.at += size
        return value

    def string(self) -> str:
        length = self.number("Q")
        self._need(length)
        self.at += length
        return self.data[self.at - length : self.at].decode("utf-8", "replace")

    def strings(self, count: int) -> list[str]:
        """So many strings: a loop that calls little, for vocabularies of 100,000."""
        found, data, start, size = [], self.data, self.at, len(self.data)
        length_at = struct.Struct("<Q").unpack_from
        for _ in range(count):
            start += 8
            end = start + length_at(data, start - 8)[0] if start <= size else start
            if end > size:
                self._need(end - self.at)
            found.append(data[start:end].decode("utf-8", "replace"))
            start = end
        self.at = start
        return found

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            inner, count = self.number("I"), self.number("Q")
            if inner in SCALARS:
                self._need(count * struct.calcsize(f"<{SCALARS[inner]}"))
                found = struct.unpack_from(f"<{count}{SCALARS[inner]}", self.data, self.at)
                self.at += struct.calcsize(f"<{count}{SCALARS[inner]}")
                return list(found)
            if inner == STRING:
                return self.strings(count)
            kind = inner  # an array of arrays is none of GGUF's keys'
        if kind not in SCALARS:
            raise ModelError(f"{self.path} is damaged: a value of unknown type {kind}; fetch the file again")
        return self.number(SCALARS[kind])

    def _need(self, size: int) -> None:
        if self.at + size > len(self.data):
            raise ModelError(f"{self.path} is truncated: its header goes on past the end; fetch the file again")


class GGUFFile(Mapping[str, Array]):
    """The tensors of a GGUF file by GGUF's names, as float32 arrays made when asked for; `metadata` beside them.

    Raises ModelError for a file that is not GGUF, is truncated, or has a type of block that nothing here reads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            if path.stat().st_size < 24 or file.read(4) != b"GGUF":
                raise ModelError(f"{path} is not a GGUF file: it does not begin with GGUF")
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        reader = Reader(self._data, path)
        reader.at = 4
        version, tensors, values = reader.number("I"), reader.number("Q"), reader.number("Q")
        if version not in (2, 3):
            raise ModelError(f"{path} is GGUF version {version}; 2 and 3 are read here: convert the file")
        self.metadata: dict[str, Any] = {}
        for _ in range(values):
            name = reader.string()
            if name in self.metadata:
                raise ModelError(f"{path} is damaged: {shown(name)} is there twice; fetch the file again")
            self.metadata[name] = reader.value(reader.number("I"))
        self.entries: dict[str, Entry] = {}
        for _ in range(tensors):
            name, axes = reader.string(), reader.number("I")
            if not 0 < axes <= 4 or name in self.entries:
                raise ModelError(f"{path} is damaged: {shown(name)} has {axes} axes or is there twice; fetch it again")
            shape = tuple(reader.number("Q") for _ in range(axes))[::-1]  # GGML counts from the last
            self.entries[name] = Entry(shape, reader.number("I"), reader.number("Q"))
        alignment = self.metadata.get("general.alignment", 32)
        if type(alignment) is not int or alignment < 8 or alignment & (alignment - 1):
            raise ModelError(f"{path} is damaged: its data are aligned to {shown(alignment)}; fetch the file again")
        self._start = -(-reader.at // alignment) * alignment
        place = 0  # as ggml has it: each behind the one before, from the next multiple of the alignment on
        for name, entry in self.entries.items():
            if entry.offset != place:
                raise ModelError(
                    f"{path} is damaged: {name} begins at {entry.offset}, not {place}; fetch the file again"
                )
            size = self._bytes(entry)
            place += -(-size // alignment) * alignment
            if self._start + entry.offset + size > len(self._data):
                raise ModelError(f"{path} is truncated: it ends before the data of {name}; fetch the file again")

    def __getitem__(self, name: str) -> Array:
        shape = self.shape(name)
        return self.rows(name, 0, math.prod(shape[:-1]) if len(shape) > 1 else shape[0]).reshape(shape)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape that the table states, as numpy counts."""
        return self.entries[name].shape

    def rows(self, name: str, start: int, stop: int) -> Array:
        """Rows `start` to `stop` of a tensor whose first axes are one; of a vector, its numbers."""
        entry = self.entries[name]
        if len(entry.shape) < 2 and (start, stop) != (0, entry.shape[0]):
            return self.rows(name, 0, entry.shape[0])[start:stop]
        total = math.prod(entry.shape[:-1]) if len(entry.shape) > 1 else 1
        size = self._bytes(entry) // max(total, 1)  # of a row
        first, last = (start, stop) if len(entry.shape) > 1 else (0, 1)
        # Read, and not mapped: mapped pages would count as this process's memory.
        raw = np.fromfile(self.path, np.uint8, (last - first) * size, offset=self._start + entry.offset + first * size)
        shape = (last - first, entry.shape[-1])
        return dequantise(raw, entry.kind, shape if len(entry.shape) > 1 else entry.shape)

    def __contains__(self, name: object) -> bool:
        return name in self.entries  # Mapping's own way would read the tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def _bytes(self, entry: Entry) -> int:
        block, size = self._block(entry.kind)
        if entry.shape[-1] % block:
            raise ModelError(
                f"{self.path} is damaged: rows of {entry.shape[-1]} are no blocks of {block}; fetch it again"
            )
        return math.prod(entry.shape) // block * size

    def _block(self, kind: int) -> tuple[int, int]:
        """How many numbers a block of this type has, and how many bytes. Raises ModelError."""
        found = block_of(kind)
        if found is None:
            raise ModelError(f"{self.path} has tensors of type {kind}, which is not read here: convert the file")
        return found


@cache
def block_of(kind: int) -> tuple[int, int] | None:
    """How many numbers a block of GGML's type `kind` has, and how many bytes; None for one that is not read."""
    if kind in PLAIN:
        return 1, PLAIN[kind].itemsize
    if kind in QUANTISED:
        return BLOCK, QUANTISED[kind].itemsize
    import gguf  # seconds: only for the rarer types

    try:
        block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)]
        gguf.dequantize(np.zeros(size, np.uint8), gguf.GGMLQuantizationType(kind))
    except (ValueError, KeyError, NotImplementedError):  # it knows some by name alone
        return None
    return int(block), int(size)


def dequantise(raw: Array, kind: int, shape: tuple[int, ...]) -> Array:
    """The bytes `raw` of GGML's type `kind` as float32 of `shape`."""
    if kind == 30:
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
    if kind in PLAIN:
        return raw.view(PLAIN[kind]).astype(np.float32).reshape(shape)
    if kind not in QUANTISED:
        import gguf

        found: Array = gguf.dequantize(raw.reshape(*shape[:-1], -1), gguf.GGMLQuantizationType(kind))
        return found.astype(np.float32)
    blocks = raw.view(QUANTISED[kind])
    scale: Array = blocks["scale"].astype(np.float32)[:, None]
    if kind == 8:
        found = scale * blocks["numbers"]
        return found.reshape(shape)
    # The low halves of the 16 bytes are the first 16 weights of the block, the high halves the others.
    numbers = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)
    if kind == 2:
        weights: Array = scale * (numbers.astype(np.float32) - 8)
    else:
        weights = scale * numbers + blocks["minimum"].astype(np.float32)[:, None]
    return weights.reshape(shape)
