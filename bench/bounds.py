"""Every judged metric beside its bound: its worst value over seeds, kernels of the math libraries, threads and corners.

    ./inv bench --only bounds

A bound has to hold on machines that nobody here has, and still to catch a wrong program. So each part runs with its
defaults under all 24 surroundings, and with every corner of its parameters that bench/bounds/<project>.yaml lists, each
under surroundings and a seed of its own. Printed is, for each judged metric, its least room: how many times the worst
value goes into its bound. A room under 4 is tight; one over 100 means that a fault may hide there.
`BOUNDS=4,8-2` chooses parts; `BOUNDS_MINUTES=5` leaves a part after so long, and the table says how many runs it had.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from measuring import ROOT
from tabulate import tabulate

sys.path.insert(0, str(ROOT))
from harness.catalogue import entries
from harness.catalogue.cells import Cell, settled
from harness.catalogue.entries import Part
from harness.engines.engine import Request
from harness.engines.local import LocalEngine
from harness.evidence.verdicts import FAILED, NOT_JUDGED
from harness.runs.judge import judge_metric, limits

STACK = "test"  # that ./inv bench runs it in
CORNERS = Path(__file__).resolve().parent / "bounds"
MKL = (None, "5", "7")  # MKL_DEBUG_CPU_TYPE: by the processor, AVX2, AVX-512
OPENBLAS = ("Haswell", "SkylakeX", "Zen", "Nehalem")  # OPENBLAS_CORETYPE
THREADS = ("1", "2")
TIGHT, LOOSE = 4, 100


@dataclass(frozen=True)
class Surroundings:
    """What a machine decides and a program does not: kernels and threads."""

    mkl: str | None
    openblas: str
    threads: str

    def __str__(self) -> str:
        return f"MKL {self.mkl or 'unset'}, {self.openblas}, {self.threads} thread{'s' * (self.threads != '1')}"

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The variables of a run: those that it inherits, with these instead of the kind's own."""
        own = {"OPENBLAS_CORETYPE": self.openblas}
        own |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), self.threads)
        own |= {"MKL_DEBUG_CPU_TYPE": self.mkl} if self.mkl else {}
        return {**{name: value for name, value in inherited.items() if name != "MKL_DEBUG_CPU_TYPE"}, **own}


ALL = tuple(itertools.starmap(Surroundings, itertools.product(MKL, OPENBLAS, THREADS)))
SHORT = (Surroundings(None, "Nehalem", "2"), Surroundings("5", "Haswell", "1"))


@dataclass(frozen=True)
class Run:
    """One run to be made: a part's parameters and cards, a seed, and what surrounds it."""

    part: str
    settings: Mapping[str, Any]
    cards: int
    seed: int
    surroundings: Surroundings

    def __str__(self) -> str:
        words = " ".join(f"{name}={value}" for name, value in self.settings.items()) or "defaults"
        return f"{words}, {self.cards} card{'s' * (self.cards != 1)}, seed {self.seed}, {self.surroundings}"


@dataclass
class Worst:
    """What the runs found of one metric: how often it was judged, its least room and the run that had it."""

    judged: int = 0
    left_out: int = 0
    room: float = float("inf")
    value: Any = None
    bound: float | None = None
    run: Run | None = None
    failures: list[str] = field(default_factory=list)


def corners(part: str) -> Mapping[str, Any]:
    """What bench/bounds/ lists for a part, `short` and `corners`: parameters, and perhaps `cards` or a `seed`."""
    for path in sorted(CORNERS.glob("*.yaml")):
        listed = yaml.safe_load(path.read_text(encoding="utf-8"))
        if part in listed:
            return dict(listed[part])
    return {"short": (), "corners": ()}


def runs(part: Part, short: bool) -> Iterator[Run]:
    """The runs of a part: the defaults under all surroundings and every corner once, or a few of both."""
    listed, seed = corners(part.name), -1
    if short:
        for number, settings in enumerate(listed.get("short", [{}])):
            yield _run(part, settings, part.cards.default, number, SHORT[number % len(SHORT)])
        return
    # In turn, so that a survey which is broken off has both. 7 and 24 have no common divisor: one run after the other
    # meets all surroundings, in mixed order.
    for number, settings in itertools.zip_longest(range(len(ALL)), filter(None, listed["corners"])):
        if number is not None:
            yield _run(part, {}, part.cards.default, number, ALL[7 * number % len(ALL)])
        if settings is not None:
            seed += 1
            yield _run(part, settings, part.cards.default, seed, ALL[(7 * seed + 3) % len(ALL)])


def _run(part: Part, settings: Mapping[str, Any], cards: int, seed: int, surroundings: Surroundings) -> Run:
    own = dict(settings)
    return Run(part.name, own, own.pop("cards", cards), own.pop("seed", seed), surroundings)


def request(part: Part, run: Run, folder: Path = Path()) -> Request:
    """What the engine is asked for. Raises UsageError where the part does not take the settings."""
    settings = {name: str(value).lower() if isinstance(value, bool) else value for name, value in run.settings.items()}
    values, cards = settled(part, None, [f"{name}={value}" for name, value in settings.items()], run.cards)
    cell = Cell(part, entries.load().hardware["cpu"])
    return Request(cell=cell, parameters=values, seed=run.seed, cards=cards, out=folder)


def measure(part: Part, run: Run, folder: Path) -> tuple[Mapping[str, Any], str]:
    """Run the program there; its metrics and its log, or none and why."""
    asked, engine = request(part, run, folder), LocalEngine()
    engine.prepare(asked.cell)
    launch = engine.launch(asked)
    environment = run.surroundings.environment(launch.environment)
    try:
        done = subprocess.run(
            launch.command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=part.timeout
        )
    except subprocess.TimeoutExpired:
        return {}, f"still running after {part.timeout:g} s"
    if done.returncode:
        return {}, f"exit code {done.returncode}: " + " / ".join((done.stdout + done.stderr).splitlines()[-3:])
    return json.loads((folder / "metrics.json").read_bytes()), done.stdout + done.stderr


def note(found: dict[str, Worst], part: Part, run: Run, metrics: Mapping[str, Any]) -> bool:
    """Judge what a run measured, and keep the worst of each metric. Whether one failed."""
    failed = False
    parameters = {**{name: each.default for name, each in part.parameters.items()}, **run.settings}
    for metric in part.metrics.values():
        if not metric.bounded or not metric.applies(parameters, "cpu"):
            continue
        worst = found.setdefault(metric.name, Worst())
        check = judge_metric(part, metric.name, run.settings, metrics, run.cards)
        if check.verdict == NOT_JUDGED:
            worst.left_out += 1
            continue
        worst.judged += 1
        if check.verdict == FAILED:
            failed = True
            worst.failures.append(f"{run}: asked {check.asked}; {check.why}")
        least, most = limits(part, metric.name, run.settings, metrics, run.cards)
        room = room_of(metrics.get(metric.name), least, most)
        if worst.run is None or room < worst.room:
            worst.room, worst.value, worst.bound, worst.run = room, check.found, least if most is None else most, run
    return failed


def room_of(value: Any, least: float | None, most: float | None) -> float:
    """How many times a value goes into its bound, from below or from above; endless where it is exact."""
    if not isinstance(value, int | float) or (least is None and most is None):
        return float("inf")
    rooms = [] if most is None else [float("inf") if value <= 0 <= most else most / value if value else 0.0]
    rooms += [] if least is None else [float("inf") if least <= 0 else value / least]
    return min(rooms)


def survey(part: Part, short: bool, minutes: float = float("inf")) -> dict[str, Worst]:
    """Make the runs of a part, with a line for each, and return the worst of every judged metric."""
    found: dict[str, Worst] = {}
    until = time.monotonic() + 60 * minutes
    for run in runs(part, short):
        if time.monotonic() > until:
            print(f"{part.name}: left after {minutes:g} minutes", flush=True)
            break
        with tempfile.TemporaryDirectory() as name:
            started = time.monotonic()
            metrics, said = measure(part, run, Path(name))
        line = f"{part.name:5} {time.monotonic() - started:6.1f} s  {run}"
        print(line + f"  FAILED: {said}" * (not metrics), flush=True)
        if not metrics:
            found.setdefault("program", Worst()).failures.append(f"{run}: {said}")
        elif note(found, part, run, metrics):
            print(said, flush=True)
    return found


def table(found: Mapping[str, Mapping[str, Worst]]) -> str:
    """A row for each judged metric: how often it was judged, its worst value, the bound there, the room."""
    rows = []
    for part, metrics in found.items():
        for name, worst in metrics.items():
            if name != "program":
                said = "tight" if worst.room < TIGHT else "loose" if worst.room > LOOSE else ""
                finite = isinstance(worst.value, float | int) and not isinstance(worst.value, bool)
                value = f"{worst.value:.3g}" if finite else str(worst.value)
                bound = "" if worst.bound is None else f"{worst.bound:.3g}"
                room = "" if worst.room == float("inf") else f"{worst.room:.1f}"
                state = f"FAILED {len(worst.failures)}" if worst.failures else said if room else ""
                rows.append((part, name, worst.judged, worst.left_out, value, bound, room, state))
    headers = ("part", "metric", "judged", "not judged", "worst", "its bound", "room", "")
    return str(tabulate(rows, headers, tablefmt="github", disable_numparse=True))


def failures(found: Mapping[str, Mapping[str, Worst]]) -> list[str]:
    """A line for every run that failed, and every metric over its bound."""
    return [
        f"{part} {name}: {line}"
        for part, metrics in found.items()
        for name, worst in metrics.items()
        for line in worst.failures
    ]


def main(short: bool = False) -> int:
    """Survey the parts that have a program, and print the table; 1 if anything failed."""
    chosen = [name for name in os.environ.get("BOUNDS", "").split(",") if name]
    minutes = float(os.environ.get("BOUNDS_MINUTES", "inf"))
    parts = [part for name, part in entries.load().parts.items() if part.program and (not chosen or name in chosen)]
    found = {part.name: survey(part, short, minutes) for part in parts}
    failed = failures(found)
    print("\n" + table(found))
    print(f"{sum(worst.judged for each in found.values() for worst in each.values())} checks, {len(failed)} failed")
    print("\n".join(failed))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main("--short" in sys.argv[1:]))
