"""The index: an SQLite table of what the points need of each record, so that the matrix opens only new ones.

It is a memory of the records and never more: a record that is new, or whose file changed, is read again and its
seal checked; when the index itself is lost or cannot be written, everything is read again.
"""

import contextlib
import itertools
import json
import os
import sqlite3
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.errors import DataFileError, StoreError
from harness.evidence import records, sealed, statements
from harness.evidence.verdicts import MARKS, PASSED, verdict_of, why_not
from harness.points.scoring import Result

FILE = ".index.sqlite"
SHOW_PROGRESS_FROM = 2000
COLUMNS = "path, modified, size, part, kind, model, architecture, cards, day, started, verdict, paddle, unlisted, run, "
COLUMNS += "why, signed, damage"
VERSION = 4


def results_of(results: Path, daily: Collection[str] = ()) -> tuple[list[Result], list[str]]:
    """The results that the points need, and a line for each damaged record.

    Args:
        results: the folder of this machine's records.
        daily: the parts in which each day counts by itself.

    Returns:
        For each part, kind, model, architecture and number of cards (and day), signed or not, the latest passing
        record, else the latest; and what is wrong with the records that cannot be counted.
    """
    path = results / FILE
    for place in (path, path, Path(":memory:")):
        try:
            with contextlib.closing(_open(place)) as connection:
                _update(connection, results)
                return _select(connection, daily)
        except sqlite3.DatabaseError:  # damaged, read-only, or no space: make it anew, in memory at the last
            with contextlib.suppress(OSError):
                path.unlink()
    raise StoreError("The index could not be made, not even in memory.", f"{path}", "Free memory, then call again.")


def _open(place: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(place, timeout=60, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        connection.execute("DROP TABLE IF EXISTS runs")
        connection.execute(f"CREATE TABLE runs ({COLUMNS}, PRIMARY KEY (path)) WITHOUT ROWID")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    return connection


def _update(connection: sqlite3.Connection, results: Path) -> None:
    """A cell at a time, for of all of them together there may be millions."""
    row, read = ", ".join("?" * len(COLUMNS.split(","))), itertools.count(1)
    gone = set(connection.execute("SELECT DISTINCT part, kind FROM runs"))
    for (part, kind), entries in itertools.groupby(sealed.folders(results), key=lambda each: each[:2]):
        cell = _text(f"{part}/{kind}")
        gone.discard(tuple(cell.split("/")))
        found = connection.execute(
            "SELECT path, modified, size FROM runs WHERE path > ? AND path < ?", (f"{cell}/", f"{cell}0")
        )  # 0 is what comes after /
        known = {path: (modified, size) for path, modified, size in found}
        fresh: list[tuple[str, int, int]] = []
        for _, _, entry in entries:
            path, stamp = f"{cell}/{_text(entry.name)}", _stamp(entry)
            if known.pop(path, None) != stamp:
                fresh.append((path, *stamp))
        connection.executemany("DELETE FROM runs WHERE path = ?", ((path,) for path in known))
        connection.executemany(f"INSERT OR REPLACE INTO runs ({COLUMNS}) VALUES ({row})", _rows(results, fresh, read))
    connection.executemany("DELETE FROM runs WHERE part = ? AND kind = ?", gone)
    connection.execute("COMMIT")
    if next(read) > SHOW_PROGRESS_FROM and sys.stderr.isatty():
        print(file=sys.stderr)


def _stamp(entry: os.DirEntry[str]) -> tuple[int, int]:
    """What changes where a record's file does."""
    try:
        state = os.stat(f"{entry.path}/{records.FILE}")
    except OSError:
        return 0, 0
    return state.st_mtime_ns, state.st_size


def _rows(results: Path, fresh: Sequence[tuple[str, int, int]], read: Iterator[int]) -> Iterator[tuple[Any, ...]]:
    show = sys.stderr.isatty()
    for path, modified, size in fresh:
        number = next(read)
        if show and number >= SHOW_PROGRESS_FROM and number % 500 == 0:
            print(f"\rReading new records: {number}", end="", file=sys.stderr, flush=True)
        yield _row(results, path, modified, size)


def _row(results: Path, path: str, modified: int, size: int) -> tuple[Any, ...]:
    part, kind, run = path.split("/")
    damage = ""
    try:
        record = records.read(results / path / records.FILE)
        cell, hardware, started = record["cell"], record["hardware"], record["times"]["started"]
        why, verdict, paddle = why_not(record), verdict_of(record), records.paddle_version(record)
        facts = (hardware["model"], hardware["architecture"], record["cards"], started[:10], started, verdict)
        if (cell["part"], cell["hardware"], record["id"]) != (part, kind, run):
            damage = f"{results / path}: it is the record of {cell['part']} on {cell['hardware']}, {record['id']}"
        elif not _sound(*facts, paddle) or record["passed"] is not (verdict == PASSED):
            damage = f"{results / path / records.FILE}: its fields are of odd types"
        else:
            unlisted = "unlisted" in record.get("stack", {})
            signed = statements.SIGNATURE in record["artefacts"]
            return (path, modified, size, part, kind, *facts, paddle, unlisted, run, _text(why), signed, None)
    except DataFileError as error:
        damage = _text(str(error).replace("\n", " "))
    except (KeyError, TypeError, AttributeError) as error:
        damage = f"{results / path / records.FILE}: it lacks {error}"
    return (path, modified, size, part, kind, "", None, 0, "", "", "", "", False, run, "", False, damage)


def _sound(model: Any, architecture: Any, cards: Any, day: Any, started: Any, verdict: Any, paddle: str) -> bool:
    """Whether the facts are what a sealed record has, and not what a forger wrote."""
    texts = [model, day, started, paddle, *([] if architecture is None else [architecture])]
    return (
        all(isinstance(text, str) and text == _text(text) for text in texts)
        and type(cards) is int
        and 0 < cards < 2**31
        and verdict in MARKS
    )


def _text(text: str) -> str:
    """What SQLite can keep: half characters become escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _select(connection: sqlite3.Connection, daily: Collection[str]) -> tuple[list[Result], list[str]]:
    # SQLite takes the other columns of a group from the row that has the maximum.
    rows = connection.execute(
        "SELECT part, kind, model, architecture, cards, day, verdict, paddle, unlisted, run, why, signed, "
        "max((verdict = 'passed') || started) FROM runs "
        "WHERE damage IS NULL GROUP BY part, kind, model, architecture, cards, paddle, unlisted, signed, "
        "CASE WHEN part IN (SELECT value FROM json_each(?)) THEN day END",
        (json.dumps(list(daily)),),
    )
    found = [
        Result(
            part=part,
            hardware=kind,
            model=model,
            architecture=architecture,
            cards=cards,
            day=day,
            verdict=verdict,
            run=run,
            why=why,
            paddle=paddle,
            unlisted=bool(unlisted),
            signed=bool(signed),
        )
        for part, kind, model, architecture, cards, day, verdict, paddle, unlisted, run, why, signed, _ in rows
    ]
    damaged = connection.execute("SELECT damage FROM runs WHERE damage IS NOT NULL ORDER BY path")
    return found, [damage for (damage,) in damaged]
