"""What is missing: of the cells that were asked for, those that have not passed and that no job is still to run."""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness import checkout, system
from harness.catalogue.cells import CellRequest
from harness.catalogue.entries import Hardware, Part
from harness.dispatch.listed import batches, jobs
from harness.dispatch.listed.batches import Batch, JobCell
from harness.dispatch.listed.job import Schedulers
from harness.errors import DataFileError
from harness.evidence import hashing, records
from harness.evidence.verdicts import NOT_JUDGED, PASSED, verdict_of
from harness.terminal import dim, yellow


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A cell that was asked for, and how long its job may take."""

    request: CellRequest
    cell: JobCell
    minutes: int

    @property
    def part(self) -> Part:
        return self.request.part

    @property
    def kind(self) -> Hardware:
        return self.request.kind


@cache
def revision() -> Mapping[str, Any]:
    return checkout.revision()


def program(part: Part) -> dict[str, Any]:
    assert part.program, "a part without a program is not planned"
    return {"file": f"projects/{part.slug}/{part.program.name}", **revision()}


def wanted(request: CellRequest, margin: float) -> Wanted:
    """A cell, the id that its record will have, and how long its job may take."""
    cell = JobCell(
        run=hashing.new_id(),
        part=request.part.name,
        hardware=request.kind.name,
        parameters=request.parameters,
        seed=request.seed,
        cards=request.cards,
        paddle=request.cell.paddle.version,
    )
    return Wanted(request=request, cell=cell, minutes=math.ceil((request.part.timeout + margin) / 60))


@dataclass(frozen=True)
class Split:
    """What was asked for: what has passed (with its record), what is under way, and what is missing."""

    passed: list[tuple[Wanted, Path]]
    under_way: list[tuple[Batch, int]]
    missing: list[Wanted]


@contextlib.contextmanager
def alone(results: Path) -> Iterator[None]:
    """One call at a time plans and submits, so that two of the same command do not both submit a cell."""
    (results / batches.FOLDER).mkdir(parents=True, exist_ok=True)
    with (results / batches.FOLDER / ".lock").open("w") as lock:
        system.lock(lock.fileno())
        yield


def split(wanted: Sequence[Wanted], results: Path, schedulers: Schedulers) -> Split:
    """Find what need not be submitted: what passed with this revision, and what a job is still to do.

    Raises:
        EngineError: a scheduler does not answer, so that nobody knows.
    """
    busy = {status.cell.work: status for status in reversed(jobs.look(results, schedulers)) if not status.over}
    batches.tidy(results)
    found = Split([], [], [])
    passed: dict[tuple[str, str], _Passed] = {}
    for each in wanted:
        same = busy.get(each.cell.work)
        record = None if same else _passed(results, each, passed)
        if same:
            found.under_way.append((same.batch, same.place))
        elif record:
            found.passed.append((each, record))
        else:
            found.missing.append(each)
    return found


def _passed(results: Path, each: Wanted, passed: "dict[tuple[str, str], _Passed]") -> Path | None:
    """The latest record of the same work by the same, committed program that did not fail."""
    own = program(each.part)
    if not own["clean"]:
        return None
    place = (each.cell.part, each.cell.hardware)
    if place not in passed:
        passed[place] = _Passed(results.joinpath(*place), own)
    return passed[place].find(batches.work(vars(each.cell)))


class _Passed:
    """The records of a part on a kind that did not fail, the latest first; each is read once, and when it is needed."""

    def __init__(self, folder: Path, program: Mapping[str, Any]) -> None:
        self._unread = iter(sorted(folder.glob("*Z-*"), reverse=True))
        self._program = program
        self._known: dict[batches.Work, Path] = {}

    def find(self, work: batches.Work) -> Path | None:
        while work not in self._known and (folder := next(self._unread, None)):
            with contextlib.suppress(DataFileError, KeyError, TypeError, AttributeError):
                record = records.read(folder / records.FILE)
                if verdict_of(record) in (PASSED, NOT_JUDGED) and record["program"] == self._program:
                    self._known.setdefault(batches.work(record), folder)
        return self._known.get(work)


def announce(found: Split) -> None:
    """Say what is not submitted, and why."""
    for each, record in found.passed:
        print(dim(f"· {each.cell} has run already: {os.path.relpath(record)}"))
    for batch, place in found.under_way:
        print(dim(f"· {batch.cells[place]} is under way already: job {batch.name_of(place)}"))
    if found.missing and not revision()["clean"]:
        print(yellow("The tree has changes that are not committed, so no earlier record counts as this program's."))
