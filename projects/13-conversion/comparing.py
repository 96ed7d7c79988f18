"""Two records of one script, PyTorch's and Paddle's: equal, or where they first differ."""

import pickle
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf)(?![\w])")
OBJECT = "\0object"  # in place of what is no number, text, array, or list or dictionary of them: only that it is one
LAST = {"float16": 2.0**-10, "bfloat16": 2.0**-7}  # of the greatest number: one unit in its last place
ROUNDING = 1e-5  # relative to the greatest number of the same value: float32, and sums in another order


@dataclass
class Record:
    """What observing.py wrote."""

    events: list[tuple[str, str, int, Any]] = field(default_factory=list)
    executed: set[tuple[str, int]] = field(default_factory=set)
    places: dict[str, int] = field(default_factory=dict)
    drawn: int = 0
    ended: bool = False  # the process itself came to its end
    fault: dict[str, Any] | None = None
    apart: tuple[int, str] | None = None  # from which event on both sides draw other numbers, and why

    @property
    def before(self) -> "Record":
        """The same as far as both sides draw the same numbers."""
        return self if self.apart is None else replace(self, events=self.events[: self.apart[0]])


def read(path: Path) -> Record:
    """The record, as far as it was written."""
    found = Record()
    with path.open("rb") as file:
        while True:
            try:
                kind, where, line, value = pickle.load(file)
            except (EOFError, pickle.UnpicklingError):
                return found
            if kind == "drawn":
                found.drawn = value
            elif kind == "places":
                found.places = value
            elif kind == "executed":
                found.executed = set(map(tuple, value))
            elif kind == "apart":
                found.apart = found.apart or (len(found.events), value)
            elif kind == "reached":
                found.fault = found.fault or {"open": value}
            elif kind == "end":
                found.ended, found.fault = True, found.fault or value
            else:
                found.events.append((kind, where, line, value))


@dataclass(frozen=True)
class Difference:
    """Where two records first differ: the person's file and line, and how far."""

    where: str
    line: int
    what: str
    error: float = float("inf")
    counted: bool = False  # one side did it more often


def compare(theirs: Record, ours: Record) -> list[Difference]:
    """All events that differ, in PyTorch's order. `error` is relative; infinite if it is no matter of rounding."""
    waiting: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for kind, where, _, value in ours.events:
        waiting[kind, where].append(value)
    found = []
    for kind, where, line, value in theirs.events:
        key = (kind, where)
        if not waiting[key]:
            found.append(Difference(where, line, f"{_what(kind)} in PyTorch only", counted=True))
            continue
        error, detail = difference(value, waiting[key].pop(0))
        if error > 0:
            found.append(Difference(where, line, f"{_what(kind)}: {detail}", error))
    for (kind, where), left in waiting.items():
        if left and kind != "value":  # a variable of Paddle's alone is a part of what was one call
            found.append(Difference(where, 0, f"{_what(kind)} {len(left)} times more often in Paddle", counted=True))
    return found


def _what(kind: str) -> str:
    return {"print": "printed", "return": "returned", "save": "saved", "value": "variable"}[kind]


def difference(a: Any, b: Any) -> tuple[float, str]:
    """The greatest relative difference of two plain values, 0 if they agree to a float's last bits, and in words."""
    if _is_array(a) and _is_array(b):
        return _arrays(a, b)
    if isinstance(a, str) and isinstance(b, str) and (a == OBJECT) == (b == OBJECT):
        return _texts(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return float("inf"), f"other names: {', '.join(sorted(a.keys() ^ b.keys())[:4])}"
        return max((difference(a[key], b[key]) for key in a), key=lambda each: each[0], default=(0.0, ""))
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return float("inf"), f"{len(a)} values, in Paddle {len(b)}"
        return max((difference(*each) for each in zip(a, b, strict=False)), key=lambda each: each[0], default=(0.0, ""))
    if a is None and b is None:
        return 0.0, ""
    if _is_array(a) != _is_array(b) and isinstance(a if not _is_array(a) else b, int | float | bool):
        plain = [each if _is_array(each) else (np.asarray(each).dtype.name, (), np.asarray([each])) for each in (a, b)]
        return _arrays(*plain, types=False)
    if isinstance(a, bool | int | float | complex) and isinstance(b, bool | int | float | complex):
        if isinstance(a, float) or isinstance(b, float):
            return _numbers(np.asarray([a]), np.asarray([b]))
        return (0.0, "") if a == b else (float("inf"), f"{a}, in Paddle {b}")
    return float("inf"), f"{_kind(a)}, in Paddle {_kind(b)}"


def _kind(value: Any) -> str:
    return "object" if isinstance(value, str) and value == OBJECT else "None" if value is None else type(value).__name__


def _is_array(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 3 and isinstance(value[2], np.ndarray)


def _arrays(a: Any, b: Any, types: bool = True) -> tuple[float, str]:
    if a[1] != b[1]:
        return float("inf"), f"shape {list(a[1])}, in Paddle {list(b[1])}"
    if types and a[0] != b[0]:
        return float("inf"), f"type {a[0]}, in Paddle {b[0]}"
    if a[2].dtype.kind in "biu" and b[2].dtype.kind in "biu":
        equal = bool((a[2] == b[2]).all())
        return (0.0, "") if equal else (float("inf"), f"{_short(a[2])}, in Paddle {_short(b[2])}")
    return _numbers(a[2], b[2], last=LAST.get(a[0], 2e-7))


def _numbers(a: np.ndarray, b: np.ndarray, least: float = 0.0, last: float = 2e-7) -> tuple[float, str]:
    kind = "complex128" if a.dtype.kind == "c" or b.dtype.kind == "c" else "float64"
    a, b = a.astype(kind), b.astype(kind)
    finite = np.isfinite(a)
    if (finite != np.isfinite(b)).any() or not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return float("inf"), f"{_short(a)}, in Paddle {_short(b)}"
    if not finite.any():
        return 0.0, ""
    apart = np.abs(a - b)[finite].max()
    scale = max(np.abs(a[finite]).max(), 1e-3, least)
    if apart <= last * scale:
        return 0.0, ""
    return float(apart / scale), f"{_short(a)}, in Paddle {_short(b)}"


def _short(values: np.ndarray) -> str:
    return ", ".join(f"{each:.7g}" for each in values[:3]) + (", …" if values.size > 3 else "")


def _texts(a: str, b: str) -> tuple[float, str]:
    """Texts whose words are the same, and their numbers; a number may be off by one in its last printed digit."""
    a, b = plain_text(a), plain_text(b)
    if a == b:
        return 0.0, ""
    detail = f"{a.strip()[:60]!r}, in Paddle {b.strip()[:60]!r}"
    if re.sub(r"\s+", "", NUMBER.sub("#", a)) != re.sub(r"\s+", "", NUMBER.sub("#", b)):
        return float("inf"), detail
    worst = 0.0
    sizes = [abs(float(each)) for each in NUMBER.findall(a) if "[" in a and "nan" not in each and "inf" not in each]
    for one, other in zip(NUMBER.findall(a), NUMBER.findall(b), strict=False):
        if one == other:
            continue
        if not any(mark in one + other for mark in ".en"):
            return float("inf"), detail
        error, _ = _numbers(np.asarray([float(one)]), np.asarray([float(other)]), max(sizes, default=0.0))
        digits = len(re.sub(r"[eE].*", "", one).partition(".")[2])
        step = 10.0**-digits
        if digits == len(re.sub(r"[eE].*", "", other).partition(".")[2]) and error < 0.02:
            error = max(0.0, error - 1.01 * step / max(abs(float(one)), 1e-6))
        worst = max(worst, error)
    return worst, detail


def plain_text(text: str) -> str:
    """A text without what either framework writes around a tensor's or a type's value."""
    text = re.sub(r"Tensor\(shape=\[[^\]]*\], dtype=[\w.]+, place=\w+\([^)]*\), stop_gradient=\w+,\s*", "tensor(", text)
    text = re.sub(r",\s*(grad_fn=<[^>]*>|requires_grad=True|dtype=[\w.]+|size=\([^)]*\))", "", text)
    text = re.sub(r"<DataType\.(\w+): \d+>", lambda m: m[1].lower(), text)
    text = re.sub(r"\b(?:torch\.return_types\.\w+|Pair)\((?=\s*values=)", "(", text)
    text = re.sub(r"\bodict_(?=keys|values|items)", "dict_", text)
    text = re.sub(r"\bParameter containing:\s*|\bEagerParamBase\(|\bParameter\(", "", text)
    text = re.sub(r"\bSize\(\[([^\]]*)\]\)", r"[\1]", re.sub(r"\b(torch|paddle)\.", "", text))
    text = re.sub(r"\((\d+(?:, \d+)*),?\)", r"[\1]", text)
    text = re.sub(r"(\d)\.(?=[\s,\])])", r"\1.0", text)
    return re.sub(r"(\.\d*?)0+(?=[\s,\])])", r"\1", text)
