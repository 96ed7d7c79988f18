"""The vendor's set-up scripts on this machine: what its login shell sources, and whether the one that called has."""

import os
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from harness.checkout import ROOT

ENTRY = Path("docker") / "entry.sh"
OF_EVERY_SHELL = {"_", "SHLVL", "PWD", "OLDPWD", "SETUP"}
ANSWER_SECONDS = 60


def not_sourced(files: Sequence[str]) -> tuple[str, ...]:
    """Those of the scripts that are here and set a variable which this shell does not have."""
    return tuple(file for file in files if os.access(file, os.R_OK) and _sets(file) - os.environ.keys())


@cache
def _sets(file: str) -> frozenset[str]:
    """The variables that are set after the script was sourced; none where it ends the shell."""
    words = ("sh", str(ROOT / ENTRY), "env", "-0")
    environment = {**os.environ, "SETUP": file}
    try:
        done = subprocess.run(words, env=environment, capture_output=True, timeout=ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    names = (entry.partition(b"=")[0].decode(errors="replace") for entry in done.stdout.split(b"\0") if entry)
    return frozenset(name for name in names if name not in OF_EVERY_SHELL and not name.startswith("BASH_"))
