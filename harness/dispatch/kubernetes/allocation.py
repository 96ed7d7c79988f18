"""Allocation: what a pod knows of its job, and which attempt of it this is.

A Job whose pod is lost starts another with the same words. Each takes the next free number in the store, by a write
that only one can win; so it needs no right in the cluster, and of the store that to write alone.
"""

import hashlib
import os
import platform
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

from harness.dispatch.listed.batches import attempt
from harness.runs.processes import Ending
from harness.runs.runner import Job

RUN, PLACE, NAME, NODE, STORE = (f"HOMEWORK_{name}" for name in ("RUN", "PLACE", "JOB", "NODE", "STORE"))


def inside() -> bool:
    """Whether this process is the job of one cell."""
    return all(name in os.environ for name in (RUN, PLACE, NAME))


def job() -> Job | None:
    """The job that this process is, as a run takes it; None outside a job."""
    if not inside():
        return None
    number = _number(os.environ[PLACE], os.environ[STORE])
    node = os.environ.get(NODE)
    facts = {"scheduler": "kubernetes", "id": os.environ[NAME], "node": node, "attempt": number + 1}
    return Job(run=attempt(os.environ[RUN], number), facts=facts, true_ending=true_ending)


@cache
def _number(place: str, address: str) -> int:
    """Take the next free number: 0 for the first attempt."""
    from harness.dispatch.kubernetes.scheduler import ATTEMPTS
    from harness.stores.opening import open_store

    store, number = open_store(address), 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pod"
        content = f"{platform.node()} {place}".encode()
        file.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        while not store.put(f"{ATTEMPTS}/{place}/{number}", file, sha256, lambda count: None):
            number += 1
    return number


def true_ending(ending: Ending) -> Ending:
    """The ending, with the scheduler's reason: nobody but Kubernetes ends a pod, for a limit, a node or a person."""
    by_scheduler = ending.reason == "interrupted" and ending.signal == "SIGTERM"
    return replace(ending, reason="cancelled") if by_scheduler else ending
