"""Public tracks: what a thousand recordings of other people's devices show, as other readers found it.

The files are not here; FILES names a folder with any of them, and each is known by its hash. The days are those of the
place's time zone (timezonefinder), the kilometres a sum of haversines over the points that gpxpy, Garmin's own FIT SDK
or lxml read. For 31 of the files, whose receiver jumps or which record an hour twice, a second program left out what
the harness's written rules leave out. Why a file is refused is the harness's own word: the other readers found no
outing in it, or a person looked.
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
SHORT = 0.01  # km: the last digit of the table

Days = list[tuple[str, float]]


def rows():
    with TABLE.open(encoding="utf-8") as file:
        return {row["sha256"]: row for row in csv.DictReader(file)}


def wanted(row) -> Days | str:
    """What a file shows, days and kilometres; or why it is refused."""
    return [(day, float(km)) for day, km in (each.split() for each in row["shows"].split(";") if each)] or row[
        "refused"
    ]


def found(path: Path) -> Days | str:
    try:
        outings = inspect(path, path.read_bytes(), Privacy())
    except UsageError as error:
        return str(error).splitlines()[0]
    return [(each.day, each.distance / 1000) for each in outings]


def same(one: Days | str, other: Days | str) -> bool:
    """Whether what is found is what is wanted, and a refusal for that reason."""
    if isinstance(one, str) or isinstance(other, str):
        return isinstance(one, str) and isinstance(other, str) and other in one
    return len(one) == len(other) and all(
        day == then and km == pytest.approx(kilometres, rel=WITHIN, abs=SHORT)
        for (day, km), (then, kilometres) in zip(one, other, strict=True)
    )


def test_the_table_speaks_of_enough_files_of_each_form():
    accepted = [row for row in rows().values() if row["shows"]]
    assert len(accepted) >= 520 and {row["form"] for row in accepted} >= {"gpx", "tcx", "fit", "kml"}
    assert all(bool(row["shows"]) != bool(row["refused"]) for row in rows().values())


@pytest.mark.parametrize(
    ("one", "other", "right"),
    [
        ("run.gpx: it lasts 4 s; at least", "it lasts", True),
        ("run.gpx: it lasts 4 s; at least", "it went nowhere", False),
        ([("2026-11-21", 10.0)], "it lasts", False),
        ([("2026-11-21", 10.0)], [("2026-11-21", 10.2)], True),
        ([("2026-11-21", 10.0)], [("2026-11-21", 10.5)], False),
        ([("2026-11-21", 10.0)], [("2026-11-20", 10.0)], False),
        ("run.gpx: it lasts 4 s", [("2026-11-21", 10.0)], False),
    ],
)
def test_a_difference_is_seen(one, other, right):
    assert same(one, other) is right


@pytest.mark.thorough
@pytest.mark.skipif(FILES not in os.environ, reason=f"{FILES} names no folder of tracks")
def test_every_public_track_shows_what_other_readers_found():
    table = rows()
    files = {path: sha256(path.read_bytes()).hexdigest() for path in Path(os.environ[FILES]).iterdir()}
    known = {path: wanted(table[digest]) for path, digest in files.items() if digest in table}
    assert known, f"none of the {len(files)} files is in the table"
    wrong = {path.name: (right, seen) for path, right in known.items() if not same(seen := found(path), right)}
    assert not wrong, f"{len(wrong)} of {len(known)}: {wrong}"
