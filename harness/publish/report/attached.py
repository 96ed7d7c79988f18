"""What people attached, as the report shows it: its day, whether it counts, and a small picture of it."""

import base64
import io
from collections.abc import Iterator, Sequence
from typing import Any

from harness.catalogue.entries import Part
from harness.evidence.attachments import Attachment
from harness.points import byhand
from harness.points.scoring import CellPoints

SIDE = 480  # pixels of a photo on the page
PICTURES = 60  # more are named only


def shown(part: Part, cells: Sequence[CellPoints], attached: Sequence[Attachment]) -> Iterator[dict[str, Any]]:
    """The attachments of a part in the order of their days."""
    for number, each in enumerate(sorted(attached, key=lambda each: (str(each.data.get("date", "")), each.id))):
        yield {
            **each.data,
            "verdict": byhand.verdict(part, cells, each),
            "picture": picture(each) if number < PICTURES else "",
        }


def picture(attachment: Attachment) -> str:
    """Its drawing or photo, whose hash was compared when it was read, as a data address; empty for what has none."""
    from PIL import Image

    name = next((name for name in attachment.data["artefacts"] if not name.endswith((".md", ".txt"))), "")
    if not name:
        return ""
    try:
        with Image.open(attachment.folder / name) as image:
            image.thumbnail((SIDE, SIDE))
            target = io.BytesIO()
            image.convert("RGB").save(target, "JPEG", quality=80)
    except (OSError, ValueError, Image.DecompressionBombError):
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(target.getvalue()).decode()
