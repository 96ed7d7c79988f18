"""Batches: the list of what was handed to schedulers.

results/.jobs/<batch>.json      the cells of an array, written before its scheduler hears of it
results/.jobs/<batch>.list      what each of its tasks runs, a line each
results/.jobs/<batch>.sh        the script that Slurm was given (the last three are Slurm's alone)
results/.jobs/<batch>-<n>.log   the output of the n-th task

A cell's record has the id that stands in the list, so it is there once or not at all. A batch of which every cell is
over is taken off the list. Where it names a store, its jobs write elsewhere and send their records there.
"""

import contextlib
import hashlib
import json
import os
import platform
import re
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.catalogue import releases
from harness.evidence import hashing

FOLDER = ".jobs"
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
    paddle: str = ""  # the version, empty in older lists: the homework's

    def __str__(self) -> str:
        return f"{self.part} on {self.hardware}"

    @property
    def work(self) -> Work:
        """What is equal where two cells are the same work."""
        return self.part, self.hardware, *work(vars(self))

    def place(self, results: Path, restarts: int) -> Path:
        """Where the record of an attempt stands, once it is sealed."""
        return results / self.part / self.hardware / attempt(self.run, restarts)

    def stand_in(self, results: Path, restarts: int) -> Path:
        """Where a record stands in for one that did not come from its node."""
        return results / self.part / self.hardware / attempt(f"{self.run} not sent", restarts + 1)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Jobs that were submitted together, after the `build` of an image where they need one.

    `job` is Slurm's number, 0 until all are submitted; `caller` the process that submits them. `store` is where jobs
    send their records, and `output` where on their nodes they print; both are empty where results/ is seen from
    everywhere. `where` is what `scheduler` needs to find them again, and `cancelled` the places that a person ended.
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
    scheduler: str = "slurm"
    where: str = ""
    cancelled: tuple[int, ...] = ()

    def file(self, results: Path, ending: str) -> Path:
        return results / FOLDER / f"{self.id}{ending}"

    def build_log(self, results: Path) -> Path:
        """What the build of its image printed."""
        return results / FOLDER / f"{self.build}.log"

    def name_of(self, place: int) -> str:
        """What its scheduler calls the job of a cell."""
        if self.scheduler == "slurm":
            return f"{self.job}_{place}"
        cell, tail = self.cells[place], self.id.rpartition("-")[2]
        return re.sub("[^a-z0-9-]", "-", f"homework-{cell.part}-{cell.hardware}-{tail}-{place}".lower())

    def write(self, results: Path) -> None:
        self.file(results, ".json").parent.mkdir(parents=True, exist_ok=True)
        hashing.write_json(self.file(results, ".json"), asdict(self))

    def forget(self, results: Path) -> None:
        """Take it off the list."""
        for path in (results / FOLDER).glob(f"{self.id}[-.]*"):
            path.unlink(missing_ok=True)
        if self.build and all(other.build != self.build for other in listed(results)):
            for path in (results / FOLDER).glob(f"{self.build}.*"):
                path.unlink(missing_ok=True)


def attempt(run: str, restarts: int) -> str:
    """The id of a job's record when it was requeued that often: each attempt has a record of its own."""
    moment, _, tail = run.rpartition("-")
    return run if restarts == 0 else f"{moment}-{hashlib.sha256(f'{tail} {restarts}'.encode()).hexdigest()[:6]}"


def work(record: Mapping[str, Any]) -> Work:
    """The parameters, seed, cards and Paddle of a record or a cell; raises TypeError or KeyError where they are odd."""
    paddle = record.get("paddle") or releases.load().homework
    version = paddle if isinstance(paddle, str) else paddle["version"]
    return tuple(sorted(record["parameters"].items())), record["seed"], record["cards"], version


def listed(results: Path, name: str = "*") -> list[Batch]:
    """The batches that are not over, the oldest first. A file that another call has just taken away is left out."""
    batches = []
    for path in sorted((results / FOLDER).glob(f"{name}.json")):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            document = json.loads(path.read_bytes())
            cells = tuple(JobCell(**cell) for cell in document.pop("cells"))
            document["cancelled"] = tuple(document.get("cancelled", ()))
            batches.append(Batch(**{**document, "cells": cells}))
    return batches


def again(results: Path, batch: Batch) -> Batch:
    """The batch as its file says now: another call may have submitted more of it, or cancelled some."""
    return next((each for each in listed(results, batch.id) if each.id == batch.id), batch)


def tidy(results: Path) -> None:
    """Remove what belongs to no batch of the list: a slurmctld that forgot how far it was starts jobs once more.

    Only whoever may submit calls it, for what is being submitted is about to be listed.
    """
    known = tuple(name for batch in listed(results) for name in (batch.id, batch.build) if name)
    for path in (results / FOLDER).glob("[!.]*"):
        if not path.name.startswith(known or "/"):
            path.unlink(missing_ok=True)


def caller() -> dict[str, Any]:
    """Who submits, as a batch remembers it."""
    return {"host": platform.node(), "caller": os.getpid()}
