"""Allocation: what a job has been given by its scheduler, seen from inside the job.

A job runs `./inv run` with HOMEWORK_RUN set to its record's id, and HOMEWORK_GRES to what its cards are called there.
It sees only these, its record says which job it was, and a signal that the scheduler sent gets its true name.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.catalogue.entries import Hardware
from harness.dispatch.listed.batches import attempt
from harness.dispatch.listed.job import wait_a_moment
from harness.dispatch.slurm import commands
from harness.errors import EngineError
from harness.evidence import records, sealed
from harness.runs.processes import Ending
from harness.runs.runner import Job
from harness.terminal import yellow

VARIABLE, GRES = "HOMEWORK_RUN", "HOMEWORK_GRES"
ANSWER_SECONDS = 10


def inside() -> bool:
    """Whether this process is the job of one cell."""
    return VARIABLE in os.environ and "SLURM_JOB_ID" in os.environ


def job() -> Job | None:
    """The job that this process is, as a run takes it; None outside a job."""
    if not inside():
        return None
    restarts = _restarts()
    facts = {"scheduler": "slurm", "id": _job(), "node": os.environ.get("SLURMD_NODENAME"), "attempt": restarts + 1}
    return Job(run=attempt(os.environ[VARIABLE], restarts), facts=facts, true_ending=true_ending)


def finished_before(results: Path) -> bool:
    """Whether an earlier attempt got as far as its record: it was requeued at the very end, and needs no other."""
    restarts = _restarts() if inside() else 0
    earlier = {attempt(os.environ[VARIABLE], number) for number in range(restarts)}
    for _, _, run in sealed.folders(results) if earlier else ():
        if run.name in earlier and records.read(Path(run.path) / records.FILE)["exit"]["reason"] == "finished":
            return True
    return False


def see_own_cards(kinds: Sequence[Hardware]) -> None:
    """Let programs see only the cards that were allocated: Slurm itself does so for GPUs alone.

    Raises:
        EngineError: which they are cannot be known.
    """
    for kind in kinds:
        variable = kind.data.get("visible_devices")
        name = os.environ.get(GRES, kind.data.get("scheduler", {}).get("slurm", ""))
        if variable and name and not os.environ.get(variable):
            os.environ[variable] = ",".join(_cards(name))


def _cards(name: str) -> list[str]:
    """The indices of this job's cards; a slurmctld that does not answer is waited for, as long as the job may take."""
    silences = 0
    while not (details := _scontrol("--details")):
        if not shutil.which("scontrol"):
            remedy = "Install Slurm's commands on its nodes; Debian's package is slurm-client."
            raise EngineError("There is no scontrol here.", f"It says which {name} are this job's.", remedy)
        if not silences:
            print(yellow("Slurm does not answer; waiting until it does."), flush=True)
        silences += 1
        wait_a_moment(0, silences)
    if cards := commands.read_cards(details, name):
        return cards
    why = f"scontrol show job --details names no {name} by its index."
    remedy = "In gres.conf each card needs its file (File=): docs/slurm.md. In slurm.yaml gres: is its name there."
    raise EngineError("Slurm does not say which cards are this job's.", why, remedy)


def true_ending(ending: Ending) -> Ending:
    """The ending, with the scheduler's reason where it was the scheduler that ended the program."""
    if ending.reason not in ("interrupted", "killed") or ending.signal == "SIGINT":
        return ending
    reason = commands.read_ending(_scontrol(), _restarts())
    return replace(ending, reason=reason) if reason else ending


def _restarts() -> int:
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0)


def _job() -> str:
    """The job as 1042_3: a task's own number may be that of its array, and then names all of its tasks."""
    array, place = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{place}" if array else os.environ["SLURM_JOB_ID"]


def _scontrol(*options: str) -> str:
    words = ("scontrol", "--oneliner", *options, "show", "job", _job())
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=ANSWER_SECONDS).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
