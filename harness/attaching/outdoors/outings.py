"""Outings: what a track tells of a day outdoors, and what of it may be kept.

Kept are the day in the person's own time zone, distance, duration, and a drawing without a map, from which the
region around home is cut. No coordinate is kept.
"""

import hashlib
import math
import os
from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone, tzinfo
from functools import cache
from itertools import chain, pairwise
from pathlib import Path

from harness.attaching.outdoors.recordings import Point, Recording, counted
from harness.attaching.outdoors.trackfiles import read
from harness.errors import UsageError

EARTH = 6_371_000.0  # mean radius, metres
PAUSE = timedelta(hours=3)  # a longer one parts two outings of one file
SHORTEST = timedelta(minutes=5)
NARROWEST = 60.0  # metres; positions of a device that lies on a table wander by tens
FASTEST = 36.0  # m/s: faster downhill than any bicycle
SUSTAINED = 20.0  # m/s on average: no longer one's own legs
JUMPS = 0.05  # the share of the time that may be faster than FASTEST: errors of the receiver
DISORDER = 1.5  # of a way's length, from which on an order is taken for a wrong one
CLOCKS = timedelta(minutes=10)  # between two clocks that are right
EARLIEST = datetime(1990, 1, 1, tzinfo=timezone.utc)
RADIUS = 500.0
LARGEST_RADIUS = 50_000.0
HOME = "HOMEWORK_HOME"
INDOOR = Path(__file__).with_name("indoor.yaml")

Line = list[tuple[float, float]]
Way = list[list[Point]]  # the points of an outing, parted by breaks that add no distance


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
        notes: what was lost, or not believed, of its file.
    """

    day: str
    zone: str
    distance: float
    duration: timedelta
    sport: str
    lines: Sequence[Line]
    notes: Sequence[str] = ()

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
    segments, twice = once([in_order(segment, recording.notes) for segment in recording.segments])
    ways = _split(segments, recording.notes)
    _refuse(path, recording, ways)
    faults = [_fault(way) for way in ways]
    if all(faults):
        raise UsageError(
            f"{path}: {faults[0]}",
            "It shows no time outdoors that can be counted.",
            "Attach another track, or a dated photo of the outing.",
        )
    if twice:
        recording.notes.append("what was recorded twice at one time counts once")
    radius = _blurred(settings.radius, content)
    return [_outing(way, recording, settings, radius) for way, fault in zip(ways, faults, strict=True) if not fault]


def _refuse(path: Path, recording: Recording, ways: Sequence[Way]) -> None:
    elsewhere = "Attach a dated photo of the outing instead: ./inv attach --task 15 photo.jpg"
    if recording.planned:
        raise UsageError(f"{path}: a planned course.", "The file itself says so: it is no record.", elsewhere)
    if said := indoor(recording):
        raise UsageError(f"{path}: an indoor activity.", f"The file itself says so: {said}.", elsewhere)
    if ways:
        return
    unplaced, untimed = recording.lost["without a position"], recording.lost["without a time"]
    if untimed:
        raise UsageError(f"{path}: its points have no time.", "It is a planned route, not a record.", elsewhere)
    if unplaced:
        why = f"None of its {unplaced:,} points has a position, as on a treadmill"
        raise UsageError(f"{path}: it went nowhere.", f"{why}.", elsewhere)
    raise UsageError(f"{path}: there is no track in it.", "It has fewer than two points.", elsewhere)


def indoor(recording: Recording) -> str:
    """What in the file says that it was recorded inside, or on a screen; empty where nothing does."""
    known = _indoor_words()
    titles = (title for title in recording.titles if title.lower().startswith(tuple(known["titles"])))
    for said, words in ((recording.sport, known["words"]), (recording.creator, known["apps"])):
        if any(word in said.lower() for word in words):
            return said
    return next(titles, "")


@cache
def _indoor_words() -> dict[str, list[str]]:
    import yaml

    words: dict[str, list[str]] = yaml.safe_load(INDOOR.read_text(encoding="utf-8"))
    return words


def in_order(segment: Sequence[Point], notes: list[str]) -> list[Point]:
    """A segment in the order of time. Where the way is far shorter as the file has it, the times are wrong: a way
    through points in a wrong order is longer."""
    ordered = sorted(segment, key=lambda point: point.time)
    if ordered == list(segment) or _length(ordered) <= DISORDER * _length(segment):
        return ordered
    notes.append("its times jump back and forth: its points are taken in the order of the file")
    return [replace(point, time=other.time) for point, other in zip(segment, ordered, strict=True)]


def once(segments: Sequence[Sequence[Point]]) -> tuple[list[list[Point]], bool]:
    """The segments in the order of time, none over the time of another: the longest stays where two are of one time."""
    ordered = sorted((segment for segment in segments if segment), key=lambda segment: segment[0].time)
    if all(one[-1].time <= other[0].time for one, other in pairwise(ordered)):
        return [list(segment) for segment in ordered], False
    kept: list[list[Point]] = []  # in the order of time
    for segment in sorted(ordered, key=lambda segment: segment[0].time - segment[-1].time):
        for piece in _uncovered(segment, kept):
            insort(kept, piece, key=lambda each: each[0].time)
    return kept, True


def _uncovered(segment: Sequence[Point], kept: Sequence[Sequence[Point]]) -> list[list[Point]]:
    """The pieces of a segment that lie between those that are kept."""
    pieces: dict[int, list[Point]] = {}
    starts = [each[0].time for each in kept]
    for point in segment:
        place = bisect_right(starts, point.time)
        if not place or point.time >= kept[place - 1][-1].time:
            pieces.setdefault(place, []).append(point)
    return list(pieces.values())


def _split(segments: Sequence[list[Point]], notes: list[str]) -> list[Way]:
    """Part the segments where a pause is long; a point far from all others in time has a wrong clock, and goes."""
    ways: list[Way] = []
    last: Point | None = None
    for segment in segments:
        fresh = True
        for point in segment:
            if last is None or point.time - last.time > PAUSE:
                ways.append([])
                fresh = True
            if fresh:
                ways[-1].append([])
            ways[-1][-1].append(point)
            last, fresh = point, False
    whole = [way for way in ways if sum(map(len, way)) > 1]
    if whole and len(whole) < len(ways):
        notes.append(f"{counted(len(ways) - len(whole), 'point')} at another time than the others left out")
    return [[steady(segment) for segment in way] for way in whole]


def steady(segment: list[Point]) -> list[Point]:
    """A segment without the single points that its receiver threw far off."""
    kept = segment[:1]
    for number, point in enumerate(segment[1:], 1):
        behind = segment[number + 1] if number + 1 < len(segment) else None
        if not (_jumps(kept[-1], point) and behind and _jumps(point, behind) and not _jumps(kept[-1], behind)):
            kept.append(point)
    if len(kept) > 2 and _jumps(kept[0], kept[1]) and not _jumps(kept[1], kept[2]):
        del kept[0]
    if len(kept) > 2 and _jumps(kept[-2], kept[-1]) and not _jumps(kept[-3], kept[-2]):
        del kept[-1]
    return kept


def _fault(way: Way) -> str:
    """Why these points are no time outdoors; empty where they may be."""
    points = list(chain.from_iterable(way))
    duration = points[-1].time - points[0].time
    if points[0].time < EARLIEST:
        return f"it is dated {points[0].time:%Y-%m-%d}: the device's clock was wrong."
    if points[-1].time > datetime.now(timezone.utc) + CLOCKS:
        return f"it is dated {points[-1].time:%Y-%m-%d %H:%M} UTC, which is yet to come: the device's clock was wrong."
    if duration < SHORTEST:
        return f"it lasts {duration.total_seconds():.0f} s; at least {SHORTEST.seconds // 60} minutes show an outing."
    jumped = sum(seconds for step, seconds in _steps(way) if step > FASTEST * max(seconds, 1))
    if jumped > JUMPS * duration.total_seconds():
        return f"faster than {3.6 * FASTEST:.0f} km/h for {jumped / 60:.0f} minutes: a flight or a train."
    if min(distance(way), max(metres(points[0], point) for point in points)) < NARROWEST:
        return f"it stays within {NARROWEST:g} m, as a device does that lies indoors."
    speed = distance(way) / duration.total_seconds()
    if speed > SUSTAINED:
        return f"{3.6 * speed:.0f} km/h on average: a vehicle, or positions that were made up."
    return ""


def _outing(way: Way, recording: Recording, settings: Privacy, radius: float) -> Outing:
    first, last = way[0][0], way[-1][-1]
    zone, doubt = zone_of(first, recording.zone, settings.zone)
    began = first.time.astimezone(zone)
    homes = [Point(began, *settings.home)] if settings.home else [first, last]
    sport = "".join(letter for letter in recording.sport if letter.isalnum() or letter in " _-")
    return Outing(
        day=began.date().isoformat(),
        zone=str(getattr(zone, "key", None) or began.strftime("UTC%z")),
        distance=distance(way),
        duration=last.time - first.time,
        sport=" ".join(sport.split())[:40],
        lines=_lines(way, homes, radius),
        notes=[*recording.notes, *([doubt] if doubt else [])],
    )


def zone_of(point: Point, told: tzinfo | None, chosen: tzinfo | None) -> tuple[tzinfo, str]:
    """The time zone of an outing, and whose clock was not believed.

    It is the person's word, else that of the place: devices and cloud machines often say UTC wherever they are. Where
    two are in use, as in Xinjiang, the device's clock tells which, else this machine's. Only its offset is kept, for
    its name would tell the place.
    """
    from tzfpy import get_tzs

    if chosen:
        return chosen, ""
    places = [_offset(point, _zone(name)) for name in get_tzs(point.longitude, point.latitude)]
    clocks = [_offset(point, zone) for zone in (told, point.time.astimezone().tzinfo) if zone]
    zone = next((clock for clock in clocks if clock in places), places[0])
    if not told or clocks[0] in places:
        return zone, ""
    said, here = (f"{point.time.astimezone(each):UTC%z}" for each in (clocks[0], zone))
    return zone, f"the device's clock ({said}) does not fit the place: its day is that of {here}, or of your --zone"


def _offset(point: Point, zone: tzinfo) -> timezone:
    return timezone(point.time.astimezone(zone).utcoffset() or timedelta())


# Geometry


def metres(one: Point, other: Point) -> float:
    """The way between two points over a sphere (haversine), in metres."""
    latitudes = math.radians(one.latitude), math.radians(other.latitude)
    half_up = (latitudes[1] - latitudes[0]) / 2
    half_across = math.radians(other.longitude - one.longitude) / 2
    square = math.sin(half_up) ** 2 + math.cos(latitudes[0]) * math.cos(latitudes[1]) * math.sin(half_across) ** 2
    return 2 * EARTH * math.asin(math.sqrt(min(1.0, square)))


def _jumps(one: Point, other: Point) -> bool:
    """Whether nobody comes from one to the other in that time."""
    return metres(one, other) > FASTEST * max((other.time - one.time).total_seconds(), 1)


def _steps(way: Way) -> Iterator[tuple[float, float]]:
    """Metres and seconds from each point to the next one of its segment: over a break there is no way."""
    for one, other in chain.from_iterable(pairwise(segment) for segment in way):
        yield metres(one, other), (other.time - one.time).total_seconds()


def _length(points: Sequence[Point]) -> float:
    return sum(metres(one, other) for one, other in pairwise(points))


def distance(way: Way) -> float:
    """The length of a way in metres, without breaks and the jumps of its receiver."""
    return sum(step for step, seconds in _steps(way) if step <= FASTEST * max(seconds, 1))


def _blurred(radius: float, content: bytes) -> float:
    """Up to a half more, by the file: where lines end at one distance, their ends tell where home is."""
    return radius * (1 + 0.5 * hashlib.sha256(content).digest()[0] / 255)


def _lines(way: Way, homes: Sequence[Point], radius: float) -> list[Line]:
    """What lies outside every home's region, in a plane of metres; a line ends where a region begins or at a break."""
    origin = way[0][0]
    across = math.cos(math.radians(origin.latitude))
    lines: list[Line] = []
    for segment in way:
        lines.append([])
        for before, point in zip([segment[0], *segment], segment, strict=False):
            if _jumps(before, point) or any(metres(home, point) <= radius for home in homes):
                lines.append([])
                continue
            turn = (point.longitude - origin.longitude + 180) % 360 - 180  # the short way round the globe
            north = EARTH * math.radians(point.latitude - origin.latitude)
            lines[-1].append((EARTH * math.radians(turn) * across, north))
    return [line for line in lines if len(line) > 1]
