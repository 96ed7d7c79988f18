"""Measurements as a CSV file: read from whatever an instrument or a spreadsheet wrote, or written by this program.

The first line that is neither empty nor a comment (#) names the columns, with their units:

    time [s], x [mm], temperature [°C]

in any order, with any others beside them. Separators are commas, semicolons or tabs; with the latter two a comma
may be the decimal point. A row that cannot be used is reported with its line number and left out; a file that cannot
be used raises Unusable, which says what, why and what to do.
"""

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# By column: its units, each with the factor and the offset to s, m and °C.
UNITS = {
    "time": {"s": (1.0, 0.0), "ms": (1e-3, 0.0), "min": (60.0, 0.0), "h": (3600.0, 0.0)},
    "x": {"m": (1.0, 0.0), "cm": (1e-2, 0.0), "mm": (1e-3, 0.0), "in": (0.0254, 0.0)},
    "temperature": {"°c": (1.0, 0.0), "c": (1.0, 0.0), "k": (1.0, -273.15), "°f": (5 / 9, -160 / 9)},
}
UNITS["temperature"] |= {"f": UNITS["temperature"]["°f"], "℃": (1.0, 0.0), "℉": UNITS["temperature"]["°f"]}
MISSING = {"", "-", "--", "na", "n/a", "nan", "null", "none"}
ABSOLUTE_ZERO = -273.15  # °C
MOST_BYTES = 50_000_000  # a file that is larger was not meant


class Unusable(ValueError):
    """A file that cannot be used: what is wrong, why, and what to do, a line each."""

    def __init__(self, what: str, why: str, what_to_do: str) -> None:
        super().__init__(f"{what}\n  why: {why}\n  what to do: {what_to_do}")


@dataclass(frozen=True)
class Measurements:
    """The rows that can be used, and what was found wrong with the others."""

    times: np.ndarray  # (rows,), s
    positions: np.ndarray  # (rows,), m
    temperatures: np.ndarray  # (rows,), °C
    problems: tuple[tuple[int, str], ...] = ()  # line number and what is wrong, of each row left out

    lines: tuple[int, ...] = ()  # line number of each row that is used

    def __len__(self) -> int:
        return len(self.times)

    def without(self, bad: np.ndarray, problem: str) -> "Measurements":
        """The same, with the rows that are `bad` (rows,) left out for that `problem`."""
        added = [(line, problem) for line, out in zip(self.lines, bad, strict=True) if out]
        lines = tuple(line for line, out in zip(self.lines, bad, strict=True) if not out)
        kept = (self.times[~bad], self.positions[~bad], self.temperatures[~bad])
        return Measurements(*kept, tuple(sorted([*self.problems, *added])), lines)


def read(path: Path, length: float, duration: float) -> Measurements:
    """Read the file `path`; rows outside the bar of `length`, in metres, and of `duration`, in s, are left out.

    Raises Unusable for a file that cannot be read, has not the columns, or holds no row that can be used.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Unusable(f"{path} is too large", f"above {MOST_BYTES / 1e6:g} MB", "thin the measurements out")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, Unusable):
            raise
        why = getattr(error, "strerror", None) or str(error)
        raise Unusable(f"{path} cannot be read", why, "give the path of a CSV file: --set data=FILE") from None
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # what older instruments write; it takes every byte
    return parse(text, length, duration, str(path))


def parse(text: str, length: float, duration: float, name: str = "the file") -> Measurements:
    """As `read`, of the text of a file."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").split("\n")
    kept = [
        (number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")
    ]
    example = "write a first line such as: time [s], x [mm], temperature [°C]"
    if not kept:
        raise Unusable(f"{name} holds no measurements", "it is empty, or has comments only", example)
    header = kept[0][1]
    separator = next((mark for mark in ";\t" if mark in header), ",")
    try:
        titles = _cells(header, separator)
    except ValueError as problem:
        raise Unusable(f"{name}, line {kept[0][0]}: the names of the columns", str(problem), example) from None
    columns = _columns(titles, name, kept[0][0], example)

    rows: list[tuple[float, float, float]] = []
    used: list[int] = []
    problems: list[tuple[int, str]] = []
    for number, line in kept[1:]:
        try:
            cells = _cells(line, separator)
            row = tuple(_value(cells, column, *columns[column], separator) for column in UNITS)
            _check(row, length, duration)
        except ValueError as problem:
            problems.append((number, str(problem)))
        else:
            rows.append(row)
            used.append(number)
    if not rows:
        first = f"line {problems[0][0]}: {problems[0][1]}" if problems else "there is no line after the header"
        raise Unusable(f"{name} holds no row that can be used", first, "compare it with example.csv")
    times, positions, temperatures = np.array(rows).T
    return Measurements(times, positions, temperatures, tuple(problems), tuple(used))


def write(path: Path, measurements: Measurements, comments: Iterable[str] = ()) -> None:
    """Write a CSV file that `read` reads back: to the microsecond, the micrometre and the millikelvin."""
    lines = [f"# {comment}" for comment in comments] + ["time [s],x [mm],temperature [°C]"]
    rows = zip(measurements.times, measurements.positions, measurements.temperatures, strict=True)
    lines += [f"{round(time, 6):.12g},{round(x * 1e3, 3):.9g},{temperature:.3f}" for time, x, temperature in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _cells(line: str, separator: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]
    except csv.Error as error:
        raise ValueError(f"not a row of a CSV file: {error}") from None


def _columns(header: list[str], name: str, line: int, example: str) -> dict[str, tuple[int, float, float]]:
    """For each column its place in a row, and the factor and offset of its unit."""
    found = {}
    for place, title in enumerate(header):
        word, _, unit = title.lower().replace("(", "[").replace(")", "]").partition("[")
        word, unit = word.strip(), unit.partition("]")[0].strip()
        word = {"t": "time", "position": "x"}.get(word, word)
        if word not in UNITS:
            continue
        if word in found:
            raise Unusable(f"{name}, line {line}: two columns are called {word!r}", "which one counts?", "rename one")
        if unit not in UNITS[word]:
            known = ", ".join(UNITS[word])
            why = f"its unit is {unit!r}; known are {known}" if unit else f"it has no unit; known are {known}"
            raise Unusable(f"{name}, line {line}: the column {word!r} cannot be read", why, example)
        found[word] = (place, *UNITS[word][unit])
    missing = [word for word in UNITS if word not in found]
    if missing:
        why = f"columns: {', '.join(header)[:200]}"
        raise Unusable(f"{name}, line {line}: there is no column {' and no '.join(missing)}", why, example)
    return found


def _value(cells: list[str], column: str, place: int, factor: float, offset: float, separator: str) -> float:
    text = cells[place] if place < len(cells) else ""
    if text.lower() in MISSING:
        raise ValueError(f"{column} is missing")
    try:
        value = float(text.replace(",", ".") if separator != "," else text)
    except ValueError:
        raise ValueError(f"{column} is not a number: {text[:40]!r}") from None
    if not math.isfinite(value):
        raise ValueError(f"{column} is not finite: {text[:40]}")
    return value * factor + offset


def _check(row: tuple[float, ...], length: float, duration: float) -> None:
    time, x, temperature = row
    if not 0 <= time <= duration * (1 + 1e-9):
        raise ValueError(f"time {time:g} s is outside the experiment, 0 to {duration:g} s")
    if not 0 <= x <= length * (1 + 1e-9):
        raise ValueError(f"x {x * 1e3:g} mm is outside the bar, 0 to {length * 1e3:g} mm")
    if not ABSOLUTE_ZERO <= temperature <= 5000:
        raise ValueError(f"temperature {temperature:g} °C is not one of a bar")
