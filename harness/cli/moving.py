"""What upload, download and sync do: records moved to a store and back."""

import os
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Literal

from harness.errors import UsageError, VerificationError

JOB = "HOMEWORK_RUN"  # is set where a scheduler runs a cell
Way = Literal["up", "down", "repair"]
DONE = {"up": "uploaded", "down": "downloaded", "repair": "repaired"}


def move(results: Path, ways: Sequence[Way], address: str, parts: Collection[str] | None, dry_run: bool) -> None:
    """Move what is missing, in these ways one after the other; a record that fails verification stops no way.

    Raises:
        UsageError: the address is none, or names a folder that is not there and shall not be made.
        VerificationError: a record failed verification.
        StoreError: the store fails.
    """
    if "up" in ways and not dry_run and JOB not in os.environ:
        _ask_again(results)
    failures = []
    for way in ways:
        try:
            _move(results, way, address, parts, dry_run)
        except VerificationError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def _ask_again(results: Path) -> None:
    """Ask the addresses again that wait, before they are sent: who uploads is online."""
    from harness.attaching import attach
    from harness.catalogue import entries
    from harness.evidence import attachments

    if any(each.waits for present in attachments.standing(results)[0].values() for each in present):
        print("\n".join(attach.check(results, entries.load().parts)))


def _move(results: Path, way: Way, address: str, parts: Collection[str] | None, dry_run: bool) -> None:
    from harness.stores import index, repairing, transfer
    from harness.stores.opening import open_source, open_store

    steps: dict[Way, Callable[..., transfer.Outcome]] = {"up": transfer.upload, "repair": repairing.repair}
    if way == "down":
        source = open_source(address)
        outcome = transfer.download(results, source, parts, dry_run)
    else:
        source = store = open_store(address, make=_may_make)
        outcome = steps[way](results, store, parts, dry_run)
        if way == "up" and not dry_run:
            index.update(results, store, outcome.moved, job=JOB in os.environ)
        elif not dry_run:
            index.complete(store)
    done, where = DONE[way], {"up": "to", "down": "from", "repair": "in"}[way]
    would = f"Would {done.removesuffix('ed')}" if dry_run else done.capitalize()
    print(transfer.summary(outcome, would, f"{where} {source.address}"))
    transfer.require_all(outcome, done)


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
