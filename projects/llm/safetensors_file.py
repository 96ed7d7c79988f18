"""safetensors, Hugging Face's file of tensors, alone or in shards (https://huggingface.co/docs/safetensors).

Eight bytes with the length of a JSON header, the header, the data. It is read here because the package's numpy
side has no bfloat16, the type that most models come in.
"""

import json
import mmap
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ModelError

Array = np.ndarray[Any, np.dtype[Any]]
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


class SafetensorsFile(Mapping[str, Array]):
    """The tensors of one file by name, as float32 arrays made when asked for. Raises ModelError if it is damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            if path.stat().st_size < 8:
                raise ModelError(f"{path} is truncated: it has no header; fetch the file again")
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        (length,) = struct.unpack_from("<Q", self._data)
        self._start = 8 + length
        if self._start > len(self._data):
            raise ModelError(f"{path} is truncated or not a safetensors file: its header is cut; fetch the file again")
        try:
            self.entries: dict[str, Any] = json.loads(self._data[8 : self._start])
        except ValueError:
            raise ModelError(f"{path} is not a safetensors file: its header is not JSON") from None
        self.entries.pop("__metadata__", None)
        for name, entry in self.entries.items():
            if self._start + entry["data_offsets"][1] > len(self._data):
                raise ModelError(f"{path} is truncated: it ends before the data of {name}; fetch the file again")

    def __getitem__(self, name: str) -> Array:
        entry = self.entries[name]
        if entry["dtype"] not in DTYPES:
            raise ModelError(f"{self.path}: {name} is {entry['dtype']}; read here are {', '.join(DTYPES)}")
        start, end = entry["data_offsets"]
        dtype = np.dtype(DTYPES[entry["dtype"]])
        found = np.frombuffer(self._data, dtype, (end - start) // dtype.itemsize, self._start + start)
        if entry["dtype"] == "BF16":  # the upper half of a float32
            found = (found.astype(np.uint32) << 16).view(np.float32)
        return found.astype(np.float32).reshape(entry["shape"])

    def __contains__(self, name: object) -> bool:
        return name in self.entries  # Mapping's own way would read the tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


class Shards(Mapping[str, Array]):
    """All tensors of a folder: one `model.safetensors`, or what `model.safetensors.index.json` lists."""

    def __init__(self, folder: Path) -> None:
        index = folder / "model.safetensors.index.json"
        names = ["model.safetensors"]
        if index.is_file():
            try:
                names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            except (ValueError, KeyError):
                raise ModelError(f"{index} is damaged: it has no weight_map; fetch the file again") from None
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise ModelError(f"{folder} has no {', '.join(missing)}: the model is not whole; fetch the folder again")
        self.paths = tuple(folder / name for name in names)
        self.files = {tensor: file for file in map(SafetensorsFile, self.paths) for tensor in file}

    def __getitem__(self, name: str) -> Array:
        return self.files[name][name]

    def __contains__(self, name: object) -> bool:
        return name in self.files

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)
