"""Logs that a person hands over to be explained."""

import sys
from collections.abc import Iterable
from pathlib import Path

from harness.catalogue import symptoms
from harness.catalogue.entries import Hardware
from harness.errors import UsageError


def explained(log: str, kinds: Iterable[Hardware]) -> list[symptoms.Explanation]:
    """What is known of the symptoms in a file, or in the input where it is called -.

    Raises:
        UsageError: there is no such file.
    """
    try:
        text = sys.stdin.buffer.read().decode("utf-8", "replace") if log == "-" else symptoms.read_log(Path(log))
    except OSError as error:
        raise UsageError(f"--log {log}: {error.strerror}.", "It is a text file.", "Name the log.") from error
    return symptoms.explain(text, [kind.name for kind in kinds])
