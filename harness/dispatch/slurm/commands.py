"""Slurm as text: the script that it is given, and what it answers. Nothing is run here, so it is tested without Slurm.

Its commands are described at https://slurm.schedmd.com/sbatch.html, squeue.html and scontrol.html.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.dispatch.listed.job import ALL, ENDED, NOT_SENT, OTHER_COMMIT, REQUEUED, Job
from harness.evidence.record import Reason

NAME = "homework-"  # how the names of its jobs begin; behind it stands the batch
FIELDS = ("JobArrayID", "State", "RestartCnt", "NodeList", "Name", "Reason", "exit_code")
QUEUE = (
    "squeue",
    "--noheader",
    "--array",
    "--me",
    "--states=all",
    "--Format=" + ",".join(f"{name}:|" for name in FIELDS),
)
HISTORY = ("sacct", "--noheader", "--allocations", "--parsable2", "--format=JobID,State,NodeList,ExitCode", "--name")
LARGEST_ARRAY = re.compile(r"^MaxArraySize\s*=\s*(\d+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Script:
    """What a job asks for, and the line of shell that it runs."""

    name: str
    line: str
    output: str
    minutes: int
    options: Mapping[str, str | int | bool] = field(default_factory=dict)
    array: int = 0
    gres: str = ""
    after: str = ""
    folder: str = ""

    def __str__(self) -> str:
        """The script. Its options stand in it, so that Slurm's variables, as SBATCH_PARTITION, go before them."""
        asked: dict[str, str | int | bool] = {"job-name": NAME + self.name, "output": self.output}
        asked |= {"open-mode": "append", "time": self.minutes}
        if self.array:
            asked["array"] = f"0-{self.array - 1}"
        if self.folder:
            asked["chdir"] = self.folder
        if self.gres:
            asked["gres"] = self.gres
        if self.after:
            asked |= {"dependency": f"afterok:{self.after}", "kill-on-invalid-dep": "yes"}
        lines = [f"#SBATCH --{name}" + ("" if value is True else f"={value}") for name, value in asked.items()]
        lines += [f"#SBATCH --{name}" + ("" if value is True else f"={value}") for name, value in self.options.items()]
        return "\n".join(["#!/bin/sh", *lines, self.line, ""])


def line_of(file: str) -> str:
    """What a task of an array runs: its own line of `file`."""
    return f'eval "$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {file})"'


def sending(lines: Sequence[str], store: str, revision: str | None, output: str) -> str:
    """What a task of an array runs on a node that sees no folder of the caller's: its own one of `lines`; then it
    sends what lies there to the store. Where all went well its output, which nobody needs any more, goes.

    Slurm signals all of a job when it ends it: the run seals its record, and this shell lives on to send it.
    """
    refusal = (
        f"{{ echo 'This checkout is not at {revision}: git fetch; git checkout {revision}'; exit {OTHER_COMMIT}; }}"
    )
    checked = f'[ "$(git rev-parse HEAD)" = {revision} ] || {refusal}\n' if revision else ""
    tidied = f'[ $code != 0 ] || rm -f "{output.replace("%a", "$SLURM_ARRAY_TASK_ID")}"'
    chosen = "sed -n \"$((SLURM_ARRAY_TASK_ID + 1))p\" <<'CELLS'\n" + "".join(f"{line}\n" for line in lines) + "CELLS\n"
    sent = f"./inv upload --to {shlex.quote(store)} || exit {NOT_SENT}"
    return f'trap : TERM\n{checked}cell="$({chosen})"\n(eval "$cell")\ncode=$?\n{sent}\n{tidied}\nexit $code'


def gres(name: str, cards: int) -> str:
    """How `cards` cards are asked for: npu:910b, 2 is npu:910b:2."""
    return f"{name}:{cards}" if name else ""


def read_queue(text: str) -> dict[tuple[str, int], Job]:
    """squeue's answer: the jobs of this project by batch and place in the array.

    Tasks that ended before they were started stand together, as 1042_[1-3]; those of a whole array have the place ALL.
    """
    jobs = {}
    for line in text.splitlines():
        identity, state, restarts, nodes, name, reason, status, *_ = (*line.split("|"), *[""] * len(FIELDS))
        number, _, place = identity.partition("_")
        if name.startswith(NAME) and number.isdigit():
            again = int(restarts) if restarts.isdigit() else 0
            code = int(status) >> 8 if status.isdigit() else 0  # it is printed as the system's wait() has it
            job = Job(id=identity, state=state, restarts=again, nodes=nodes, reason=reason, code=code)
            places = _numbers(place.strip("[]").partition("%")[0]) or [ALL]
            jobs.update({(name.removeprefix(NAME), each): job for each in places})
    return jobs


def _numbers(ranges: str) -> list[int]:
    """What 0-2,5 stands for."""
    numbers: list[int] = []
    for each in re.findall(r"\d+(?:-\d+)?", ranges):
        first, _, last = each.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def read_history(batch: str, text: str) -> dict[tuple[str, int], Job]:
    """sacct's answer to HISTORY and the name of one batch's jobs: those that have ended.

    Tasks that were cancelled while they waited stand together, as 1042_[1-3], or as 1042 with the place ALL. Of a job
    that slurmctld lost, the database says for ever that it waits or runs.
    """
    jobs = {}
    for line in text.splitlines():
        identity, state, nodes, status, *_ = (*line.split("|"), "", "", "", "")
        code = status.partition(":")[0]
        word = state.partition(" ")[0]  # CANCELLED by 1000
        if word in ENDED:
            places = _numbers(identity.partition("_")[2].strip("[]").partition("%")[0]) or [ALL]
            job = Job(id=identity, state=word, nodes=nodes, code=int(code) if code.isdigit() else 0)
            jobs.update({(batch, place): job for place in places})
    return jobs


def read_cards(text: str, name: str) -> list[str]:
    """The indices of a job's cards, from `scontrol --oneliner --details show job`: GRES=npu:910b:2(IDX:0-1).

    Of several types of a name it may have cards of each, and they are counted on: npu:a:1(IDX:0),npu:b:1(IDX:2).
    """
    bare = re.escape(name.partition(":")[0])
    cards: list[str] = []
    for ranges in re.findall(rf"(?:\bGRES=|,){bare}(?::[^:(,\s]+)?:\d+\(IDX:([\d,-]+)\)", text):
        cards += map(str, _numbers(ranges))
    return cards


def read_ending(text: str, restarts: int) -> Reason | None:
    """Why a running job is being ended, as records say it, from `scontrol show job`; None where it is not.

    While a job is being ended its state is COMPLETING, whatever the cause; `restarts` are those before this attempt.
    """
    found = dict(re.findall(r"\b(JobState|Reason|Restarts)=(\S+)", text))
    state, again = found.get("JobState", ""), found.get("Restarts", "0")
    if again.isdigit() and int(again) > restarts:
        return REQUEUED[0]
    if state == "COMPLETING":
        return "timed out" if found.get("Reason") == "TimeLimit" else "cancelled"
    return ENDED[state][0] if state in ENDED and state not in ("COMPLETED", "FAILED", "OUT_OF_MEMORY") else None


def why_refused(words: str, asked: str) -> tuple[str, str]:
    """Why sbatch refused a job, and what to do."""
    said = " ".join(words.replace("sbatch: error:", "").split()).strip() or "It said nothing"
    said = said if said.endswith((".", ")")) else f"{said}."
    if "Requested node configuration is not available" in words or "Invalid generic resource" in words:
        return said, f"It asked for {asked or 'no card'}; sinfo -o '%N %G %m %c' shows what nodes have; set slurm.yaml."
    if "configuration" in words:
        return (
            said,
            "Slurm's commands find no cluster here: call on a login node, or name its slurm.conf by SLURM_CONF.",
        )
    if "accounting/QOS policy" in words:
        return said, "The same command submits the rest once others have ended; limits: sacctmgr show assoc"
    if uncertain(words):
        return said, "Call again when scontrol ping answers: what was submitted meanwhile is found."
    return said, "Set partition, account and other options of sbatch in slurm.yaml, or as SBATCH_PARTITION …"


def uncertain(words: str) -> bool:
    """Whether sbatch could not tell if its job was taken."""
    return unreached(words) or "timed out" in words


def unreached(words: str) -> bool:
    """Whether sbatch found no slurmctld to take its job: it may be called again."""
    return "nable to contact" in words


def largest_array(config: str) -> int:
    """How many tasks an array may have, from `scontrol show config`."""
    match = LARGEST_ARRAY.search(config)
    return max(1, int(match.group(1)) - 1) if match else 1000


def chunks(items: Sequence, size: int) -> list[Sequence]:
    return [items[start : start + size] for start in range(0, len(items), size)]
