"""A table of readings in a text file: its encoding, separator, names, units and numbers, in the forms people write.

    time [s], x [mm], temperature [°C]      a reading a line, in any order, with any columns beside
    时间/s;位置/mm;温度/℃                      names and units in English or Chinese, units in brackets or after a slash
    t (min)   3 mm   31.8 mm   60.6 mm      a thermometer a column, its position in the title

Units may stand in a row of their own under the names. Separators are commas, semicolons, tabs or wide gaps; where a
comma does not separate, it may be the decimal point, or stand between thousands if the file has decimal points. Lines
of an instrument above the names are passed over.
"""

import contextlib
import csv
import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

# By column: its units, each with the factor and the offset to s, m and °C.
UNITS = {
    "time": {"s": (1.0, 0.0), "ms": (1e-3, 0.0), "min": (60.0, 0.0), "h": (3600.0, 0.0)},
    "x": {"m": (1.0, 0.0), "cm": (1e-2, 0.0), "mm": (1e-3, 0.0), "in": (0.0254, 0.0)},
    "temperature": {"°C": (1.0, 0.0), "K": (1.0, -273.15), "°F": (5 / 9, -160 / 9)},
}
UNIT_WORDS = {
    "s": "s sec secs second seconds 秒",
    "ms": "ms millisecond milliseconds 毫秒",
    "min": "min mins minute minutes 分 分钟",
    "h": "h hr hrs hour hours 小时 时",
    "m": "m metre metres meter meters 米",
    "cm": "cm centimetre centimetres centimeter centimeters 厘米",
    "mm": "mm millimetre millimetres millimeter millimeters 毫米",
    "in": "in inch inches 英寸",
    "°C": "°c c degc deg.c celsius degreescelsius 摄氏度 度",
    "K": "k kelvin 开 开尔文",
    "°F": "°f f degf deg.f fahrenheit 华氏度",
}
NAMES = {
    "time": "time t elapsed elapsedtime zeit 时间 时刻",
    "x": "x position pos location place distance ort 位置 距离 坐标 测点 测点位置",
    "temperature": "temperature temp t θ ϑ temperatur 温度",
}
MISSING = {"", "-", "--", "na", "n/a", "nan", "null", "none", "#n/a", "无"}
COMMENTS = ("#", "%", "//")
PREAMBLE = 30  # lines in which the names are looked for
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+(?!\d)")
SPLIT = re.compile(r"[-+]?\d+,\d{1,6}")
TIME_STAMP = re.compile(r"\d{1,4}[-/.年]\d{1,2}[-/.月]\d{1,4}|\d{1,2}:\d{2}")
EXAMPLE = "write a first line such as: time [s], x [mm], temperature [°C]"
WIDE = "write where each thermometer is in the first line: time [s], 3 mm, 31.8 mm, 60.6 mm"


class Unusable(ValueError):
    """A file that cannot be used: what is wrong, why, and what to do, a line each."""

    def __init__(self, what: str, why: str, what_to_do: str) -> None:
        super().__init__(f"{what}\n  why: {why}\n  what to do: {what_to_do}")


@dataclass(frozen=True)
class Column:
    """Where a value stands in a row, and how it becomes one in s, m or °C."""

    kind: str  # a key of UNITS
    place: int
    unit: str
    position: float = math.nan  # m, of a thermometer that has a column to itself

    def value(self, cells: list[str], thousands: bool) -> float:
        """The number in the row of `cells`; raises ValueError for none."""
        text = cells[self.place] if self.place < len(cells) else ""
        if text.lower() in MISSING:
            raise ValueError(f"{self.kind} is missing")
        if self.kind == "time" and TIME_STAMP.match(text):
            raise ValueError(f"time is a time stamp, {text[:40]!r}: write the seconds since the left heater went on")
        value, factor, offset = number(text, thousands), *UNITS[self.kind][self.unit]
        if value is None:  # perhaps with its unit behind it: 25.3 °C
            digits = re.match(r"[-+\d.,e ]*\d", text, re.IGNORECASE)
            unit = unit_of(text[digits.end() :], self.kind) if digits else None
            value = number(digits.group(), thousands) if digits and unit else None
            if value is None:
                raise ValueError(f"{self.kind} is not a number: {text[:40]!r}")
            factor, offset = UNITS[self.kind][unit]
        if not math.isfinite(value):
            raise ValueError(f"{self.kind} is not finite: {text[:40]}")
        return value * factor + offset


@dataclass(frozen=True)
class Table:
    """The columns of a file, and its lines below them."""

    columns: dict[str, Column]  # time, and x and temperature unless `thermometers`
    thermometers: list[Column]  # one a column
    width: int  # names in the first line
    header: int  # its line number
    separator: str
    lines: list[tuple[int, str]]  # with their numbers

    def readings(self) -> Iterator[tuple[int, tuple[float, float, float] | str]]:
        """Of each reading its line number, and time in s, position in m and temperature in °C, or what is wrong."""
        thousands = self.thousands()
        for line, text in self.lines:
            try:
                row = cells(text, self.separator)
                if sum(map(bool, row)) > self.width or (len(row) > self.width and any(row[self.width :])):
                    raise WrongShape(f"{len(row)} cells under {self.width} names")
                time = self.columns["time"].value(row, thousands)
                if not self.thermometers:
                    yield line, (time, *(self.columns[kind].value(row, thousands) for kind in ("x", "temperature")))
            except ValueError as problem:
                yield line, f"{problem}"
                continue
            for one in self.thermometers:
                try:
                    yield line, (time, one.position, one.value(row, thousands))
                except ValueError as problem:
                    yield line, f"{problem}, at {one.position * 1e3:g} mm"

    def thousands(self) -> bool:
        """Whether commas in numbers part thousands: three digits behind each, and points elsewhere, or two in one."""
        places = [column.place for column in [*self.columns.values(), *self.thermometers]]
        marked = []
        for _, text in self.lines:
            with contextlib.suppress(ValueError):
                row = cells(text, self.separator)
                marked += [cell for place in places for cell in row[place : place + 1] if "," in cell or "." in cell]
        commas = [cell for cell in marked if "," in cell and "." not in cell]
        told = any(cell.count(",") > 1 or re.search(r"\d\.\d", cell) for cell in marked)
        return told and all(map(THOUSANDS.match, commas))

    def split_numbers(self) -> int | None:
        """The first line, if decimal commas seem to cut the numbers of a comma file, their rest in a spare column.

        A column of whole numbers, and to its right one that nobody asks for: digits, as many in each, that change from
        reading to reading at a place. A channel does not, and a row's number grows longer.
        """
        taken = {column.place for column in [*self.columns.values(), *self.thermometers]}
        spare = [place + 1 for place in taken if place + 1 not in taken and place + 1 < self.width]
        rows = []
        for line, text in self.lines if self.separator == "," else ():
            with contextlib.suppress(ValueError):
                rows.append((line, cells(text, ",")))
        rows = [(line, row) for line, row in rows if len(row) >= self.width]
        for place in spare:
            behind = [row[place] for _, row in rows]
            at = [row[self.columns["x"].place] if "x" in self.columns else "" for _, row in rows]
            whole = all(SPLIT.fullmatch(",".join(row[place - 1 : place + 1])) for _, row in rows)
            changing = len(set(zip(at, behind, strict=True))) > 2 * len(set(at))
            if whole and changing and len(set(map(len, behind))) == 1:
                return rows[0][0]
        return None


class WrongShape(ValueError):
    """A row that has more cells than the first line has names."""


def decodings(content: bytes) -> Iterator[str]:
    """The texts that `content` may be: UTF-8 or -16, GB18030 as of a Chinese Excel, or what older instruments write."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encodings = ["utf-16"]
    elif b"\0" in content[:200]:
        encodings = ["utf-16-le", "utf-16-be"]
    else:
        encodings = ["utf-8-sig", "gb18030"]
    for encoding in [*encodings, "latin-1"]:  # the last takes every byte
        try:
            yield content.decode(encoding)
        except UnicodeDecodeError:
            continue


def read(text: str, name: str) -> Table:
    """Find the columns in the `text` of the file called `name`. Raises Unusable if they are not there."""
    lines = [
        (number, plain(line))
        for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").split("\n"), 1)
        if line.strip() and not line.lstrip(' "\ufeff').startswith(COMMENTS)
    ]
    told = re.fullmatch(r'"?sep=(.)"?', lines[0][1].strip(" "), re.IGNORECASE) if lines else None
    lines = lines[1:] if told else lines
    if not lines:
        raise Unusable(f"{name} holds no measurements", "it is empty, or has comments only", EXAMPLE)
    refusals = []
    for place in range(min(PREAMBLE, len(lines))):
        try:
            return _table(lines[place:], told.group(1) if told else None, name)
        except Unusable as refusal:
            refusals.append(refusal)
    raise refusals[0]


def _table(lines: list[tuple[int, str]], told: str | None, name: str) -> Table:
    (line, header), *below = lines
    gaps = re.search(r"\S {2,}\S", header)
    separator = told or next((mark for mark in (";", "\t", ",") if mark in header), " " if gaps else ",")
    try:
        titles = cells(header, separator)
    except ValueError as problem:
        raise Unusable(f"{name}, line {line}: the names of the columns", str(problem), EXAMPLE) from None
    units = cells(below[0][1], separator) if below and len(below[0][1]) < 1000 else []
    units_below = any(units) and all(number(unit) is None for unit in units if unit)

    found: dict[str, Column] = {}
    wide: list[Column] = []
    unread: dict[str, Unusable] = {}
    used_below = False
    for place, title in enumerate(titles):
        under = units[place].strip("[]() ") if units_below and place < len(units) else ""
        word, unit = name_and_unit(title)
        kind = kind_of(word, unit or under)
        named = kind in ("time", "x") and unit_of(unit or under, kind) is not None
        thermometer = None if named else position_in(title)
        if thermometer:
            position, rest = thermometer
            unit = next((u for u in (unit_of(rest, "temperature"), unit_of(under, "temperature")) if u), None)
            used_below |= unit_of(under, "temperature") is not None
            wide.append(Column("temperature", place, unit or "°C", position))
        elif kind:
            known = unit_of(unit or under, kind)
            used_below |= not unit and known is not None
            if kind in found:
                twice = f"{name}, line {line}: two columns are called {kind!r}"
                raise Unusable(twice, "which one counts?", "rename one")
            if known is None:
                why = f"its unit is {unit!r}" if unit else "it has no unit"
                why += f"; known are {', '.join(UNITS[kind])}"
                unread[kind] = Unusable(f"{name}, line {line}: the column {word!r} cannot be read", why, EXAMPLE)
            found[kind] = Column(kind, place, known or next(iter(UNITS[kind])))
    if wide and "x" not in found:
        found.pop("temperature", None)
        missing = [] if "time" in found else ["time"]
    else:
        wide, missing = [], [kind for kind in UNITS if kind not in found]
    clock = _clock(titles, below, separator, f"{name}, line {line}")
    if clock and "time" in [*missing, *unread]:
        raise clock
    if missing:
        what = f"{name}, line {line}: there is no column {' and no '.join(missing)}"
        a_thermometer_a_column = "time" in found and "x" not in found and len(titles) > 3
        why = f"columns: {', '.join(titles)[:200]}"
        raise Unusable(what, why, WIDE if a_thermometer_a_column else EXAMPLE)
    if unread:
        raise next(iter(unread.values()))
    return Table(found, wide, len(titles), line, separator, below[1:] if used_below else below)


def _clock(titles: list[str], below: list[tuple[int, str]], separator: str, place: str) -> Unusable | None:
    """What to say of a column of dates or clock times; None without one."""
    row = below[0][1].split(separator) if below else []
    found = next((pair for pair in zip(titles, row, strict=False) if TIME_STAMP.match(pair[1].strip(' "'))), None)
    if not found:
        return None
    return Unusable(
        f"{place}: the column {found[0]!r} holds dates or clock times, such as {found[1][:40]!r}",
        "they do not say when the left heater went on, from which time counts",
        "write the seconds since then, under the name: time [s]",
    )


def plain(line: str) -> str:
    """The line with fullwidth brackets, commas and digits, and the many degree signs, as the usual ones."""
    if line.isascii():
        return line
    for odd, usual in {"º": "°", "˚": "°", "−": "-", "【": "[", "】": "]", "\ufeff": ""}.items():
        line = line.replace(odd, usual)
    return unicodedata.normalize("NFKC", line)


def cells(line: str, separator: str) -> list[str]:
    """The row split into its cells. Raises ValueError if that cannot be."""
    if separator == " ":
        return re.split(r" {2,}", line.strip())
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]
    except csv.Error as error:
        raise ValueError(f"not a row of a CSV file: {error}") from None


def name_and_unit(title: str) -> tuple[str, str]:
    """('time', 's') of 'time [s]', 'Time (s)', 'time / s', 'time_s' or 'time s'; without a unit ('time', '')."""
    bracket = re.fullmatch(r"(.*?)\s*[\[({]\s*(.*?)\s*[\])}]?\s*", title)
    slash = re.fullmatch(r"(.+?)\s*(?:/|_|\sin\s|,|\s)\s*(\S+(?: ?[CFcf])?)", title)
    if bracket and bracket.group(1):
        return bracket.group(1), bracket.group(2)
    if slash and ("/" in title or any(unit_of(slash.group(2), kind) for kind in UNITS)):
        return slash.group(1), slash.group(2)
    return title, ""


def kind_of(word: str, unit: str) -> str | None:
    """Which column the `word` names; t is the time or, in a unit of it, the temperature."""
    word = re.sub(r"[\s_]", "", word.lower())
    kinds = [kind for kind, names in NAMES.items() if word in names.split()]
    return next((kind for kind in kinds if unit_of(unit, kind)), kinds[0] if kinds else None)


def unit_of(text: str, kind: str) -> str | None:
    """The unit of the column `kind` that `text` means, or None."""
    text = re.sub(r"[\s\[\](){}/]|degrees?(?=[cf])", lambda odd: "" if len(odd.group()) == 1 else "°", text.lower())
    return next((unit for unit in UNITS[kind] if text in UNIT_WORDS[unit].split()), None)


def position_in(title: str) -> tuple[float, str] | None:
    """Where the thermometer of a column is, in metres, and what else stands in its title: '3 mm' of 'T (3 mm) [°C]'."""
    found = re.search(r"(?<![\d.,])(\d+(?:[.,]\d+)?)\s*(mm|cm|m|in|毫米|厘米|米)(?![a-z\d])", title, re.IGNORECASE)
    if not found:
        return None
    factor, _ = UNITS["x"][unit_of(found.group(2), "x") or "m"]
    rest = title[: found.start()] + " " + title[found.end() :]
    units = [word for word in re.split(r"[\s\[\](){}/_,@=]+", rest) if unit_of(word, "temperature")]
    return float(found.group(1).replace(",", ".")) * factor, units[-1] if units else ""


def number(text: str, thousands: bool = False) -> float | None:
    """The number in a cell, or None. Both marks in one: the last is the decimal one. Raises nothing."""
    text = text.replace(" ", "").replace("'", "")
    if "," in text and "." in text:
        thousands = "," if text.rfind(".") > text.rfind(",") else "."
        text = text.replace(thousands, "")
    text = text.replace(",", "" if thousands and THOUSANDS.fullmatch(text) else ".")  # a comma file's was quoted
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None
