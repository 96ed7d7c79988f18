"""What `./inv run` selects, and prints at the end."""

import json
from pathlib import Path
from typing import Any

from harness.catalogue import cells
from harness.catalogue.entries import Catalogue
from harness.dispatch.dispatcher import Outcome, RunRequest
from harness.dispatch.registry import dispatcher

__all__ = ["dispatcher", "select", "show"]


def select(book: Catalogue, results: Path, *, task: str, timeout: str, profile: str | None, **asked: Any) -> RunRequest:
    """The parts that are asked for, with the options of the run.

    Raises:
        UsageError: there is no such part or profile, or the timeout is too short.
    """
    parts = cells.with_timeout(cells.select_parts(book, task), timeout)
    cells.check_profile(parts, profile)
    return RunRequest(
        catalogue=book, parts=parts, results=results, task=task, timeout=timeout, profile=profile, **asked
    )


def show(outcome: Outcome, request: RunRequest, format: str) -> None:
    """Print the matrix as it is now, and with `--format json` the paths of the records."""
    from harness.points import matrix

    if format != "bare":
        print()
        print(matrix.show(matrix.build(request.catalogue, request.results), "table", explain=False))
    if format == "json":
        print(json.dumps([str(record.file) for record in outcome.records]))
