"""Packed weights, kept between starts: a server that starts again reads them, and packs nothing.

They are in .cache/weights/<model, kind and panel>/, one file as they lie in memory, beside what they were made of: the
model's config.json and the headers of its files by their hashes, the rest by size and time. Other files, or another
way to pack, and they are made anew.
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
from packed import Packed

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("PADDLEHOMEWORK_CACHE", HERE.parents[1] / ".cache")) / "weights"
SOURCES = tuple(HERE / f"{name}.py" for name in ("calibration", "four_bits", "packing", "layout", "packed"))
ORIGIN, WEIGHTS = "made-of.json", "weights.bin"
BEGINNING = 2**20  # bytes
ROOM = 4  # the disk must have so many times their size free


def packed_weights(model: llm.Model, kind: str, rows: int) -> Packed:
    """What packed.pack_weights gives for the weights of `model`, from the disk if it is there."""
    packed, origin = Packed(model.config, model.weights, kind), made_of(model)
    name = "\0".join([kind, str(rows), *(str(path.resolve()) for path in model.files)])
    folder = CACHE / hashlib.sha256(name.encode()).hexdigest()[:16]
    packed.take_memory()
    if read(folder, origin, packed.memory):
        return packed
    print("packing the weights (once) …", flush=True)
    packed.fill(model.weights, rows)
    write(folder, origin, packed.memory)
    return packed


def made_of(model: llm.Model) -> dict[str, Any]:
    """The model's files, by size, time and beginning: to read them all would take longer than to pack them."""
    states = [path.stat() for path in model.files]
    way = hashlib.sha256(b"\0".join(path.read_bytes() for path in SOURCES)).hexdigest()
    config = hashlib.sha256(repr(model.config).encode()).hexdigest()
    beginnings = [beginning(path) for path in model.files]
    files = [[state.st_size, state.st_mtime_ns, first] for state, first in zip(states, beginnings, strict=True)]
    return {"files": files, "config": config, "way": way}


def beginning(path: Path) -> str:
    """The hash of a file's first bytes, which are the header of those that hold weights."""
    with path.open("rb") as file:
        return hashlib.sha256(file.read(BEGINNING)).hexdigest()


def read(folder: Path, origin: dict[str, Any], memory: np.ndarray) -> bool:
    """Read what is kept in `folder` into the memory; false if it was made of something else or is not whole."""
    try:
        state = json.loads((folder / ORIGIN).read_text())
        if state["origin"] != origin or (folder / WEIGHTS).stat().st_size != memory.nbytes:
            return False
        with (folder / WEIGHTS).open("rb", buffering=0) as file:
            return read_all(file, memoryview(memory))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read_all(file: Any, memory: memoryview) -> bool:
    """Fill the memory; a system call gives 2 GB at most."""
    done = 0
    while done < len(memory):
        count = file.readinto(memory[done:])
        if not count:
            return False
        done += count
    return True


def write(folder: Path, origin: dict[str, Any], memory: np.ndarray) -> None:
    """Keep the memory's bytes, whole or not at all; without room on the disk, or where nothing can be written, not."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        size = memory.nbytes
        if shutil.disk_usage(folder.parent).free < ROOM * size:
            print(f"they are not kept: the disk has not {ROOM} times their {size / 1e6:.0f} MB free")
            return
        with tempfile.TemporaryDirectory(dir=folder.parent) as place:
            made = Path(place) / folder.name
            made.mkdir()
            with (made / WEIGHTS).open("wb") as file:
                file.write(memory)
            (made / ORIGIN).write_text(json.dumps({"origin": origin}))
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(made, folder)
    except OSError as error:  # a checkout that is mounted read-only, or another that was quicker
        print(f"they are not kept: {error}")
