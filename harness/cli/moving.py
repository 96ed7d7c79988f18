"""What upload, download and sync do: records moved to a store and back."""

import os
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Literal

from harness.errors import UsageError, VerificationError

Way = Literal["up", "down"]


def move(results: Path, ways: Sequence[Way], address: str, parts: Collection[str] | None, dry_run: bool) -> None:
    """Move what is missing, in these ways one after the other; a record that fails verification stops no way.

    Raises:
        UsageError: the address is none, or names a folder that is not there and shall not be made.
        VerificationError: a record failed verification.
        StoreError: the store fails.
    """
    failures = []
    for way in ways:
        try:
            _move(results, way, address, parts, dry_run)
        except VerificationError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def _move(results: Path, way: Way, address: str, parts: Collection[str] | None, dry_run: bool) -> None:
    from harness.stores import transfer
    from harness.stores.opening import open_store

    step: Callable[..., transfer.Outcome] = transfer.upload if way == "up" else transfer.download
    store = open_store(address, reading=way == "down", make=_may_make)
    outcome = step(results, store, parts, dry_run)
    done, where = (f"{way}load", "to" if way == "up" else "from")
    print(
        transfer.summary(outcome, f"Would {done}" if dry_run else f"{done.capitalize()}ed", f"{where} {store.address}")
    )
    transfer.require_all(outcome, f"{done}ed")


def _may_make(folder: Path) -> None:
    """Ask before a folder is made; without a terminal it is not made.

    Raises:
        UsageError: it shall not be made.
    """
    question = f"{folder} is not there. Make it? [y/N] "
    if sys.stdin.isatty() and sys.stdout.isatty() and input(question).strip().lower() in ("y", "yes"):
        return
    what, why = f"{folder}: no such folder.", "A mistyped name would become one."
    raise UsageError(what, why, f"If it is meant: mkdir -p {os.path.relpath(folder)}, then call again.")
