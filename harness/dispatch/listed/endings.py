"""Endings: the record of an attempt that its job could not write, because it was killed or never got as far."""

import contextlib
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import system
from harness.dispatch.listed.batches import Batch, JobCell, attempt
from harness.dispatch.listed.job import FORGOTTEN, GIVEN_UP, LATE, Job, Schedulers, Stop
from harness.errors import DataFileError, EngineError
from harness.evidence import finishing, hashing, records
from harness.evidence.redaction import Redactor
from harness.evidence.sealed import RECORD, of_document

UNSEEN: Mapping[str, Any] = {  # the hardware of a cell that never began
    "model": "none seen",
    "architecture": None,
    "driver": None,
    "cards": [],
    "machine": "unknown",
    "system": "unknown",
    "kernel": "unknown",
}


def draft_of(results: Path, cell: JobCell, restarts: int) -> Path:
    """Where an attempt writes until it is sealed."""
    return results / ".unfinished" / attempt(cell.run, restarts)


def complete(results: Path, batch: Batch, place: int, restarts: int, job: Job | None, ending: Stop) -> None:
    """Seal what an attempt left, or that it left nothing; if meanwhile it has done so itself, its own record stands.

    What is sealed is a copy: on a node that was given up, the program may still be running, and writing.
    """
    cell, unknown = batch.cells[place], ending in (FORGOTTEN, GIVEN_UP)
    sealed, draft = cell.place(results, restarts), draft_of(results, cell, restarts)
    if sealed.exists():
        return
    if (batch.store or unknown) and (stand_in := cell.stand_in(results, restarts)).exists():
        return
    if batch.store or (unknown and not draft.exists()):
        sealed = stand_in  # its own place is kept for what may come, or begin, after all
    folder = results / ".unfinished" / f".{sealed.name}-{secrets.token_hex(3)}"
    try:
        begun = _copy(draft, folder)
        record = begun or {**_unstarted(batch, place, restarts, job), "id": sealed.name}
        folder.mkdir(parents=True, exist_ok=True)
        _keep_output([batch.file(results, f"-{place}.log"), batch.build_log(results)], folder / records.LOG)
        reason, why = ending
        if reason in ("killed", "not started") and not (batch.store and unknown):
            reason = "killed" if begun else "not started"
        if ending == FORGOTTEN and not begun:
            why += "; should it run after all, that has a record of its own"
        why += _words(batch, place, job, folder / records.LOG)
        _seal(results, folder, record, (reason, f"{why}{_where(job)}"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if sealed.exists() and not unknown:  # where it is not known to be over, sweep() asks again
        shutil.rmtree(draft, ignore_errors=True)


def _seal(results: Path, folder: Path, record: dict[str, Any], ending: Stop) -> None:
    record.update(records.ended(record, folder / records.LOG, *ending))
    finishing.complete_here(folder, record)
    with contextlib.suppress(OSError):  # the place is taken: it was quicker
        records.seal_folder(results, folder, record)


def sweep(results: Path, schedulers: Schedulers) -> None:
    """Settle what jobs left that had a record already when they began, or went on: their scheduler had forgotten them.

    One that its scheduler knows again is left alone. Of the others, what ran gets a record of its own, and what its
    record has already is taken away. Their batches may have left the list long ago.
    """
    drafts = [each for each in map(_read, (results / ".unfinished").glob("[!.]*")) if each]
    drafts = [(draft, record) for draft, record in drafts if _recorded(results, record)]
    for name in {record["job"]["scheduler"] for _, record in drafts}:
        try:
            known = schedulers(name).queue([])  # asked now, so that no draft is younger than the answer
        except EngineError:
            continue
        alive = {job.id for job in known.values() if not job.ended}
        for draft, record in drafts:
            job = record["job"]
            if job["scheduler"] == name and job["id"] not in alive and _settled(results, draft, record):
                shutil.rmtree(draft, ignore_errors=True)


def _read(draft: Path) -> tuple[Path, dict[str, Any]] | None:
    """A draft of the caller's, with its record."""
    with contextlib.suppress(OSError, ValueError):
        user = system.user()
        if user is None or draft.stat().st_uid == user[0]:
            return draft, json.loads((draft / records.FILE).read_bytes())
    return None


def _recorded(results: Path, record: dict[str, Any]) -> bool:
    """Whether a job began this, and something stands for it already."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        place = results / of_document(RECORD, record).place
        stand_in = place.with_name(attempt(f"{record['id']} not sent", 1))
        return bool(record["job"]["scheduler"]) and (place.exists() or stand_in.exists())
    return False


def _settled(results: Path, draft: Path, record: dict[str, Any]) -> bool:
    """Whether a draft has a record of what ran; it gets one where it has none."""
    sealed = of_document(RECORD, record)
    if (results / sealed.place).exists():
        try:
            if sealed.read(results)["times"]["started"] == record["times"]["started"]:
                return True
        except (DataFileError, KeyError, TypeError):
            return False
        record["id"] = hashing.new_id()
    folder = draft.with_name(f".{record['id']}-{secrets.token_hex(3)}")
    try:
        if _copy(draft, folder):
            _seal(results, folder, record, LATE)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return (results / of_document(RECORD, record).place).exists()


def _copy(draft: Path, folder: Path) -> dict[str, Any] | None:
    """Copy a draft; its record, or None where there is none that can be read."""
    try:
        shutil.copytree(draft, folder, symlinks=True, ignore=shutil.ignore_patterns(hashing.LOCK))
        record: dict[str, Any] = json.loads((folder / records.FILE).read_bytes())
        return record
    except (OSError, ValueError):  # it never began, or is being moved to its place at this moment
        shutil.rmtree(folder, ignore_errors=True)
        return None


def _unstarted(batch: Batch, place: int, restarts: int, job: Job | None) -> dict[str, Any]:
    """The record of an attempt that did not get as far as one."""
    cell = batch.cells[place]
    number = job.id if job else batch.name_of(place)
    return {
        "schema": records.SCHEMA_VERSION,
        "cell": {"part": cell.part, "hardware": cell.hardware},
        "program": batch.program[cell.part],
        "parameters": cell.parameters,
        "seed": cell.seed,
        "cards": cell.cards,
        "hardware": UNSEEN,
        "job": {
            "scheduler": batch.scheduler,
            "id": number,
            "node": (job and job.nodes) or None,
            "attempt": restarts + 1,
        },
        "times": {"started": batch.submitted},
    }


def _keep_output(outputs: Sequence[Path], log: Path) -> None:
    """Where no program has printed anything, the job's own output is the log, or those of the job before it."""
    if not log.exists():
        redactor = Redactor.here()
        said = next((output.read_bytes()[-(2**20) :] for output in outputs if output.is_file()), b"")
        log.write_bytes(redactor.feed(said) + redactor.flush())


def _where(job: Job | None) -> str:
    if job is None:
        return ""
    reason = f", {job.reason}" if job.reason not in ("", "None") else ""
    return f" (job {job.id}, {job.state}{f' on {job.nodes}' if job.nodes else ''}{reason})"


def _words(batch: Batch, place: int, job: Job | None, log: Path) -> str:
    """Where a job's own output is, as a why goes on."""
    if batch.store:
        return f"; {left(batch, place, job)}" if job and job.nodes else ""
    return "; run.log has the job's own output" if log.stat().st_size else ""


def left(batch: Batch, place: int, job: Job | None) -> str:
    """Where the output of a job lies that others cannot see."""
    if not batch.output:
        return f"kubectl -n {batch.where} logs job/{batch.name_of(place)} says why"
    node = (job and job.nodes) or "its node"
    return f"why is on {node} in {batch.output.replace('%a', str(place))}"
