"""The picture of a run: its log as a terminal would have shown it, with command and verdict above and the hash below.

A picture alone proves nothing: it names the log's sha256, and the log lies beside it. It is drawn with two faces of
the lock, so that it looks the same on every machine, Chinese included; a character that neither has is drawn as a
question mark in a frame, and the foot says which ones those are.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.evidence.hashing import sha256
from harness.evidence.record import RecordData
from harness.evidence.records import LOG
from harness.evidence.verdicts import FAILED, MARKS, NOT_JUDGED, PASSED, verdict_of

if TYPE_CHECKING:
    import pyte
    from PIL import Image, ImageDraw, ImageFont

FILE = "screen.png"
COLUMNS = 110
HEAD_LINES, TAIL_LINES = 24, 36  # of a log that is longer than both
LINE_BYTES = 4096  # of one line: a progress bar writes the same one over and over
CELL = (9, 21)
MARGIN = 18
PAPER, INK, FAINT, BAR = "#1e1e2e", "#d6d9e6", "#8d93ab", "#2c2c40"
GREEN, RED, YELLOW = "#7fd88f", "#ff7a85", "#e8c87a"
COLOURS = {
    "default": INK, "black": "#5b6078", "red": RED, "green": GREEN, "brown": YELLOW, "blue": "#83aaf5",
    "magenta": "#d69bf0", "cyan": "#7fd3d8", "white": INK,
    "brightblack": FAINT, "brightred": RED, "brightgreen": GREEN, "brightbrown": YELLOW, "brightblue": "#83aaf5",
    "brightmagenta": "#d69bf0", "brightcyan": "#7fd3d8", "brightwhite": "#ffffff",
}  # fmt: skip
OF_ONE_CELL = "✓✗△·×→²±μ≤≥…"  # what our programs print beside ASCII
NOTHING = dict.fromkeys(map(ord, OF_ONE_CELL))
Row = Sequence[tuple[str, str]]  # (text, colour), from the left


def draw(folder: Path, record: RecordData) -> str:
    """Draw run.log of `folder` into screen.png beside it.

    Returns:
        Nothing, or why there is no picture: a run is not lost for want of one.
    """
    try:
        picture(folder, record).save(folder / FILE, compress_level=3)
        return ""
    except Exception as error:  # whatever a library meets in an odd log or on a full disk
        (folder / FILE).unlink(missing_ok=True)
        return f"{type(error).__name__}: {error}"


def picture(folder: Path, record: RecordData) -> "Image.Image":
    """The picture of a run whose log is in `folder`."""
    log = folder / LOG
    content = log.read_bytes() if log.is_file() else b""
    head = [_command(record), _verdict(record), *_failures(record)]
    foot = [[(f"run.log  sha256:{sha256(log) if log.is_file() else 'none'}", FAINT)]]
    return _picture(head, list(rows(content)), foot)


def draw_text(path: Path, title: str, content: bytes, foot: str) -> None:
    """Draw any text with a title and a foot, as a terminal would show it."""
    _picture([[("$ ", GREEN), (title, INK)]], list(rows(content)), [[(foot, FAINT)]]).save(path, compress_level=3)


def still(terminal: "pyte.Screen") -> "Image.Image":
    """What a terminal shows now, as a picture."""
    from PIL import Image, ImageDraw

    size = (terminal.columns * CELL[0] + 2 * MARGIN, terminal.lines * CELL[1] + 2 * MARGIN)
    image = Image.new("RGB", size, PAPER)
    rows = [_row(terminal.buffer[row]) for row in range(terminal.lines)]
    _block(ImageDraw.Draw(image), Faces(), rows, 0, size[0], PAPER)
    return image


# What stands above the log


def _command(record: RecordData) -> Row:
    return [("$ ", GREEN), (" ".join(record.get("command") or ["(no command)"]), INK)]


def _verdict(record: RecordData) -> Row:
    cell, hardware, times = record["cell"], record["hardware"], record["times"]
    passed = sum(check["passed"] for check in record["checks"])
    verdict = verdict_of(record)
    colour = {PASSED: GREEN, FAILED: RED, NOT_JUDGED: YELLOW}[verdict]
    word = (f"{MARKS[verdict]} {verdict}" + (f", {passed} checks" if verdict == PASSED else ""), colour)
    seconds = "unknown time" if times["seconds"] is None else f"{times['seconds']:.1f} s"
    return [word, (f"   part {cell['part']} on {cell['hardware']} · {hardware['model']} · "
                   f"{times['started']} · {seconds} · {record['id']}", FAINT)]  # fmt: skip


def _failures(record: RecordData) -> Iterator[Row]:
    for check in record["checks"]:
        if not check["passed"]:
            colour = RED if verdict_of(check) == FAILED else YELLOW
            yield [(f"  {check['name']}: asked {check['asked']}; {check['why']}", colour)]


# The log as a terminal shows it


def rows(content: bytes) -> Iterator[Row]:
    """The rows of a log: all of a short one, else its beginning and its end, and between them how much is left out."""
    lines = content.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    if len(lines) <= HEAD_LINES + TAIL_LINES:
        return (yield from _terminal(lines))
    yield from _terminal(lines[:HEAD_LINES])
    left_out = len(lines) - HEAD_LINES - TAIL_LINES
    yield [("", FAINT)]
    yield [(f"        ⋯  {left_out} lines are left out here; run.log has them  ⋯", FAINT)]
    yield [("", FAINT)]
    yield from _terminal(lines[-TAIL_LINES:])


def _terminal(lines: Sequence[bytes]) -> Iterator[Row]:
    """Let a terminal of COLUMNS columns take the lines, and read its screen; of plain ones that is the lines."""
    shown = [_last_bytes(line) for line in lines]
    texts = [line.decode("utf-8", "replace") for line in shown]
    if all(_is_plain(text) and len(text) <= COLUMNS for text in texts):
        return (yield from ([(text, INK)] if text else [] for text in texts or [""]))
    import pyte

    height = sum(1 + len(line) // COLUMNS for line in shown) + 1
    screen = pyte.Screen(COLUMNS, height)
    pyte.Stream(screen).feed("\r\n".join(texts))
    for number in range(min(screen.cursor.y + 1, height)):
        yield _row(screen.buffer[number])


def _is_plain(text: str) -> bool:
    """Whether each character is printed, in one cell."""
    rest = text.translate(NOTHING)
    return rest.isascii() and (rest.isprintable() or not rest)


def _cells(text: str) -> int:
    """The cells that a text takes; a Chinese character takes two."""
    if _is_plain(text):
        return len(text)
    from wcwidth import wcswidth

    return max(0, wcswidth(text))


def _last_bytes(line: bytes) -> bytes:
    """What of a line is seen: what was written after the last carriage return but one, within reason."""
    return line.rstrip(b"\r")[-LINE_BYTES:]


def _row(cells: Mapping[int, Any]) -> Row:
    row: list[tuple[str, str]] = []
    for column in range(max(cells, default=-1) + 1):
        cell = cells[column]
        colour = COLOURS.get(cell.fg, f"#{cell.fg}" if len(cell.fg) == 6 else INK)
        if row and row[-1][1] == colour:
            row[-1] = (row[-1][0] + cell.data, colour)
        else:
            row.append((cell.data, colour))
    return row


# The drawing


class Faces:
    """The two faces, and what neither of them has."""

    def __init__(self) -> None:
        from importlib.resources import files

        from PIL import ImageFont

        latin = str(files("fontpkg_jetbrains_mono") / "files" / "JetBrainsMono[wght].ttf")
        self.latin = ImageFont.truetype(latin, 15, layout_engine=ImageFont.Layout.BASIC)
        self._chinese: ImageFont.FreeTypeFont | None = None
        self._known: dict[str, ImageFont.FreeTypeFont | None] = {}
        self.missing: dict[str, int] = {}

    @property
    def chinese(self) -> "ImageFont.FreeTypeFont":
        if self._chinese is None:
            from importlib.resources import files

            from PIL import ImageFont

            path = str(files("pylopdf_fonts_zh_cn") / "NotoSansSC-Regular.otf")
            self._chinese = ImageFont.truetype(path, 2 * CELL[0], layout_engine=ImageFont.Layout.BASIC)
        return self._chinese

    def of(self, character: str) -> "ImageFont.FreeTypeFont | None":
        """The face that has the character."""
        if character.isascii():
            return self.latin
        if character not in self._known:
            face = self.latin if _has(self.latin, character) else self.chinese
            self._known[character] = face if _has(face, character) else None
        if self._known[character] is None:
            self.missing[character] = self.missing.get(character, 0) + 1
        return self._known[character]


def _has(face: "ImageFont.FreeTypeFont", character: str) -> bool:
    """Whether the face draws it otherwise than the box that stands for what it lacks."""
    return bytes(face.getmask(character)) != bytes(face.getmask("\U000fffff")) or not character.strip()


def _picture(head: Sequence[Row], log: Sequence[Row], foot: Sequence[Row]) -> "Image.Image":
    from PIL import Image, ImageDraw

    faces = Faces()
    head = [part for row in head for part in _wrapped(row)]
    width, height = CELL
    size = (COLUMNS * width + 2 * MARGIN, (len(head) + len(log) + len(foot) + 1) * height + 6 * MARGIN)
    image = Image.new("RGB", size, PAPER)
    brush = ImageDraw.Draw(image)
    top = _block(brush, faces, head, 0, size[0], BAR)
    top = _block(brush, faces, log, top, size[0], PAPER)
    foot = [*foot, *_wrapped([(_note(faces.missing), FAINT)])] if faces.missing else foot
    bottom = _block(brush, faces, foot, top, size[0], BAR)
    return image.crop((0, 0, size[0], bottom))


def _block(brush: "ImageDraw.ImageDraw", faces: Faces, rows: Sequence[Row], top: int, width: int, paper: str) -> int:
    """Draw rows on their own ground, and return where the next block begins."""
    bottom = top + len(rows) * CELL[1] + 2 * MARGIN
    brush.rectangle((0, top, width, bottom), fill=paper)
    for number, row in enumerate(rows):
        _write(brush, faces, row, top + MARGIN + number * CELL[1])
    return bottom


def _write(brush: "ImageDraw.ImageDraw", faces: Faces, row: Row, top: int) -> None:
    """Write a row, a run of one face at a time."""
    left = MARGIN
    for text, colour in row:
        for face, run in itertools.groupby(text, faces.of):
            characters = "".join(run)
            cells = _cells(characters)
            if face is None:
                _write_missing(brush, faces, left, top, cells, colour)
            else:
                shift = 0 if face is faces.latin else -3
                brush.text((left, top + shift), characters, colour, font=face)
            left += cells * CELL[0]


def _write_missing(brush: "ImageDraw.ImageDraw", faces: Faces, left: int, top: int, cells: int, colour: str) -> None:
    wide = max(cells, 1) * CELL[0]
    brush.rectangle((left, top + 2, left + wide - 2, top + CELL[1] - 3), outline=colour)
    brush.text((left + wide // 2, top), "?", colour, font=faces.latin, anchor="ma")


def _note(missing: Mapping[str, int]) -> str:
    named = ", ".join(f"U+{ord(character):04X}" for character in list(missing)[:12])
    more = f" and {len(missing) - 12} others" if len(missing) > 12 else ""
    return f"Drawn as [?], for no face here has them: {named}{more}; run.log has them as they are."


def _wrapped(row: Row) -> Iterator[Row]:
    """A row as rows of at most COLUMNS characters."""
    line: list[tuple[str, str]] = []
    room = COLUMNS
    for text, colour in row:
        while text:
            line.append((text[:room], colour))
            text, room = text[room:], room - len(text[:room])
            if room == 0:
                yield line
                line, room = [], COLUMNS
    if line:
        yield line
