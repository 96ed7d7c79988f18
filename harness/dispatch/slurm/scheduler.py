"""Slurm as the list of jobs asks it: by squeue, sacct and scancel."""

import contextlib
import subprocess
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from harness.dispatch.listed.batches import Batch
from harness.dispatch.listed.job import Job, Queue, Silent
from harness.dispatch.slurm import commands
from harness.errors import EngineError

ANSWER_SECONDS = 60


def ask(*words: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run a command of Slurm's.

    Raises:
        EngineError: it is not here.
    """
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=ANSWER_SECONDS, **options)
    except FileNotFoundError as error:
        remedy = "Call on a login node of the cluster; Debian's package is slurm-client."
        raise EngineError(f"There is no {words[0]} here.", "--on slurm needs Slurm's commands.", remedy) from error
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 1, "", f"{words[0]}: timed out after {ANSWER_SECONDS} s")


def _day_before(moment: str) -> str:
    """A day before a moment in UTC, which is in no time zone after it: sacct takes local times."""
    return (datetime.fromisoformat(moment[:10]) - timedelta(days=1)).strftime("%Y-%m-%d")


class SlurmScheduler:
    title = "Slurm"

    def queue(self, batches: Sequence[Batch]) -> Queue:
        done = ask(*commands.QUEUE)
        if done.returncode != 0:
            raise Silent("Slurm does not answer.", "squeue said nothing.", "scontrol ping; then call again.")
        return commands.read_queue(done.stdout)

    def history(self, batch: Batch) -> Queue:
        """What the accounting database knows; nothing where there is none."""
        with contextlib.suppress(EngineError):
            done = ask(*commands.HISTORY, commands.NAME + batch.id, "--starttime", _day_before(batch.submitted))
            return commands.read_history(batch.id, done.stdout) if done.returncode == 0 else {}
        return {}

    def cancel(self, jobs: Sequence[tuple[Batch, Job]]) -> None:
        for some in commands.chunks([job.id for _, job in jobs], 500):
            ask("scancel", *some)
