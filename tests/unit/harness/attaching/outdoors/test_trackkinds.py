"""A truth table of tracks: each form with each fault that devices, apps and people make, and the day and way it shows.

The tracks are made here, one of each kind and some at random; what is right is computed from the points themselves.
"""

import gzip
import io
import math
import time
import zipfile
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import tracksamples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from tracksamples import BEGAN, START, a_run, fit, gpx, kml, tcx

from harness.attaching.outdoors import outings, sketch, trackfiles
from harness.attaching.outdoors.outings import Privacy, inspect
from harness.errors import UsageError

FORMS = {"gpx": gpx, "tcx": tcx, "fit": fit, "kml": kml}
SHANGHAI = Privacy(zone=ZoneInfo("Asia/Shanghai"))


def way(points):
    """The length of points in kilometres, in a plane."""
    return sum(
        math.hypot((b[1] - a[1]) * 111_195, (b[2] - a[2]) * 111_195 * math.cos(math.radians(a[1])))
        for a, b in pairwise(points)
    )


def seen(name, content, choice=SHANGHAI):
    (outing,) = inspect(Path(name), content, choice)
    return outing


def right(outing, *segments, day="2026-11-20", within=0.01):
    assert outing.day == day
    assert outing.distance == pytest.approx(sum(way(segment) for segment in segments), rel=within)


def refused(name, content, choice=SHANGHAI):
    with pytest.raises(UsageError) as caught:
        inspect(Path(name), content, choice)
    return str(caught.value)


def moved(points, north=0.0, minutes=0):
    return [(when + timedelta(minutes=minutes), lat + north, lon) for when, lat, lon in points]


# Faults that each form can have. One is: points to segments, what must be said.

RUN = a_run(minutes=20, every=5)
HALF = len(RUN) // 2
FAR = moved(RUN, north=0.3, minutes=45)  # by car, with the watch stopped
FAULTS = {
    "none": ([RUN], [RUN], ""),
    "a break": ([RUN, FAR], [RUN, FAR], ""),
    "two devices at once": ([RUN, moved(RUN, north=0.0001)], [RUN], "counts once"),
    "the second half twice": ([RUN, moved(RUN[HALF:], north=0.0001)], [RUN], "counts once"),
    "a device that went on": ([RUN[: HALF + 1], moved(RUN, north=0.00001)], [RUN], "counts once"),
    "backwards": ([RUN[::-1]], [RUN], ""),
    "at no place": ([[*RUN[:99], (RUN[99][0], 99.0, 200.0), *RUN[100:]]], [RUN], "1 point at no place"),
    "thrown off": ([[*RUN[:99], (RUN[99][0], 0.0, 0.0), *RUN[100:]]], [RUN], ""),
    "thrown off at first": ([[(RUN[0][0], 0.0, 0.0), *RUN[1:]]], [RUN], ""),
    "a clock of 2001": ([[*RUN[:99], (BEGAN.replace(year=2001), *RUN[99][1:]), *RUN[100:]]], [RUN], "another time"),
}


def route(points):
    """A GPX of a planned route."""
    text = gpx(points).replace(b"trkpt", b"rtept").replace(b"trk>", b"rte>")
    return text.replace(b"<trkseg>", b"").replace(b"</trkseg>", b"")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("form", FORMS)
def test_every_fault_in_every_form(form, fault):
    segments, expected, says = FAULTS[fault]
    if fault == "at no place" and form == "fit":
        pytest.skip("FIT cannot write such a place")
    outing = seen(f"run.{form}", FORMS[form](*segments))
    right(outing, *expected)
    assert says in " ".join(outing.notes)


@pytest.mark.parametrize("packed", ["", ".gz", "cut .gz", "behind .gz"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_under_gzip(form, packed):
    content = FORMS[form](RUN)
    if packed:
        content = gzip.compress(content)
        content = content + b"more" if packed.startswith("behind") else content
        content = content[:-6] if packed.startswith("cut") else content
    right(seen(f"run.{form}" + packed[-3:], content), RUN)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.99])
@pytest.mark.parametrize("form", FORMS)
def test_what_breaks_off_is_read_as_far_as_it_goes(form, share):
    if form == "kml":
        return  # its places stand behind its times
    content = FORMS[form](RUN)
    outing = seen(f"run.{form}", content[: int(len(content) * share)])
    assert 0.8 * share * way(RUN) < outing.distance < 1.01 * way(RUN) and "breaks off" in " ".join(outing.notes)


@pytest.mark.parametrize("form", FORMS)
def test_bytes_behind_the_end_harm_nothing(form):
    outing = seen(f"run.{form}", FORMS[form](RUN) + b"<more>\x00\xff" * 9)
    right(outing, RUN)
    assert "breaks off" in " ".join(outing.notes)


def test_a_fit_without_or_with_a_wrong_checksum_is_read_and_that_is_said():
    content = fit(RUN)
    for damaged, says in ((content[:-2], "breaks off"), (content[:-2] + b"\1\2", "checksum does not fit")):
        outing = seen("run.fit", damaged)
        right(outing, RUN)
        assert says in " ".join(outing.notes)


def test_a_fit_whose_size_was_never_written_is_read():
    content = fit(RUN)
    right(seen("run.fit", content[:4] + bytes(4) + content[8:]), RUN)


# Times

TIMES = {
    "a fraction of seven digits": "%Y-%m-%dT%H:%M:%S.1234567Z", "of one digit": "%Y-%m-%dT%H:%M:%S.1Z",
    "a comma": "%Y-%m-%dT%H:%M:%S,250Z", "no colons": "%Y%m%dT%H%M%SZ", "a blank": "%Y-%m-%d %H:%M:%S",
    "small letters": "%Y-%m-%dt%H:%M:%Sz", "no zone": "%Y-%m-%dT%H:%M:%S", "hours of a zone": "%Y-%m-%dT%H:%M:%S+00",
    "a zone without a colon": "%Y-%m-%dT%H:%M:%S+0000", "blanks around": " %Y-%m-%dT%H:%M:%SZ ",
}  # fmt: skip


@pytest.mark.parametrize("form", ["gpx", "tcx", "kml"])
@pytest.mark.parametrize("written", TIMES)
def test_times_are_read_the_same_on_every_python(form, written):
    right(seen(f"run.{form}", FORMS[form](RUN, time=TIMES[written])), RUN)


@pytest.mark.parametrize("form", ["gpx", "tcx", "kml"])
def test_a_leap_second_is_a_second(form):
    content = FORMS[form](RUN).replace(b"01:01:00", b"01:00:60")
    right(seen(f"run.{form}", content), RUN)


def test_a_time_that_is_none_costs_its_point():
    outing = seen("run.gpx", gpx(RUN).replace(b"T01:05:00", b"T25:05:00"))
    right(outing, RUN)
    assert "1 point whose place or time cannot be read left out" in outing.notes


@pytest.mark.parametrize("hours", [0.2, 6, 24])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_yet_to_come_is_refused(form, hours):
    later = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(hours=hours)
    assert "yet to come" in refused(f"run.{form}", FORMS[form](a_run(began=later)))


def test_a_run_that_has_just_ended_counts():
    ended = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(minutes=30)
    assert seen("run.gpx", gpx(a_run(minutes=30, began=ended))).distance > 1000


# Zones

EVENING = a_run(began=BEGAN + timedelta(hours=15))  # the 20th in UTC, and 00:00 of the 21st in Shanghai


def test_a_watch_that_takes_shanghai_for_utc_is_not_believed():
    outing = seen("run.fit", fit(a_run(began=BEGAN + timedelta(hours=16)), hours_ahead=0), Privacy())
    assert outing.day == "2026-11-21" and "does not fit the place" in " ".join(outing.notes)


@pytest.mark.parametrize(
    ("start", "began", "day"),
    [
        ((31.2304, 121.4737), datetime(2026, 11, 20, 16, 30, tzinfo=timezone.utc), "2026-11-21"),  # Shanghai
        ((50.85, 4.35), datetime(2023, 12, 31, 23, 0, tzinfo=timezone.utc), "2024-01-01"),  # Brussels, winter
        ((41.88, -87.63), datetime(2007, 7, 27, 5, 24, tzinfo=timezone.utc), "2007-07-27"),  # Chicago, summer
        ((0.1, -160.0), datetime(2024, 1, 1, 10, 30, tzinfo=timezone.utc), "2023-12-31"),  # at sea
    ],
)
@pytest.mark.parametrize("machine", ["UTC", "Asia/Shanghai", "America/New_York"])
def test_the_day_is_that_of_the_place_whatever_machine_reads_it(machine, start, began, day, monkeypatch):
    monkeypatch.setenv("TZ", machine)
    time.tzset()
    try:
        outing = seen("run.gpx", gpx(a_run(start=start, began=began)), Privacy())
        assert (outing.day, outing.notes) == (day, [])
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_persons_word_stands_over_every_clock():
    outing = seen("run.fit", fit(EVENING, hours_ahead=0), Privacy(zone=ZoneInfo("Europe/Berlin")))
    assert (outing.day, outing.notes) == ("2026-11-20", [])


@pytest.mark.parametrize(("ahead", "day"), [(8, "2026-11-21"), (6, "2026-11-20")])
def test_where_two_times_are_in_use_as_in_kashgar_the_watch_tells_which(ahead, day):
    late = a_run(start=(39.47, 75.99), began=BEGAN + timedelta(hours=16, minutes=30))
    outing = seen("run.fit", fit(late, hours_ahead=ahead), Privacy())
    assert (outing.day, outing.zone, outing.notes) == (day, f"UTC+0{ahead}00", [])


# What apps get wrong


def test_times_that_jump_back_and_forth_do_not_make_a_way_longer():
    moments = [when for when, *_ in RUN]
    mixed = [when for six in range(0, len(moments), 6) for when in reversed(moments[six : six + 6])]
    points = [(when, *point[1:]) for when, point in zip(mixed, RUN, strict=True)]
    outing = seen("run.gpx", gpx(points))
    assert outing.distance == pytest.approx(seen("run.gpx", gpx(RUN)).distance)
    assert any("jump back and forth" in note for note in outing.notes)


def test_points_from_the_last_to_the_first_are_in_order_when_sorted():
    right(seen("run.gpx", gpx(RUN[::-1])), RUN)


def test_a_namespace_that_an_app_forgot_to_declare_costs_nothing():
    cadence = b"<extensions><gpxdata:cadence>80</gpxdata:cadence></extensions></trkpt>"
    right(seen("run.gpx", gpx(RUN).replace(b"</trkpt>", cadence)), RUN)


@pytest.mark.parametrize("form", FORMS)
def test_a_device_that_has_not_found_itself_was_at_no_place(form):
    lost = [(RUN[0][0] - timedelta(seconds=30 - second), 0.0, 0.0) for second in range(20)]
    outing = seen(f"run.{form}", FORMS[form]([*lost, *RUN]))
    right(outing, RUN)
    assert "20 points without a position left out" in outing.notes


def test_a_device_on_a_table_whose_receiver_jumps_was_not_outdoors():
    start = RUN[0]
    points = [(start[0] + timedelta(seconds=10 * n), start[1] + (n > 90) * 0.5, start[2]) for n in range(180)]
    assert "as a device does that lies indoors" in refused("table.gpx", gpx(points))


# Plans, and what was made inside


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("course.tcx", tcx(RUN, course=True), "a planned course"),
        ("course.fit", fit(RUN, file_type=6), "a planned course"),
        ("workout.fit", fit(RUN, file_type=5), "a planned course"),
        ("line.kml", kml([(None, *point[1:]) for point in RUN]), "a planned route"),
        ("mill.tcx", tcx(RUN, kind="室内跑步"), "an indoor activity"),
        ("mill.gpx", gpx(RUN, kind="跑步机"), "an indoor activity"),
        ("bike.gpx", gpx(RUN, kind="动感单车"), "an indoor activity"),
        ("name.gpx", gpx(RUN, kind="", name="室内跑步 5公里"), "an indoor activity"),
        ("zwift.gpx", gpx(RUN, kind="cycling", creator="Zwift"), "an indoor activity"),
        ("rouvy.tcx", tcx(RUN, kind="Biking", creator="ROUVY"), "an indoor activity"),
        ("mill.tcx", tcx(RUN, creator="跑步机"), "an indoor activity"),
        ("screen.gpx", gpx(RUN, name="虚拟骑行 30分钟"), "an indoor activity"),
        ("route.gpx", route(RUN), "a planned course"),
        ("onelap.gpx", gpx(RUN, kind="骑行", creator="顽鹿竞技"), "an indoor activity"),
        ("zip.kmz", b"PK\x03\x04" + bytes(40), "not a track"),
        ("bomb.gpx.gz", gzip.compress(bytes(2 * trackfiles.UNPACKED)), "unpacks to more than"),
        ("twice.gpx.gz", gzip.compress(gzip.compress(gpx(RUN))), "packed twice"),
        ("page.kml", b"<html></html>", "its root is <html>"),
    ],
)
def test_what_is_no_outing_is_refused_by_its_right_name(name, content, says):
    assert says in refused(name, content)


def test_a_file_with_a_record_and_a_course_shows_the_record():
    course = tcx(FAR, course=True)
    planned = course[course.index(b"<Courses>") : course.index(b"</TrainingCenter")]
    both = tcx(RUN).replace(b"</Activities>", b"</Activities>" + planned)
    right(seen("both.tcx", both), RUN)


def test_a_free_name_is_no_indoor_run():
    right(seen("market.gpx", gpx(RUN, name="To the indoor market, and Zwift Street")), RUN)


# Other writings


@pytest.mark.parametrize("encoding", ["GB18030", "gbk", "GB2312", "utf-8", "utf-16"])
@pytest.mark.parametrize("declared", [True, False])
def test_chinese_files_are_read_in_their_encodings(encoding, declared):
    head = f'<?xml version="1.0" encoding="{encoding}"?>' if declared else ""
    content = gpx(RUN, kind="跑步", name="滨江晨跑", head=head).decode().encode(encoding)
    outing = seen("run.gpx", content)
    right(outing, RUN)
    assert outing.sport == "跑步"


def test_a_kmz_is_a_zip_with_a_kml():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("doc.kml", kml(RUN))
        archive.writestr("files/a.png", b"")
    right(seen("run.kmz", target.getvalue()), RUN)


def test_a_chinese_sport_stands_on_the_drawing():
    plain, chinese = (sketch.draw(seen("run.gpx", gpx(RUN, kind=kind))) for kind in ("", "滨江晨跑"))
    boxes = sketch.draw(seen("run.gpx", gpx(RUN, kind="\u3400\u9fff")))
    assert len({plain, chinese, boxes}) == 3


def test_a_day_on_foot_at_one_a_second_takes_seconds():
    start = time.process_time()
    right(seen("day.fit", fit(a_run(minutes=14 * 60, every=1, speed=1.2, began=BEGAN - timedelta(hours=1)))),
          a_run(minutes=14 * 60, every=1, speed=1.2))  # fmt: skip
    assert time.process_time() - start < 15  # less than five on an idle machine


# At random


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    form=some.sampled_from(sorted(FORMS)),
    pauses=some.lists(some.tuples(some.integers(1, 100), some.floats(-0.2, 0.2)), max_size=4),
    twice=some.booleans(),
    lost=some.sets(some.integers(5, 50), max_size=5),
    packed=some.booleans(),
    hour=some.integers(0, 23),
)
def test_any_mixture_of_faults_shows_the_day_and_the_way(form, pauses, twice, lost, packed, hour):
    began = datetime(2026, 10, 3, hour, 0, tzinfo=timezone.utc)
    segments, minute, north = [], 0, 0.0
    for pause, jump in [(0, 0.0), *pauses]:
        minute, north = minute + pause, north + jump
        segments.append(moved(a_run(minutes=8, every=5, began=began), north=north, minutes=minute))
        minute += 8
    written = [list(segment) for segment in segments]
    for place in lost:  # positions that a receiver throws off
        written[0][place] = (written[0][place][0], 0.0, 0.0) if place - 1 not in lost else written[0][place]
    written += [moved(segments[0], north=0.00001)] * twice * (not lost)
    content = FORMS[form](*written)
    outing = seen(f"run.{form}", gzip.compress(content) if packed else content)
    right(outing, *segments, day=began.astimezone(SHANGHAI.zone).date().isoformat(), within=0.03)


def test_the_samples_are_what_they_are_said_to_be():
    assert way(RUN) == pytest.approx(20 * 60 * 2.8, rel=0.2) and START == tracksamples.START
    assert timedelta(minutes=100) < outings.PAUSE
