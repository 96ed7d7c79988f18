"""GPX (Topografix), TCX (Garmin) and KML (OGC, with Google's tracks), as a stream that refuses every document type.

The three are alike: points with a place and a time, grouped by elements that are breaks, and words that name the sport.
"""

import io
import re
from typing import Any

from harness.attaching.outdoors.recordings import POINTS, Hostile, Recording

ELEMENTS = 10 * POINTS
NESTING = 64
ROOTS = {"gpx": "GPX", "TrainingCenterDatabase": "TCX", "kml": "KML"}
BREAKS = ("trk", "trkseg", "Track", "Activity")
FINISHED = ("trkpt", "Trackpoint", "rtept", "wpt", "trkseg", "Track", "Lap", "Placemark", "LineString")
TITLES = ("name", "Name", "desc", "Notes")
DECLARED = re.compile(rb"""\A\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.-]{1,40})["'][^>]{0,200}\?>""")
ENCODINGS = re.compile(
    r"gb2312|gbk|gb18030|gb_2312-80|cp936|ms936|big5.*|shift_jis|euc-\w+|iso-8859-\d+|windows-125\d", re.I
)
PREFIXES = re.compile(rb"</?([A-Za-z_][\w.-]{0,40}):")
NAMESPACES = re.compile(rb"xmlns:([\w.-]{1,40})\s*=")
ROOT = re.compile(rb"<(?:[\w.-]{1,40}:)?(?:" + "|".join(ROOTS).encode() + rb")(?=[\s>])")
CHINESE = re.compile(r"gb.*|cp936|ms936", re.I)


def fill(recording: Recording, content: bytes) -> None:
    """Read the points of a file as far as it is well-formed.

    Raises:
        ValueError, ParseError: it breaks off; what stood before is in `recording`.
        Hostile, DefusedXmlException: no device writes such a file.
    """
    from defusedxml.ElementTree import iterparse

    reader = _Reader(recording)
    # Some apps write blanks before the declaration, which XML does not allow.
    source = io.BytesIO(_declared(_utf8(content.lstrip())))
    for event, element in iterparse(source, events=("start", "end"), forbid_dtd=True):
        (reader.start if event == "start" else reader.end)(element, str(element.tag).rpartition("}")[2])
    if reader.root not in ROOTS:
        raise ValueError(f"its root is <{reader.root}>, none of <{'>, <'.join(ROOTS)}>")


def _utf8(content: bytes) -> bytes:
    """The file in UTF-8: expat knows no Chinese encoding, declared or not."""
    declared = DECLARED.match(content)
    encoding = declared[1].decode() if declared else ""
    if ENCODINGS.fullmatch(encoding):
        encoding = "gb18030" if CHINESE.fullmatch(encoding) else encoding
    elif content[:2] in (b"\xff\xfe", b"\xfe\xff") or encoding.lower() not in ("", "utf-8", "utf8"):
        return content
    else:
        try:
            content.decode()
            return content
        except UnicodeDecodeError as error:
            if error.end == len(content) or error.reason == "unexpected end of data":
                return content  # it breaks off within a character
            encoding = "gb18030"
    body = content[declared.end() :] if declared else content
    return body.decode(encoding, "replace").encode()


def _declared(content: bytes) -> bytes:
    """The file with the namespaces declared that some apps forget, as expat knows no element without."""
    lacking = set(PREFIXES.findall(content)) - set(NAMESPACES.findall(content))
    more = b"".join(b' xmlns:%s="%s"' % (prefix, prefix) for prefix in sorted(lacking))
    return ROOT.sub(lambda found: found[0] + more, content, count=1) if more else content


class _Reader:
    """Follows the elements; `inside` are those that are open."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._inside: list[str] = []
        self._elements = 0
        self._times: list[str] = []  # of a KML's track, which names times and places one after the other
        self._places: list[str] = []
        self.root = ""

    def start(self, element: Any, tag: str) -> None:
        self._elements += 1
        self._inside.append(tag)
        self.root = self.root or tag
        if self._elements > ELEMENTS:
            raise Hostile(f"more than {ELEMENTS:,} elements")
        if len(self._inside) > NESTING:
            raise Hostile(f"nested deeper than {NESTING}")
        if tag in BREAKS:
            self._recording.pause()
        if tag == "gpx":
            self._recording.creator = element.get("creator") or ""
        elif tag in ("Courses", "rte"):
            self._recording.planned = not self._recording.segments

    def end(self, element: Any, tag: str) -> None:
        self._inside.pop()
        if tag in ("trkpt", "Trackpoint"):
            if "Courses" not in self._inside:
                self._recording.add(*_point(element))
        elif self.root == "kml":
            self._end_of_kml(element, tag)
        elif tag in ("trk", "Activity"):
            self._recording.planned = False
            self._recording.sport = self._recording.sport or element.get("Sport") or _texts(element).get("type", "")
        elif tag == "Creator":
            self._recording.creator = _texts(element).get("Name", "")
        if (
            tag in TITLES
            and self._inside[-1:]
            and self._inside[-1] in ("trk", "metadata", "gpx", "Activity", "Placemark")
        ):
            self._recording.titles.append((element.text or "").strip())
        if tag in FINISHED:
            element.clear()

    def _end_of_kml(self, element: Any, tag: str) -> None:
        if tag == "when" and self._inside[-1:] == ["Track"]:
            self._times.append((element.text or "").strip())
        elif tag == "coord":
            self._places.append((element.text or "").strip())
        elif tag == "Track":
            for time, place in zip(self._times, self._places, strict=False):
                longitude, latitude = [*place.split(), "", ""][:2]
                self._recording.add(time, latitude, longitude)
            self._times, self._places = [], []
        elif tag == "coordinates" and "LineString" in self._inside:
            for place in (element.text or "").split():
                longitude, latitude = [*place.split(","), "", ""][:2]
                self._recording.add(None, latitude, longitude)
        elif tag == "Placemark":
            texts = _texts(element)
            if texts.get("when") and "," in texts.get("coordinates", ""):  # a point at a time, as some apps write them
                longitude, latitude = texts["coordinates"].split(",")[:2]
                self._recording.add(texts["when"], latitude, longitude)


def _texts(element: Any) -> dict[str, str]:
    return {str(child.tag).rpartition("}")[2]: (child.text or "").strip() for child in element.iter()}


def _point(element: Any) -> tuple[str | None, str | None, str | None]:
    texts = _texts(element)
    return (
        texts.get("time") or texts.get("Time"),
        element.get("lat") or texts.get("LatitudeDegrees"),
        element.get("lon") or texts.get("LongitudeDegrees"),
    )
