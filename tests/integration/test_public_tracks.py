"""Public tracks: what a thousand recordings of other people's devices show, as other readers found it.

The files are not here; FILES names a folder with any of them, and each is known by its hash. The days are those of the
place's time zone (timezonefinder), the kilometres a sum of haversines over the points that gpxpy, Garmin's own FIT SDK
or lxml read, without the steps that nobody makes: not one line of the harness had a part in them. What shows no outing
is refused.
"""

import csv
import os
from hashlib import sha256
from pathlib import Path

import pytest

from harness.attaching.outdoors.outings import Privacy, inspect
from harness.errors import UsageError

FILES = "HOMEWORK_TRACKS"
TABLE = Path(__file__).parents[1] / "data" / "public_tracks.csv"
WITHIN = 0.03
SHORT = 0.02  # km: half of the last digit of the table, and of a way of some metres

Days = list[tuple[str, float]]


def rows() -> dict[str, Days]:
    """What each file shows, by its hash: days and kilometres; nothing of one that is refused."""
    with TABLE.open(encoding="utf-8") as file:
        return {row["sha256"]: _days(row["shows"]) for row in csv.DictReader(file)}


def _days(text: str) -> Days:
    return [(day, float(km)) for day, km in (each.split() for each in text.split(";") if each)]


def found(path: Path) -> Days:
    try:
        outings = inspect(path, path.read_bytes(), Privacy())
    except UsageError:
        return []
    return [(each.day, each.distance / 1000) for each in outings]


def same(one: Days, other: Days) -> bool:
    return len(one) == len(other) and all(
        day == then and km == pytest.approx(kilometres, rel=WITHIN, abs=SHORT)
        for (day, km), (then, kilometres) in zip(one, other, strict=True)
    )


def test_the_table_speaks_of_enough_files_of_each_form():
    with TABLE.open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    accepted = [row for row in table if row["shows"]]
    assert len({row["sha256"] for row in table}) == len(table) >= 520
    assert {row["form"] for row in accepted} >= {"gpx", "tcx", "fit", "kml"} and len(accepted) >= 500


@pytest.mark.parametrize(
    ("one", "other", "right"),
    [
        ([], [], True),
        ([("2026-11-21", 10.0)], [("2026-11-21", 10.2)], True),
        ([("2026-11-21", 10.0)], [("2026-11-21", 10.5)], False),
        ([("2026-11-21", 10.0)], [("2026-11-20", 10.0)], False),
        ([("2026-11-21", 10.0)], [], False),
    ],
)
def test_a_difference_is_seen(one, other, right):
    assert same(one, other) is right


@pytest.mark.thorough
@pytest.mark.skipif(FILES not in os.environ, reason=f"{FILES} names no folder of tracks")
def test_every_public_track_shows_what_other_readers_found():
    table = rows()
    files = {path: sha256(path.read_bytes()).hexdigest() for path in Path(os.environ[FILES]).iterdir()}
    known = {path: table[digest] for path, digest in files.items() if digest in table}
    assert known, f"none of the {len(files)} files is in the table"
    wrong = {path.name: (shows, seen) for path, shows in known.items() if not same(seen := found(path), shows)}
    assert not wrong, f"{len(wrong)} of {len(known)}: {wrong}"
