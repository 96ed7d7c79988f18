"""Dispatch: cells handed to Slurm, a job each, and only those that are missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.dispatch.dispatcher import Outcome, RunRequest
from harness.dispatch.listed import following, missing
from harness.dispatch.listed.batches import Batch
from harness.dispatch.listed.job import Schedulers
from harness.dispatch.listed.missing import Split, Wanted, alone, split, wanted
from harness.dispatch.slurm import commands, submission
from harness.dispatch.slurm import site as sites
from harness.dispatch.slurm.site import Settings
from harness.dispatch.slurm.submission import line
from harness.errors import DataFileError, UsageError
from harness.terminal import green, yellow


@dataclass(frozen=True)
class Plan:
    """The cells that were asked for, and what runs each of them on its node."""

    wanted: Sequence[Wanted]
    site: Settings
    engine: str
    key: Path | None


class Slurm:
    def __init__(self, schedulers: Schedulers) -> None:
        self._schedulers = schedulers

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
        return Plan([wanted(each, site.margin) for each in asked], site, engine, request.key)

    def show(self, plan: Plan) -> None:
        if plan.site.store:
            print(f"Jobs run in {plan.site.checkout} on their nodes, and send their records to {plan.site.store}.")
        for each in plan.wanted:
            asked = commands.gres(plan.site.gres(each.kind), each.cell.cards) or "no card"
            options = _spoken(plan.site.of(each.kind))
            print(f"{green('▶')} {each.cell.part:<5} {each.cell.hardware:<10} {each.part.title}")
            print(f"        {asked}, {each.minutes} min, {options}: {line(each, plan.site, plan.engine, '')}")

    def run(self, plan: Plan, results: Path) -> Outcome:
        """Submit what is missing, and follow it and what is under way to the end.

        Raises:
            EngineError: Slurm does not answer.
            StoreError: the records' store cannot be reached.
            Interrupted: the jobs were left, or cancelled.
        """
        key = str(plan.key.absolute()) if plan.key else ""
        with alone(results):
            found = split(plan.wanted, results, self._schedulers)
            submitted, refused = submission.submit(found.missing, results, plan.site, plan.engine, key)
        announce(found, submitted, plan.site)
        return following.outcome(results, found.under_way, submitted, refused, self._schedulers)


def _spoken(options: Mapping[str, Any]) -> str:
    return " ".join(f"--{name}" + ("" if value is True else f"={value}") for name, value in options.items())


def announce(found: Split, submitted: Sequence[Batch], site: Settings) -> None:
    """Say what was submitted, and what was not and why."""
    missing.announce(found)
    if found.missing and site.store and not missing.revision()["clean"]:
        print(yellow(f"The changes are not in {site.checkout} on the nodes either: there the commit alone runs."))
    for batch in submitted:
        kinds = ", ".join(dict.fromkeys(cell.hardware for cell in batch.cells))
        print(f"Job {batch.job}: {len(batch.cells)} {'cell' if len(batch.cells) == 1 else 'cells'} on {kinds}")
