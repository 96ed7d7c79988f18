"""The local engine: the program in an environment on this machine, made from the project's lock."""

import os
import platform
import subprocess

from harness.catalogue import releases
from harness.catalogue.cells import Cell
from harness.catalogue.entries import Hardware, rooted
from harness.checkout import ROOT
from harness.engines.engine import Launch, Request, odd_version, python_words, variables
from harness.environments import setup, stacks
from harness.errors import BuildError
from harness.terminal import yellow

# Where Paddle, matplotlib and others keep what they compute once: in the checkout, where ./inv clean shows it.
FOLDERS = {"MPLCONFIGDIR": "matplotlib", "PADDLE_EXTENSION_DIR": "paddle", "XDG_CACHE_HOME": "programs"}
CACHES = {name: str(ROOT / ".cache" / folder) for name, folder in FOLDERS.items()}


class LocalEngine:
    name = "local"

    def missing(self, cell: Cell) -> str | None:
        wheels = cell.hardware.data["wheels"]
        if wheels.get("source_only"):
            return f"no index has {wheels['packages'][-1]}: ./inv build {cell.hardware.name} --source"
        paddle = cell.paddle
        if releases.PLATFORM not in paddle.platforms and "index" not in wheels:
            return f"Paddle {paddle.near} has no wheel for {releases.PLATFORM}"
        if platform.machine() not in wheels["machines"]:
            return f"{cell.hardware.name} has no wheels for {platform.machine()}"
        if stacks.python_for(cell.hardware, paddle) is None:
            here = ".".join(platform.python_version_tuple()[:2])
            wanted = ", ".join(wheels["python"])
            return f"this is Python {here}, {cell.hardware.name}'s wheels are for {wanted}, and none of these is here"
        return None

    def sdks(self, cell: Cell) -> dict[str, str]:
        return {}

    def prepare(self, cell: Cell) -> None:
        scripts = setup.not_sourced(cell.hardware.data.get("setup", ()))
        if scripts:
            print(yellow(f"  This shell has not sourced {', '.join(scripts)}: it is done for the program."))
        stack = stacks.prepare(self._stack(cell))
        command = _preparing(cell.hardware, stack)
        if command and subprocess.run(command, stdout=subprocess.DEVNULL).returncode != 0:
            raise BuildError(
                f"{cell.hardware.title} could not be prepared.",
                "See its output above.",
                f"./inv doctor --hw {cell.hardware.name} shows what such a machine needs.",
            )

    def launch(self, request: Request) -> Launch:
        program = request.cell.part.program
        assert program is not None, "a part without a program is not planned"
        stack = self._stack(request.cell)
        before, needed = _set_up(request.cell.hardware)
        settings = {"PYTHONUNBUFFERED": "1", **variables(request), **needed}
        paddle = stacks.installed_paddle(stack.python)
        return Launch(
            command=(*before, str(stack.python), *python_words(request, program)),
            environment={**CACHES, **os.environ, **{name: rooted(value) for name, value in settings.items()}},
            settings=settings,
            facts={
                "stack": {
                    "name": stack.name,
                    "lock": str(stack.lock.relative_to(ROOT)),
                    "lock_sha256": stack.lock_sha256,
                    "index": stack.index,
                    "python": stacks.python_version(stack, whole=True) or platform.python_version(),
                    **odd_version(request.cell.paddle, request.cell.instead_of),
                },
                "paddle": vars(paddle) if paddle else None,
                "plug_ins": [vars(each) for each in stacks.installed_plug_ins(stack)],
            },
            first=tuple(map(tuple, (*stacks.missing_commands(stack), _preparing(request.cell.hardware, stack)))),
        )

    def _stack(self, cell: Cell) -> stacks.Stack:
        assert cell.part.stack is not None, "the catalogue refuses a program without a stack"
        return stacks.stack(cell.part.stack, cell.hardware, ROOT, cell.release)


def _preparing(kind: Hardware, stack: stacks.Stack) -> list[str]:
    """The command that prepares a kind which is a program of this project; empty for the others."""
    command = kind.data.get("prepare", {}).get("command", ())
    return [str(stack.python), *map(rooted, command)] if command else []


def _set_up(kind: Hardware) -> tuple[tuple[str, ...], dict[str, str]]:
    """The words and variables by which the program starts as in a container: after the vendor's set-up scripts."""
    scripts = setup.not_sourced(kind.data.get("setup", ()))
    if not scripts and platform.machine() != "aarch64":  # where the entry point has a library to load first
        return (), {}
    return ("sh", str(ROOT / setup.ENTRY)), {"SETUP": " ".join(scripts)}
