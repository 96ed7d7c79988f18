"""Jobs: the list of what was handed to Slurm, and what has become of it.

results/.jobs/<batch>.json      the cells of an array, written before Slurm hears of it
results/.jobs/<batch>.list      what each of its tasks runs, a line each
results/.jobs/<batch>.sh        the script that Slurm was given
results/.jobs/<batch>-<n>.log   the output of the n-th task

A cell's record has the id that stands in the list, so it is there once or not at all. Who looks at the list completes
what jobs could not: a record of each attempt that was killed, and of a cell that never started. A batch of which every
cell is over is taken off the list.

Where a batch names a store, its jobs write elsewhere and send their records there; deliveries.py fetches them from it.
A record that is not there may still lie on a node, so what is written in its place has another id, and both can stand.
"""

import contextlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from harness import allocation, deliveries, endings, records
from harness.deliveries import Delivery
from harness.engines import slurm
from harness.engines.slurm import Job
from harness.errors import EngineError

FOLDER = ".jobs"
ANSWER_SECONDS = 60
FORGOTTEN_ATTEMPTS = 8  # of a job that Slurm has forgotten so many are looked for in the store
SUBMITTING_SECONDS = 600  # so long another machine's call may take from the list to sbatch's answer
Queue = Mapping[tuple[str, int], Job]
Work = tuple[Hashable, ...]


@dataclass(frozen=True, kw_only=True)
class JobCell:
    """A cell that a job runs. `run` is the id of its first attempt's record."""

    run: str
    part: str
    hardware: str
    parameters: Mapping[str, Any]
    seed: int
    cards: int

    def __str__(self) -> str:
        return f"{self.part} on {self.hardware}"

    @property
    def work(self) -> Work:
        """What is equal where two cells are the same work."""
        return self.part, self.hardware, *work(vars(self))

    def place(self, results: Path, restarts: int) -> Path:
        """Where the record of an attempt stands, once it is sealed."""
        return results / self.part / self.hardware / allocation.attempt(self.run, restarts)

    def stand_in(self, results: Path, restarts: int) -> Path:
        """Where a record stands in for one that did not come from its node."""
        return results / self.part / self.hardware / allocation.attempt(f"{self.run} not sent", restarts + 1)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One array of jobs, after the `build` of an image where they need one.

    `job` is Slurm's number, 0 until it is known; `caller` the process that submits it. `store` is where its jobs send
    their records, and `output` where on their nodes they print; both are empty where results/ is seen from everywhere.
    """

    id: str
    cells: tuple[JobCell, ...]
    program: Mapping[str, Mapping[str, Any]]
    submitted: str
    job: int = 0
    host: str = platform.node()
    caller: int = 0
    build: str = ""
    store: str = ""
    output: str = ""

    def file(self, results: Path, ending: str) -> Path:
        return results / FOLDER / f"{self.id}{ending}"

    def build_log(self, results: Path) -> Path:
        """What the build of its image printed."""
        return results / FOLDER / f"{self.build}.log"

    def write(self, results: Path) -> None:
        self.file(results, ".json").parent.mkdir(parents=True, exist_ok=True)
        records.write_json(self.file(results, ".json"), asdict(self))

    def forget(self, results: Path) -> None:
        """Take it off the list."""
        for path in (results / FOLDER).glob(f"{self.id}[-.]*"):
            path.unlink(missing_ok=True)
        if self.build and all(other.build != self.build for other in listed(results)):
            for path in (results / FOLDER).glob(f"{self.build}.*"):
                path.unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class Status:
    """Where a cell is: waiting, running or away with a detail, or over with its record.

    It is away when its job has ended and its record could not be fetched, though there may be one.
    """

    batch: Batch
    place: int
    job: Job | None
    state: str
    detail: str = ""
    record: Path | None = None

    @property
    def cell(self) -> JobCell:
        return self.batch.cells[self.place]

    @property
    def over(self) -> bool:
        return self.state == "over"


def work(record: Mapping[str, Any]) -> Work:
    """The parameters, seed and cards of a record or a cell; raises TypeError or KeyError where they are odd."""
    return tuple(sorted(record["parameters"].items())), record["seed"], record["cards"]


def listed(results: Path) -> list[Batch]:
    """The batches that are not over, the oldest first. A file that another call has just taken away is left out."""
    batches = []
    for path in sorted((results / FOLDER).glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            document = json.loads(path.read_bytes())
            cells = tuple(JobCell(**cell) for cell in document.pop("cells"))
            batches.append(Batch(**{**document, "cells": cells}))
    return batches


def ask(*words: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run a command of Slurm's.

    Raises:
        EngineError: it is not here.
    """
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=ANSWER_SECONDS, **options)
    except FileNotFoundError as error:
        remedy = "Call on a login node of the cluster; Debian's package is slurm-client."
        raise EngineError(f"There is no {words[0]} here.", "--on slurm needs Slurm's commands.", remedy) from error
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 1, "", f"{words[0]}: timed out after {ANSWER_SECONDS} s")


def queue() -> Queue | None:
    """What Slurm knows of this user's jobs; None while it does not answer, from which nothing follows."""
    done = ask(*slurm.QUEUE)
    return slurm.read_queue(done.stdout) if done.returncode == 0 else None


def survey(results: Path, batch: Batch, known: Queue) -> list[Status]:
    """Where each cell of a batch is; `known` was asked after the batch was read. Records that lack are written."""
    every = known.get((batch.id, slurm.ALL))
    found = {place: known.get((batch.id, place), every) for place in range(len(batch.cells))}
    jobs = {place: job for place, job in found.items() if job}
    delivery = _collect(results, batch, jobs) if batch.store else Delivery()
    if len(jobs) < len(batch.cells) and not _submitting(batch):
        lacking = [
            place for place, cell in enumerate(batch.cells) if place not in jobs and not cell.place(results, 0).exists()
        ]
        past = _history(batch) if lacking else {}
        jobs.update({place: past[batch.id, place] for place in lacking if (batch.id, place) in past})
    return [_status(results, batch, place, jobs.get(place), delivery) for place in range(len(batch.cells))]


def _collect(results: Path, batch: Batch, jobs: Mapping[int, Job]) -> Delivery:
    """Fetch the records of all attempts that have ended."""
    places = []
    for place, cell in enumerate(batch.cells):
        job = jobs.get(place)
        ended = job.restarts + job.ended if job else 0
        if job is None and not _submitting(batch):
            ended = FORGOTTEN_ATTEMPTS
        attempts = [number for number in range(ended) if not cell.stand_in(results, number).exists()]
        places += [cell.place(results, number) for number in attempts]
    return deliveries.collect(results, batch.store, places)


def _history(batch: Batch) -> Queue:
    """What the accounting database knows of a batch that the queue has forgotten; nothing where there is none."""
    with contextlib.suppress(EngineError):
        done = ask(*slurm.HISTORY, slurm.NAME + batch.id, "--starttime", batch.submitted[:10])
        return slurm.read_history(batch.id, done.stdout) if done.returncode == 0 else {}
    return {}


def _submitting(batch: Batch) -> bool:
    """Whether the call that wrote the batch down may still be about to submit it."""
    if batch.job or not batch.caller:
        return False
    if batch.host == platform.node():
        return Path(f"/proc/{batch.caller}").exists()
    age = datetime.now(timezone.utc) - datetime.fromisoformat(batch.submitted.replace("Z", "+00:00"))
    return age.total_seconds() < SUBMITTING_SECONDS


def _status(results: Path, batch: Batch, place: int, job: Job | None, delivery: Delivery) -> Status:
    cell = batch.cells[place]
    restarts = max(job.restarts if job else -1, _attempts(results, cell) - 1)
    for number in range(0 if delivery.silent else restarts):
        endings.complete(results, batch, place, number, job, slurm.REQUEUED)
    status = Status(batch=batch, place=place, job=job, state="waiting", detail="being submitted")
    if job and job.waiting:
        return replace(status, detail="no reason yet" if job.reason == "None" else job.reason)
    if job and not job.ended:
        return replace(status, state="running", detail=job.nodes)
    if job is None and _submitting(batch):
        return status
    if job is None and not batch.job and restarts < 0:
        return replace(status, state="over", detail="never submitted")
    restarts = max(restarts, 0)
    if why := _away(results, batch, place, restarts, job, delivery):
        return replace(status, state="away", detail=why)
    endings.complete(results, batch, place, restarts, job, _ending(job))
    return replace(status, state="over", detail="", record=_last(results, cell, restarts))


def _ending(job: Job | None) -> tuple[str, str]:
    if job and job.code == slurm.OTHER_COMMIT:
        return slurm.AT_ANOTHER_COMMIT
    return slurm.ENDED[job.state] if job else slurm.FORGOTTEN


def _away(results: Path, batch: Batch, place: int, restarts: int, job: Job | None, delivery: Delivery) -> str:
    """Why a record is not here although there may be one; empty where it is here, or there is none."""
    cell = batch.cells[place]
    if not batch.store or cell.place(results, restarts).exists() or cell.stand_in(results, restarts).exists():
        return ""
    if why := delivery.why_not(cell.place(results, restarts)):
        return why
    return f"its job could not send it; {endings.left(batch, place, job)}" if job and job.code == slurm.NOT_SENT else ""


def give_up(results: Path, statuses: Sequence[Status]) -> int:
    """Let records stand in for those that are away; how many. Should these come one day, both are kept."""
    away = [status for status in statuses if status.state == "away"]
    for status in away:
        restarts = status.job.restarts if status.job else 0
        endings.complete(results, status.batch, status.place, restarts, status.job, slurm.GIVEN_UP)
    return len(away)


def _last(results: Path, cell: JobCell, restarts: int) -> Path:
    """The record that counts: that of an attempt which finished, else the last."""
    each = range(restarts, -1, -1)
    places = [place for number in each for place in (cell.place(results, number), cell.stand_in(results, number))]
    found = [place for place in places if place.exists()]
    for place in found:
        if records.read(place / records.FILE)["exit"]["reason"] == "finished":
            return place
    return found[0]


def _attempts(results: Path, cell: JobCell) -> int:
    """How many attempts of a cell have left anything."""
    number = 0
    while (
        cell.place(results, number).exists()
        or endings.draft_of(results, cell, number).exists()
        or cell.stand_in(results, number).exists()
    ):
        number += 1
    return number


# All of the list


def look(results: Path) -> list[Status]:
    """Where every cell of the list is; batches that are over are taken off it.

    Raises:
        EngineError: Slurm does not answer.
    """
    batches = listed(results)
    known = queue() if batches else {}
    if known is None:
        raise EngineError("Slurm does not answer.", "squeue said nothing.", "scontrol ping; then call again.")
    return [status for batch in batches for status in settle(results, batch, known)]


def tidy(results: Path) -> None:
    """Remove what belongs to no batch of the list: a slurmctld that forgot how far it was starts jobs once more.

    Only whoever may submit calls it, for what is being submitted is about to be listed.
    """
    known = tuple(name for batch in listed(results) for name in (batch.id, batch.build) if name)
    for path in (results / FOLDER).glob("[!.]*"):
        if not path.name.startswith(known or "/"):
            path.unlink(missing_ok=True)


def settle(results: Path, batch: Batch, known: Queue) -> list[Status]:
    """Survey a batch, and take it off the list when all of it is over."""
    statuses = survey(results, batch, known)
    if all(status.over for status in statuses):
        batch.forget(results)
    return statuses


def cancel(statuses: Sequence[Status]) -> int:
    """Cancel the jobs that have not ended; how many."""
    jobs = [status.job.id for status in statuses if status.job and status.state in ("waiting", "running")]
    for some in slurm.chunks(jobs, 500):
        ask("scancel", *some)
    return len(jobs)


def wait_a_moment(last_change: float) -> None:
    """Until it is worth asking again: soon while things move."""
    time.sleep(1.0 if time.monotonic() - last_change < 60 else 5.0)


def caller() -> dict[str, Any]:
    """Who submits, as a batch remembers it."""
    return {"host": platform.node(), "caller": os.getpid()}
