"""Recordings: the points of a track between its breaks, and what was lost of it."""

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from functools import cache
from typing import Any

POINTS = 200_000  # 55 hours at one a second
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
        if north == east == 0:  # what devices write that have not found themselves yet
            self.lost["without a position"] += 1
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
