"""Pictures: each run's picture is drawn again from its log and its record, and held against the one that lies there.

A picture is what a person looks at first, and anyone can draw one. Another drawing is a lie where the harness drew then
as it draws now; where it may have drawn otherwise, or nobody knows, it is said.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import checkout
from harness.evidence import screen, sealed
from harness.evidence.record import Record
from harness.evidence.records import LOG

DRAWING = ("harness/evidence/screen.py", "harness/evidence/verdicts.py", "docker/locks/harness.txt")
LARGEST_RECORD, LARGEST_LOG = 2**20, 2**28  # what stands above the log is drawn whole, and a log is read whole
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def findings(results: Path) -> tuple[list[str], list[str]]:
    """What is wrong with pictures, a line each; and the pictures that could not be held against their logs."""
    mistakes: list[str] = []
    unsure: list[str] = []
    for run in sorted(Path(entry.path) for _, _, entry in sealed.folders(results)):
        file, record = run / screen.FILE, Record.read(run)
        if not file.is_file():
            continue
        if list(_chunks(file.read_bytes())) != [b"IHDR", b"IDAT", b"IEND"]:
            mistakes.append(f"{file}: no picture that ./inv run draws: more stands in it, or less")
        elif not _same(file, record):
            known = _drawn_as_now(record.data["program"])
            (mistakes if known else unsure).append(f"{file}: it is not what run.log and the record show")
    return mistakes, unsure


def _same(file: Path, record: Record) -> bool:
    from PIL import Image

    log = record.folder / LOG
    if record.file.stat().st_size > LARGEST_RECORD or (log.is_file() and log.stat().st_size > LARGEST_LOG):
        return False
    try:
        drawn = screen.picture(record.folder, record.data)
        with Image.open(file, formats=["PNG"]) as lying:
            return bool((lying.mode, lying.size) == (drawn.mode, drawn.size) and lying.tobytes() == drawn.tobytes())
    except Exception:  # whatever a library meets in a stranger's picture or log
        return False


def _drawn_as_now(program: Mapping[str, Any]) -> bool:
    """Whether the run's commit, as far as this clone has it, draws as this checkout does."""
    if not program["clean"]:
        return False
    here = {name: (checkout.ROOT / name).read_bytes() for name in DRAWING}
    return checkout.files_at(program["revision"] or "", DRAWING) == here


def _chunks(content: bytes) -> Iterator[bytes]:
    """The kinds of a PNG's chunks, one after the other and equal ones as one; of what is no PNG, or more, `b""`."""
    place, last = len(SIGNATURE), b""
    if not content.startswith(SIGNATURE):
        yield b""
    while place < len(content):
        kind = content[place + 4 : place + 8]
        if kind != last or kind != b"IDAT":
            yield kind
        place, last = place + 12 + int.from_bytes(content[place : place + 4], "big"), kind
    if place != len(content):
        yield b""
