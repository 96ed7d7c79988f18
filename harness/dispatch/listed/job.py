"""A job as its scheduler knows it, in words that every scheduler is translated into; and what a scheduler answers."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.dispatch.listed.batches import Batch
from harness.errors import EngineError
from harness.evidence.record import Reason

REST = 10  # times as long as asking takes, nobody is asked
ALL = -1  # the place of a job that stands for every cell of its batch
Stop = tuple[Reason, str]  # how a record says that a job ended, and why
# The states in which a job ends; in every other state it may still run.
ENDED: Mapping[str, Stop] = {
    "COMPLETED": ("not started", "its job ended without running the cell"),
    "FAILED": ("killed", "its job ended before the cell did"),
    "OUT_OF_MEMORY": ("killed", "its job took more memory than was asked for: raise it in {scheduler}.yaml"),
    "CANCELLED": ("cancelled", "its job was cancelled"),
    "PREEMPTED": ("cancelled", "its job gave way to one of higher priority"),
    "TIMEOUT": ("timed out", "its job was ended at its time limit"),
    "DEADLINE": ("timed out", "its job could not end before its deadline"),
    "NODE_FAIL": ("node failed", "its node failed"),
    "BOOT_FAIL": ("node failed", "its node did not boot"),
}
REQUEUED: Stop = (
    "requeued",
    "its job was put back into the queue, as after a node's failure; another attempt followed",
)
# Exit codes of a job that sends its record, besides those of ./inv run.
NOT_SENT, OTHER_COMMIT = 75, 76
AT_ANOTHER_COMMIT: Stop = ("not started", "the checkout on its node is not at the commit that was submitted")
GIVEN_UP: Stop = ("killed", "its job ended, but its record stayed on its node and was given up")
FORGOTTEN: Stop = ("killed", "its scheduler does not know any more whether and how its job ended")
LATE: Stop = ("killed", "its scheduler had forgotten its job, which ran after all, and was ended unsealed")


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job, or a task of an array.

    Args:
        restarts: how often it was requeued.
        code: its exit code, once it has ended.
    """

    id: str
    state: str
    restarts: int = 0
    nodes: str = ""
    reason: str = ""
    code: int = 0

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def waiting(self) -> bool:
        return not self.ended and not self.nodes


Queue = Mapping[tuple[str, int], Job]  # by batch and place


class Silent(EngineError):
    """A scheduler does not answer now, from which nothing follows about its jobs."""


class Scheduler(Protocol):
    """What the list of jobs asks of a scheduler."""

    title: str

    def queue(self, batches: Sequence[Batch]) -> Queue:
        """What it knows of this user's jobs.

        Raises:
            Silent: it does not answer.
        """

    def history(self, batch: Batch) -> Queue:
        """What it remembers of a batch that is in its queue no more."""

    def cancel(self, jobs: Sequence[tuple[Batch, Job]]) -> None:
        """End these jobs."""


Schedulers = Callable[[str], Scheduler]  # by the name that a batch has


def wait_a_moment(last_change: float, silences: int = 0, took: float = 0.0) -> None:
    """Until it is worth asking again: soon while things move, and ever later while nobody answers; for most of the
    time, where to ask and to look `took` long itself."""
    if silences:
        return time.sleep(min(60.0, 2.0**silences))
    soon = 1.0 if time.monotonic() - last_change < 60 else 5.0
    time.sleep(max(soon, min(60.0, REST * took)))
