"""safetensors, Hugging Face's file of tensors, alone or in shards (https://huggingface.co/docs/safetensors).

Eight bytes with the length of a JSON header, the header, the data. It is read here because the package's numpy
side has no bfloat16, the type that most models come in.
"""

import json
import math
import mmap
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from .errors import ModelError
from .values import read_object

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
        except (ValueError, RecursionError):
            raise ModelError(f"{path} is not a safetensors file: its header is not JSON") from None
        if not isinstance(self.entries, dict):
            raise ModelError(f"{path} is not a safetensors file: its header is no object") from None
        self.entries.pop("__metadata__", None)
        for name, entry in self.entries.items():
            self._check(name, entry)
        self._check_places()

    def _check_places(self) -> None:
        """Raise ModelError unless the data are those of one tensor behind the other, up to the file's end."""
        end = 0
        for name, entry in sorted(self.entries.items(), key=lambda each: tuple(each[1]["data_offsets"])):
            begin, until = entry["data_offsets"]
            if begin != end:
                raise ModelError(f"{self.path} is damaged: {name} begins at {begin}, not {end}; fetch the file again")
            end = until
        if self._start + end != len(self._data):
            raise ModelError(f"{self.path} is damaged: it goes on behind the last tensor; fetch the file again")

    def _check(self, name: str, entry: Any) -> None:
        """Raise ModelError unless the tensor's type, shape and place are there and fit each other."""
        fields = ("dtype", "shape", "data_offsets")
        says: dict[str, Any] = entry if isinstance(entry, dict) else {}
        found: list[Any] = [says.get(field) for field in fields]
        dtype, shape, offsets = found
        sizes = [shape, offsets] if isinstance(shape, list) and isinstance(offsets, list) else [[-1]]
        if not isinstance(dtype, str) or any(type(size) is not int or size < 0 for each in sizes for size in each):
            raise ModelError(f"{self.path} is damaged: its header says nothing whole of {name}; fetch the file again")
        if len(offsets) != 2 or offsets[0] > offsets[1]:
            raise ModelError(f"{self.path} is damaged: the place of {name} is {offsets}; fetch the file again")
        if self._start + offsets[1] > len(self._data):
            raise ModelError(f"{self.path} is truncated: it ends before the data of {name}; fetch the file again")
        if dtype in DTYPES and math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize != offsets[1] - offsets[0]:
            raise ModelError(f"{self.path} is damaged: {name} is not {shape} of {dtype}; fetch the file again")

    def __getitem__(self, name: str) -> Array:
        shape = self.shape(name)
        return self.rows(name, 0, math.prod(shape[:-1]) if len(shape) > 1 else shape[0]).reshape(shape)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape that the header states. Raises ModelError for numbers of a type that is not read here."""
        if self.entries[name]["dtype"] not in DTYPES:
            raise ModelError(f"{self.path}: {name} is {self.entries[name]['dtype']}; read here are {', '.join(DTYPES)}")
        return tuple(self.entries[name]["shape"])

    def rows(self, name: str, start: int, stop: int) -> Array:
        """Rows `start` to `stop` of a tensor whose first axes are one; of a vector, its numbers."""
        entry, shape = self.entries[name], self.shape(name)
        dtype, columns = np.dtype(DTYPES[entry["dtype"]]), shape[-1] if len(shape) > 1 else 1
        place = self._start + entry["data_offsets"][0] + start * columns * dtype.itemsize
        # Read, and not mapped: mapped pages would count as this process's memory.
        found = np.fromfile(self.path, dtype, (stop - start) * columns, offset=place)
        if entry["dtype"] == "BF16":  # the upper half of a float32
            found = (found.astype(np.uint32) << 16).view(np.float32)
        found = found.astype(np.float32, copy=False)
        return found.reshape(-1, columns) if len(shape) > 1 else found

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
        names, weight_map = ["model.safetensors"], cast(Any, {})
        if index.is_file() and not (folder / names[0]).is_file():  # as transformers chooses
            weight_map = read_object(index).get("weight_map")
            if not isinstance(weight_map, dict) or not weight_map:
                raise ModelError(f"{index} is damaged: it has no weight_map; fetch the file again")
            if any(not isinstance(name, str) or Path(name).name != name for name in weight_map.values()):
                raise ModelError(f"{index} is damaged: it names files that are none of its folder; fetch it again")
            names = sorted(set(weight_map.values()))
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise ModelError(f"{folder} has no {', '.join(missing)}: the model is not whole; fetch the folder again")
        self.paths = tuple(folder / name for name in names)
        self.files: dict[str, SafetensorsFile] = {}
        for file in map(SafetensorsFile, self.paths):
            for tensor in file:
                if tensor in self.files or weight_map.get(tensor, file.path.name) != file.path.name:
                    raise ModelError(f"{folder} has the tensor {tensor} in several files, or not where its index says")
                self.files[tensor] = file

    def __getitem__(self, name: str) -> Array:
        return self.files[name][name]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape that a tensor has in its file."""
        return self.files[name].shape(name)

    def rows(self, name: str, start: int, stop: int) -> Array:
        """Rows of a tensor, as its file has them."""
        return self.files[name].rows(name, start, stop)

    def __contains__(self, name: object) -> bool:
        return name in self.files

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)
