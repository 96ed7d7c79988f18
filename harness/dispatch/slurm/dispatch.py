"""Dispatch: cells handed to Slurm, a job each, and only those that are missing."""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import system
from harness.catalogue.cells import CellRequest
from harness.dispatch.dispatcher import Outcome, RunRequest
from harness.dispatch.slurm import batches, commands, following, jobs, submission
from harness.dispatch.slurm import site as sites
from harness.dispatch.slurm.batches import Batch, JobCell
from harness.dispatch.slurm.site import Settings
from harness.dispatch.slurm.submission import Wanted, line
from harness.errors import DataFileError, HomeworkError, UsageError
from harness.evidence import hashing, records
from harness.evidence.record import Record
from harness.evidence.verdicts import NOT_JUDGED, PASSED, verdict_of
from harness.terminal import dim, green, yellow


@dataclass(frozen=True)
class Plan:
    """The cells that were asked for, and what runs each of them on its node."""

    wanted: Sequence[Wanted]
    site: Settings
    engine: str
    key: Path | None


@dataclass(frozen=True)
class Split:
    """What was asked for: what has passed (with its record), what is under way, and what is missing."""

    passed: list[tuple[Wanted, Path]]
    under_way: list[tuple[Batch, int]]
    missing: list[Wanted]


class Slurm:
    def plan(self, request: RunRequest) -> Plan:
        """The cells that were asked for. Nothing is asked of this machine: the cards are in the nodes.

        Raises:
            UsageError: kinds are not named, or a setting or number of cards that a part does not take.
            DataFileError: slurm.yaml has a mistake.
        """
        engine, site = sites.inside(request.on), sites.settings()
        if any("\n" in value for value in request.settings):
            raise UsageError(
                "--set: a value of two lines.", "A job's arguments are one line.", "Leave the line break out."
            )
        known = request.catalogue.hardware
        if odd := site.kinds.keys() - known.keys():
            why = f"Known: {', '.join(known)}."
            raise DataFileError(f"slurm.yaml: {min(odd)}: no such kind.", why, "./inv hardware")
        asked = request.cells_elsewhere("the nodes")
        return Plan([wanted(each, site) for each in asked], site, engine, request.key)

    def show(self, plan: Plan) -> None:
        if plan.site.store:
            print(f"Jobs run in {plan.site.checkout} on their nodes, and send their records to {plan.site.store}.")
        for each in plan.wanted:
            asked = commands.gres(plan.site.gres(each.kind), each.cell.cards) or "no card"
            options = _spoken(plan.site.of(each.kind))
            print(f"{green('▶')} {each.cell.part:<5} {each.cell.hardware:<10} {each.part.title}")
            print(f"        {asked}, {each.minutes} min, {options}: {line(each, plan.engine, '')}")

    def run(self, plan: Plan, results: Path) -> Outcome:
        """Submit what is missing, and follow it and what is under way to the end.

        Raises:
            EngineError: Slurm does not answer.
            StoreError: the records' store cannot be reached.
            Interrupted: the jobs were left, or cancelled.
        """
        key = str(plan.key.absolute()) if plan.key else ""
        with alone(results):
            found = split(plan.wanted, results)
            submitted, refused = submission.submit(found.missing, results, plan.site, plan.engine, key)
        announce(found, submitted, plan.site)
        places = [(batch, place) for batch in submitted for place in range(len(batch.cells))]
        statuses = following.follow(results, [*found.under_way, *places])
        here = [Record.read(folder) for folder in following.folders(statuses)]
        try:
            following.require_passed(statuses, refused)
        except HomeworkError as error:
            return Outcome(here, error)
        return Outcome(here)


def wanted(request: CellRequest, site: Settings) -> Wanted:
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
    return Wanted(request=request, cell=cell, minutes=math.ceil((request.part.timeout + site.margin) / 60))


def _spoken(options: Mapping[str, Any]) -> str:
    return " ".join(f"--{name}" + ("" if value is True else f"={value}") for name, value in options.items())


@contextlib.contextmanager
def alone(results: Path) -> Iterator[None]:
    """One call at a time plans and submits, so that two of the same command do not both submit a cell."""
    (results / batches.FOLDER).mkdir(parents=True, exist_ok=True)
    with (results / batches.FOLDER / ".lock").open("w") as lock:
        system.lock(lock.fileno())
        yield


def split(wanted: Sequence[Wanted], results: Path) -> Split:
    """Find what need not be submitted: what passed with this revision, and what a job is still to do.

    Raises:
        EngineError: Slurm does not answer, so that nobody knows.
    """
    busy = {status.cell.work: status for status in reversed(jobs.look(results)) if not status.over}
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
    own = submission.program(each.part)
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


def announce(found: Split, submitted: Sequence[Batch], site: Settings) -> None:
    """Say what was submitted, and what was not and why."""
    for each, record in found.passed:
        print(dim(f"· {each.cell} has run already: {os.path.relpath(record)}"))
    for batch, place in found.under_way:
        print(dim(f"· {batch.cells[place]} is under way already: job {batch.job}_{place}"))
    for batch in submitted:
        kinds = ", ".join(dict.fromkeys(cell.hardware for cell in batch.cells))
        print(f"Job {batch.job}: {len(batch.cells)} {'cell' if len(batch.cells) == 1 else 'cells'} on {kinds}")
    if found.missing and not submission.revision()["clean"]:
        print(yellow("The tree has changes that are not committed, so no earlier record counts as this program's."))
        if site.store:
            print(yellow(f"They are not in {site.checkout} on the nodes either: there the commit alone runs."))
