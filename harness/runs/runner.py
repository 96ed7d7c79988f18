"""Runs: plan the cells, run each one, and leave a sealed record of every one that was started."""

import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from harness import checkout, system
from harness.catalogue import symptoms
from harness.catalogue.cells import BY_HAND, NOT_WRITTEN, Cell, CellRequest
from harness.catalogue.entries import rooted
from harness.checkout import ROOT
from harness.engines.choosing import choose
from harness.engines.engine import OF_PROGRAMS, Engine, Launch, Request
from harness.errors import DataFileError, Interrupted
from harness.evidence import finishing
from harness.evidence.hashing import timestamp
from harness.evidence.record import Record
from harness.evidence.records import LOG, Draft
from harness.evidence.redaction import Redactor
from harness.evidence.verdicts import FAILED, overall
from harness.machine.devices import Card
from harness.machine.probe import Finding, chosen_by, system_name, visible_cards
from harness.runs import processes, progress
from harness.runs.judge import Check, judge, read_measurements
from harness.terminal import bold, dim, green, yellow

TOO_FEW = "it runs on"  # how a why begins where cards are lacking
RECORDED = re.compile(rf"({'|'.join(OF_PROGRAMS)})(?!.*(?i:token|secret|passw|key|credential|auth)).*")


@dataclass(frozen=True, kw_only=True)
class Job:
    """The job that a scheduler gave a cell: the id of its record, what the record says of it, and how it really ended.

    `true_ending` gives an ending the scheduler's reason, where it was the scheduler that ended the program.
    """

    run: str
    facts: Mapping[str, Any]
    true_ending: Callable[[processes.Ending], processes.Ending]


@dataclass(frozen=True)
class Planned:
    """A cell with the engine that will run it, or without one and why it is left out; `note` says what is unusual."""

    request: CellRequest
    engine: Engine | None
    why: str
    finding: Finding
    note: str = ""

    @property
    def where(self) -> str:
        """On what, and by what engine, it runs."""
        name = self.engine.name if self.engine else "no"
        return f"On {self.cell.hardware.name}: {self.finding.model}, by the {name} engine"

    @property
    def cell(self) -> Cell:
        return self.request.cell

    @property
    def cards(self) -> int:
        return self.request.cards

    @property
    def chosen(self) -> tuple[Card, ...]:
        """The cards it will run on; a CPU is one, however many processes run on it."""
        return visible_cards(self.finding)[: self.cards]


def plan(requests: Sequence[CellRequest], findings: Sequence[Finding], on: str) -> list[Planned]:
    """One entry for every cell: what runs it on the cards that were found, or why it is left out.

    Raises:
        UsageError: an unknown engine.
    """
    found = {finding.hardware.name: finding for finding in findings}
    planned = []
    for request in requests:
        engine, why = _engine(request.cell, on)
        entry = Planned(request, engine, _with_version(why, request.cell, engine), found[request.kind.name])
        planned.append(_with_enough_cards(entry))
    return planned


def _engine(cell: Cell, on: str) -> tuple[Engine | None, str]:
    engine, why = choose(on, cell)
    if cell.part.program is None:
        return None, BY_HAND if cell.part.evidence_only else NOT_WRITTEN
    return engine, why


def _with_version(why: str, cell: Cell, engine: Engine | None) -> str:
    """What is said of an engine, with the version of Paddle where it is not the kind's own."""
    if engine is None or (cell.release is None and (engine.name != "local" or not cell.instead_of)):
        return why
    because = f", for {cell.instead_of} has no locks for this Python" if cell.release is None else ""
    return f"{why}; Paddle {cell.paddle}{because}"


def _with_enough_cards(entry: Planned) -> Planned:
    """The entry, left out where the machine has fewer cards; a CPU runs any number of processes, and says so."""
    if entry.engine is None:
        return entry
    if not entry.chosen:
        here = ", ".join(card.called for card in entry.finding.cards)
        named = chosen_by(entry.finding.hardware)
        why = f"{named} names none of those here: {here}" if named else f"none is free: {busy(entry.finding)}"
        return replace(entry, engine=None, why=f"{TOO_FEW} a card, and {why}")
    if entry.cards == 1:
        return entry
    if entry.cell.hardware.category == "cpu":
        note = f"{entry.cards} processes on one CPU, a rehearsal"
    elif len(entry.chosen) == entry.cards:
        note = f"{entry.cards} cards"
    else:
        return replace(entry, engine=None, why=f"{TOO_FEW} {entry.cards} cards, and {len(entry.chosen)} are here")
    return replace(entry, why=f"{entry.why}; {note}", note=note)


def busy(finding: Finding) -> str:
    """The cards that other programs have, in words, and how to take one all the same."""
    taken = [card for card in finding.cards if card.busy]
    words = "; ".join(f"{card.index} ({card.model}): {card.busy}" for card in taken)
    variable = finding.hardware.data.get("visible_devices")
    return f"{words}; {variable}={taken[0].called} takes it all the same" if variable and taken else words


def show_left_out(findings: Sequence[Finding]) -> None:
    """Say which cards of this machine no cell runs on, and why."""
    for finding in findings:
        for why in filter(None, (finding.faults, busy(finding))):
            print(yellow(f"{finding.hardware.vendor}: left out: {why}"))


def show_plan(planned: Sequence[Planned]) -> None:
    """Print each cell with engine and command, and why a cell is left out (`run --dry-run`)."""
    for entry in planned:
        head = f"{entry.cell.part.name:<5} {entry.cell.hardware.name:<10} {entry.cell.part.title}"
        if entry.engine is None:
            print(f"{dim('·')} {head}\n        left out: {entry.why}")
            continue
        request = _request(entry, Path("OUT"))
        launch = entry.engine.launch(request)
        print(f"{green('▶')} {head}\n        {entry.why}\n        {_typed(launch)}")


def run_all(
    planned: Sequence[Planned], results: Path, key: Path | None = None, job: Job | None = None, verbose: bool = False
) -> list[Record]:
    """Run the cells in order, each with its progress, and print a summary.

    Args:
        planned: the cells; those without an engine are told of.
        results: where their records go.
        key: signs the records.
        job: what they run in.
        verbose: whether the programs' own lines are shown.

    Returns:
        Their records.

    Raises:
        Interrupted: after the interrupted run has been sealed; the cells behind it are not started.
        BuildError, StoreError: the runtime or the record could not be made.
    """
    cells = [entry for entry in planned if entry.engine]
    if cells and (why := checkout.why_no_revision()):
        progress.say(yellow(f"· The records will name no commit: {why}"))
    left_out = {
        str(entry.cell): entry.why
        for entry in planned
        if entry.engine is None and entry.why not in (NOT_WRITTEN, BY_HAND)
    }
    start, told, found = time.monotonic(), "", list[Record]()
    try:
        for number, entry in enumerate(cells, start=1):
            if entry.where != told:
                progress.say(entry.where)
            told = entry.where
            title = bold(f"[{number}/{len(cells)}] {entry.cell.part.name} {entry.cell.part.title}")
            progress.say(f"{title} · {entry.cell.hardware.name}" + (f" · {entry.note}" if entry.note else ""))
            found.append(run_cell(entry, results, key, job, verbose))
    finally:
        if len(cells) > 1 or left_out:
            progress.say("", progress.summary(found, left_out, time.monotonic() - start))
    return found


def run_cell(
    entry: Planned, results: Path, key: Path | None = None, job: Job | None = None, verbose: bool = False
) -> Record:
    """Run one cell and seal its record, whatever the program does; that is returned."""
    assert entry.engine is not None
    entry.engine.prepare(entry.cell)
    started = datetime.now(timezone.utc)
    redactor = Redactor.here()
    with Draft(results, redactor.tree(_before(entry, started, job))) as draft:
        launch = entry.engine.launch(_request(entry, draft.folder))
        draft.record.update(_runtime(entry, launch))
        with system.undisturbed():  # once it has run there is a record: a late Ctrl-C waits for it
            ending = None
            try:
                with progress.seen(entry.cell.part, entry.cell.hardware.name, results, verbose) as echo:
                    ending = processes.run(
                        launch.command,
                        environment=launch.environment,
                        folder=ROOT,
                        log=draft.folder / LOG,
                        timeout=entry.cell.part.timeout,
                        echo=echo,
                        redactor=redactor,
                        inherit=(draft.lock.fileno(),),
                    )
                interrupted = ending.reason == "interrupted"
                ending = job.true_ending(ending) if job else ending
            finally:
                if not (ending and ending.ok):
                    _clean_up(launch)
            finishing.redact_files(draft.folder, redactor)
            measured = read_measurements(draft.folder, entry.cards)
            cards = [card.index for card in entry.chosen]
            checks = judge(entry.cell.part, entry.cell.hardware, draft.record["parameters"], ending, measured, cards)
            draft.record.update(_outcome(started, ending, checks, measured))
            explanations = [] if interrupted else _explanations(entry, draft.folder / LOG, ending, checks)
            if explanations:
                draft.record["explanations"] = [each.as_dict() for each in explanations]
            draft.find_place()
            finishing.complete(draft.folder, draft.record, redactor, key)
            record = draft.seal()
    progress.say(progress.ended(record))
    if interrupted:
        raise Interrupted(signal.Signals[ending.signal or "SIGINT"])
    return record


def _explanations(
    entry: Planned, log: Path, ending: processes.Ending, checks: Sequence[Check]
) -> list[symptoms.Explanation]:
    """What is known of a failed run's log and of how it ended."""
    if all(check.verdict != FAILED for check in checks):
        return []
    end = f"\n[ended: {ending.reason}, exit code {ending.code}, {ending.signal or 'no signal'}]"
    try:
        return symptoms.explain(symptoms.read_log(log) + end, [entry.cell.hardware.name])
    except DataFileError as error:  # the run is over, and is not lost for want of an explanation
        print(yellow(f"Its log is not explained. {error}".replace("\n", " ")), file=sys.stderr)
        return []


def _clean_up(launch: Launch) -> None:
    """Take away what the program may have left outside its process group, such as its container."""
    if launch.cleanup:
        subprocess.run(launch.cleanup, capture_output=True, timeout=60)


def _request(entry: Planned, out: Path) -> Request:
    asked = entry.request
    return Request(
        cell=asked.cell,
        parameters=asked.parameters,
        seed=asked.seed,
        cards=asked.cards,
        out=out,
        card_ids=tuple(card.index for card in entry.chosen),
        called=tuple(card.called for card in entry.chosen),
    )


# The parts of a record


def _before(entry: Planned, started: datetime, job: Job | None) -> dict[str, Any]:
    part, card = entry.cell.part, entry.chosen[0]
    file = f"projects/{part.slug}/{part.program.name}" if part.program else None
    return {
        **({"id": job.run, "job": job.facts} if job else {}),
        "cell": {"part": part.name, "hardware": entry.cell.hardware.name},
        "program": {"file": file, **checkout.revision()},
        "parameters": dict(entry.request.parameters),
        "seed": entry.request.seed,
        "cards": entry.cards,
        "timeout": part.timeout,
        "hardware": {
            "model": card.model,
            "architecture": card.architecture,
            "driver": card.driver,
            "cards": [card.as_dict() for card in entry.chosen],
            "machine": platform.machine(),
            "system": system_name(),
            "kernel": platform.release(),
        },
        "times": {"started": timestamp(started)},
    }


def _runtime(entry: Planned, launch: Launch) -> dict[str, Any]:
    inherited = {name: value for name, value in launch.environment.items() if RECORDED.fullmatch(name)}
    environment = {**inherited, **launch.settings}
    return {
        "engine": {"name": entry.engine.name if entry.engine else None, "image": None},
        "command": _readable(launch.command),
        "environment": environment,
        "environment_of_caller": sorted(name for name, value in environment.items() if os.environ.get(name) == value),
        **launch.facts,
    }


def _outcome(started: datetime, ending: processes.Ending, checks: Sequence[Check], measured: Any) -> dict[str, Any]:
    finished = datetime.now(timezone.utc)
    return {
        "times": {"started": timestamp(started), "finished": timestamp(finished), "seconds": ending.seconds},
        "exit": {"reason": ending.reason, "code": ending.code, "signal": ending.signal},
        "log": {"bytes": ending.output_bytes, "left_out": ending.left_out_bytes},
        "metrics": measured.metrics if ending.ok else {},
        "device": measured.device if ending.ok else {},
        "checks": [check.as_dict() for check in checks],
        "verdict": overall(check.verdict for check in checks),
        "passed": all(check.passed for check in checks),
    }


def _readable(command: Sequence[str]) -> list[str]:
    """The command without this machine's paths: relative to the checkout, and OUT for the record's folder."""
    checkout = re.compile(rf"(?<![\w./-]){re.escape(f'{ROOT}{os.sep}')}")  # and no folder that ends as it does
    words = [checkout.sub("", word) for word in command]
    words[words.index("--out") + 1] = "OUT"
    return words


def _typed(launch: Launch) -> str:
    """The command with its variables, as it can be typed in the checkout's folder; OUT is a folder there."""
    variables = [f"{name}={rooted(value)}" for name, value in launch.settings.items()]
    words = launch.command if launch.cleanup else ("env", *variables, *launch.command)  # a container is told by --env
    return " && ".join(shlex.join(each) for each in (*launch.first, ("mkdir", "-p", "OUT"), words) if each)


def hardware_here(findings: Sequence[Finding]) -> list[Finding]:
    """The findings with cards, accelerators before the CPU. Simulated cards are run on when they are asked for."""
    real = [finding for finding in findings if finding and finding.hardware.category != "simulated"]
    return sorted(real, key=lambda each: each.hardware.category == "cpu")
