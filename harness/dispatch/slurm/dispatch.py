"""Dispatch: cells handed to Slurm, a job each, and only those that are missing."""

import contextlib
import fcntl
import math
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from harness import checkout
from harness.catalogue import cells, datafiles
from harness.catalogue.entries import SECONDS, Catalogue, Hardware, Part
from harness.checkout import ROOT
from harness.dispatch.slurm import batches, commands, deliveries, jobs
from harness.dispatch.slurm.batches import Batch, JobCell
from harness.errors import DataFileError, EngineError, WordsError
from harness.evidence import hashing, records
from harness.evidence.verdicts import NOT_JUDGED, PASSED, verdict_of
from harness.stores import addresses
from harness.terminal import dim, green, yellow

NAME = "slurm"
SETTINGS = ROOT / "slurm.yaml"
INSIDE = ("auto", "local", "container")
OPTIONS = {"mem": "8G", "cpus-per-task": 2, "requeue": True}  # what a job asks for unless slurm.yaml says otherwise
OWN = {"array", "chdir", "job-name", "output", "wrap"}  # what cannot be asked for: it would break the dispatch
MARGIN = "15 min"
BUILD_MINUTES = 60
MOST_SENDING = 1000  # cells of an array whose script holds all of their lines: Slurm sends it whole with each job
OUTPUTS = "/tmp"  # of jobs that do not see this folder; a node without a checkout can say so there as well


@dataclass(frozen=True)
class Settings:
    """What slurm.yaml says; without the file, what every site can do with.

    With a `store` the nodes do not see this folder: each has a checkout of its own, in `checkout`, and its jobs send
    their records to the store.
    """

    margin: float
    options: Mapping[str, Any]
    kinds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    store: str = ""
    checkout: str = str(ROOT)

    def gres(self, kind: Hardware) -> str:
        own: str | None = self.kinds.get(kind.name, {}).get("gres")
        return kind.data.get("scheduler", {}).get("slurm", "") if own is None else own

    def of(self, kind: Hardware) -> dict[str, Any]:
        """The options of a kind's jobs; one that is false is left out."""
        both = {**OPTIONS, **self.options, **self.kinds.get(kind.name, {}).get("options", {})}
        return {name: value for name, value in both.items() if value is not False}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A cell that was asked for, and what its job needs."""

    part: Part
    kind: Hardware
    cell: JobCell
    minutes: int


@dataclass(frozen=True)
class Split:
    """What was asked for: what has passed (with its record), what is under way, and what is missing."""

    passed: list[tuple[Wanted, Path]]
    under_way: list[tuple[Batch, int]]
    missing: list[Wanted]


def inside(word: str) -> str:
    """The engine that runs the cells on the nodes: `--on slurm` leaves it to the node, slurm:container names it.

    Raises:
        WordsError: there is no such engine.
    """
    name = word.partition(":")[2] or "auto"
    if name not in INSIDE:
        known = ", ".join(f"slurm:{engine}" for engine in INSIDE)
        raise WordsError(f"--on {word}: no such engine on the nodes.", f"Known: {known}.", "Or slurm alone.")
    return name


def settings(path: Path = SETTINGS) -> Settings:
    """The settings of this site.

    Raises:
        DataFileError: slurm.yaml has a mistake; its line is named.
        WordsError: its store is none.
    """
    said = (datafiles.read(path, path.parent)[0] if path.exists() else {}) or {}
    number, unit = said.get("margin", MARGIN).split()
    places = {name: said[name] for name in ("store", "checkout") if name in said}
    found = Settings(float(number) * SECONDS[unit], said.get("options", {}), said.get("kinds", {}), **places)
    if found.store:
        addresses.resolve(found.store)
    options = [found.options, *(kind.get("options", {}) for kind in found.kinds.values())]
    if taken := OWN & {name for each in options for name in each}:
        why = f"Every job needs its own: {', '.join(sorted(OWN))}."
        raise DataFileError(f"{path.name}: {min(taken)}: not an option to set.", why, "Leave it out.")
    if any("\n" in str(value) for each in options for value in each.values()):
        raise DataFileError(f"{path.name}: an option of two lines.", "A line of the script holds one.", "Mend it.")
    return found


def plan(
    book: Catalogue,
    parts: Sequence[Part],
    hw: str,
    site: Settings,
    profile: str | None = None,
    values: Sequence[str] = (),
    cards: int = 0,
    seed: int = 0,
) -> list[Wanted]:
    """The cells that were asked for. Nothing is asked of this machine: the cards are in the nodes.

    Raises:
        WordsError: kinds are not named, or a setting or number of cards that a part does not take.
    """
    if hw == "auto":
        why = "auto means what this machine has, and the cards are in the nodes."
        raise WordsError("--on slurm: which hardware?", why, f"Name kinds: --hw {','.join(list(book.hardware)[-2:])}")
    if any("\n" in value for value in values):
        raise WordsError("--set: a value of two lines.", "A job's words are one line.", "Leave the line break out.")
    known = {kind.name for kind in book.hardware.values()}
    if odd := site.kinds.keys() - known:
        raise DataFileError(f"slurm.yaml: {min(odd)}: no such kind.", f"Known: {', '.join(known)}.", "./inv hardware")
    return [
        Wanted(
            part=part,
            kind=kind,
            minutes=math.ceil((part.timeout + site.margin) / 60),
            cell=JobCell(
                run=hashing.new_id(),
                part=part.name,
                hardware=kind.name,
                parameters=parameters,
                seed=seed,
                cards=wanted,
            ),
        )
        for part in parts
        if part.program
        for parameters, wanted in [cells.settled(part, profile, values, cards)]
        for kind in cells.select_hardware(book, hw)
    ]


def show(wanted: Sequence[Wanted], site: Settings, engine: str) -> None:
    """Print what would be submitted (`run --dry-run`)."""
    if site.store:
        print(f"Jobs run in {site.checkout} on their nodes, and send their records to {site.store}.")
    for each in wanted:
        asked = commands.gres(site.gres(each.kind), each.cell.cards) or "no card"
        print(f"{green('▶')} {each.cell.part:<5} {each.cell.hardware:<10} {each.part.title}")
        print(f"        {asked}, {each.minutes} min, {_spoken(site.of(each.kind))}: {_line(each, engine, '')}")


def _spoken(options: Mapping[str, Any]) -> str:
    return " ".join(f"--{name}" + ("" if value is True else f"={value}") for name, value in options.items())


@contextlib.contextmanager
def alone(results: Path) -> Iterator[None]:
    """One call at a time plans and submits, so that two of the same command do not both submit a cell."""
    (results / batches.FOLDER).mkdir(parents=True, exist_ok=True)
    with (results / batches.FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
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
    program = _program(each.part)
    if not program["clean"]:
        return None
    place = (each.cell.part, each.cell.hardware)
    if place not in passed:
        passed[place] = _Passed(results.joinpath(*place), program)
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


@cache
def _revision() -> Mapping[str, Any]:
    return checkout.revision()


def _program(part: Part) -> dict[str, Any]:
    assert part.program, "a part without a program is not planned"
    return {"file": f"projects/{part.slug}/{part.program.name}", **_revision()}


def submit(
    missing: Sequence[Wanted], results: Path, site: Settings, engine: str, sign: str = ""
) -> tuple[list[Batch], list[EngineError]]:
    """Submit the cells, those with equal needs as one array. Images come first where cells run in containers.

    Returns:
        The batches that Slurm took, and why it refused others.

    Raises:
        StoreError: the records' store cannot be reached.
    """
    submitted, refused, builds = [], list[EngineError](), dict[tuple[str, str], tuple[str, str]]()
    largest = commands.largest_array(jobs.ask("scontrol", "show", "config").stdout)
    if site.store and missing:
        deliveries.reachable(site.store)  # said now, and not when a thousand jobs have run
        largest = min(largest, MOST_SENDING)
    for group in _groups(missing, engine):
        kind, stack = group[0].kind, group[0].part.stack or "base"
        for some in commands.chunks(group, largest):
            try:
                if engine == "container" and (kind.name, stack) not in builds:
                    builds[kind.name, stack] = _submit_build(kind, stack, results, site)
                build = builds.get((kind.name, stack), ("", ""))
                submitted.append(_submit(some, results, site, engine, sign, build))
            except EngineError as error:
                refused.append(error)
    return submitted, refused


def _groups(missing: Sequence[Wanted], engine: str) -> list[list[Wanted]]:
    """The cells by what their jobs need."""
    groups: dict[tuple[Any, ...], list[Wanted]] = {}
    for each in missing:
        needs = (each.kind.name, each.cell.cards, each.minutes, each.part.stack if engine == "container" else "")
        groups.setdefault(needs, []).append(each)
    return list(groups.values())


def _submit(
    group: Sequence[Wanted], results: Path, site: Settings, engine: str, sign: str, build: tuple[str, str]
) -> Batch:
    """Submit an array. It is on the list before Slurm hears of it, so that no job is ever unknown."""
    first = group[0]
    name = hashing.new_id()
    place = os.path.relpath(results / batches.FOLDER / name, ROOT)
    output = f"{OUTPUTS}/{commands.NAME}{name}-%a.log" if site.store else f"{place}-%a.log"
    batch = Batch(
        id=name,
        cells=tuple(each.cell for each in group),
        program={each.part.name: _program(each.part) for each in group},
        submitted=hashing.timestamp(datetime.now(timezone.utc)),
        build=build[0],
        store=site.store,
        output=output if site.store else "",
        **batches.caller(),
    )
    batch.write(results)
    lines = [_line(each, engine, sign) for each in group]
    batch.file(results, ".list").write_text("".join(f"{line}\n" for line in lines))
    sending = commands.sending(lines, site.store, _revision()["revision"], output)
    script = commands.Script(
        name=name,
        line=sending if site.store else commands.line_of(shlex.quote(f"{place}.list")),
        output=output,
        folder=site.checkout if site.store else "",
        minutes=first.minutes,
        options=_options(site, first),
        array=len(group),
        gres=commands.gres(site.gres(first.kind), first.cell.cards),
        after=build[1],
    )
    try:
        number = _sbatch(script, batch.file(results, ".sh"), first.kind)
    except EngineError as error:
        if commands.uncertain(error.why):
            replace(batch, caller=0).write(results)  # should Slurm have taken it after all, its name finds it
        else:
            batch.forget(results)
        raise
    batch = replace(batch, job=int(number))
    batch.write(results)
    return batch


def _options(site: Settings, each: Wanted) -> dict[str, Any]:
    """A kind's options; processes on a CPU want a processor each."""
    options = site.of(each.kind)
    processors = options.get("cpus-per-task")
    if each.kind.category in ("cpu", "simulated") and isinstance(processors, int):
        options["cpus-per-task"] = max(processors, each.cell.cards)
    return options


def _submit_build(kind: Hardware, stack: str, results: Path, site: Settings) -> tuple[str, str]:
    """Submit the build of an image, which needs no card; returns its name and the job's number."""
    name = f"build-{hashing.new_id()}"
    place = os.path.relpath(results / batches.FOLDER / name, ROOT)
    script = commands.Script(
        name=name,
        line=f"exec {shlex.join(_build(kind, stack))}",
        output=f"{OUTPUTS}/{commands.NAME}{name}.log" if site.store else f"{place}.log",
        folder=site.checkout if site.store else "",
        minutes=BUILD_MINUTES,
        options=site.of(kind),
    )
    number = _sbatch(script, results / batches.FOLDER / f"{name}.sh", kind)
    print(f"Job {number}: the image of {kind.name}; its cells wait for it")
    return name, number


def _build(kind: Hardware, stack: str) -> list[str]:
    return ["./inv", "build", "--hw", kind.name, "--stack", stack]


def _line(each: Wanted, engine: str, sign: str) -> str:
    """What a task of the array runs. The image is asked for once more: each node keeps its own, and may lack it."""
    cell = each.cell
    words = ["exec", "env", f"HOMEWORK_RUN={cell.run}", "./inv", "run", "--task", cell.part, "--hw", cell.hardware]
    words += ["--on", engine, "--cards", str(cell.cards), "--seed", str(cell.seed)]
    for name, value in cell.parameters.items():
        words += ["--set", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
    words += ["--timeout", f"{each.part.timeout:g}s"] if each.part.raised else []
    words += ["--sign", sign] if sign else []
    before = f"{shlex.join(_build(each.kind, each.part.stack or 'base'))} && " if engine == "container" else ""
    return before + shlex.join(words)


def _sbatch(script: commands.Script, file: Path, kind: Hardware) -> str:
    """Hand a script to Slurm; the job's number.

    Raises:
        EngineError: it was refused; Slurm's words are the why.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(str(script))
    done = jobs.ask("sbatch", "--parsable", str(file), cwd=ROOT, env=_environment())
    number = re.match(r"\d+", done.stdout)
    if done.returncode != 0 or number is None:
        why, remedy = commands.why_refused(done.stderr, script.gres)
        raise EngineError(f"Slurm took no job for {kind.title}.", why, remedy)
    return number.group()


def _environment() -> dict[str, str]:
    """This shell's variables go with a job, but for those that choose cards: the job's cards are others."""
    from harness.catalogue import entries

    kinds = entries.load().hardware.values()
    cards = {kind.data.get("visible_devices") for kind in kinds}
    return {name: value for name, value in os.environ.items() if name not in cards}


def announce(found: Split, submitted: Sequence[Batch], site: Settings) -> None:
    """Say what was submitted, and what was not and why."""
    for each, record in found.passed:
        print(dim(f"· {each.cell} has run already: {os.path.relpath(record)}"))
    for batch, place in found.under_way:
        print(dim(f"· {batch.cells[place]} is under way already: job {batch.job}_{place}"))
    for batch in submitted:
        kinds = ", ".join(dict.fromkeys(cell.hardware for cell in batch.cells))
        print(f"Job {batch.job}: {len(batch.cells)} {'cell' if len(batch.cells) == 1 else 'cells'} on {kinds}")
    if found.missing and not _revision()["clean"]:
        print(yellow("The tree has changes that are not committed, so no earlier record counts as this program's."))
        if site.store:
            print(yellow(f"They are not in {site.checkout} on the nodes either: there the commit alone runs."))
