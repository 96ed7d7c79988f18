"""Batches: the list of what was handed to Slurm.

results/.jobs/<batch>.json      the cells of an array, written before Slurm hears of it
results/.jobs/<batch>.list      what each of its tasks runs, a line each
results/.jobs/<batch>.sh        the script that Slurm was given
results/.jobs/<batch>-<n>.log   the output of the n-th task

A cell's record has the id that stands in the list, so it is there once or not at all. A batch of which every cell is
over is taken off the list. Where it names a store, its jobs write elsewhere and send their records there.
"""

import contextlib
import json
import os
import platform
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.catalogue import releases
from harness.dispatch.slurm import allocation
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
        hashing.write_json(self.file(results, ".json"), asdict(self))

    def forget(self, results: Path) -> None:
        """Take it off the list."""
        for path in (results / FOLDER).glob(f"{self.id}[-.]*"):
            path.unlink(missing_ok=True)
        if self.build and all(other.build != self.build for other in listed(results)):
            for path in (results / FOLDER).glob(f"{self.build}.*"):
                path.unlink(missing_ok=True)


def work(record: Mapping[str, Any]) -> Work:
    """The parameters, seed, cards and Paddle of a record or a cell; raises TypeError or KeyError where they are odd."""
    paddle = record.get("paddle") or releases.load().homework
    version = paddle if isinstance(paddle, str) else paddle["version"]
    return tuple(sorted(record["parameters"].items())), record["seed"], record["cards"], version


def listed(results: Path) -> list[Batch]:
    """The batches that are not over, the oldest first. A file that another call has just taken away is left out."""
    batches = []
    for path in sorted((results / FOLDER).glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            document = json.loads(path.read_bytes())
            cells = tuple(JobCell(**cell) for cell in document.pop("cells"))
            batches.append(Batch(**{**document, "cells": cells}))
    return batches


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
