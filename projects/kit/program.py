"""One run of a program: its inputs, and the files it leaves."""

import argparse
import io
import json
import os
import random
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from . import device as devices
from .arguments import Value, parse
from .ending import refuse

NAME = re.compile(r"[a-z][a-z0-9_]*")


def start(main: str, description: str | None, words: list[str] | None = None) -> "Program":
    """Begin the run of the program `main` (its `__file__`), described by its docstring.

    Reads the command line (or `words`), takes the device, seeds random, numpy and paddle, and makes the
    folder. Exits with 2 if a word is wrong and with 3 if the device cannot be taken, each with one line of
    explanation.
    """
    arguments = parse(Path(main).resolve(), description, words)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a test may have put something else there
        sys.stdout.reconfigure(line_buffering=True)  # so that a log keeps the order of what is printed
    try:
        devices.take(arguments.device)
    except Exception as error:  # ValueError, RuntimeError or one of Paddle's own, by kind of device
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        refuse(f"device {arguments.device} cannot be taken: {lines[-1] if lines else error!r}", exit_code=3)
    random.seed(arguments.seed)
    np.random.seed(arguments.seed)
    paddle.seed(arguments.seed)
    return Program(arguments)


class Program:
    """What `start` returns: `part`, `device`, `cards`, `seed`, `out` and `parameters` in, files out.

    `rank` and `processes` are 0 and 1, or what `paddle.distributed.launch` says. All ranks write their
    device.json (that of rank 3 is `device.3.json`), rank 0 alone writes the metrics and the trace.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.part: str = arguments.part
        self.device: str = arguments.device
        self.cards: int = arguments.cards
        self.seed: int = arguments.seed
        self.parameters: dict[str, Any] = arguments.parameters
        self.rank = int(os.environ.get("PADDLE_TRAINER_ID", "0"))
        self.processes = int(os.environ.get("PADDLE_TRAINERS_NUM", "1"))
        self.out: Path = arguments.out.resolve()
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            refuse(f"--out {self.out} cannot be made.", f"{error.strerror}.", "Name a folder that can be written.")
        self._metrics: dict[str, Value] = {}
        self._trace: dict[str, np.ndarray] = {}
        self._places: Counter[str] = Counter()
        self._device_file = "device.json" if self.rank == 0 else f"device.{self.rank}.json"
        # A run that fails must not be taken for the one before it in the same folder.
        (self.out / self._device_file).unlink(missing_ok=True)
        if self.rank == 0:
            (self.out / "metrics.json").unlink(missing_ok=True)
            (self.out / "trace.npz").unlink(missing_ok=True)
        settings = ", ".join(f"{name}={value}" for name, value in self.parameters.items()) or "no parameters"
        place = paddle.get_device()
        print(f"part {self.part} on {place}, {self.cards} card(s), seed {self.seed}: {settings}")

    def metric(self, name: str, value: Any) -> None:
        """Note one measured `value`: a number, a boolean or text, also as a numpy or paddle scalar.

        Raises ValueError if `name` is not new or not like `relative_l2`, TypeError for a value of another
        kind. A value that is not finite is noted as it is: whoever judges the run will refuse it.
        """
        _new(name, self._metrics)
        if isinstance(value, paddle.Tensor | np.ndarray | np.generic):
            array = _array(value)
            if array.size != 1:
                raise TypeError(f"metric {name}: one value, not an array of shape {array.shape}; see trace()")
            value = array.item()
        if not isinstance(value, bool | int | float | str):
            raise TypeError(f"metric {name}: a number, boolean or text, not {type(value).__name__}")
        self._metrics[name] = value

    def trace(self, /, **arrays: Any) -> None:
        """Keep arrays (numpy, paddle or nested lists of numbers) for trace.npz. Raises as `metric` does."""
        for name, value in arrays.items():
            _new(name, self._trace)
            array = _array(value)
            if name == "file" or array.dtype.hasobject:  # numpy.savez keeps the name "file" for itself
                raise TypeError(f"trace {name}: needs another name, or an array of numbers")
            self._trace[name] = array.copy()

    def artefact(self, name: str) -> Path:
        """The path for an artefact, such as "deflection.png". Raises ValueError if it lies outside `out`."""
        path = (self.out / name).resolve()
        if self.out not in path.parents:
            raise ValueError(f"artefact {name!r} lies outside {self.out}")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def used(self, *things: Any) -> None:
        """Note where tensors lie that the computation really used: tensors and gradients, or layers."""
        for thing in things:
            self._places += devices.places(thing)

    def finish(self) -> None:
        """Write device.json, trace.npz and metrics.json, in this order: with metrics, all is there."""
        proof = {"requested": self.device, **devices.proof(self._places)}
        proof |= {"cards": self.cards, "rank": self.rank, "processes": self.processes}
        _write(self.out / self._device_file, _json(proof))
        if self.rank != 0:
            return
        trace = io.BytesIO()
        np.savez(trace, **self._trace)
        _write(self.out / "trace.npz", trace.getvalue())
        _write(self.out / "metrics.json", _json(self._metrics))
        for name, value in self._metrics.items():
            print(f"  {name:24} {value:.6g}" if isinstance(value, float) else f"  {name:24} {value}")
        print(f"computed on {', '.join(sorted(proof['places']))}")


def _new(name: str, taken: dict[str, Any]) -> None:
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r}: a name is lower case letters, digits and underscores, a letter first")
    if name in taken:
        raise ValueError(f"{name!r} is already there")


def _array(value: Any) -> np.ndarray:
    if isinstance(value, paddle.Tensor):
        value = value.detach()
        # numpy has no bfloat16, and Paddle would hand over its bits as uint16.
        value = (value.astype("float32") if value.dtype == paddle.bfloat16 else value).numpy()
    return np.asarray(value)


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    """Write beside and rename into place, so that nobody ever reads half a file."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(content)
    os.replace(beside, path)
