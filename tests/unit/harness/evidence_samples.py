"""What the tests of attachments share: photos that no other seed has, and what the matrix says of evidence."""

import random

import pytest
from PIL import Image
from samples import a_part, a_rule

from harness.attaching.attach import attach
from harness.errors import UsageError
from harness.points import matrix

DAYS = a_part("15", rules=(a_rule("per_day", 1, 5, needs=("track or photo",), since="2024-11-18"),))


def a_picture(size=(320, 240), seed=0):
    """Blocks of shades that no other seed has."""
    shades = random.Random(seed).randbytes(12 * 12)
    return Image.frombytes("L", (12, 12), shades).resize(size, Image.Resampling.BICUBIC).convert("RGB")


def photo(path, size=(320, 240), form="JPEG", date="2026:11:20 10:00:00", seed=None, tag=36867):
    image = a_picture(size, path.stem if seed is None else seed)
    exif = image.getexif()
    if date:
        exif.get_ifd(0x8769)[tag] = date
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (31.0, 12.0, 3.0)
    exif[271] = "A camera"
    image.save(path, form, exif=exif)
    return str(path)


def refused(results, word, says, kind="", date="", part=None):
    with pytest.raises(UsageError) as caught:
        attach(results, part or DAYS, [word], kind=kind, date=date)
    assert says in str(caught.value)
    assert not (results / "attached").exists(), "nothing was written"


def explained(built):
    """The matrix with its reasons, as one line: they are wrapped at the terminal's width."""
    return " ".join(matrix.show(built, "table", explain=True).split())


def states(book, results):
    built = matrix.build(book, results)
    return {(cell.part, cell.hardware): (cell.state, cell.points) for cell in built.cells}, built
