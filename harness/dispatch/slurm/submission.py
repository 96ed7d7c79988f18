"""Submission: cells handed to Slurm, those with equal needs as one array, after the images that they need."""

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from harness.catalogue.entries import Hardware
from harness.checkout import ROOT
from harness.dispatch.listed import batches, deliveries
from harness.dispatch.listed.batches import Batch
from harness.dispatch.listed.job import wait_a_moment
from harness.dispatch.listed.missing import Wanted, program, revision
from harness.dispatch.slurm import allocation, commands
from harness.dispatch.slurm.scheduler import ask
from harness.dispatch.slurm.site import Settings
from harness.errors import EngineError
from harness.evidence import hashing
from harness.terminal import yellow

BUILD_MINUTES = 60
MOST_SENDING = 1000  # cells of an array whose script holds all of their lines: Slurm sends it whole with each job
OUTPUTS = "/tmp"  # of jobs that do not see this folder; a node without a checkout can say so there as well


def submit(
    missing: Sequence[Wanted], results: Path, site: Settings, engine: str, sign: str = ""
) -> tuple[list[Batch], list[EngineError]]:
    """Submit the cells, those with equal needs as one array. Images come first where cells run in containers.

    Returns:
        The batches that Slurm took, and why it refused others.

    Raises:
        StoreError: the records' store cannot be reached.
    """
    submitted, refused, builds = [], list[EngineError](), dict[tuple[str, ...], tuple[str, str]]()
    largest = commands.largest_array(ask("scontrol", "show", "config").stdout)
    if site.store and missing:
        deliveries.reachable(site.store)  # said now, and not when a thousand jobs have run
        largest = min(largest, MOST_SENDING)
    for group in _groups(missing, engine):
        kind, words = group[0].kind, tuple(_build(group[0]))
        for some in commands.chunks(group, largest):
            try:
                if engine == "container" and words not in builds:
                    builds[words] = _submit_build(kind, words, results, site)
                build = builds.get(words, ("", ""))
                submitted.append(_submit(some, results, site, engine, sign, build))
            except EngineError as error:
                refused.append(error)
    return submitted, refused


def _groups(missing: Sequence[Wanted], engine: str) -> list[list[Wanted]]:
    """The cells by what their jobs need."""
    groups: dict[tuple[Any, ...], list[Wanted]] = {}
    for each in missing:
        needs = (each.kind.name, each.cell.cards, each.minutes, tuple(_build(each)) if engine == "container" else ())
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
        program={each.part.name: program(each.part) for each in group},
        submitted=hashing.timestamp(datetime.now(timezone.utc)),
        build=build[0],
        store=site.store,
        output=output if site.store else "",
        **batches.caller(),
    )
    batch.write(results)
    lines = [line(each, site, engine, sign) for each in group]
    batch.file(results, ".list").write_text("".join(f"{line}\n" for line in lines))
    sending = commands.sending(lines, site.store, revision()["revision"], output)
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


def _submit_build(kind: Hardware, words: Sequence[str], results: Path, site: Settings) -> tuple[str, str]:
    """Submit the build of an image, which needs no card; returns its name and the job's number."""
    name = f"build-{hashing.new_id()}"
    place = os.path.relpath(results / batches.FOLDER / name, ROOT)
    script = commands.Script(
        name=name,
        line=f"exec {shlex.join(words)}",
        output=f"{OUTPUTS}/{commands.NAME}{name}.log" if site.store else f"{place}.log",
        folder=site.checkout if site.store else "",
        minutes=BUILD_MINUTES,
        options=site.of(kind),
    )
    number = _sbatch(script, results / batches.FOLDER / f"{name}.sh", kind)
    print(f"Job {number}: the image of {kind.name}; its cells wait for it")
    return name, number


def _build(each: Wanted) -> list[str]:
    release = each.request.release
    words = ["./inv", "build", "--hw", each.kind.name, "--stack", each.part.stack or "base"]
    return words + (["--paddle", release.version] if release else [])


def line(each: Wanted, site: Settings, engine: str, sign: str) -> str:
    """What a task of the array runs. The image is asked for once more: each node keeps its own, and may lack it."""
    given = {allocation.VARIABLE: each.cell.run, allocation.GRES: site.gres(each.kind)}
    words = ["exec", "env", *(f"{name}={value}" for name, value in given.items())]
    words += ["./inv", "run", *each.request.options]
    words += ["--on", engine, "--format", "bare"]  # who submitted the job shows the matrix
    words += ["--sign", sign] if sign else []
    before = f"{shlex.join(_build(each))} && " if engine == "container" else ""
    return before + shlex.join(words)


def _sbatch(script: commands.Script, file: Path, kind: Hardware) -> str:
    """Hand a script to Slurm; the job's number. A slurmctld that is not there is waited for.

    Raises:
        EngineError: it was refused; Slurm's message is the why.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(str(script))
    silences = 0
    while True:
        done = ask("sbatch", "--parsable", str(file), cwd=ROOT, env=_environment())
        if done.returncode == 0 or not commands.unreached(done.stderr):
            break
        if not silences:
            print(yellow("Slurm does not answer; waiting until it does."), flush=True)
        silences += 1
        wait_a_moment(0, silences)
    number = re.match(r"\d+", done.stdout)
    if done.returncode != 0 or number is None:
        why, remedy = commands.why_refused(done.stderr, script.gres)
        raise EngineError(f"Slurm took no job for {kind.title}.", why, remedy)
    return number.group()


def _environment() -> dict[str, str]:
    """This shell's variables go with a job, but for those that choose cards: the job's cards are others."""
    from harness.catalogue import entries

    kinds = entries.load().hardware.values()
    cards = {kind.data.get(name) for kind in kinds for name in ("visible_devices", "launcher_devices")}
    return {name: value for name, value in os.environ.items() if name not in cards}
