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


def _written(time, form):
    return time.strftime(form) if time else ""


def gpx(
    *segments, kind="running", head='<?xml version="1.0" encoding="UTF-8"?>\n', name="", creator="a watch", time=""
):
    """A GPX of a track with these segments."""
    form = time or "%Y-%m-%dT%H:%M:%S.250Z"
    rows = "</trkseg><trkseg>".join(
        "".join(
            f'<trkpt lat="{north:.6f}" lon="{east:.6f}"><ele>4</ele>'
            + (f"<time>{_written(when, form)}</time>" if when else "")
            + "</trkpt>"
            for when, north, east in points
        )
        for points in segments
    )
    space = f'xmlns="http://www.topografix.com/GPX/1/1" creator="{creator}"'
    title = f"<name>{name}</name>" if name else ""
    return f"{head}<gpx {space}><trk>{title}<type>{kind}</type><trkseg>{rows}</trkseg></trk></gpx>".encode()


def tcx(*segments, with_positions=True, kind="Running", creator="", course=False, time=""):
    """A TCX of an activity, or of a course, with a Track for each segment."""
    form = time or "%Y-%m-%dT%H:%M:%SZ"
    rows = "</Track><Track>".join(
        "".join(
            f"<Trackpoint><Time>{_written(when, form)}</Time>"
            + (
                f"<Position><LatitudeDegrees>{north:.6f}</LatitudeDegrees><LongitudeDegrees>{east:.6f}"
                "</LongitudeDegrees></Position>"
                if with_positions
                else "<DistanceMeters>5</DistanceMeters>"
            )
            + "</Trackpoint>"
            for when, north, east in points
        )
        for points in segments
    )
    space = 'xmlns="http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2"'
    made = f"<Creator><Name>{creator}</Name></Creator>" if creator else ""
    inner = (
        f"<Courses><Course><Name>x</Name><Track>{rows}</Track></Course></Courses>"
        if course
        else f'<Activities><Activity Sport="{kind}"><Lap><Track>{rows}</Track></Lap>{made}</Activity></Activities>'
    )
    return f'          <?xml version="1.0"?><TrainingCenterDatabase {space}>{inner}</TrainingCenterDatabase>'.encode()


def kml(*segments, time=""):
    """A KML with a track of Google's for each segment; without times a line."""
    form = time or "%Y-%m-%dT%H:%M:%SZ"
    tracks = []
    for points in segments:
        if points[0][0] is None:
            places = " ".join(f"{east:.6f},{north:.6f},4" for _, north, east in points)
            tracks.append(f"<LineString><coordinates>{places}</coordinates></LineString>")
            continue
        whens = "".join(f"<when>{_written(when, form)}</when>" for when, _, _ in points)
        coords = "".join(f"<gx:coord>{east:.6f} {north:.6f} 4</gx:coord>" for _, north, east in points)
        tracks.append(f"<gx:Track>{whens}{coords}</gx:Track>")
    space = 'xmlns="http://www.opengis.net/kml/2.2" xmlns:gx="http://www.google.com/kml/ext/2.2"'
    return f"<kml {space}><Document><Placemark><name>x</name>{''.join(tracks)}</Placemark></Document></kml>".encode()


def fit(*segments, sub_sport=0, hours_ahead=None, with_positions=True, file_type=4):
    """An activity as a watch writes it: what the file is, records, a stop of the timer behind each segment, a session
    (sport running) and, with an own clock, an activity."""
    body = _definition(3, 0, [(0, 1, 0)]) + struct.pack("<BB", 3, file_type)
    body += _definition(0, 20, [(253, 4, 0x86), (0, 4, 0x85), (1, 4, 0x85)])
    body += _definition(4, 21, [(253, 4, 0x86), (0, 1, 0), (1, 1, 0)])
    at = 0
    for points in segments:
        for when, north, east in points:
            at = int((when - EPOCH).total_seconds())
            place = [round(degrees * 2**31 / 180) for degrees in (north, east)] if with_positions else [2**31 - 1] * 2
            body += struct.pack("<BIii", 0, at, *place)
        body += struct.pack("<BIBB", 4, at, 0, 4)  # timer, stop_all
    body += _definition(1, 18, [(253, 4, 0x86), (5, 1, 0), (6, 1, 0)])
    body += struct.pack("<BIBB", 1, at, 1, sub_sport)
    if hours_ahead is not None:
        body += _definition(2, 34, [(253, 4, 0x86), (5, 4, 0x86)])
        body += struct.pack("<BII", 2, at, at + round(hours_ahead * 3600))
    header = struct.pack("<BBHI4s", 14, 0x20, 2100, len(body), b".FIT")
    content = header + struct.pack("<H", compute_crc(header)) + body
    return content + struct.pack("<H", compute_crc(content))


def _definition(local, message, fields):
    head = struct.pack("<BBBHB", 0x40 | local, 0, 0, message, len(fields))
    return head + b"".join(struct.pack("<BBB", *field) for field in fields)
