"""Contents: what the page shows of one run, as plain data that JSON can hold.

Whatever a program wrote is hostile until shown otherwise: a file counts only with the hash that its record was sealed
with, a log loses its control characters, and nothing here becomes HTML.
"""

import base64
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import DataFileError
from harness.evidence import traces
from harness.evidence.hashing import sha256
from harness.evidence.record import RecordData
from harness.evidence.records import LOG
from harness.evidence.traces import Tensor

SCREEN = "screen.png"
LOG_BYTES = 48 * 2**10  # from the beginning of a log, and as much from its end
PICTURE_BYTES = 2**20
CURVE_POINTS = 400
FIELD_POINTS = 48  # a side
LEVELS = 999  # of a field
DIGITS = 5  # of a curve
NOT_TEXT = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # a terminal's colours and movements
    r"|\x1b\].*?(?:\x07|\x1b\\)"  # and its titles and links
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]",  # control, and turning of direction
)


def light(record: RecordData) -> dict[str, Any]:
    """What every run on the page has: its whole record."""
    return {"record": record}


def heavy(folder: Path, record: RecordData) -> dict[str, Any]:
    """What makes a page large: log, pictures, curves and fields of the run in `folder`."""
    try:
        tensors = traces.read(folder, record)
    except DataFileError:
        tensors = {}  # ./inv verify says what is wrong with it
    return {
        "log": log(folder / LOG, record),
        "pictures": list(pictures(folder, record)),
        "curves": {name: curve(tensor) for name, tensor in tensors.items() if _is_curve(tensor)},
        "fields": {name: field(tensor) for name, tensor in tensors.items() if _is_field(tensor)},
    }


def log(path: Path, record: RecordData) -> str:
    """A log as text, the middle of a long one left out."""
    if not _sealed(path, LOG, record):
        return "(The log is missing, or was changed after its run.)"
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= 2 * LOG_BYTES:
            return plain(file.read())
        head = file.read(LOG_BYTES)
        file.seek(-LOG_BYTES, 2)
        return f"{plain(head)}\n\n… {size - 2 * LOG_BYTES} bytes are left out here …\n\n{plain(file.read())}"


def plain(output: bytes) -> str:
    """What a program printed, without what would move a terminal's cursor; of a progress line its last state."""
    lines = output.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    return "\n".join(NOT_TEXT.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in lines)


def pictures(folder: Path, record: RecordData) -> Iterator[dict[str, str]]:
    """Each PNG of the run as a data address, the picture of the log first."""
    names = [name for name in record["artefacts"] if name.endswith(".png")]
    for name in sorted(names, key=lambda name: (name != SCREEN, name)):
        path = folder / name
        if record["artefacts"][name]["bytes"] <= PICTURE_BYTES and _sealed(path, name, record):
            yield {"name": name, "source": "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()}


def _sealed(path: Path, name: str, record: RecordData) -> bool:
    try:
        inside = path.is_file() and not path.is_symlink() and path.resolve().is_relative_to(path.parents[0].resolve())
        return inside and sha256(path) == record["artefacts"][name]["sha256"]
    except (OSError, KeyError):
        return False


def _is_curve(tensor: Tensor) -> bool:
    return len(tensor.shape) == 1 and tensor.shape[0] >= 3 and np.dtype(tensor.dtype).kind in "fiu"


def _is_field(tensor: Tensor) -> bool:
    return len(tensor.shape) == 2 and min(tensor.shape) >= 4 and np.dtype(tensor.dtype).kind in "fiu"


def curve(tensor: Tensor) -> dict[str, Any]:
    """A curve's steps, from 1, and values, thinned to what a screen resolves."""
    thin = tensor.sample(CURVE_POINTS)
    return {"steps": (thin.places + 1).tolist(), "values": _numbers(thin.values)}


def field(tensor: Tensor) -> dict[str, Any]:
    """A field's rows, thinned, as whole numbers from 0 (its lowest value) to LEVELS (its highest), or None."""
    rows, columns = (np.linspace(0, size - 1, min(size, FIELD_POINTS)).astype(int) for size in tensor.shape)
    array = tensor.values.reshape(tensor.shape)[np.ix_(rows, columns)].astype(np.float64)
    finite = np.isfinite(array)
    low, high = (float(array[finite].min()), float(array[finite].max())) if finite.any() else (0.0, 0.0)
    levels = np.rint((np.where(finite, array, low) - low) / ((high - low) or 1.0) * LEVELS).astype(int).astype(object)
    levels[~finite] = None
    return {"shape": list(tensor.shape), "low": low, "high": high, "rows": levels.tolist()}


def _numbers(values: np.ndarray) -> list[float | None]:
    return [
        float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in values.astype(np.float64).tolist()
    ]
