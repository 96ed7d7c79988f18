"""What can go wrong, as a tree. Every error says what, why and what to do, and knows its exit code.

    HomeworkError               1   a program or a check failed
    ├── UsageError              2   a command that means nothing here, or names a file that is not there
    ├── DataFileError           2   a mistake in hardware.yaml, project.yaml or a record
    ├── HardwareError           3   the hardware asked for is not here, or not ready
    ├── EngineError             4   the engine cannot run the cell
    ├── BuildError              5   an environment or image could not be made
    ├── VerificationError       6   a record is not what it says
    └── StoreError              7   results cannot be read or written

An interrupted run exits as shells do: 130 after Ctrl-C, 143 after SIGTERM.
"""

from collections.abc import Iterable


class HomeworkError(Exception):
    """An error for a person to read.

    Args:
        what: what happened, one line.
        why: the cause as far as it is known, one line.
        remedy: what to do about it, one line.
    """

    code = 1

    def __init__(self, what: str, why: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.remedy = remedy

    def __str__(self) -> str:
        return "\n".join(line for line in (self.what, self.why, self.remedy) if line)


class UsageError(HomeworkError):
    code = 2


class DataFileError(HomeworkError):
    code = 2


class HardwareError(HomeworkError):
    code = 3


class EngineError(HomeworkError):
    code = 4


class BuildError(HomeworkError):
    code = 5


class VerificationError(HomeworkError):
    code = 6


class StoreError(HomeworkError):
    code = 7


class Interrupted(BaseException):
    """A person or the system asked the run to stop (Ctrl-C or SIGTERM)."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.code = 128 + number


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """A sentence behind others that offers the known name nearest to what was given; none where none is near."""
    from difflib import get_close_matches  # 5 ms, which only a mistake takes

    names = {name.lower(): name for name in known}
    near = get_close_matches(given.lower(), names, n=1)
    return f" Did you mean {names[near[0]]}?" if near else ""
