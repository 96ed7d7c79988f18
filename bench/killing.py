"""What the measurements of kills share: the same command again, as a person would give it, until all is well."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

REPEATS = 8
LONGEST = 240  # s


def calls_until_well(process: "subprocess.Popen[str]", again: Callable[[], "subprocess.Popen[str]"], log: Path) -> int:
    """How many calls it took until one ended with 0, the first being `process`; ends this program if one never ends."""
    for call in range(1, REPEATS + 1):
        try:
            if process.wait(timeout=LONGEST) == 0:
                return call
        except subprocess.TimeoutExpired:
            sys.exit(f"A call has no end.\n{log.read_text()[-3000:]}")
        process = again()
    return REPEATS
