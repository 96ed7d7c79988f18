"""Photos: opened, bounded, turned upright, and written anew without EXIF: no place, no camera, no thumbnail.

The day is that on which the picture was taken, as its EXIF says; the date of an edit is no such day.
"""

import datetime
import io
import re
import warnings
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from harness.errors import UsageError

DECODERS = ("PNG", "JPEG", "WEBP", "HEIF")
FORMS = {"PNG": "PNG", "JPEG": "JPEG", "MPO": "JPEG", "WEBP": "WEBP", "HEIF": "JPEG"}  # found, and written as
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}
OTHERS = {  # what cameras, phones and people have besides, by how it begins
    "empty": rb"\Z",
    "a GIF": rb"GIF8",
    "a bitmap": rb"BM",
    "a raw photo or a TIFF": rb"II\*\0|MM\0\*|IIRO|....ftypcrx |FUJIFILMCCD-RAW",
    "an AVIF": rb"....ftypavi[fs]",
    "a HEIC that is damaged or of a rare kind": rb"....ftyp(?:hei[cmsx]|hev[cmsx]|mif1|msf1)",
    "a video": rb"....ftyp|RIFF....AVI |\x1aE\xdf\xa3",
    "a JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "a PDF": rb"%PDF",
    "a zip": rb"PK\x03\x04",
    "a page or a drawing as text": rb"\s*<",
}
PIXELS = 60 * 10**6
SMALLEST_SIDE = 100
TAKEN = (36867, 36868)  # EXIF: original, digitised
CHANGED = 306
OFFSETS = (36881, 36882, 36880)  # EXIF: the camera's clock ahead of UTC, of the original and the others
ALIKE = 10  # of 256 steps between light and dark, for pictures that were saved again


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture as it is kept.

    Args:
        content, suffix: written anew, without EXIF.
        shows: its form and size, for a person.
        taken: the day in the camera's own time, YYYY-MM-DD, or empty.
        changed: the day of its last edit, or empty.
        zone: the camera's own, where it tells it.
    """

    content: bytes
    suffix: str
    shows: str
    taken: str
    changed: str
    zone: datetime.tzinfo | None


def read(path: Path, content: bytes) -> Picture:
    """Open a picture and strip it.

    Raises:
        UsageError: it is none, damaged, of too many or too few pixels.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = _opened(content)
            _refuse_size(path, image.size)
            exif, form = image.getexif(), str(image.format)
            image.load()
            upright = ImageOps.exif_transpose(image)
            stripped = _written(upright, FORMS[form])
    except UsageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UsageError(f"{path}: too many pixels.", f"{error}.", "Make it smaller.") from None
    except Exception as error:  # whatever a decoder meets in a damaged or hostile file
        why = _what_it_is(content) or re.sub(r" <.*>", "", str(error))
        raise UsageError(
            f"{path}: not a picture that can be read.",
            f"{why}. It takes PNG, JPEG, WEBP and HEIC.",
            "Save it as one of these.",
        ) from None
    width, height = upright.size
    return Picture(
        content=stripped,
        suffix=SUFFIXES[FORMS[form]],
        shows=f"{form}, {width} × {height}",
        taken=_day(exif, TAKEN),
        changed=_day(exif, (CHANGED,)),
        zone=_zone(exif),
    )


def _what_it_is(content: bytes) -> str:
    """What a file is by how it begins, where that is known; empty where it is not."""
    return next((f"It is {name}" for name, begins in OTHERS.items() if re.match(begins, content, re.DOTALL)), "")


def _opened(content: bytes) -> Any:
    import pi_heif
    from PIL import Image

    pi_heif.register_heif_opener()
    return Image.open(io.BytesIO(content), formats=DECODERS)


def _refuse_size(path: Path, size: tuple[int, int]) -> None:
    if size[0] * size[1] > PIXELS:
        raise UsageError(
            f"{path}: {size[0]} × {size[1]} are too many pixels.", f"At most {PIXELS:,}.", "Make it smaller."
        )
    if min(size) < SMALLEST_SIDE:
        raise UsageError(
            f"{path}: {size[0]} × {size[1]} show nothing.", f"At least {SMALLEST_SIDE} a side.", "Take another."
        )


def _written(image: Any, form: str) -> bytes:
    """The pixels alone, as a new file."""
    from PIL import Image

    stripped = Image.new(image.mode, image.size)
    stripped.paste(image)
    if image.mode == "P":
        stripped.putpalette(image.getpalette() or [])
    if form == "JPEG" and stripped.mode not in ("L", "RGB", "CMYK"):
        stripped = stripped.convert("RGB")
    target = io.BytesIO()
    stripped.save(target, format=form, **({"quality": 92} if form != "PNG" else {}))
    return target.getvalue()


def _day(exif: Any, tags: tuple[int, ...]) -> str:
    for text in (str(each.get(tag, "")) for each in (exif.get_ifd(0x8769), exif) for tag in tags):
        match = re.match(r"(\d{4})[:.-](\d\d)[:.-](\d\d)", text)
        try:
            if match:
                return datetime.date(*map(int, match.groups())).isoformat()
        except ValueError:
            continue
    return ""


def _zone(exif: Any) -> datetime.tzinfo | None:
    for tag in OFFSETS:
        match = re.match(r"([+-])(\d\d):(\d\d)", str(exif.get_ifd(0x8769).get(tag, "")))
        if match and int(match[2]) < 15:
            ahead = datetime.timedelta(hours=int(match[2]), minutes=int(match[3]))
            return datetime.timezone(ahead if match[1] == "+" else -ahead)
    return None


def alike(one: bytes, other: bytes) -> bool:
    """Whether two files, as they are kept, show the same picture, though saved again in another size or form, turned
    or mirrored."""
    if one == other:
        return True
    (look, *_), looks = _looks(one), _looks(other)
    return look != 0 and any(turned and (look ^ turned).bit_count() <= ALIKE for turned in looks)


def _looks(content: bytes) -> list[int]:
    """What a picture looks like as it is, then turned and mirrored in every way."""
    from PIL import Image

    with Image.open(io.BytesIO(content), formats=DECODERS) as image:
        image.draft("L", (128, 128))
        small = image.convert("L").resize((128, 128), Image.Resampling.LANCZOS)
    return [_look(each) for each in (small, *map(small.transpose, Image.Transpose))]


def _look(image: Any) -> int:
    """Where a picture of 17 by 16 turns lighter to the right, as bits; 0 for one too plain to be told from others."""
    from PIL import Image

    pixels = image.resize((17, 16), Image.Resampling.LANCZOS).tobytes()
    steps = [pair for row in range(16) for pair in pairwise(pixels[row * 17 : row * 17 + 17])]
    bits = "".join("01"[right > left] for left, right in steps)
    edges = sum(abs(right - left) > 3 for left, right in steps)
    return int(bits, 2) if edges > 64 and 32 < bits.count("1") < 224 else 0
