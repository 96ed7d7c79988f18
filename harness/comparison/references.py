"""References: results/reference/<part>.json, the values that this project itself found, for others to be held against.

A reference is a record without what only its own machine is concerned with: the same field names, and a sample of
each tensor instead of the arrays.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.catalogue.entries import Part
from harness.comparison.comparing import Outcome
from harness.errors import DataFileError, UsageError
from harness.evidence.hashing import write_json
from harness.evidence.traces import ROUNDED, Tensor

FOLDER = "reference"
KEPT = ("id", "cell", "program", "parameters", "seed", "cards", "engine", "environment", "stack", "paddle", "metrics")
OF_HARDWARE = ("model", "driver", "machine", "system")
SAMPLES = 60  # of each tensor: enough to find where a curve leaves another, in some kilobytes


def path(results: Path, part: str) -> Path:
    return results / FOLDER / f"{part}.json"


def wanted(part: Part) -> dict[str, Any]:
    """Of which run a part's reference is made: one with the part's own parameters, and seed 0."""
    return {"parameters": {name: parameter.default for name, parameter in part.parameters.items()}, "seed": 0}


def write(results: Path, run: Outcome) -> Path:
    """Keep what a run found as the reference of its part; the file is returned.

    Raises:
        UsageError: nobody could make the program again that found it.
    """
    program = run.record["program"]
    if not (program["revision"] and program["clean"]):
        raise UsageError(
            f"{run.name} makes no reference.",
            "It ran from a tree with uncommitted changes." if program["revision"] else "It ran outside a git checkout.",
            f"Commit, ./inv run --task {run.record['cell']['part']}, and call again.",
        )
    record: Mapping[str, object] = run.record
    hardware: Mapping[str, object] = run.record["hardware"]
    place = path(results, run.record["cell"]["part"])
    place.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        place,
        {
            **{name: record[name] for name in KEPT if name in record},
            "hardware": {name: hardware[name] for name in OF_HARDWARE},
            "device": {"libraries": run.record.get("device", {}).get("libraries", [])},
            "tensors": {name: _written(tensor.sample(SAMPLES)) for name, tensor in run.tensors.items()},
        },
    )
    return place


def read(results: Path, part: str) -> Outcome:
    """The reference of a part.

    Raises:
        UsageError: it has none.
        DataFileError: the file is damaged.
    """
    file = path(results, part)
    try:
        document = json.loads(file.read_bytes())
        tensors = {name: _read(tensor) for name, tensor in document["tensors"].items()}
        return Outcome(f"{FOLDER}/{part}", document, tensors)
    except FileNotFoundError as error:
        known = ", ".join(sorted(each.stem for each in file.parent.glob("*.json"))) or "none"
        raise UsageError(
            f"Part {part} has no reference.", f"There are: {known}.", f"./inv reference --task {part} makes it."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataFileError(
            f"{file}: not a reference: {error!r}.",
            "It was changed by hand, or cut off.",
            "git checkout brings it back.",
        ) from error


def _written(tensor: Tensor) -> dict[str, Any]:
    # A number is written in the fewest digits that give the same one of its type back; not finite ones by name.
    values = [str(value) for value in tensor.values]
    finite = tensor.values.dtype.kind == "f" and bool(np.isfinite(tensor.values).all())
    numbers: list[Any] = [float(value) for value in values] if finite else values
    return {
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "places": tensor.places.tolist(),
        "values": tensor.values.tolist() if tensor.values.dtype.kind not in ROUNDED else numbers,
    }


def _read(data: Any) -> Tensor:
    values = np.array(data["values"]).astype(data["dtype"])
    return Tensor(data["dtype"], tuple(data["shape"]), np.array(data["places"], dtype=int), values)
