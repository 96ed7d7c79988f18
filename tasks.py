"""The words a person types: `./inv WORD` or, in the activated environment, `invoke WORD`.

Each is a thin function: it reads words and prints answers. How things are done stands in harness/.
"""

import functools
import json
import os
from collections.abc import Sequence
from typing import Any

from invoke import Context, task

from harness import catalogue as catalogues
from harness import cells, terminal
from harness.catalogue import ROOT, Catalogue
from harness.errors import EngineError, HardwareError, HomeworkError, WordsError

word = functools.partial(task, auto_shortflags=False)  # -h stays the help
RESULTS = ROOT / "results"
SHELL_SCRIPTS = ("inv", ".ci/run", "docker/locks/compile.sh")

TASK_HELP = "number, part or slug (4, 8-2, plate), several with commas, or all"
HW_HELP = "names or aliases (cuda, gpu, npu), several with commas, or auto: what this machine has"


@word(
    help={
        "task": TASK_HELP,
        "hw": HW_HELP,
        "on": "engine: auto, container, local",
        "set": "a parameter of the part: NAME=VALUE; may be given again",
        "profile": "a named set of parameters, e.g. full",
        "cards": "how many cards, where the part takes several; on a CPU so many processes",
        "seed": "seed of the random numbers",
        "dry-run": "print each cell, its engine and command, and why a cell is left out",
        "format": "table, or json: the records' paths as the last line",
    },
    iterable=["set_"],
)
def run(
    context: Context,
    task: str = "all",
    hw: str = "auto",
    on: str = "auto",
    set_: Sequence[str] | None = None,
    profile: str = "",
    cards: int = 0,
    seed: int = 0,
    dry_run: bool = False,
    format: str = "table",
) -> None:
    """Run parts on the hardware here; ends with the matrix.

    Every cell leaves a sealed record under results/.

    Examples:
      ./inv run                                  every part that is written, on what this machine has
      ./inv run --task 4                         the plate
      ./inv run --task 4 --set method=pinn       with a parameter; ./inv tasks --task 4 shows them
      ./inv run --task 1,8-1 --hw cpu            two parts on the CPU
      ./inv run --task 8-2 --cards 4             on four cards instead of eight
      ./inv run --task 7 --hw xpu                on a Kunlun card; exit code 3 if there is none
      ./inv run --dry-run                        what would run, and why the rest would not
    """
    from harness import matrix, preflight, records, runs

    _one_of("format", format, ("table", "json"))
    book = catalogues.load()
    parts = cells.select_parts(book, task)
    cells.check_profile(parts, profile or None)
    findings = _findings(book, hw)
    planned = runs.plan(parts, findings, on, profile or None, set_ or [], cards)
    if dry_run:
        return runs.show_plan(planned)
    _refuse_empty(planned, on)
    preflight.require_run(planned)
    for place in records.adopt_unfinished(RESULTS):
        print(terminal.yellow(f"Sealed a run that was killed: {os.path.relpath(place)}"))
    folders = runs.run_all(planned, RESULTS, seed)
    print()
    print(matrix.show(matrix.build(book, RESULTS), "table", explain=False))
    if format == "json":
        print(json.dumps([str(folder / records.FILE) for folder in folders]))
    failed = sum(not runs.passed(folder) for folder in folders)
    if failed:
        raise HomeworkError(
            f"{failed} of {len(folders)} cells failed.",
            "The lines marked ✗ above say why.",
            "./inv show RUN shows a record; its run.log has the program's own words.",
        )


@word(
    help={
        "hw": "names or aliases of kinds, several with commas, or all",
        "source": "build Paddle or its plug-in from source (hours) instead of taking the wheel",
        "base": "the image to build on, instead of the kind's own",
        "stack": "which lock goes in: base, science",
        "wheels": "a folder of own wheels, asked before any index",
        "tree": "a folder of own sources for --source, instead of the repository",
        "offline": "build without any network: the base, --wheels and --tree hold everything",
        "pin": "resolve the base's digest and the sources' commit, and keep them in docker/pins.json",
        "check-reproducible": "build twice from nothing and compare the bytes",
        "push": "push the image afterwards, under NAME: registry and repository",
        "dry-run": "print the exact command, and build nothing",
    }
)
def build(
    context: Context,
    hw: str,
    source: bool = False,
    base: str = "",
    stack: str = "base",
    wheels: str = "",
    tree: str = "",
    offline: bool = False,
    pin: bool = False,
    check_reproducible: bool = False,
    push: str = "",
    dry_run: bool = False,
) -> None:
    """Build the image of a kind of hardware.

    An image that was made from the files as they are is not built again.

    Examples:
      ./inv build --hw cpu                       with the wheels of the lock
      ./inv build --hw npu --wheels ~/wheels     with own wheels; --offline if they are complete
      ./inv build --hw cpu --base debian:12      on another base
      ./inv build --hw xpu --source              from source; goes on where it broke off
      ./inv build --hw all --dry-run             the commands, one a line
    """
    from harness import building

    book = catalogues.load()
    kinds = cells.select_hardware(book, hw)
    images = [building.image(kind, stack, source, base, wheels, tree, offline) for kind in kinds]
    building.build_all(images, building.Wishes(pin=pin, twice=check_reproducible, push=push, dry_run=dry_run))


@word(name="matrix", help={"format": "table, markdown, json or html", "explain": "say why a cell does not count"})
def matrix_(context: Context, format: str = "table", explain: bool = False) -> None:
    """Show the points of every part on every kind of hardware.

    Examples:
      ./inv matrix
      ./inv matrix --explain                     a line of why for each cell that does not count
      ./inv matrix --format html > matrix.html
      ./inv matrix --format json | python -m json.tool
    """
    from harness import matrix

    built = matrix.build(catalogues.load(), RESULTS)
    print(matrix.show(built, format, explain))
    if format == "json":
        matrix.warn_of_damage(built)


@word(help={"task": TASK_HELP, "format": "table or json"})
def tasks(context: Context, task: str = "", format: str = "table") -> None:
    """List the tasks, or show one with its parameters.

    Examples:
      ./inv tasks
      ./inv tasks --task 4                       its parameters with type, range and default
      ./inv tasks --format json
    """
    from harness import listing

    _one_of("format", format, ("table", "json"))
    book = catalogues.load()
    parts = cells.select_parts(book, task or "all")
    print(listing.parts_json(parts) if format == "json" else listing.parts(parts, detailed=bool(task)))


@word(help={"hw": HW_HELP, "format": "table or json"})
def hardware(context: Context, hw: str = "", format: str = "table") -> None:
    """List the kinds of hardware, or show one.

    Examples:
      ./inv hardware
      ./inv hardware --hw ascend
      ./inv hardware --format json
    """
    from harness import listing

    _one_of("format", format, ("table", "json"))
    kinds = cells.select_hardware(catalogues.load(), hw or "all")
    print(listing.kinds_json(kinds) if format == "json" else listing.kinds(kinds, detailed=bool(hw)))


@word(help={"hw": HW_HELP})
def doctor(context: Context, hw: str = "auto") -> None:
    """Say what is here, what is missing, what to install.

    It holds driver, SDK, wheel and chip against what each kind requires.

    Exit code 3 when something that was asked for is missing.

    Examples:
      ./inv doctor                               the machine, and each kind found on it
      ./inv doctor --hw ascend                   what a machine for Ascend needs, and what is missing here
    """
    from harness import listing, probe

    book = catalogues.load()
    kinds = list(book.hardware.values()) if hw == "auto" else cells.select_hardware(book, hw)
    findings = [probe.probe(kind) for kind in kinds]
    shown = [finding for finding in findings if finding or hw != "auto"]
    diagnoses = [("this machine", probe.examine_machine(ROOT))]
    diagnoses += [(finding.hardware.title, probe.examine(finding)) for finding in shown]
    print(listing.diagnoses(diagnoses))
    absent = [finding.hardware.name for finding in findings if finding not in shown]
    if absent:
        print(terminal.dim(f"Not found here: {', '.join(absent)}. ./inv doctor --hw KIND says what was looked for."))
    if any(line.fits is False for _, lines in diagnoses for line in lines):
        raise HardwareError("Something is missing.", "The lines marked ✗ say what.", "Each names what to install.")


@word(help={"run": "a run id, a prefix of one, or latest", "format": "table or json"})
def show(context: Context, run: Any, format: str = "table") -> None:
    """Show a record: what ran, where, with what result.

    Examples:
      ./inv show                                 the latest
      ./inv show 20261122T2319                   by the beginning of its id
      ./inv show latest --format json            the record itself
    """
    from harness import listing, records

    _one_of("format", format, ("table", "json"))
    (folder,) = records.find(RESULTS, _one_run(run))
    record = records.read(folder / records.FILE)
    print(json.dumps(record, indent=2, ensure_ascii=False) if format == "json" else listing.record(record, folder))


@word(help={"run": "a run id, a prefix of one, latest, or all"})
def verify(context: Context, run: Any) -> None:
    """Check records: hashes, schema and verdict.

    Everything is computed and judged again; exit code 6 on any difference.

    Examples:
      ./inv verify                               every record
      ./inv verify latest
    """
    from harness import records, verification

    book = catalogues.load()
    findings = {folder: verification.verify(folder, book) for folder in records.find(RESULTS, run)}
    verification.require_verified(findings)
    print(
        f"{len(findings)} {'record holds' if len(findings) == 1 else 'records hold'}: "
        "seal, files, schema and verdict are as they were."
    )


show.body.operand_default = "latest"
verify.body.operand_default = "all"


@word(help={"only": "paths or pytest's own options, in quotes", "fast": "leave out the tests that run real programs"})
def test(context: Context, only: str = "tests", fast: bool = False) -> None:
    """Run the tests.

    Examples:
      ./inv test
      ./inv test --fast
      ./inv test --only "tests/unit/test_points.py -k judged"
    """
    _tool("test", "pytest", *only.split(), *(["-m", "not slow"] if fast else []))


@word()
def lint(context: Context) -> None:
    """Check style, types, scripts and data files.

    Examples:
      ./inv lint
    """
    catalogues.load()
    dockerfiles = [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("Dockerfile.*"))]
    scripts = [*SHELL_SCRIPTS, *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("docker/*.sh")))]
    style = [("ruff", "format", "--diff", "."), ("mypy",), ("shellcheck", *scripts), ("hadolint", *dockerfiles)]
    _tool("lint", "ruff", "check", ".", then=style)


@word(help={"only": "startup, overhead, matrix, container or fresh; several with commas"})
def bench(context: Context, only: str = "startup,overhead,matrix,container,fresh") -> None:
    """Measure this program beside its peers.

    Both sides run in turn; medians and ratios are printed.

    Examples:
      ./inv bench                                every measurement, ten minutes; beside nox, ReFrame and Snakemake
      ./inv bench --only startup                 how fast a word starts
      ./inv bench --only container              what a container adds; skipped where no engine answers
      ./inv bench --only fresh                   a fresh clone to its first matrix; downloads everything again
    """
    for name in only.split(","):
        _one_of("only", name, ("startup", "overhead", "matrix", "container", "fresh"))
        _tool("bench", "python", str(ROOT / "bench" / f"{name}.py"))


def _findings(book: Catalogue, words: str) -> list[Any]:
    """The kinds to run on: those named, each of which must be here, or what this machine has."""
    from harness import probe, runs

    if words != "auto":
        return [probe.require(probe.probe(kind)) for kind in cells.select_hardware(book, words)]
    findings = [probe.probe(kind) for kind in book.hardware.values()]
    here = runs.hardware_here(findings)
    if not here:
        looked = "; ".join(line for finding in findings for line in finding.looked)
        raise HardwareError("No hardware was recognised here, not even the CPU.", looked, "See ./inv doctor --hw all")
    return here


def _refuse_empty(planned: Sequence[Any], on: str) -> None:
    from harness import runs

    if not any(entry.engine for entry in planned):
        reasons = "; ".join(f"{entry.cell}: {entry.why}" for entry in planned[:5])
        if all(entry.why.startswith(runs.TOO_FEW) for entry in planned):
            raise HardwareError("Too few cards.", f"{reasons}.", "./inv run --cards N takes fewer, where a part does.")
        if on != "auto" and any(entry.cell.part.program for entry in planned):
            raise EngineError(f"The {on} engine can run none of it.", f"{reasons}.", "./inv doctor shows what answers.")
        raise WordsError("Nothing to run.", f"{reasons}.", "./inv run --dry-run shows every cell.")


def _one_run(word: str) -> str:
    if word == "all":
        raise WordsError("show takes one run.", "`all` names every one.", "./inv show latest")
    return word


def _one_of(option: str, word: str, known: Sequence[str]) -> None:
    if word not in known:
        raise WordsError(f"--{option} {word}: not known.", f"Known: {', '.join(known)}.", "Choose one of these.")


def _tool(stack: str, *command: str, then: Sequence[Sequence[str]] = ()) -> None:
    """Run a tool from the stack of that name; its own exit code decides."""
    from harness import tools

    for words in (command, *then):
        tools.run(stack, words)
