"""Outings: what a track tells of a day outdoors, and what of it may be kept.

Kept are the day in the person's own time zone, distance, duration, and a drawing without a map, from which the
region around home is cut. No coordinate is kept.
"""

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from itertools import pairwise
from pathlib import Path

from harness.attaching.outdoors.trackfiles import Point, Recording, is_indoor, read
from harness.errors import UsageError

EARTH = 6_371_000.0  # mean radius, metres
PAUSE = timedelta(hours=3)  # a longer one parts two outings of one file
SHORTEST = timedelta(minutes=5)
NARROWEST = 60.0  # metres; positions of a device that lies on a table wander by tens
FASTEST = 36.0  # m/s: faster downhill than any bicycle
SUSTAINED = 20.0  # m/s on average: no longer one's own legs
JUMPS = 0.05  # the share of the time that may be faster than FASTEST: errors of the receiver
EARLIEST = datetime(1990, 1, 1, tzinfo=timezone.utc)
RADIUS = 500.0
LARGEST_RADIUS = 50_000.0
HOME = "HOMEWORK_HOME"

Line = list[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """The settings of a person. Home is used while a track is read and stands in nothing that is kept.

    Args:
        zone: of the days; None is what the file says, else this machine's.
        home: latitude and longitude in degrees; None takes each outing's start and end for it.
        radius: metres around home that no drawing shows.
    """

    zone: tzinfo | None = None
    home: tuple[float, float] | None = None
    radius: float = RADIUS


@dataclass(frozen=True, kw_only=True)
class Outing:
    """One outing of a track.

    Args:
        day: on which it began, YYYY-MM-DD in the person's time zone.
        zone: the name of that time zone.
        distance: metres.
        duration: from the first point to the last.
        sport: as the file names it, or empty.
        lines: what may be drawn of it: metres east and north of no named place.
    """

    day: str
    zone: str
    distance: float
    duration: timedelta
    sport: str
    lines: Sequence[Line]

    def __str__(self) -> str:
        minutes = round(self.duration.total_seconds() / 60)
        return f"{self.distance / 1000:.2f} km in {minutes // 60}:{minutes % 60:02} h" + (
            f", {self.sport}" if self.sport else ""
        )


def privacy(zone: str = "", radius: str = "") -> Privacy:
    """The settings from the words of a person, and home from the environment, as latitude,longitude.

    Raises:
        UsageError: one of them is not what it should be.
    """
    return Privacy(zone=_zone(zone) if zone else None, home=_home(os.environ.get(HOME, "")), radius=_radius(radius))


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise UsageError(
            f"--zone {name}: no such time zone.", "A zone has a region and a city.", "For example --zone Asia/Shanghai"
        ) from None


def _home(text: str) -> tuple[float, float] | None:
    if not text:
        return None
    try:
        latitude, longitude = (float(number) for number in text.split(","))
        if abs(latitude) <= 90 and abs(longitude) <= 180:
            return latitude, longitude
    except ValueError:
        pass
    raise UsageError(f"{HOME}: not a place.", "It is latitude,longitude in degrees.", f"{HOME}=31.23,121.47")


def _radius(text: str) -> float:
    try:
        radius = float(text or RADIUS)
    except ValueError:
        radius = math.nan
    if not 0 <= radius <= LARGEST_RADIUS:
        raise UsageError(f"--radius {text}: not a radius.", f"Metres, 0 to {LARGEST_RADIUS:g}.", "--radius 800")
    return radius


def inspect(path: Path, content: bytes, settings: Privacy) -> list[Outing]:
    """The outings of a track file, the earliest first.

    Raises:
        UsageError: it cannot be read, or shows no time outdoors; why is named.
    """
    recording = read(path, content)
    _refuse_indoor(path, recording)
    outings = _split(recording.points)
    faults = [_fault(points) for points in outings]
    if all(faults):
        raise UsageError(
            f"{path}: {faults[0]}",
            "It shows no time outdoors that can be counted.",
            "Attach another track, or a dated photo of the outing.",
        )
    zone = settings.zone or recording.zone or datetime.now().astimezone().tzinfo or timezone.utc
    radius = _blurred(settings.radius, content)
    return [
        _outing(points, zone, recording.sport, settings.home, radius)
        for points, fault in zip(outings, faults, strict=True)
        if not fault
    ]


def _refuse_indoor(path: Path, recording: Recording) -> None:
    elsewhere = "Attach a dated photo of the outing instead: ./inv attach --task 15 photo.jpg"
    if is_indoor(recording):
        raise UsageError(f"{path}: an indoor activity.", f"The file itself says so: {recording.sport}.", elsewhere)
    if len(recording.points) >= 2:
        return
    if recording.without_position:
        why = f"None of its {recording.without_position:,} points has a position, as on a treadmill"
        raise UsageError(f"{path}: it went nowhere.", f"{why}.", elsewhere)
    if recording.without_time:
        raise UsageError(f"{path}: its points have no time.", "It is a planned route, not a record.", elsewhere)
    raise UsageError(f"{path}: there is no track in it.", "It has fewer than two points.", elsewhere)


def _split(points: list[Point]) -> list[list[Point]]:
    """Part the points, which are in the order of their times, where a pause is long."""
    outings = [points[:1]]
    for before, after in pairwise(points):
        if after.time - before.time > PAUSE:
            outings.append([])
        outings[-1].append(after)
    return outings


def _fault(points: list[Point]) -> str:
    """Why these points are no time outdoors; empty where they may be."""
    duration = points[-1].time - points[0].time
    if points[0].time < EARLIEST or points[-1].time > datetime.now(timezone.utc) + timedelta(days=1):
        return f"it is dated {points[0].time:%Y-%m-%d}: the device's clock was wrong."
    if duration < SHORTEST:
        return f"it lasts {duration.total_seconds():.0f} s; at least {SHORTEST.seconds // 60} minutes show an outing."
    if max(metres(points[0], point) for point in points) < NARROWEST:
        return f"it stays within {NARROWEST:g} m, as a device does that lies indoors."
    jumped = sum(seconds for way, seconds in _steps(points) if way > FASTEST * max(seconds, 1))
    if jumped > JUMPS * duration.total_seconds():
        return f"faster than {3.6 * FASTEST:.0f} km/h for {jumped / 60:.0f} minutes: a flight or a train."
    speed = distance(points) / duration.total_seconds()
    if speed > SUSTAINED:
        return f"{3.6 * speed:.0f} km/h on average: a vehicle, or positions that were made up."
    return ""


def _outing(points: list[Point], zone: tzinfo, sport: str, home: tuple[float, float] | None, radius: float) -> Outing:
    began = points[0].time.astimezone(zone)
    homes = [Point(began, *home)] if home else [points[0], points[-1]]
    return Outing(
        day=began.date().isoformat(),
        zone=str(getattr(zone, "key", None) or began.strftime("UTC%z")),
        distance=distance(points),
        duration=points[-1].time - points[0].time,
        sport=" ".join("".join(letter for letter in sport if letter.isalnum() or letter in " _-").split())[:40],
        lines=_lines(points, homes, radius),
    )


# Geometry


def metres(one: Point, other: Point) -> float:
    """The way between two points over a sphere (haversine), in metres."""
    latitudes = math.radians(one.latitude), math.radians(other.latitude)
    half_up = (latitudes[1] - latitudes[0]) / 2
    half_across = math.radians(other.longitude - one.longitude) / 2
    square = math.sin(half_up) ** 2 + math.cos(latitudes[0]) * math.cos(latitudes[1]) * math.sin(half_across) ** 2
    return 2 * EARTH * math.asin(math.sqrt(min(1.0, square)))


def _steps(points: list[Point]) -> list[tuple[float, float]]:
    """Metres and seconds from each point to the next."""
    return [(metres(one, other), (other.time - one.time).total_seconds()) for one, other in pairwise(points)]


def distance(points: list[Point]) -> float:
    """The length of a track in metres, without the jumps of its receiver."""
    return sum(way for way, seconds in _steps(points) if way <= FASTEST * max(seconds, 1))


def _blurred(radius: float, content: bytes) -> float:
    """Up to a half more, by the file: where lines end at one distance, their ends tell where home is."""
    return radius * (1 + 0.5 * hashlib.sha256(content).digest()[0] / 255)


def _lines(points: list[Point], homes: Sequence[Point], radius: float) -> list[Line]:
    """What lies outside every home's region, in a plane of metres; a line ends where the region begins."""
    origin = points[0]
    across = math.cos(math.radians(origin.latitude))
    lines: list[Line] = [[]]
    for before, point in zip([origin, *points], points, strict=False):
        jumps = metres(before, point) > FASTEST * max((point.time - before.time).total_seconds(), 1)
        if jumps or any(metres(home, point) <= radius for home in homes):
            lines.append([])
            continue
        turn = (point.longitude - origin.longitude + 180) % 360 - 180  # the short way round the globe
        lines[-1].append((EARTH * math.radians(turn) * across, EARTH * math.radians(point.latitude - origin.latitude)))
    return [line for line in lines if len(line) > 1]
