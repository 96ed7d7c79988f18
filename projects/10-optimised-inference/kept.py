"""Packed weights, kept between starts: a server that starts again reads them, and packs nothing.

They are in .cache/weights/<model, kind and panel>/, an .npy file for each, beside a list of what they were made of.
Other files, or another way to pack, and they are made anew.
"""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import llm
import numpy as np
from packing import pack_weights

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("PADDLEHOMEWORK_CACHE", HERE.parents[1] / ".cache")) / "weights"
SOURCES = (HERE / "packing.py",)
ORIGIN = "made-of.json"
ROOM = 4  # the disk must have so many times their size free


def packed_weights(model: llm.Model, kind: str, rows: int) -> list[np.ndarray]:
    """What packing.pack_weights gives for the weights of `model`, from the disk if it is there."""
    origin = made_of(model)
    name = "\0".join([kind, str(rows), *(str(path.resolve()) for path in model.files)])
    folder = CACHE / hashlib.sha256(name.encode()).hexdigest()[:16]
    if found := read(folder, origin):
        return found
    print("packing the weights (once) …", flush=True)
    made = pack_weights(model.config, {name: model.weights[name] for name in model.weights}, kind, rows)
    write(folder, origin, made)
    return made


def made_of(model: llm.Model) -> dict[str, Any]:
    """The model's files, by size and time: to read them all would take longer than to pack them."""
    states = [path.stat() for path in model.files]
    way = hashlib.sha256(b"\0".join(path.read_bytes() for path in SOURCES)).hexdigest()
    return {"files": [[state.st_size, state.st_mtime_ns] for state in states], "way": way}


def read(folder: Path, origin: dict[str, Any]) -> list[np.ndarray]:
    """What is kept in `folder`, or nothing if it was made of something else or is not whole."""
    try:
        state = json.loads((folder / ORIGIN).read_text())
        if state["origin"] != origin:
            return []
        return [np.load(folder / f"{number}.npy", mmap_mode="r") for number in range(state["count"])]
    except (OSError, ValueError, KeyError):
        return []


def write(folder: Path, origin: dict[str, Any], arrays: list[np.ndarray]) -> None:
    """Keep `arrays`, whole or not at all; without room on the disk, or where nothing can be written, not."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        size = sum(array.nbytes for array in arrays)
        if shutil.disk_usage(folder.parent).free < ROOM * size:
            print(f"they are not kept: the disk has not {ROOM} times their {size / 1e6:.0f} MB free")
            return
        with tempfile.TemporaryDirectory(dir=folder.parent) as place:
            made = Path(place) / folder.name
            made.mkdir()
            for number, array in enumerate(arrays):
                np.save(made / f"{number}.npy", array)
            (made / ORIGIN).write_text(json.dumps({"origin": origin, "count": len(arrays)}))
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(made, folder)
    except OSError as error:  # a checkout that is mounted read-only, or another that was quicker
        print(f"they are not kept: {error}")
