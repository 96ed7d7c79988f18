"""Track files: what a device or an app recorded, point by point, whatever form and wrapping it has.

The form is told by the content: GPX, TCX, KML (XML), FIT, a KMZ (a zip with a KML), and any of them under gzip, as
Strava gives them back. A point that is no point is lost and counted, and so is what follows where a file breaks off;
the rest is read. No file is trusted: a hostile one is refused.
"""

import gzip
import io
import zipfile
import zlib
from pathlib import Path

from harness.attaching.outdoors import fit, xmltracks
from harness.attaching.outdoors.recordings import Hostile, Recording, counted
from harness.errors import UsageError

SUFFIXES = (".gpx", ".tcx", ".fit", ".kml", ".kmz")
UNPACKED = 128 * 2**20
SURELY = 0.5  # of the points must be readable, for the rest to be a few that are not


def suffix(path: Path) -> str:
    """The end of its name that says that it is a track, .gpx or .fit.gz or .gz; empty where it is another's."""
    packed = path.suffix.lower() == ".gz"
    form = Path(path.stem if packed else path.name).suffix.lower()
    if form in SUFFIXES:
        return form + ".gz" * packed
    return ".gz" if packed and form != ".tar" else ""


def read(path: Path, content: bytes) -> Recording:
    """The recording in a file, whatever its name says of its form.

    Raises:
        UsageError: it is hostile, too large, or nothing can be read in it; why is named.
    """
    recording = Recording()
    try:
        _fill(recording, unwrapped(content))
    except Exception as error:  # whatever a reader meets in a damaged or hostile file
        raise _unreadable(path, _cause(error)) from None
    points = sum(map(len, recording.segments))
    broken = sum(number for why, number in recording.lost.items() if not why.startswith("without"))
    if broken and points < SURELY * (points + broken):
        why = max(recording.lost, key=lambda why: recording.lost[why])
        raise _unreadable(path, f"{broken:,} of its {points + broken:,} points are {why}")
    if points:
        recording.notes += [
            f"{counted(number, 'point')} {why} left out" for why, number in sorted(recording.lost.items())
        ]
    return recording


def _fill(recording: Recording, content: bytes) -> None:
    """Read as far as it goes: what breaks off behind some points costs what would follow, and is said."""
    from defusedxml import DefusedXmlException

    try:
        (fit.fill if content[8:12] == b".FIT" else xmltracks.fill)(recording, content)
    except (DefusedXmlException, Hostile):
        raise
    except Exception as error:
        if not recording.segments:
            raise
        recording.notes.append(f"it breaks off: what stands behind is lost ({_cause(error)[:80]})")


def _unreadable(path: Path, why: str) -> UsageError:
    forms = "GPX, TCX, FIT or KML"
    return UsageError(f"{path}: not a track that can be read.", f"{why}.", f"Export it again from its app as {forms}.")


def _cause(error: Exception) -> str:
    from defusedxml import DefusedXmlException

    if isinstance(error, DefusedXmlException):
        return "It declares a document type or entities, as only hostile files do"
    return (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")


def unwrapped(content: bytes) -> bytes:
    """The file in a gzip or a KMZ, within bounds; any other as it is.

    Raises:
        Hostile: it unpacks to more than a track can be.
        ValueError: it is a zip without a KML.
    """
    if content[:2] == b"\x1f\x8b":
        return unwrapped(_gunzipped(content))
    if content[:4] != b"PK\x03\x04":
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = sorted((name for name in archive.namelist() if name.lower().endswith(".kml")), key=len)
        if not names:
            raise ValueError("it is a zip without a KML in it: unpack it, and attach the tracks")
        with archive.open(names[0]) as file:
            return _bounded(file.read(UNPACKED + 1))


def _gunzipped(content: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(content)) as file:
            return _bounded(file.read(UNPACKED + 1))
    except (EOFError, zlib.error, gzip.BadGzipFile):  # cut off, or bytes behind its end: as far as it goes
        return _bounded(zlib.decompressobj(31).decompress(content, UNPACKED + 1))


def _bounded(content: bytes) -> bytes:
    if len(content) > UNPACKED:
        raise Hostile(f"it unpacks to more than {UNPACKED // 2**20} MiB")
    if content[:2] == b"\x1f\x8b":
        raise Hostile("it is packed twice")
    return content
