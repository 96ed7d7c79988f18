"""Here: cells run on this machine, one after the other. A job that a scheduler started runs its cell so too."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.catalogue import cells
from harness.catalogue.releases import Release
from harness.dispatch.dispatcher import Outcome, RunRequest
from harness.dispatch.kubernetes import allocation as pod
from harness.dispatch.slurm import allocation
from harness.doctor import preflight
from harness.errors import EngineError, HardwareError, UsageError
from harness.evidence import finishing, records
from harness.machine import probe
from harness.machine.probe import Finding
from harness.runs import runner
from harness.runs.runner import Planned
from harness.terminal import Live, yellow


@dataclass(frozen=True)
class Plan:
    findings: Sequence[Finding]
    entries: Sequence[Planned]
    request: RunRequest


class Here:
    def plan(self, request: RunRequest) -> Plan:
        """The cells on what this machine has.

        Raises:
            HardwareError: a kind that was named is not here, or none was recognised.
            UsageError: an unknown engine, or a setting or a number of cards that a part does not take.
        """
        if allocation.inside() and request.hw != "auto":
            allocation.see_own_cards(cells.select_hardware(request.catalogue, request.hw))
        with Live("Looking at this machine", sys.stderr, signs=True):
            findings = {release: _findings(request, release) for release in request.releases}
        entries = [entry for release, found in findings.items() for entry in _plan(request, release, found)]
        return Plan([finding for found in findings.values() for finding in found], entries, request)

    def show(self, plan: Plan) -> None:
        runner.show_left_out(plan.findings)
        runner.show_plan(plan.entries)

    def run(self, plan: Plan, results: Path) -> Outcome:
        if allocation.inside() and allocation.finished_before(results):
            print("An earlier attempt of this job has left its record.")
            return Outcome([])
        runner.show_left_out(plan.findings)
        if (plan.request.missing or plan.request.failed) and not _any_left(plan):
            print(f"Nothing is to be run: of what can run here, {_none(plan.request)}.")
            return Outcome([])
        _refuse_empty(plan)
        preflight.require_run(plan.entries)
        for place in records.adopt_unfinished(results, finishing.complete_here):
            print(yellow(f"Sealed a run that was killed: {os.path.relpath(place)}"))
        return Outcome(
            runner.run_all(plan.entries, results, plan.request.key, allocation.job() or pod.job(), plan.request.verbose)
        )


def _plan(request: RunRequest, release: Release | None, findings: Sequence[Finding]) -> list[Planned]:
    """The cells with one version of Paddle, on wheels of it that suit the cards."""
    return runner.plan(request.cells([finding.hardware for finding in findings], [release]), findings, request.on)


def _findings(request: RunRequest, release: Release | None) -> list[Finding]:
    """The kinds to run on: those named, each of which must be here, or what this machine has."""
    paddle = release.version if release else ""
    if request.hw != "auto":
        kinds = cells.select_hardware(request.catalogue, request.hw)
        return [probe.require(probe.probe(kind, paddle)) for kind in kinds]
    findings = [probe.probe(kind, paddle) for kind in request.catalogue.hardware.values()]
    here = runner.hardware_here(findings)
    runner.show_left_out([finding for finding in findings if not finding])
    if not here:
        looked = "; ".join(line for finding in findings for line in finding.looked)
        raise HardwareError("No hardware was recognised here, not even the CPU.", looked, "See ./inv doctor --hw all")
    return here


def _any_left(plan: Plan) -> bool:
    """Whether a cell is to be run; of a kind that was named, also one that cannot, which is then an error."""
    return any(entry.engine or plan.request.hw != "auto" for entry in plan.entries)


def _none(request: RunRequest) -> str:
    """What is not there, where nothing is missing and nothing failed."""
    return " and ".join(["nothing is missing"] * request.missing + ["nothing failed when it ran last"] * request.failed)


def _refuse_empty(plan: Plan) -> None:
    if any(entry.engine for entry in plan.entries):
        return
    reasons = "; ".join(f"{entry.cell}: {entry.why}" for entry in plan.entries[:5])
    if all(entry.why.startswith(runner.TOO_FEW) for entry in plan.entries):
        raise HardwareError("Too few cards.", f"{reasons}.", "./inv run --cards N takes fewer, where a part does.")
    if plan.request.on != "auto" and any(entry.cell.part.program for entry in plan.entries):
        raise EngineError(
            f"The {plan.request.on} engine can run none of it.", f"{reasons}.", "./inv doctor shows what answers."
        )
    raise UsageError("Nothing to run.", f"{reasons}.", "./inv run --dry-run shows every cell.")
