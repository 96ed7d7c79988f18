"""Tools that the words test, lint, bench and serve call, each in its own stack."""

import os
import subprocess
from collections.abc import Sequence
from typing import NoReturn

from harness.checkout import ROOT
from harness.environments import stacks
from harness.errors import HomeworkError


def run(stack: str, command: Sequence[str]) -> None:
    """Run `command` from the stack's environment, which is made first if it is not there.

    Raises:
        HomeworkError: it failed; its own words stand above.
    """
    folder = stacks.prepare(stacks.stack(stack)).folder / "bin"
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([str(folder / command[0]), *command[1:]], cwd=ROOT, env=environment)
    if done.returncode != 0:
        raise HomeworkError(f"{command[0]} failed.", f"Its exit code was {done.returncode}.", "Its words stand above.")


def become(stack: str, command: Sequence[str]) -> NoReturn:
    """End as `command` from the stack's environment: it gets the signals itself, and its exit code is this one's."""
    program = stacks.prepare(stacks.stack(stack)).folder / "bin" / command[0]
    os.execv(program, [str(program), *command[1:]])
