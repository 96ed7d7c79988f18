"""Measurements as a CSV file: read from whatever an instrument or a spreadsheet wrote (table.py), or written here.

A row that cannot be used is reported with its line number and left out; a file that cannot be used raises Unusable,
which says what, why and what to do.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import table
from table import Unusable

__all__ = ["Measurements", "Unusable", "parse", "read", "write"]

ABSOLUTE_ZERO = -273.15  # °C
MOST_BYTES = 50_000_000  # a file that is larger was not meant
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # how .xlsx and .xls begin
MOST_WRONG_SHAPES = 0.05  # share of the lines; with more of them the columns are not what the first line says


@dataclass(frozen=True)
class Measurements:
    """The readings that can be used, and what was found wrong with the others."""

    times: np.ndarray  # (rows,), s
    positions: np.ndarray  # (rows,), m
    temperatures: np.ndarray  # (rows,), °C
    lines: np.ndarray  # (rows,), line number of each
    problems: tuple[tuple[int, str], ...] = ()  # line number and what is wrong, of each reading left out
    repeated: int = 0  # how many of these were in the file before, word for word

    def __len__(self) -> int:
        return len(self.times)

    @property
    def bad(self) -> int:
        """How many readings could not be used; repeated ones do not count."""
        return len(self.problems) - self.repeated

    def without(self, out: np.ndarray, problem: str) -> "Measurements":
        """The same, with the rows that are `out` (rows,) left out for that `problem`."""
        added = [(int(line), problem) for line in self.lines[out]]
        return replace(self.only(~out), problems=tuple(sorted([*self.problems, *added])))

    def combined(self, span: float) -> "Measurements":
        """The same, with the readings of one thermometer within `span` seconds as one: their median.

        So close together they share what disturbs the thermometer just then, and say it only once.
        """
        order = np.lexsort([self.times, self.positions])
        times, positions, temperatures = (axis[order] for axis in (self.times, self.positions, self.temperatures))
        begins: list[int] = []
        for row, (time, place) in enumerate(zip(times, positions, strict=True)):
            if not begins or place != positions[begins[-1]] or time > times[begins[-1]] + span:
                begins.append(row)
        if len(begins) == len(self):
            return self
        parts = [slice(begin, end) for begin, end in zip(begins, [*begins[1:], len(self)], strict=True)]
        return replace(
            self,
            times=np.array([np.median(times[part]) for part in parts]),
            positions=positions[begins],
            temperatures=np.array([np.median(temperatures[part]) for part in parts]),
            lines=self.lines[order][begins],
        )

    def only(self, rows: np.ndarray) -> "Measurements":
        """These `rows` alone, by booleans or a slice."""
        return replace(
            self,
            times=self.times[rows],
            positions=self.positions[rows],
            temperatures=self.temperatures[rows],
            lines=self.lines[rows],
        )


def read(path: Path, length: float, duration: float) -> Measurements:
    """Read the file `path`; rows outside the bar of `length`, in metres, and of `duration`, in s, are left out.

    Raises Unusable for a file that cannot be read, has not the columns, or of which less than half can be used.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)  # and not all: a device has no end
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise Unusable(f"{path} cannot be read", why, "give the path of a CSV file: --set data=FILE") from None
    if content.startswith(WORKBOOKS):
        why = "it is a workbook of Excel or WPS, or a zip, whatever it is called"
        raise Unusable(f"{path} is no text", why, "open it there and save it as CSV UTF-8")
    if len(content) > MOST_BYTES:
        raise Unusable(f"{path} is too large", f"above {MOST_BYTES / 1e6:g} MB", "thin the measurements out")
    refusals = []
    for text in table.decodings(content):
        try:
            found = table.read(text, str(path))
        except Unusable as refusal:
            refusals.append(refusal)
        else:
            return collect(found, length, duration, str(path))
    raise refusals[0]


def parse(text: str, length: float, duration: float, name: str = "the file") -> Measurements:
    """As `read`, of the text of a file."""
    return collect(table.read(text, name), length, duration, name)


def collect(found: table.Table, length: float, duration: float, name: str) -> Measurements:
    """The readings of the table `found`, each used or reported. Raises as `read` does."""
    if line := found.split_numbers():
        raise Unusable(
            f"{name}, line {line}: whole numbers, and digits beside them in a column that is not asked for",
            "is a comma the decimal point, and also between the columns? Then numbers are cut in two",
            "write decimal points, or put semicolons between the columns; or leave that column out",
        )
    rows: list[tuple[float, float, float]] = []
    used: list[int] = []
    problems: list[tuple[int, str]] = []
    before: dict[tuple[float, float, float], int] = {}
    repeated = 0
    for line, reading in found.readings():
        if isinstance(reading, str):
            problems.append((line, reading))
        elif reading in before:
            repeated += 1
            problems.append((line, f"the same as line {before[reading]}: time, place and temperature"))
        elif problem := outside(reading, length, duration):
            problems.append((line, problem))
        else:
            before[reading] = line
            rows.append(reading)
            used.append(line)
    refuse_useless(name, len(rows), problems, repeated)
    return Measurements(*np.array(rows).T, np.array(used), tuple(problems), repeated)


def outside(reading: tuple[float, float, float], length: float, duration: float) -> str:
    """Why a reading is none of this bar and experiment; or nothing."""
    time, x, temperature = reading
    if not 0 <= time <= duration * (1 + 1e-9):
        return f"time {time:g} s is outside the experiment, 0 to {duration:g} s"
    if not 0 <= x <= length * (1 + 1e-9):
        return f"x {x * 1e3:g} mm is outside the bar, 0 to {length * 1e3:g} mm"
    if not ABSOLUTE_ZERO <= temperature <= 5000:
        return f"temperature {temperature:g} °C is not one of a bar"
    return ""


def refuse_useless(name: str, used: int, problems: list[tuple[int, str]], repeated: int) -> None:
    """Raise Unusable where the columns are not what they are called, or less than half can be used."""
    shapes = [(line, problem) for line, problem in problems if "cells under" in problem]
    if len(shapes) > MOST_WRONG_SHAPES * (used + len(problems)):
        line, problem = shapes[0]
        raise Unusable(
            f"{name}, line {line}: {problem}, and {len(shapes) - 1} lines more",
            "is a comma the decimal point, and also between the columns? Then columns shift",
            "write decimal points, or put semicolons between the columns",
        )
    bad = len(problems) - repeated
    if used > bad:
        return
    if not problems:
        raise Unusable(
            f"{name} holds no row that can be used", "there is no line after the header", "compare it with example.csv"
        )
    remedies = {
        "outside the bar": "see whether the unit of x is right (mm, cm, m), no columns are swapped, and set length",
        "outside the experiment": "see whether the unit of time is right (s, ms, min, h), and set duration",
        "time stamp": "write seconds since the left heater was switched on instead of time stamps",
    }
    causes = {cause: sum(cause in problem for _, problem in problems) for cause in remedies}
    cause = max(causes, key=lambda each: causes[each])
    share = f"{bad} of {used + bad} readings cannot be used" if used else "no row that can be used"
    line, problem = next((line, text) for line, text in problems if not causes[cause] or cause in text)
    remedy = remedies[cause] if causes[cause] else "compare it with example.csv"
    raise Unusable(f"{name} holds {share}" if not used else f"{name}: {share}", f"line {line}: {problem}", remedy)


def write(path: Path, measurements: Measurements, comments: Iterable[str] = ()) -> None:
    """Write a CSV file that `read` reads back: to the microsecond, the micrometre and the 0.1 mK."""
    lines = [f"# {comment}" for comment in comments] + ["time [s],x [mm],temperature [°C]"]
    rows = zip(measurements.times, measurements.positions, measurements.temperatures, strict=True)
    lines += [f"{round(time, 6):.12g},{round(x * 1e3, 3):.9g},{temperature:.4f}" for time, x, temperature in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
