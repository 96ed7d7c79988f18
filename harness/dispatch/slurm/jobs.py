"""Jobs: what has become of what was handed to Slurm.

Who looks completes what jobs could not: a record of each attempt that was killed, and of a cell that never started. A
record that is not there may still lie on a node, so what is written in its place has another id, and both can stand.
"""

import contextlib
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from harness.dispatch.slurm import batches, commands, deliveries, endings
from harness.dispatch.slurm.batches import Batch, JobCell
from harness.dispatch.slurm.commands import Job, Stop
from harness.dispatch.slurm.deliveries import Delivery
from harness.errors import EngineError
from harness.evidence import records

ANSWER_SECONDS = 60
FORGOTTEN_ATTEMPTS = 8  # of a job that Slurm has forgotten so many are looked for in the store
SUBMITTING_SECONDS = 600  # so long another machine's call may take from the list to sbatch's answer
Queue = Mapping[tuple[str, int], Job]


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
    done = ask(*commands.QUEUE)
    return commands.read_queue(done.stdout) if done.returncode == 0 else None


def survey(results: Path, batch: Batch, known: Queue) -> list[Status]:
    """Where each cell of a batch is; `known` was asked after the batch was read. Records that lack are written."""
    every = known.get((batch.id, commands.ALL))
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
        done = ask(*commands.HISTORY, commands.NAME + batch.id, "--starttime", batch.submitted[:10])
        return commands.read_history(batch.id, done.stdout) if done.returncode == 0 else {}
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
        endings.complete(results, batch, place, number, job, commands.REQUEUED)
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


def _ending(job: Job | None) -> Stop:
    if job and job.code == commands.OTHER_COMMIT:
        return commands.AT_ANOTHER_COMMIT
    return commands.ENDED[job.state] if job else commands.FORGOTTEN


def _away(results: Path, batch: Batch, place: int, restarts: int, job: Job | None, delivery: Delivery) -> str:
    """Why a record is not here although there may be one; empty where it is here, or there is none."""
    cell = batch.cells[place]
    if not batch.store or cell.place(results, restarts).exists() or cell.stand_in(results, restarts).exists():
        return ""
    if why := delivery.why_not(cell.place(results, restarts)):
        return why
    return (
        f"its job could not send it; {endings.left(batch, place, job)}" if job and job.code == commands.NOT_SENT else ""
    )


def give_up(results: Path, statuses: Sequence[Status]) -> int:
    """Let records stand in for those that are away; how many. Should these come one day, both are kept."""
    away = [status for status in statuses if status.state == "away"]
    for status in away:
        restarts = status.job.restarts if status.job else 0
        endings.complete(results, status.batch, status.place, restarts, status.job, commands.GIVEN_UP)
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
    listed = batches.listed(results)
    known = queue() if listed else {}
    if known is None:
        raise EngineError("Slurm does not answer.", "squeue said nothing.", "scontrol ping; then call again.")
    return [status for batch in listed for status in settle(results, batch, known)]


def settle(results: Path, batch: Batch, known: Queue) -> list[Status]:
    """Survey a batch, and take it off the list when all of it is over."""
    statuses = survey(results, batch, known)
    if all(status.over for status in statuses):
        batch.forget(results)
    return statuses


def cancel(statuses: Sequence[Status]) -> int:
    """Cancel the jobs that have not ended; how many."""
    jobs = [status.job.id for status in statuses if status.job and status.state in ("waiting", "running")]
    for some in commands.chunks(jobs, 500):
        ask("scancel", *some)
    return len(jobs)


def wait_a_moment(last_change: float) -> None:
    """Until it is worth asking again: soon while things move."""
    time.sleep(1.0 if time.monotonic() - last_change < 60 else 5.0)
