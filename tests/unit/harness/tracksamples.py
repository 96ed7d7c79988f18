"""Track files as devices and apps write them: GPX and TCX as text, FIT by an encoder of the protocol's few basics."""

import math
import struct
from datetime import datetime, timedelta, timezone

from fitdecode.utils import compute_crc

EPOCH = datetime(1989, 12, 31, tzinfo=timezone.utc)  # FIT counts its seconds from here
BEGAN = datetime(2026, 11, 20, 1, 0, tzinfo=timezone.utc)
START = (31.2304, 121.4737)


def a_run(minutes=30, speed=2.8, began=BEGAN, start=START, every=10):
    """(time, latitude, longitude) of a run in curves, a point each ten seconds."""
    points = []
    for number in range(minutes * 60 // every + 1):
        metres = number * every * speed
        north = metres / 111_195
        points.append((began + timedelta(seconds=number * every), start[0] + north,
                       start[1] + 0.002 * math.sin(metres / 400)))  # fmt: skip
    return points


def gpx(points, kind="running", head='<?xml version="1.0" encoding="UTF-8"?>\n'):
    rows = "".join(
        f'<trkpt lat="{north:.6f}" lon="{east:.6f}"><ele>4</ele>'
        + (f"<time>{time.strftime('%Y-%m-%dT%H:%M:%S.250Z')}</time>" if time else "")
        + "</trkpt>"
        for time, north, east in points
    )
    space = 'xmlns="http://www.topografix.com/GPX/1/1"'
    return f"{head}<gpx {space}><trk><type>{kind}</type><trkseg>{rows}</trkseg></trk></gpx>".encode()


def tcx(points, with_positions=True):
    rows = "".join(
        f"<Trackpoint><Time>{time.strftime('%Y-%m-%dT%H:%M:%SZ')}</Time>"
        + (
            f"<Position><LatitudeDegrees>{north:.6f}</LatitudeDegrees><LongitudeDegrees>{east:.6f}</LongitudeDegrees>"
            "</Position>"
            if with_positions
            else "<DistanceMeters>5</DistanceMeters>"
        )
        + "</Trackpoint>"
        for time, north, east in points
    )
    space = 'xmlns="http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2"'
    return (
        f'          <?xml version="1.0"?><TrainingCenterDatabase {space}><Activities><Activity Sport="Running"><Lap>'
        f"<Track>{rows}</Track></Lap></Activity></Activities></TrainingCenterDatabase>"
    ).encode()


def fit(points, sub_sport=0, hours_ahead=None, with_positions=True):
    """An activity as a watch writes it: records, a session (sport running) and, with an own clock, an activity."""
    seconds = [int((time - EPOCH).total_seconds()) for time, _, _ in points]
    body = _definition(0, 20, [(253, 4, 0x86), (0, 4, 0x85), (1, 4, 0x85)])
    for at, (_, north, east) in zip(seconds, points, strict=True):
        place = [round(degrees * 2**31 / 180) for degrees in (north, east)] if with_positions else [2**31 - 1] * 2
        body += struct.pack("<BIii", 0, at, *place)
    body += _definition(1, 18, [(253, 4, 0x86), (5, 1, 0), (6, 1, 0)])
    body += struct.pack("<BIBB", 1, seconds[-1], 1, sub_sport)
    if hours_ahead is not None:
        body += _definition(2, 34, [(253, 4, 0x86), (5, 4, 0x86)])
        body += struct.pack("<BII", 2, seconds[-1], seconds[-1] + round(hours_ahead * 3600))
    header = struct.pack("<BBHI4s", 14, 0x20, 2100, len(body), b".FIT")
    content = header + struct.pack("<H", compute_crc(header)) + body
    return content + struct.pack("<H", compute_crc(content))


def _definition(local, message, fields):
    head = struct.pack("<BBBHB", 0x40 | local, 0, 0, message, len(fields))
    return head + b"".join(struct.pack("<BBB", *field) for field in fields)
