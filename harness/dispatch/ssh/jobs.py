"""What `./inv jobs` does with runs over ssh: shows them, follows each to its end, or ends it; their records come."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from harness.dispatch.dispatcher import Outcome
from harness.dispatch.ssh import underway
from harness.dispatch.ssh.connection import Address, Connection, parse
from harness.dispatch.ssh.dispatch import There, begun_run, collect, quietly
from harness.dispatch.ssh.underway import FarRun
from harness.errors import EngineError, HomeworkError
from harness.terminal import bold, cyan, dim, yellow


def show(results: Path, once: bool, cancel: bool) -> list[Outcome]:
    """Show the runs of the list; without `once` follow each to its end, with `cancel` after it was told to end.

    Returns:
        What came of those that are over.

    Raises:
        VerificationError: a record that came failed verification.
        Interrupted: Ctrl-C; the run was left, or ended.
    """
    outcomes = list[Outcome]()
    for run in underway.listed(results):
        address = parse(run.address)
        try:
            there = _there(address)
        except EngineError as error:
            give_up = f"rm {os.path.relpath(run.file(results))} gives it up."
            print(yellow(f"■ {run} on {address}: {error.what} {error.why.rstrip('.')}. {give_up}"), flush=True)
            if once:
                continue
            there = None
        outcomes += _of_one(results, run, address, there, once, cancel)
    return outcomes


def _of_one(
    results: Path, run: FarRun, address: Address, there: There | None, once: bool, cancel: bool
) -> Sequence[Outcome]:
    if there and there.last != run.name:
        if there.busy:  # of another, or it is just being sent
            print(dim(f"… {run} on {address}: waiting for {there.busy}"), flush=True)
            return []
        print(dim(f"· {run} on {address}: it never began, or another run followed it"), flush=True)
        return [collect(results, run, address, 0)]
    if there and there.busy:
        print(cyan(f"▶ {run} on {address}: running since {run.begun[:16].replace('T', ' ')} UTC"), flush=True)
        if once:
            return []
    if cancel:
        print(f"Ending {run} on {address}; its records say so.", flush=True)
    else:
        print(bold(f"On {address}: {run}"), flush=True)
    return [collect(results, run, address, begun_run(run, address).follow(signal.SIGINT if cancel else 0))]


def _there(address: Address) -> There:
    with Connection(address) as far:
        return quietly(address)(far)


def require_passed(outcomes: Sequence[Outcome]) -> None:
    """End with an error where a run failed, or was ended.

    Raises:
        HomeworkError: how many.
    """
    failed = [outcome for outcome in outcomes if outcome.failure or any(each.failed for each in outcome.records)]
    if failed:
        what = f"{len(failed)} of {len(outcomes)} runs failed or {'was' if len(failed) == 1 else 'were'} ended."
        raise HomeworkError(what, "See their output above.", "./inv show RUN shows a record that was fetched.")
