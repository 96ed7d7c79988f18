"""Track files: GPX, TCX and FIT, read point by point.

GPX 1.1 is a schema of Topografix, TCX one of Garmin, FIT Garmin's binary protocol. XML is read as a stream that
refuses every document type, so that entities can neither grow nor reach out. No file is trusted: whatever a reader
meets in a damaged or hostile one is told as a refusal.
"""

import io
import math
import warnings
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

from harness.errors import UsageError

POINTS = 200_000  # 55 hours at one a second
FIT_FRAMES = 2 * POINTS
XML_ELEMENTS = 10 * POINTS
NESTING = 64
SEMICIRCLES = 180 / 2**31  # FIT writes degrees as 32-bit integers
INDOOR = ("indoor", "treadmill", "trainer", "spin", "virtual", "zwift")


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
    """What stands in a track file: its points, how many had no position or no time, and what it says of itself."""

    points: list[Point] = field(default_factory=list)
    without_position: int = 0
    without_time: int = 0
    sport: str = ""
    zone: tzinfo | None = None  # of the device, where the file tells it

    def add(self, time: datetime | None, latitude: float | None, longitude: float | None) -> None:
        """Add a point; times without a zone are UTC, as GPX and TCX ask for.

        Raises:
            ValueError: there are too many, or its position is on no globe.
        """
        if len(self.points) + self.without_position + self.without_time >= POINTS:
            raise ValueError(f"more than {POINTS:,} points")
        if latitude is None or longitude is None:
            self.without_position += 1
        elif not (abs(latitude) <= 90 and abs(longitude) <= 180):  # NaN is neither
            raise ValueError(f"latitude {latitude:g}, longitude {longitude:g} is no place")
        elif time is None:
            self.without_time += 1
        else:
            in_zone = time if time.tzinfo else time.replace(tzinfo=timezone.utc)
            self.points.append(Point(in_zone.astimezone(timezone.utc), latitude, longitude))


def read(path: Path, content: bytes) -> Recording:
    """The recording in a file, told by its suffix, .gpx, .tcx or .fit.

    Raises:
        UsageError: it is broken, hostile or too large; why is named.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of fitdecode, about fields that are skipped
            recording = _fit(content) if path.suffix.lower() == ".fit" else _xml(content)
        recording.points.sort(key=lambda point: point.time)
        return recording
    except Exception as error:  # whatever a reader meets in a damaged or hostile file
        raise UsageError(
            f"{path}: not a track that can be read.",
            f"{_cause(error)}.",
            "Export it again from the device or its app as GPX, TCX or FIT.",
        ) from None


def _cause(error: Exception) -> str:
    from defusedxml import DefusedXmlException

    if isinstance(error, DefusedXmlException):
        return "It declares a document type or entities, as only hostile files do"
    return (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")


# XML


def _xml(content: bytes) -> Recording:
    """GPX and TCX are alike: points with a place and a time, and words that name the sport."""
    from defusedxml.ElementTree import iterparse

    recording, depth, root, elements = Recording(), 0, "", 0
    # Some apps write blanks before the declaration, which XML does not allow.
    for event, element in iterparse(io.BytesIO(content.lstrip()), events=("start", "end"), forbid_dtd=True):
        tag = _tag(element)
        if event == "start":
            depth, elements, root = depth + 1, elements + 1, root or tag
            if elements > XML_ELEMENTS:
                raise ValueError(f"more than {XML_ELEMENTS:,} elements")
            if depth > NESTING:
                raise ValueError(f"nested deeper than {NESTING}")
            continue
        depth -= 1
        if tag in ("trkpt", "Trackpoint"):
            recording.add(*_point(element))
        elif tag in ("trk", "Activity"):
            recording.sport = recording.sport or element.get("Sport") or _texts(element).get("type", "")
        if tag in ("trkpt", "Trackpoint", "rtept", "wpt", "trkseg", "Track", "Lap"):
            element.clear()
    if root not in ("gpx", "TrainingCenterDatabase"):
        raise ValueError(f"its root is <{root}>, neither <gpx> nor <TrainingCenterDatabase>")
    return recording


def _tag(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _texts(element: Any) -> dict[str, str]:
    return {_tag(child): (child.text or "").strip() for child in element.iter()}


def _point(element: Any) -> tuple[datetime | None, float | None, float | None]:
    texts = _texts(element)
    time = texts.get("time") or texts.get("Time")
    place = [
        element.get("lat") or texts.get("LatitudeDegrees"),
        element.get("lon") or texts.get("LongitudeDegrees"),
    ]
    latitude, longitude = (float(text) if text else None for text in place)
    return _time(time) if time else None, latitude, longitude


def _time(text: str) -> datetime:
    """ISO 8601 as Python 3.10 reads it: the Z as an offset, and the fraction of a second cut off."""
    whole, dot, fraction = text.replace("Z", "+00:00").partition(".")
    offset = fraction.lstrip("0123456789") if dot else ""
    return datetime.fromisoformat(whole + offset)


# FIT


def _fit(content: bytes) -> Recording:
    import fitdecode

    recording, sports, frames = Recording(), list[str](), 0
    with fitdecode.FitReader(io.BytesIO(content), check_crc=fitdecode.CrcCheck.RAISE) as reader:
        for frame in reader:
            frames += 1
            if frames > FIT_FRAMES:
                raise ValueError(f"more than {FIT_FRAMES:,} messages")
            if frame.frame_type != fitdecode.FIT_FRAME_DATA:
                continue
            if frame.name == "record":
                place = (_degrees(frame, "position_lat"), _degrees(frame, "position_long"))
                recording.add(_moment(frame, "timestamp"), *place)
            elif frame.name in ("session", "sport"):
                sports += [str(frame.get_value(name, fallback="")) for name in ("sport", "sub_sport")]
            elif frame.name == "activity":
                recording.zone = _zone(frame)
    if not frames:
        raise ValueError("it is empty")
    recording.sport = " ".join(dict.fromkeys(name for name in sports if name and name != "generic"))
    return recording


def _degrees(frame: Any, name: str) -> float | None:
    value = frame.get_value(name, fallback=None)
    return value * SEMICIRCLES if isinstance(value, int | float) and math.isfinite(value) else None


def _moment(frame: Any, name: str) -> datetime | None:
    value = frame.get_value(name, fallback=None)
    return value if isinstance(value, datetime) else None


def _zone(frame: Any) -> tzinfo | None:
    """What the device's own clock was ahead of UTC, to the quarter of an hour."""
    here, utc = _moment(frame, "local_timestamp"), _moment(frame, "timestamp")
    if here is None or utc is None:
        return None
    quarters = round((here.replace(tzinfo=None) - utc.replace(tzinfo=None)) / timedelta(minutes=15))
    return timezone(timedelta(minutes=15 * quarters)) if abs(quarters) <= 56 else None


def is_indoor(recording: Recording) -> bool:
    """Whether the file itself says that it was recorded inside, or on a screen."""
    return any(word in recording.sport.lower() for word in INDOOR)
