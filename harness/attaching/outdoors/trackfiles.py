"""Track files: what a device or an app recorded, point by point, whatever form and wrapping it has.

The form is told by the content: GPX, TCX, KML (XML), FIT, a KMZ (a zip with a KML), and any of them under gzip, as
Strava gives them back. A point that is no point is lost and counted, and so is what follows where a file breaks off;
the rest is read. No file is trusted: a hostile one is refused.
"""

import gzip
import io
import re
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import UsageError

SUFFIXES = (".gpx", ".tcx", ".fit", ".kml", ".kmz")
POINTS = 200_000  # 55 hours at one a second
UNPACKED = 128 * 2**20
SURELY = 0.5  # of the points must be readable, for the rest to be a few that are not
TIME = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)[Tt ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?\s*([Zz]|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)


class Hostile(Exception):
    """What no device writes."""


@dataclass(frozen=True)
class Point:
    """Where one was, and when.

    Args:
        time: with its time zone.
        latitude, longitude: degrees, WGS 84.
    """

    time: datetime
    latitude: float
    longitude: float


@dataclass
class Recording:
    """What stands in a track file: its points between breaks, what was lost of it, and what it says of itself.

    Args:
        segments: a break between two of them adds no distance: a new segment or track, or a stopped timer.
        lost: how many points were left out, by why.
        sport: as the file names it.
        titles: names that a person or an app gave it.
        creator: the device or app.
        planned: it is a course, that is a plan.
        zone: of the device, where the file tells it.
        notes: what was read otherwise than it stands there.
    """

    segments: list[list[Point]] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    sport: str = ""
    titles: list[str] = field(default_factory=list)
    creator: str = ""
    planned: bool = False
    zone: tzinfo | None = None
    notes: list[str] = field(default_factory=list)
    _open: bool = False
    _count: int = 0

    def pause(self) -> None:
        """The next point begins a new segment."""
        self._open = False

    def add(self, time: datetime | str | None, latitude: float | str | None, longitude: float | str | None) -> None:
        """Add a point, or count it among those that are lost. Times without a zone are UTC, as GPX and TCX ask for.

        Raises:
            Hostile: there are too many.
        """
        self._count += 1
        if self._count > POINTS:
            raise Hostile(f"more than {POINTS:,} points")
        if latitude in (None, "") or longitude in (None, ""):
            self.lost["without a position"] += 1
        elif time in (None, ""):
            self.lost["without a time"] += 1
        else:
            self._place(time, latitude, longitude)

    def _place(self, time: Any, latitude: Any, longitude: Any) -> None:
        try:
            moment = time if isinstance(time, datetime) else moment_of(time)
            north, east = float(latitude), float(longitude)
        except ValueError:
            self.lost["whose place or time cannot be read"] += 1
            return
        if not (abs(north) <= 90 and abs(east) <= 180):  # NaN is neither
            self.lost["at no place on the globe"] += 1
            return
        if moment.utcoffset():
            self.zone = self.zone or moment.tzinfo
        if not self._open:
            self.segments.append([])
            self._open = True
        in_zone = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        self.segments[-1].append(Point(in_zone.astimezone(timezone.utc), north, east))


def moment_of(text: str) -> datetime:
    """ISO 8601 as devices write it, the same on every Python: fractions of any length, a leap second, no colons.

    Raises:
        ValueError: it is no such time.
    """
    match = TIME.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text[:40]!r} is no time")
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    fraction, zone = match.groups()[6:]
    if second > 60:
        raise ValueError(f"{text[:40]!r} is no time")
    moment = datetime(year, month, day, hour, minute, min(second, 59))
    moment += timedelta(seconds=second - moment.second, microseconds=int(f"{fraction or 0:0<6}"[:6]))
    return moment.replace(tzinfo=_zone(zone)) if zone else moment


@cache
def _zone(text: str) -> tzinfo:
    if text in "Zz":
        return timezone.utc
    minutes = int(text[1:3]) * 60 + int(text[-2:] if len(text) > 3 else 0)
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("s" if number != 1 else "")


# Reading


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
    for segment in recording.segments:
        segment.sort(key=lambda point: point.time)
    return recording


def _fill(recording: Recording, content: bytes) -> None:
    """Read as far as it goes: what breaks off behind some points costs what would follow, and is said."""
    from defusedxml import DefusedXmlException

    from harness.attaching.outdoors import fit, xmltracks

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
