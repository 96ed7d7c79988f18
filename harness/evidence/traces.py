"""Traces: the arrays of trace.npz, by which runs on different hardware are held against each other.

A trace may come from a stranger: its hash has to be the record's, nothing in it is unpickled, and its size is bounded.
"""

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.errors import DataFileError
from harness.evidence.hashing import sha256
from harness.evidence.record import RecordData

FILE = "trace.npz"
BYTES = 2**30
ROUNDED = "fc"  # numpy's kinds of numbers that arithmetic rounds: real and complex


@dataclass(frozen=True)
class Tensor:
    """An array, or a sample of one: `values[i]` stands at `places[i]`, counted in the order of C."""

    dtype: str
    shape: tuple[int, ...]
    places: np.ndarray
    values: np.ndarray

    @classmethod
    def whole(cls, array: np.ndarray) -> "Tensor":
        return cls(str(array.dtype), array.shape, np.arange(array.size), array.ravel())

    def at(self, places: np.ndarray) -> "Tensor":
        """Its sample at `places`, which it must hold."""
        return Tensor(self.dtype, self.shape, places, self.values[np.searchsorted(self.places, places)])

    def sample(self, count: int) -> "Tensor":
        """At most `count` of its values, evenly spread, the first and the last among them."""
        chosen = np.linspace(0, len(self.places) - 1, min(count, len(self.places))).astype(int)
        return Tensor(self.dtype, self.shape, self.places[chosen], self.values[chosen])

    def place(self, number: int) -> str:
        """Where its value of that number stands: 'step 38 of 150' of a curve, '[3, 17]' of a field."""
        flat = int(self.places[number])
        if len(self.shape) == 1:
            return f"step {flat + 1} of {self.shape[0]}"
        return str([int(index) for index in np.unravel_index(flat, self.shape)]) if self.shape else "its one value"


@dataclass(frozen=True)
class Parting:
    """How far two tensors of one name are apart: `off` relatively at the most, `first` where they differ first.

    `why` is empty where they agree within `tolerance` (None: they have to be equal).
    """

    name: str
    kind: str
    tolerance: float | None
    off: float | None
    why: str = ""
    first: int | None = None
    curve: bool = False


def read(folder: Path, record: RecordData) -> dict[str, Tensor]:
    """The tensors of a run by name, in the order in which the program wrote them; none where it left no trace.

    Raises:
        DataFileError: the file is not the one that the record was sealed with, or not readable as arrays.
    """
    path = folder / FILE
    sealed = record["artefacts"].get(FILE)
    if sealed is None:
        return {}
    try:
        if sha256(path) != sealed["sha256"]:
            raise DataFileError(
                f"{path}: it was changed after its run.",
                "Its hash is not the one that was sealed.",
                "./inv verify names all that was.",
            )
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > BYTES:
            raise DataFileError(f"{path}: {size} bytes of arrays.", f"At most {BYTES} are read.", "Trace less.")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: Tensor.whole(arrays[name]) for name in arrays.files}
    except DataFileError:
        raise
    except Exception as error:  # a file made to harm raises what it likes out of numpy, zipfile and zlib
        raise DataFileError(f"{path}: not readable as arrays.", f"{error}.", "Run that cell again.") from error


def default_tolerance(dtype: str) -> float | None:
    """Half of the digits: the root of the type's precision (3e-4 for float32, 1.5e-8 for float64), None: equal."""
    kind = np.dtype(dtype)
    return math.sqrt(np.finfo(kind).eps) if kind.kind in ROUNDED else None


def hold(name: str, then: Tensor | None, now: Tensor | None, tolerance: float | None = None) -> Parting:
    """Hold a tensor against that of another run.

    A difference is relative to the value itself, or to the mean size of all where that is larger: a field's zeros
    need not be met to the last digit.

    Args:
        name: of both; None in their place says that one run lacks it.
        tolerance: None for that of the type (`default_tolerance`).
    """
    if then is None or now is None:
        there = then or now
        missing = "missing now" if now is None else "missing then"
        return Parting(name, _kind(there) if there else "", None, None, missing)
    tolerance = default_tolerance(then.dtype) if tolerance is None else tolerance
    if then.shape != now.shape or then.dtype != now.dtype:
        return Parting(name, _kind(then), tolerance, None, f"{_kind(now)} now")
    now = now.at(then.places)
    off = _off(then.values, now.values)
    parted = off > (tolerance or 0)
    largest = float(off.max(initial=0))
    curve = len(then.shape) == 1
    if not parted.any():
        return Parting(name, _kind(then), tolerance, largest, curve=curve)
    first = int(parted.argmax())
    why = f"{then.place(first)}: {_value(then, first)} then, {_value(now, first)} now"
    return Parting(name, _kind(then), tolerance, largest, why, int(then.places[first]), curve)


def first_of(partings: list[Parting]) -> Parting | None:
    """The parting to look at first: a curve's earliest step, for there time passes; else as the program wrote them."""
    parted = [parting for parting in partings if parting.why]
    curves = [parting for parting in parted if parting.curve and parting.first is not None]
    return min(curves, key=lambda each: each.first or 0) if curves else next(iter(parted), None)


def _off(then: np.ndarray, now: np.ndarray) -> np.ndarray:
    """The relative differences; infinite where a number stands against none."""
    if then.dtype.kind not in ROUNDED:
        return np.where(then == now, 0.0, np.inf)
    wide = np.result_type(then.dtype, np.float64)
    then, now = then.astype(wide), now.astype(wide)
    with np.errstate(all="ignore"):
        size = np.abs(then)
        finite = size[np.isfinite(size)]
        scale = np.maximum(size, finite.mean() if finite.size else 0.0)
        off = np.abs(now - then) / scale
    same = (then == now) | (np.isnan(then) & np.isnan(now))
    return np.where(same, 0.0, np.where(np.isnan(off), np.inf, off))


def _kind(tensor: Tensor) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}"


def _value(tensor: Tensor, number: int) -> str:
    value, kind = tensor.values[number], tensor.values.dtype
    return f"{value:.{np.finfo(kind).precision + 1}g}" if kind.kind in ROUNDED else str(value)
