"""FIT, Garmin's binary protocol: records, the timer's stops, the kind of file, and the device's own clock."""

import io
import math
import struct
import sys
import warnings
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

from harness.attaching.outdoors.recordings import POINTS, Hostile, Recording

FRAMES = 4 * POINTS
PROGRESS = 10_000
SEMICIRCLES = 180 / 2**31  # FIT writes degrees as 32-bit integers
PLANS = ("course", "workout", "segment", "6", "5", "34")  # types of files that record nothing
STOPS = ("stop", "stop_all", "stop_disable", "stop_disable_all")


def fill(recording: Recording, content: bytes) -> None:
    """Read what is whole of a file; a checksum that does not fit, or is missing, is noted.

    Raises:
        ValueError: it breaks off; what stood before is in `recording`.
    """
    import fitdecode

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about fields that are skipped
        sports, frames = list[str](), 0
        source = io.BytesIO(_sized(content))
        try:
            with fitdecode.FitReader(source, check_crc=fitdecode.CrcCheck.WARN, processor=None) as reader:
                for frame in reader:
                    frames += 1
                    if frames > FRAMES:
                        raise Hostile(f"more than {FRAMES:,} messages")
                    if frames % PROGRESS == 0 and sys.stderr.isatty():
                        print(f"\r{frames:,} messages of a long track", end="\r", file=sys.stderr)
                    if frame.frame_type == fitdecode.FIT_FRAME_DATA:
                        _message(recording, frame, sports)
                    elif frame.frame_type == fitdecode.FIT_FRAME_CRC and not frame.matched:
                        recording.notes.append("its checksum does not fit: a part of it was changed or lost")
        finally:
            recording.sport = " ".join(dict.fromkeys(name for name in sports if name and name != "generic"))


def _sized(content: bytes) -> bytes:
    """With the size in its header, which a device that lost its power has not written."""
    if len(content) > 14 and content[4:8] == bytes(4):
        return content[:4] + struct.pack("<I", len(content) - content[0]) + content[8:]
    return content


def _message(recording: Recording, frame: Any, sports: list[str]) -> None:
    if frame.name == "record":
        place = (_degrees(frame, "position_lat"), _degrees(frame, "position_long"))
        recording.add(_moment(frame, "timestamp"), *place)
    elif frame.name == "event":
        if _text(frame, "event") == "timer" and _text(frame, "event_type") in STOPS:
            recording.pause()
    elif frame.name in ("session", "sport"):
        sports += [_text(frame, name) for name in ("sport", "sub_sport")]
    elif frame.name == "file_id":
        recording.planned |= _text(frame, "type") in PLANS
        recording.creator = " ".join(filter(None, (_text(frame, name) for name in ("manufacturer", "product_name"))))
    elif frame.name == "activity":
        recording.zone = _zone(frame)


def _text(frame: Any, name: str) -> str:
    value = frame.get_value(name, fallback="")
    return "" if value is None else str(value)


def _degrees(frame: Any, name: str) -> float | None:
    value = frame.get_value(name, fallback=None)
    return value * SEMICIRCLES if isinstance(value, int | float) and math.isfinite(value) else None


EPOCH = datetime(1989, 12, 31, tzinfo=timezone.utc)
SINCE_POWER_ON = 0x10000000  # smaller times count from when the device was switched on


def _moment(frame: Any, name: str) -> datetime | None:
    value = frame.get_value(name, fallback=None)
    if isinstance(value, int) and value >= SINCE_POWER_ON:
        return EPOCH + timedelta(seconds=value)
    return value if isinstance(value, datetime) else None


def _zone(frame: Any) -> tzinfo | None:
    """What the device's own clock was ahead of UTC, to the quarter of an hour."""
    here, utc = _moment(frame, "local_timestamp"), _moment(frame, "timestamp")
    if here is None or utc is None:
        return None
    quarters = round((here.replace(tzinfo=None) - utc.replace(tzinfo=None)) / timedelta(minutes=15))
    return timezone(timedelta(minutes=15 * quarters)) if abs(quarters) <= 56 else None
