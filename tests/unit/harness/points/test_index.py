"""The index: a memory of the records, never more. Damage to either is found, and the rest is counted."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from samples import WHY_LEFT_OUT, a_record, a_record_not_judged, remount_read_only

from harness.evidence import records
from harness.evidence.hashing import seal_of
from harness.points import index
from harness.points.index import results_of

ROOT = Path(__file__).resolve().parents[4]


def forge(folder: Path, change) -> None:
    """Change a record and give it a seal that fits."""
    path = folder / "record.json"
    record = json.loads(path.read_text())
    change(record)
    record["seal"] = seal_of(record)
    path.write_text(json.dumps(record))


@pytest.fixture
def reads(monkeypatch):
    """The records that were opened, by the name of their folder."""
    opened: list[str] = []
    read = records.read

    def noting(path):
        opened.append(path.parent.name)
        return read(path)

    monkeypatch.setattr(records, "read", noting)
    return opened


def test_without_records_there_is_nothing_to_count(results):
    assert results_of(results) == ([], []) and results_of(results / "nowhere") == ([], [])


def test_a_record_is_counted_with_what_the_points_need(results):
    folder = a_record(results, part="8-2", kind="sim", model="Card", day="2026-11-20")
    (found,), damaged = results_of(results)
    assert damaged == []
    assert (found.part, found.hardware, found.model, found.cards, found.day) == ("8-2", "sim", "Card", 1, "2026-11-20")
    assert found.passed is True and found.run == folder.name and found.architecture is None


def test_of_a_model_and_day_the_latest_pass_counts_before_any_failure(results):
    a_record(results)
    best = a_record(results)
    a_record(results, error=0.5)
    (found,), _ = results_of(results)
    assert found.run == best.name and found.passed


def test_of_failures_the_latest_counts_and_says_why(results):
    a_record(results, error=0.4)
    last = a_record(results, error=0.5)
    (found,), _ = results_of(results)
    assert found.run == last.name and not found.passed and found.why == "error: 0.5 is over 0.1"


def test_each_part_kind_and_model_is_a_result_of_its_own_and_each_day_where_days_count(results):
    a_record(results)
    a_record(results, part="5")
    a_record(results, kind="sim")
    a_record(results, model="Other")
    a_record(results, day="2026-11-23")
    a_record(results, part="5", day="2026-11-23")
    assert len(results_of(results)[0]) == 4
    assert len(results_of(results, daily=["4"])[0]) == 5
    assert len(results_of(results, daily=["4", "5"])[0]) == 6


# New, changed and deleted records


def test_known_records_are_not_opened_again(results, reads):
    first = a_record(results)
    results_of(results)
    second = a_record(results, model="B")
    results_of(results)
    assert reads == [first.name, second.name]
    assert results_of(results)[0] and len(reads) == 2


def test_a_changed_record_is_read_again(results, reads):
    folder = a_record(results)
    assert results_of(results)[0][0].passed
    forge(folder, lambda record: record.update(passed=False, verdict="failed"))
    assert not results_of(results)[0][0].passed and reads == [folder.name] * 2


def test_a_deleted_record_vanishes_and_a_restored_one_comes_back(results, tmp_path):
    folder = a_record(results)
    a_record(results, model="B")
    assert len(results_of(results)[0]) == 2
    shutil.move(folder, tmp_path / "away")
    assert [found.model for found in results_of(results)[0]] == ["B"]
    shutil.move(tmp_path / "away", folder)
    assert len(results_of(results)[0]) == 2


# Damage


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_text(path.read_text()[:100]), "not a readable record"),
        (lambda path: path.write_bytes(b""), "not a readable record"),
        (lambda path: path.unlink(), "not a readable record"),
        (lambda path: path.write_text(path.read_text().replace("0.01", "0.00")), "the seal is broken"),
        (lambda path: path.write_text("[]"), "no record of schema 1"),
        (lambda path: forge(path.parent, lambda record: record.pop("hardware")), "it lacks 'hardware'"),
        (lambda path: forge(path.parent, lambda record: record.update(checks=5)), "it lacks"),
        (lambda path: forge(path.parent, lambda record: record.update(cell="4")), "it lacks"),
        (
            lambda path: path.parent.rename(path.parent.with_name("20990101T000000.000Z-000000")),
            "it is the record of 4",
        ),
    ],
    ids=["torn", "empty", "missing", "changed", "a list", "incomplete", "odd checks", "odd cell", "misplaced"],
)
def test_a_damaged_record_among_good_ones_is_named_and_the_rest_counted(results, damage, says):
    bad = a_record(results, model="A")
    a_record(results, model="B")
    a_record(results, model="C")
    damage(bad / "record.json")
    for _ in range(2):
        found, (line,) = results_of(results)
        assert [each.model for each in found] == ["B", "C"]
        assert says in line and str(results / "4" / "cpu") in line and "\n" not in line


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(cards=[8]),
        lambda record: record.update(cards=2**70),
        lambda record: record["hardware"].update(model={"name": "A"}),
        lambda record: record["hardware"].update(model="\ud800"),
        lambda record: record.update(passed={}),
        lambda record: record.update(passed=False),
        lambda record: record.update(verdict="earned"),
    ],
    ids=[
        "a list of cards",
        "a huge number of cards",
        "a model that is an object",
        "half a character",
        "an odd passed",
        "a verdict that is not what passed says",
        "an odd verdict",
    ],
)
def test_a_record_of_odd_types_is_named_and_the_rest_counted(results, change):
    """SQLite refuses the value; the index is thrown away and the matrix is not shown at all."""
    bad = a_record(results, model="A")
    a_record(results, model="B")
    forge(bad, change)
    found, damaged = results_of(results)
    assert [each.model for each in found] == ["B"] and len(damaged) == 1


def test_a_folder_whose_name_is_not_utf_8_does_not_hide_the_rest(results):
    """SQLite cannot keep the name, and the whole matrix goes down."""
    a_record(results, model="B")
    os.mkdir(os.fsencode(results) + b"/4/cpu/caf\xe9")
    found, _ = results_of(results)
    assert [each.model for each in found] == ["B"]


def test_a_record_nested_to_the_limit_does_not_hide_the_rest(results):
    """Otherwise the RecursionError takes the whole matrix down."""
    a_record(results, model="B")
    for depth in range(850, 1000):
        folder = results / "4" / "cpu" / f"deep-{depth}"
        folder.mkdir()
        (folder / "record.json").write_text('{"schema": 1, "x": ' + "[" * depth + "]" * depth + "}")
    found, damaged = results_of(results)
    assert len(found) == 1 and len(damaged) == 150


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\x00" + bytes(5000), os.urandom(9000)])
def test_a_damaged_index_is_made_anew(results, content):
    a_record(results)
    results_of(results)
    (results / index.FILE).write_bytes(content)
    assert len(results_of(results)[0]) == 1
    with sqlite3.connect(results / index.FILE) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)


def test_an_index_of_another_version_or_shape_is_made_anew(results):
    a_record(results)
    for statements in (
        "DROP TABLE runs; CREATE TABLE runs (path, other); PRAGMA user_version = 99",
        "DROP TABLE runs",
    ):
        results_of(results)
        with sqlite3.connect(results / index.FILE) as connection:
            connection.executescript(statements)
        assert len(results_of(results)[0]) == 1


def test_an_index_damaged_deep_inside_is_made_anew(results):
    for number in range(40):
        a_record(results, model=f"M{number}")
    results_of(results)
    whole = (results / index.FILE).read_bytes()
    for page in range(4096, len(whole), 4096):
        (results / index.FILE).write_bytes(whole[:page] + os.urandom(4096) + whole[page + 4096 :])
        assert len(results_of(results)[0]) == 40


def test_a_read_only_results_folder_is_read_all_the_same(small_disk):
    a_record(small_disk, model="A")
    results_of(small_disk)
    a_record(small_disk, model="B")
    remount_read_only(small_disk)
    assert [found.model for found in results_of(small_disk)[0]] == ["A", "B"]
    assert [found.model for found in results_of(small_disk)[0]] == ["A", "B"]


def test_a_read_only_results_folder_without_an_index_is_read_all_the_same(small_disk):
    a_record(small_disk)
    remount_read_only(small_disk)
    assert len(results_of(small_disk)[0]) == 1 and not (small_disk / index.FILE).exists()


def test_a_full_disk_is_read_all_the_same(small_disk):
    for number in range(20):
        a_record(small_disk, model=f"M{number}", checks=[])
    with (small_disk / "ballast").open("wb", buffering=0) as ballast:
        while True:
            try:
                ballast.write(bytes(4096))
            except OSError:
                break
    assert len(results_of(small_disk)[0]) == 20


def test_processes_at_the_same_moment_all_count_right(results):
    for number in range(8):
        a_record(results, model=f"M{number}")
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pathlib import Path\n"
        "from harness.points.index import results_of\n"
        "sys.stdin.readline()\n"
        f"print(len(results_of(Path({str(results)!r}))[0]))"
    )
    for _ in range(3):
        (results / index.FILE).unlink(missing_ok=True)
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", script],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for _ in range(4)
        ]  # fmt: skip
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        said = [process.communicate(timeout=60) for process in processes]
        assert [out for out, _ in said] == ["8\n"] * 4, [error for _, error in said]


def test_what_the_index_says_is_what_the_records_say(results):
    for number in range(12):
        a_record(results, model="AB"[number % 2], day=f"2026-11-2{number % 3}", error=0.01 if number % 4 else 0.5)
    first = results_of(results)
    assert results_of(results) == first
    (results / index.FILE).unlink()
    assert results_of(results) == first
    assert all(replace(found, run="") for found in first[0])


def test_a_run_that_is_not_judged_stands_behind_any_pass_and_before_nothing(results):
    first = a_record_not_judged(results)
    (found,), _ = results_of(results)
    assert (found.run, found.verdict, found.why) == (first.name, "not judged", WHY_LEFT_OUT)
    failed = a_record(results, error=0.5)
    assert results_of(results)[0][0].run == failed.name, "of those that have not passed the latest counts"
    passed = a_record(results)
    a_record_not_judged(results)
    assert results_of(results)[0][0].run == passed.name
