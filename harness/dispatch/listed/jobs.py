"""Jobs: what has become of what was handed to schedulers.

Who looks completes what jobs could not: a record of each attempt that was killed, and of a cell that never started. A
record that is not there may still lie on a node, so what is written in its place has another id, and both can stand.
"""

import platform
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from harness.dispatch.listed import batches, deliveries, endings
from harness.dispatch.listed.batches import Batch, JobCell
from harness.dispatch.listed.deliveries import Delivery
from harness.dispatch.listed.job import (
    ALL,
    AT_ANOTHER_COMMIT,
    ENDED,
    FORGOTTEN,
    GIVEN_UP,
    NOT_SENT,
    OTHER_COMMIT,
    REQUEUED,
    Job,
    Queue,
    Scheduler,
    Schedulers,
    Stop,
)
from harness.evidence import records

FORGOTTEN_ATTEMPTS = 8  # of a job that is forgotten so many are looked for in the store
SUBMITTING_SECONDS = 600  # so long another machine's call may take from the list to sbatch's answer


@dataclass(frozen=True, kw_only=True)
class Status:
    """Where a cell is: waiting, running or away with a detail, or over with its record.

    It is away when its job has ended and its record could not be fetched, though there may be one.
    """

    batch: Batch
    place: int
    job: Job | None
    state: Literal["waiting", "running", "away", "over"]
    detail: str = ""
    record: Path | None = None

    @property
    def cell(self) -> JobCell:
        return self.batch.cells[self.place]

    @property
    def over(self) -> bool:
        return self.state == "over"


def survey(
    results: Path, batch: Batch, known: Queue, scheduler: Scheduler, before: Sequence[Status] = ()
) -> list[Status]:
    """Where each cell of a batch is; `known` was asked after the batch was read. Records that lack are written.

    A cell that was over `before` and whose job is as it was then is not looked at again.
    """
    every = known.get((batch.id, ALL))
    found = {place: known.get((batch.id, place), every) for place in range(len(batch.cells))}
    over = {status.place: status for status in before if status.over and status.job == found.get(status.place)}
    jobs = {place: job for place, job in found.items() if job and place not in over}
    delivery = _collect(results, batch, jobs, over) if batch.store else Delivery()
    if len(jobs) + len(over) < len(batch.cells) and not _submitting(batch):
        lacking = [
            place
            for place, cell in enumerate(batch.cells)
            if place not in jobs and place not in over and not cell.place(results, 0).exists()
        ]
        past = scheduler.history(batch) if lacking else {}
        found = {place: past.get((batch.id, place), past.get((batch.id, ALL))) for place in lacking}
        jobs.update({place: job for place, job in found.items() if job})
    return [
        over.get(place) or _status(results, batch, place, jobs.get(place), delivery)
        for place in range(len(batch.cells))
    ]


def _collect(results: Path, batch: Batch, jobs: Mapping[int, Job], over: Container[int]) -> Delivery:
    """Fetch the records of all attempts that have ended, but of cells that are over."""
    places = []
    for place, cell in enumerate(batch.cells):
        if place in over:
            continue
        job = jobs.get(place)
        ended = job.restarts + job.ended if job else 0
        if job is None and not _submitting(batch):
            ended = FORGOTTEN_ATTEMPTS
        attempts = [number for number in range(ended) if not cell.stand_in(results, number).exists()]
        places += [cell.place(results, number) for number in attempts]
    return deliveries.collect(results, batch.store, places)


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
        endings.complete(results, batch, place, number, job, REQUEUED)
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
    endings.complete(results, batch, place, restarts, job, _ending(batch, place, job))
    return replace(status, state="over", detail="", record=_last(results, cell, restarts))


def _ending(batch: Batch, place: int, job: Job | None) -> Stop:
    if place in batch.cancelled:
        return ENDED["CANCELLED"]
    if job and job.code == OTHER_COMMIT:
        return AT_ANOTHER_COMMIT
    reason, why = ENDED[job.state] if job else FORGOTTEN
    return reason, why.format(scheduler=batch.scheduler)


def _away(results: Path, batch: Batch, place: int, restarts: int, job: Job | None, delivery: Delivery) -> str:
    """Why a record is not here although there may be one; empty where it is here, or there is none."""
    cell = batch.cells[place]
    if not batch.store or cell.place(results, restarts).exists() or cell.stand_in(results, restarts).exists():
        return ""
    if why := delivery.why_not(cell.place(results, restarts)):
        return why
    return f"its job could not send it; {endings.left(batch, place, job)}" if job and job.code == NOT_SENT else ""


def give_up(results: Path, statuses: Sequence[Status]) -> int:
    """Let records stand in for those that are away; how many. Should these come one day, both are kept."""
    away = [status for status in statuses if status.state == "away"]
    for status in away:
        restarts = status.job.restarts if status.job else 0
        endings.complete(results, status.batch, status.place, restarts, status.job, GIVEN_UP)
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


def look(results: Path, schedulers: Schedulers) -> list[Status]:
    """Where every cell of the list is; batches that are over are taken off it, and what jobs left besides is settled.

    Raises:
        EngineError: a scheduler does not answer.
    """
    listed = batches.listed(results)
    known = queues(listed, schedulers)
    statuses = [status for batch in listed for status in settle(results, batch, known, schedulers(batch.scheduler))]
    endings.sweep(results, schedulers)
    return statuses


def queues(listed: Sequence[Batch], schedulers: Schedulers) -> Queue:
    """What the schedulers of these batches know of their jobs.

    Raises:
        Silent: one of them does not answer.
    """
    found: dict[tuple[str, int], Job] = {}
    for name in dict.fromkeys(batch.scheduler for batch in listed):
        found |= schedulers(name).queue([batch for batch in listed if batch.scheduler == name])
    return found


def settle(
    results: Path, batch: Batch, known: Queue, scheduler: Scheduler, before: Sequence[Status] = ()
) -> list[Status]:
    """Survey a batch, and take it off the list when all of it is over."""
    statuses = survey(results, batch, known, scheduler, before)
    if all(status.over for status in statuses):
        batch.forget(results)
    return statuses


def cancel(results: Path, statuses: Sequence[Status], schedulers: Schedulers) -> int:
    """Cancel the jobs that have not ended; how many. That a person did so is on the list before they end."""
    active = [status for status in statuses if status.job and status.state in ("waiting", "running")]
    for batch in {status.batch.id: status.batch for status in active}.values():
        own = [status for status in active if status.batch.id == batch.id]
        noted = {*batch.cancelled, *(status.place for status in own)}
        replace(batch, cancelled=tuple(sorted(noted))).write(results)
        schedulers(batch.scheduler).cancel([(batch, status.job) for status in own if status.job])
    return len(active)
