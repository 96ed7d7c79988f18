"""Tools that the commands test, lint, bench, serve and python call, each in its own stack."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from harness import system
from harness.catalogue.entries import Catalogue, Hardware, Part, rooted
from harness.checkout import ROOT
from harness.environments import stacks
from harness.errors import HomeworkError, UsageError

SERVER_OPTIONS = ROOT / "projects" / "10-optimised-inference" / "server_options.py"
SHELL_SCRIPTS = ("inv", ".ci/run", "docker/*.sh")
DEVICE = re.compile(r"--device[=\0](\w+)")


def run(stack: str, command: Sequence[str]) -> None:
    """Run `command` from the stack's environment, which is made first if it is not there.

    Raises:
        HomeworkError: it failed; its output is above.
    """
    folder = stacks.prepare(stacks.stack(stack)).folder / system.SCRIPTS
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([str(folder / command[0]), *command[1:]], cwd=ROOT, env=environment)
    if done.returncode != 0:
        raise HomeworkError(f"{command[0]} failed.", f"Its exit code was {done.returncode}.", "See its output above.")


def become(stack: str, command: Sequence[str]) -> NoReturn:
    """End as `command` from the stack's environment: it gets the signals itself, and its exit code is this one's."""
    program = stacks.prepare(stacks.stack(stack)).folder / system.SCRIPTS / command[0]
    os.execv(program, [str(program), *command[1:]])


def test(only: str, fast: bool) -> None:
    """Run the tests that are named, or all of them in two processes, which take half the time of one."""
    chosen = only.split() or ["-n", "2", "--no-loadscope-reorder", "tests"]
    run("test", ["pytest", *chosen, *(["-m", "not slow and not thorough"] if fast else [])])


def serve(arguments: Sequence[str]) -> NoReturn:
    """End as the server of task 10, with these options, which it takes.

    Raises:
        UsageError: it does not.
    """
    require_options("serve", SERVER_OPTIONS, arguments)
    server = SERVER_OPTIONS.with_name("server.py")
    become("inference", ("python", "-W", "ignore:No ccache found", str(server), *arguments))


def lint() -> None:
    """Hold style, types, imports, scripts and Dockerfiles against their rules, up to the first that fails."""
    scripts, dockerfiles, workflows = (
        [str(path.relative_to(ROOT)) for pattern in patterns for path in sorted(ROOT.glob(pattern))]
        for patterns in (SHELL_SCRIPTS, ("Dockerfile.*",), (".github/workflows/*.yml",))
    )
    run("lint", ("ruff", "check", "."))
    run("lint", ("ruff", "format", "--diff", "."))
    run("lint", ("mypy",))
    for system_ in ("darwin", "win32"):
        run("lint", ("mypy", "--platform", system_, "harness", "tasks.py", "projects/kit"))
    run("lint", ("lint-imports", "--no-cache", "--no-logo"))
    run("lint", ("shellcheck", *scripts))
    run("lint", ("hadolint", *dockerfiles))
    run("lint", ("check-jsonschema", "--quiet", "--builtin-schema", "vendor.github-workflows", *workflows))


def docs(live: bool) -> None:
    """Build the site in both languages, or show the English one while texts change."""
    os.environ["NO_MKDOCS_2_WARNING"] = "1"  # news of the theme, which are none of the reader's
    if live:
        return run("docs", ("mkdocs", "serve", "--strict"))
    for language in ("mkdocs.yml", "mkdocs.zh.yml"):  # the second below the first, which empties the folder
        run("docs", ("mkdocs", "build", "--strict", "--quiet", "-f", language))
    print("built: .cache/site/index.html, and in Chinese .cache/site/zh/index.html")


def bench(only: str) -> None:
    """Run measurements, each in the stack that it names."""
    programs = measurements()
    for name in programs if only == "all" else only.split(","):
        if programs[name].beside:
            stacks.prepare(stacks.stack(programs[name].beside))
        run(programs[name].stack, ("python", str(ROOT / "bench" / "keep.py"), name))


def options_of(program: Path) -> str:
    """The options that a program declares in a file of its own, as its --help has them; none where it is not there."""
    if not program.is_file():
        return ""
    asked = subprocess.run([sys.executable, str(program), "--help"], capture_output=True, text=True, check=True)
    return asked.stdout[asked.stdout.index("options:") :].replace("options:", "Options", 1).rstrip()


def require_options(command: str, program: Path, arguments: Sequence[str]) -> None:
    """Raise UsageError for what a program's file of options refuses, before the program is installed or started."""
    asked = subprocess.run([sys.executable, str(program), *arguments], capture_output=True, text=True)
    if asked.returncode != 0:
        what = asked.stderr.strip().splitlines()[-1].partition("error: ")[2]
        raise UsageError(f"{command}: {what}.", "The program does not take it.", f"See ./inv {command} --help")


@dataclass(frozen=True)
class Measurement:
    """A program of bench/: the stack that it names as its own, another that it calls, and what it measures."""

    stack: str
    beside: str
    summary: str


def measurements() -> dict[str, Measurement]:
    """The programs of bench/ that name a stack, without which a file is a part of another."""
    found = {}
    for path in sorted((ROOT / "bench").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        stack = re.search(r'^STACK(?:, BESIDE)? = "([\w-]+)"(?:, "([\w-]+)")?', text, re.MULTILINE)
        if stack:
            found[path.stem] = Measurement(stack[1], stack[2] or "", text.partition("\n")[0].strip('"'))
    return found


@dataclass(frozen=True)
class Lesson:
    """A program of projects/ that a person runs by hand: its arguments, its part, and the kind it computes on."""

    arguments: Sequence[str]
    part: Part
    kind: Hardware

    def run(self) -> NoReturn:
        """End as Python with the program, as the local engine would start it; what the user set stays as it is.

        Raises:
            BuildError: its stack could not be made.
        """
        from harness.catalogue.cells import Cell
        from harness.engines.engine import Request, variables
        from harness.engines.local import LocalEngine

        cell, engine = Cell(self.part, self.kind), LocalEngine()
        engine.prepare(cell)
        settings: Mapping[str, str] = variables(Request(cell=cell, parameters={}, seed=0, cards=1, out=Path()))
        python = stacks.stack(self.part.stack or "base", self.kind).python
        environment = {**{name: rooted(value) for name, value in settings.items()}, **os.environ}
        os.execve(python, [str(python), *self.arguments], environment)


def lesson(book: Catalogue, arguments: Sequence[str]) -> Lesson:
    """The lesson that `arguments` start: a file of projects/ with its arguments, of which --device names the kind.

    Raises:
        UsageError: they name no file of a project.
    """
    for argument in arguments:
        path = Path(argument).absolute()
        parts = [part for part in book.parts.values() if path.is_file() and ROOT / part.folders[0] in path.parents]
        part = next((part for part in parts if part.program == path), parts[0] if parts else None)
        if part is not None and part.stack is not None:
            device = DEVICE.search("\0".join(arguments))
            kinds = [kind for kind in book.hardware.values() if kind.device == (device[1] if device else "cpu")]
            return Lesson(arguments, part, kinds[0] if len(kinds) == 1 else _here(kinds, book))
    raise UsageError(
        f"{' '.join(arguments) or 'Nothing'}: no program of projects/.",
        "Python runs here in the stack of the project whose file is named first.",
        "./inv python projects/04-plate/main.py --set grid=51",
    )


def _here(kinds: Sequence[Hardware], book: Catalogue) -> Hardware:
    """Of several kinds that Paddle calls by one name, the one on this machine; where there is none, the CPU."""
    from harness.machine.probe import probe

    return next((finding.hardware for kind in kinds if (finding := probe(kind))), book.hardware["cpu"])
