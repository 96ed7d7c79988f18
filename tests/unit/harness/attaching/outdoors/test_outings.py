"""Outings: a track becomes days, a distance, a duration and a drawing; where it was is not kept."""

import io
import math
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from PIL import Image
from samples import a_catalogue, a_part, a_rule
from tracksamples import BEGAN, START, a_run, fit, gpx, tcx

from harness.attaching.attach import attach
from harness.attaching.outdoors import outings, recordings, sketch, xmltracks
from harness.attaching.outdoors.outings import Outing, Privacy, inspect, privacy
from harness.errors import UsageError
from harness.evidence.attachments import read
from harness.points import matrix

SHANGHAI = Privacy(zone=ZoneInfo("Asia/Shanghai"))
PART = a_part("15", program=None, evidence_only=True, rules=(a_rule("per_day", 1, 5, needs=("track or photo",)),))
FORMS = {"gpx": gpx, "tcx": tcx, "fit": fit}
BILLION_LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


def seen(name, content, choice=SHANGHAI) -> list[Outing]:
    return inspect(Path(name), content, choice)


def refused(name, content):
    with pytest.raises(UsageError) as caught:
        seen(name, content)
    return str(caught.value)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_tells_day_distance_and_duration(form):
    points = a_run()
    (outing,) = seen(f"run.{form}", FORMS[form](points))
    across = sum(
        math.hypot((b[1] - a[1]) * 111_195, (b[2] - a[2]) * 111_195 * math.cos(math.radians(START[0])))
        for a, b in pairwise(points)
    )
    assert (outing.day, outing.zone, outing.duration) == ("2026-11-20", "Asia/Shanghai", timedelta(minutes=30))
    assert outing.distance == pytest.approx(across, rel=2e-3)
    assert outing.sport.lower() == "running"


@pytest.mark.parametrize(("zone", "day"), [("Asia/Shanghai", "2026-11-21"), ("America/New_York", "2026-11-20")])
def test_the_day_is_that_of_the_persons_time_zone(zone, day):
    late = gpx(a_run(began=BEGAN + timedelta(hours=17)))
    assert [each.day for each in seen("run.gpx", late, Privacy(zone=ZoneInfo(zone)))] == [day]


def test_a_file_of_several_days_shows_each_and_a_night_run_the_day_it_began():
    week = [point for day in range(3) for point in a_run(began=BEGAN + timedelta(days=day))]
    assert [each.day for each in seen("week.gpx", gpx(week))] == ["2026-11-20", "2026-11-21", "2026-11-22"]
    night = a_run(minutes=60, began=BEGAN + timedelta(hours=14, minutes=30))  # 23:30 in Shanghai
    assert [each.day for each in seen("night.gpx", gpx(night))] == ["2026-11-20"]


# What is no outing


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("mill.tcx", tcx(a_run(), with_positions=False), "as on a treadmill"),
        ("mill.fit", fit(a_run(), with_positions=False), "as on a treadmill"),
        ("mill.fit", fit(a_run(), sub_sport=1), "an indoor activity"),
        ("zwift.gpx", gpx(a_run(), kind="VirtualRide"), "an indoor activity"),
        ("plan.gpx", gpx([(None, *point[1:]) for point in a_run()]), "a planned route"),
        ("flight.gpx", gpx(a_run(minutes=90, speed=240.0)), "a flight or a train"),
        ("car.gpx", gpx(a_run(speed=28.0)), "a vehicle"),
        ("desk.gpx", gpx([(time, *START) for time, _, _ in a_run()]), "as a device does that lies indoors"),
        ("short.gpx", gpx(a_run(minutes=2)), "at least 5 minutes"),
        ("clock.gpx", gpx(a_run(began=BEGAN.replace(year=2999))), "clock was wrong"),
        ("none.gpx", gpx([]), "no track in it"),
    ],
)
def test_what_shows_no_time_outdoors_is_explained(name, content, says):
    assert says in refused(name, content)


def test_a_jump_of_the_receiver_spoils_neither_the_track_nor_its_distance():
    points = a_run(every=2)
    plain = seen("run.gpx", gpx(points))[0].distance
    points[200] = (points[200][0], START[0] + 3, START[1])
    assert seen("run.gpx", gpx(points))[0].distance == pytest.approx(plain, rel=0.01)


# Broken and hostile files


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("laughs.gpx", gpx(a_run(), head=BILLION_LAUGHS), "declares a document type"),
        ("laughs.tcx", BILLION_LAUGHS.encode() + tcx(a_run()).lstrip().partition(b"?>")[2], "declares a document type"),
        ("outside.gpx", gpx(a_run(), head=OUTSIDE), "declares a document type"),
        ("deep.gpx", b"<gpx>" * 5000, "nested deeper"),
        ("half.gpx", gpx(a_run())[:99], "not a track that can be read"),
        ("page.gpx", b"<html></html>", "its root is <html>"),
        ("pole.gpx", gpx([(BEGAN, 91, 0)]), "at no place"),
        ("nan.gpx", gpx([(BEGAN, math.nan, 0)]), "at no place"),
        ("half.fit", fit(a_run())[:30], "not a track that can be read"),
        ("empty.fit", b"", "no element found"),
        ("empty.gpx", b"", "no element found"),
    ],
)
def test_broken_and_hostile_files_are_refused_with_a_reason(name, content, says):
    assert says in refused(name, content)


def test_huge_tracks_are_refused(monkeypatch):
    monkeypatch.setattr(recordings, "POINTS", 100)
    monkeypatch.setattr(xmltracks, "ELEMENTS", 300)
    assert "more than 100 points" in refused("run.fit", fit(a_run()))
    assert "more than 300 elements" in refused("run.gpx", b"<gpx>" + b"<a/>" * 999)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=some.data(), form=some.sampled_from(sorted(FORMS)))
def test_wild_files_are_refused_or_read_and_nothing_else(data, form):
    good = FORMS[form](a_run(minutes=6))
    start = data.draw(some.integers(0, len(good)))
    wild = good[:start] + data.draw(some.binary(max_size=40)) + good[data.draw(some.integers(start, len(good))) :]
    try:
        assert all(outing.distance >= 0 for outing in seen(f"wild.{form}", wild))
    except UsageError as error:
        assert error.code == 2


# Privacy


def spread(lines):
    return [math.hypot(*point) for line in lines for point in line]


def test_start_and_end_are_cut_out_where_home_is_not_known():
    (outing,) = seen("run.gpx", gpx(a_run(minutes=40)), Privacy(zone=SHANGHAI.zone, radius=800))
    assert outing.lines and min(spread(outing.lines)) >= 799, "the line begins where home's region ends"


def test_home_is_cut_out_wherever_the_track_meets_it():
    points = a_run(minutes=40)
    home = points[120][1:]
    (outing,) = seen("run.gpx", gpx(points), Privacy(zone=SHANGHAI.zone, home=home, radius=400))
    assert len(outing.lines) == 2
    (whole,) = seen("run.gpx", gpx(points), Privacy(zone=SHANGHAI.zone, home=(0.0, 0.0), radius=400))
    assert len(whole.lines) == 1 and whole.distance == outing.distance


def test_a_track_that_stays_around_home_is_kept_without_a_line(results, tmp_path):
    (outing,) = seen("run.gpx", gpx(a_run(minutes=6)), Privacy(radius=5000))
    assert outing.lines == [] and Image.open(io.BytesIO(sketch.draw(outing))).size == sketch.SIZE


def test_a_track_over_the_date_line_is_drawn_in_one_piece():
    points = [(time, 0.0, (179.98 + number * 0.0003 + 180) % 360 - 180) for number, (time, _, _) in enumerate(a_run())]
    (outing,) = seen("run.gpx", gpx(points), Privacy(radius=0))
    assert max(spread(outing.lines)) == pytest.approx(outing.distance, rel=0.01)


@pytest.mark.parametrize("radius", ["far", "-1", "nan", "1e9"])
def test_a_wrong_radius_zone_or_home_is_refused(radius, monkeypatch):
    with pytest.raises(UsageError, match="not a radius"):
        privacy(radius=radius)
    with pytest.raises(UsageError, match="no such time zone"):
        privacy(zone="../etc/passwd")
    monkeypatch.setenv(outings.HOME, "here")
    with pytest.raises(UsageError, match="not a place"):
        privacy()


# Attached, and counted


def put(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    return str(tmp_path / name)


def test_nothing_that_is_kept_tells_where_it_was(results, tmp_path):
    (folder,) = attach(results, PART, [put(tmp_path, "From-Anna-home.gpx", gpx(a_run()))], settings=SHANGHAI)
    kept = b"".join(file.read_bytes() for file in folder.iterdir())
    assert sorted(file.name for file in folder.iterdir()) == ["attachment.json", "track.png"]
    assert not any(word in kept for word in (b"31.2", b"121.4", b"trkpt", b"Anna"))
    data = read(folder)
    assert (data["kind"], data["date"], data["name"]) == ("track", "2026-11-20", "track.gpx")
    colours = Image.open(folder / "track.png").getcolors(10**6)
    green = sum(count for count, colour in colours if colour[1] > 180 > colour[0])
    assert green > 300, "a line is drawn"


def points_of(results):
    return matrix.build(a_catalogue(PART), results).tally.earned


def test_a_day_counts_once_however_often_it_was_recorded(results, tmp_path):
    first = put(tmp_path, "run.gpx", gpx(a_run()))
    (watch,) = attach(results, PART, [first], settings=SHANGHAI)
    assert attach(results, PART, [first], settings=SHANGHAI) == [watch], "the same track is not kept twice"
    (phone,) = attach(results, PART, [put(tmp_path, "phone.fit", fit(a_run()))], settings=SHANGHAI)
    assert f"counts once, with {watch.name}" in read(phone)["checked"]
    assert points_of(results) == 1


def test_five_days_are_the_most(results, tmp_path):
    week = [point for day in range(7) for point in a_run(minutes=10, began=BEGAN - timedelta(days=day))]
    folders = attach(results, PART, [put(tmp_path, "week.gpx", gpx(week))], settings=SHANGHAI)
    assert (len(folders), points_of(results)) == (7, 5)


def test_a_track_is_given_no_day_and_a_photo_is_no_track(results, tmp_path):
    track = put(tmp_path, "run.gpx", gpx(a_run()))
    with pytest.raises(UsageError, match="knows its day"):
        attach(results, PART, [track], date="2026-11-01")
    with pytest.raises(UsageError, match="not a track"):
        attach(results, PART, [put(tmp_path, "x.jpg", b"")], kind="track")
