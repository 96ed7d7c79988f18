"""The drawing of an outing: its line without a map, its day, distance and duration."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.attaching.outdoors.outings import Line, Outing
from harness.evidence.screen import FAINT, GREEN, INK, PAPER, Faces

if TYPE_CHECKING:
    from PIL import ImageDraw

SIZE = (640, 480)
FOOT, MARGIN = 84, 28
STEP = 3.0  # pixels between two bends: finer ones would say more than a drawing should


def draw(outing: Outing) -> bytes:
    """The drawing as a PNG; the same outing gives the same bytes."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", SIZE, PAPER)
    brush = ImageDraw.Draw(image)
    faces = Faces()
    for line in _placed(outing.lines):
        brush.line(line, fill=GREEN, width=3, joint="curve")
    if not outing.lines:
        brush.text(
            (MARGIN, SIZE[1] // 2 - FOOT), "All of it lies around home: nothing is drawn.", FAINT, font=faces.latin
        )
    top = SIZE[1] - FOOT
    _write(brush, faces, top, f"{outing.day}   {outing}", INK)
    _write(brush, faces, top + 30, f"day in {outing.zone}; drawn without a map", FAINT)
    target = io.BytesIO()
    image.save(target, format="PNG")
    return target.getvalue()


def _write(brush: "ImageDraw.ImageDraw", faces: Faces, top: int, text: str, colour: str) -> None:
    """A line of text, each character in the face that has it; one that none has is left out."""
    left, base = float(MARGIN), top + faces.latin.getmetrics()[0]
    for character in text:
        if face := faces.of(character):
            brush.text((left, base), character, colour, font=face, anchor="ls")
            left += face.getlength(character)


def _placed(lines: Sequence[Line]) -> list[Line]:
    """The lines on the paper, north at the top, all at one scale, and thinned."""
    if not lines:
        return []
    easts = [east for line in lines for east, _ in line]
    norths = [north for line in lines for _, north in line]
    west, north_end = min(easts), max(norths)
    width, height = SIZE[0] - 2 * MARGIN, SIZE[1] - FOOT - 2 * MARGIN
    wide, high = max(easts) - west, north_end - min(norths)
    scale = min(width / max(wide, 1.0), height / max(high, 1.0))
    left, top = MARGIN + (width - wide * scale) / 2, MARGIN + (height - high * scale) / 2
    placed = [
        [(left + (east - west) * scale, top + (north_end - north) * scale) for east, north in line] for line in lines
    ]
    return [thin for line in placed if len(thin := _thinned(line)) > 1]


def _thinned(line: Line) -> Line:
    thin = line[:1]
    for point in line:
        if abs(point[0] - thin[-1][0]) + abs(point[1] - thin[-1][1]) >= STEP:
            thin.append(point)
    return thin
