"""Run one script, of PyTorch or of Paddle, and record what it lets be seen, with random numbers from a known stream.

    PYTHON observing.py torch|paddle ROOT RECORD NUDGE DEVICE SCRIPT|-m MODULE [ARGUMENTS]

Recorded are what it prints, saves and returns from its functions, the variables at its end, the functions that ran, and
its error. The record is written as it goes, so that of a process that dies the rest is not lost.
"""

import builtins
import os
import pickle
import random
import runpy
import sys
import threading
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from comparing import OBJECT

LARGEST = 2048  # numbers that are kept of one array
CALLS = 25  # of one function
SKIPPED = {"<module>", "<lambda>", "<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"}
SKIPPED |= {"__init__", "__repr__", "__len__"}  # which a framework calls as often as it likes
GENERATED = ("paddle_utils.py", "mended/")


class Stream:
    """Random numbers that both sides are given in the same order; nudged, each is changed in its last bits."""

    def __init__(self, seed: int = 0, nudge: bool = False) -> None:
        self.nudge = nudge
        self.drawn = 0
        self.seed(seed)

    def seed(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed % 2**63)

    def _moved(self, values: np.ndarray) -> np.ndarray:
        self.drawn += values.size
        signs = np.where(np.arange(values.size) % 2, 1, -1)
        return values * (1 + signs * 2.0**-20) if self.nudge else values

    def uniform(self, count: int) -> np.ndarray:
        """In [0, 1), also after rounding to float32."""
        return np.minimum(self._moved(self.generator.random(count)), 1 - 2.0**-24)

    def normal(self, count: int) -> np.ndarray:
        return self._moved(self.generator.standard_normal(count))

    def integers(self, low: int, high: int, count: int) -> np.ndarray:
        self.drawn += count
        return self.generator.integers(low, high, count)

    def permutation(self, count: int) -> np.ndarray:
        self.drawn += count
        return self.generator.permutation(count)


class Observer:
    """Writes events to a file: each is (kind, where, line, value) with plain values and numpy arrays."""

    def __init__(self, root: Path, record: Path, side: Any) -> None:
        self.root = f"{root}{os.sep}"
        self.file = record.open("wb")
        self.side = side
        self.calls: Counter[str] = Counter()
        self.executed: set[tuple[str, int]] = set()
        self.lock = threading.RLock()
        self.busy = False

    def write(self, kind: str, where: str, line: int, value: Any) -> None:
        with self.lock:
            pickle.dump((kind, where, line, value), self.file)
            self.file.flush()

    def inside(self, filename: str) -> str | None:
        """The file's name in the project, None if it is not one of the person's."""
        if not filename.startswith(self.root):
            return None
        name = filename[len(self.root) :].replace(os.sep, "/")
        return None if name.startswith(GENERATED) else name

    def plain(self, value: Any, depth: int = 0) -> Any:
        """The value without a framework: arrays, numbers, text, and lists and dictionaries of them."""
        array = self.side.array(value)
        if array is not None:
            return thin(array, self.side.name(value.dtype))
        if isinstance(value, np.ndarray | np.generic):
            return thin(np.asarray(value), str(value.dtype)) if value.dtype.kind in "biufc" else OBJECT
        if (name := self.side.name(value)) is not None:
            return name
        if value is None or isinstance(value, bool | int | float | complex | str):
            return value
        if depth < 4 and isinstance(value, dict):
            return {str(key): self.plain(each, depth + 1) for key, each in list(value.items())[:200]}
        if depth < 4 and isinstance(value, list | tuple):
            return [self.plain(each, depth + 1) for each in value[:50]]
        return OBJECT

    def watch(self, frame: Any, event: str, result: Any) -> None:
        """The profile function: what the project's functions return; those of other threads are called at any time."""
        if event != "return" or self.busy:
            return
        code = frame.f_code
        name = self.inside(code.co_filename)
        if name is None:
            return
        self.executed.add((name, code.co_firstlineno))
        function = code.co_name
        if function in SKIPPED or threading.current_thread() is not threading.main_thread():
            return
        where = f"{name} {getattr(code, 'co_qualname', function)}"
        self.calls[where] += 1
        if self.calls[where] <= CALLS:
            self.busy = True
            try:
                self.side.note(frame.f_locals)
                self.write("return", where, frame.f_lineno, self.plain(result))
            finally:
                self.busy = False

    def printed(self, original: Any) -> Any:
        """`print` that also records, with the line of the project that called it."""

        def print_and_note(*values: Any, **named: Any) -> None:
            original(*values, **named)
            frame = sys._getframe(1)
            while frame and self.inside(frame.f_code.co_filename) is None:
                frame = frame.f_back  # type: ignore[assignment]
            if frame and named.get("file") in (None, sys.stdout):
                parts = [self.shown(each) for each in values]
                self.write("print", self.inside(frame.f_code.co_filename) or "", frame.f_lineno, parts)

        return print_and_note

    def shown(self, value: Any) -> Any:
        array = self.side.array(value)
        if array is not None:
            return thin(array, self.side.name(value.dtype))
        return OBJECT if self.side.is_own(value) else str(value)

    def saved(self, original: Any) -> Any:
        """A framework's `save` that also records."""

        def save_and_note(thing: Any, *more: Any, **named: Any) -> Any:
            target = more[0] if more else next(iter(named.values()), "")
            name = os.path.basename(str(target)) if isinstance(target, str | os.PathLike) else "a buffer"
            if self.inside(sys._getframe(1).f_code.co_filename) is not None:  # a framework may save within pickle
                self.write("save", name, 0, self.plain(thing))
            return original(thing, *more, **named)

        return save_and_note


def thin(array: np.ndarray, kind: str) -> tuple[str, tuple[int, ...], np.ndarray]:
    """Its type, its shape, and at most LARGEST of its numbers."""
    flat = np.asarray(array).reshape(-1)
    step = -(-flat.size // LARGEST) if flat.size else 1
    return kind, tuple(array.shape), flat[::step].copy()


def fault(error: BaseException, observer: Observer) -> dict[str, Any]:
    """What ended a script: the last line of the project that it passed through."""
    frames = [
        (name, each.lineno, each.line)
        for each in traceback.extract_tb(error.__traceback__)
        if (name := observer.inside(each.filename))
    ]
    if isinstance(error, SyntaxError) and error.filename and (name := observer.inside(error.filename)):
        frames.append((name, error.lineno, error.text))
    reason = [line for line in str(error).strip().splitlines() if line.strip()]
    hints = [line for line in reason if "Error:" in line]
    if "tensor_version" in str(error):
        hints = ["Paddle keeps a tensor for the gradient that is written into in place: write x = x + … for x += …"]
    return {
        "place": frames[-1] if frames else None,
        "type": type(error).__name__,
        "reason": (hints or reason or [""])[-1].strip()[:300],
    }


def main() -> None:
    kind, root, record, nudge, device, *words = sys.argv[1:]
    observe(kind, Path(root), Path(record), nudge == "nudge", device, words)


def observe(kind: str, root: Path, record: Path, nudge: bool, device: str, words: list[str]) -> None:
    """Run the script and end the process, since threads of either framework may not end by themselves."""
    stream = Stream(0, nudge)
    here = os.path.dirname(os.path.abspath(__file__))
    if kind == "torch":
        import observing_torch as side
    else:
        sys.path.insert(0, str(root))
        import observing_paddle as side
    sys.path[:] = [each for each in sys.path if os.path.abspath(each or ".") != here]
    observer = Observer(root, record, side)
    random.seed(0)
    np.random.seed(0)
    side.prepare(stream, device, observer)
    original, builtins.print = builtins.print, observer.printed(builtins.print)
    ended = run(words, root, observer)
    builtins.print = original
    observer.write("drawn", "", 0, stream.drawn)
    observer.write("places", "", 0, dict(side.PLACES))
    observer.write("executed", "", 0, sorted(observer.executed))
    observer.write("end", "", 0, ended)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if ended else 0)


def run(words: list[str], root: Path, observer: Observer) -> dict[str, Any] | None:
    """Run the script or module; returns what ended it, None if it came to its end."""
    threading.setprofile(observer.watch)
    sys.setprofile(observer.watch)
    try:
        if words[0] == "-m":
            sys.argv = [words[1], *words[2:]]
            sys.path[:0] = [str(root)]
            variables = runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            script = root / words[0]
            sys.argv = [str(script), *words[1:]]
            sys.path[:0] = [str(script.parent), str(root)]
            variables = runpy.run_path(str(script), run_name="__main__")
        sys.setprofile(None)
        for name, value in variables.items():
            if not name.startswith("__") and observer.side.array(value) is not None:
                observer.write("value", name, 0, observer.plain(value))
    except SystemExit as error:
        sys.setprofile(None)
        if error.code not in (None, 0):
            return {**fault(error, observer), "reason": f"it ended with {error.code!r}"}
    except BaseException as error:
        sys.setprofile(None)
        traceback.print_exc()
        return fault(error, observer)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return None


if __name__ == "__main__":
    main()
