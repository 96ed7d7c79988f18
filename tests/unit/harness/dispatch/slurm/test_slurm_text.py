"""Slurm as text: what it is given, and what it answers; the samples are what Slurm 22.05 printed."""

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.dispatch.listed.job import ALL, ENDED, FORGOTTEN, REQUEUED, Job
from harness.dispatch.slurm import commands
from harness.dispatch.slurm.commands import Script

BATCH = "20261123T154312.042Z-4fa01c"
QUEUE = f"""\
1_0|RUNNING|0|n1|homework-{BATCH}|None|
1_1|PENDING|1||homework-{BATCH}|BeginTime|
7|CANCELLED|0||homework-whole|Priority|
8_[1-2,5%1]|CANCELLED|0||homework-some|Priority|
9_0|TIMEOUT|0|n2|homework-late|TimeLimit|0|
10_0|FAILED|0|n2|homework-unsent|NonZeroExitCode|19200|
12|RUNNING|0|n2|wrap|None|
1_2|NODE_FAIL|0|n3|homework-{BATCH}|NodeDown|
"""


def test_a_script_asks_for_what_a_job_needs():
    script = Script(
        name="b",
        line="exec true",
        output="b-%a.log",
        minutes=25,
        options={"mem": "8G", "requeue": True},
        array=3,
        gres="npu:910b:2",
        after="41",
    )
    lines = str(script).splitlines()
    assert lines[0] == "#!/bin/sh" and lines[-1] == "exec true"
    asked = [line.removeprefix("#SBATCH --") for line in lines[1:-1]]
    assert {"job-name=homework-b", "time=25", "array=0-2", "gres=npu:910b:2", "mem=8G", "requeue"} <= set(asked)
    assert {"dependency=afterok:41", "kill-on-invalid-dep=yes", "output=b-%a.log"} <= set(asked)


def test_a_script_without_card_array_or_build_does_not_ask_for_them():
    text = str(Script(name="b", line="true", output="log", minutes=1))
    assert not any(word in text for word in ("gres", "array", "dependency"))


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A checkout at a commit, whose ./inv writes down its words; gives the exit code of a task and those words."""
    inv = tmp_path / "inv"
    inv.write_text('#!/bin/sh\necho "$HOMEWORK_RUN $*" >> said\n[ "$1" != "$FAILS" ]\n')
    inv.chmod(0o755)
    (tmp_path / "git").write_text("#!/bin/sh\necho aaaa\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def run(text: str, fails: str = "") -> tuple[int, list[str]]:
        done = subprocess.run(
            ["sh", "-c", text], cwd=tmp_path, env={**os.environ, "SLURM_ARRAY_TASK_ID": "1", "FAILS": fails}
        )
        said = tmp_path / "said"
        return done.returncode, said.read_text().splitlines() if said.exists() else []

    return run


LINES = ["exec env HOMEWORK_RUN=a ./inv run --set x=1", "./inv build && exec env HOMEWORK_RUN=b ./inv run --set 'x=$y'"]
STORE = "s3://team/homework?service=minio&endpoint=http://minio:9000"


@pytest.mark.parametrize(("fails", "code"), [("", 0), ("run", 1), ("upload", commands.NOT_SENT)])
def test_a_task_runs_its_own_line_and_sends_what_it_left_whatever_came_of_it(node, tmp_path, fails, code):
    output = tmp_path / "job-1.log"
    output.touch()
    ended, said = node(commands.sending(LINES, STORE, "aaaa", str(tmp_path / "job-%a.log")), fails)
    assert output.exists() == bool(fails), "its words are needed only where something went wrong"
    assert (ended, said) == (code, [" build", "b run --set x=$y", f" upload --to {STORE}"])


def test_a_task_on_another_commit_runs_nothing(node):
    assert node(commands.sending(LINES, STORE, "bbbb", "/tmp/x-%a.log")) == (commands.OTHER_COMMIT, [])


def test_the_queue_is_read_by_batch_and_place():
    jobs = commands.read_queue(QUEUE)
    assert jobs[BATCH, 0] == Job(id="1_0", state="RUNNING", nodes="n1", reason="None")
    assert jobs[BATCH, 1].restarts == 1 and jobs[BATCH, 1].waiting and not jobs[BATCH, 1].ended
    assert jobs["unsent", 0].code == commands.NOT_SENT and jobs[BATCH, 0].code == 0
    assert jobs[BATCH, 2].ended and jobs["late", 0].state == "TIMEOUT"
    assert not any("wrap" in batch for batch, _ in jobs), "jobs of others are none of ours"


def test_tasks_that_ended_together_are_told_apart():
    """An array that was cancelled while it waited is listed by its number alone."""
    jobs = commands.read_queue(QUEUE)
    assert jobs["whole", commands.ALL].state == "CANCELLED"
    assert sorted(place for batch, place in jobs if batch == "some") == [1, 2, 5]


@given(st.text())
def test_whatever_the_queue_says_is_read(text):
    commands.read_queue(text)
    commands.read_history("batch", text)
    commands.read_cards(text, "npu")
    commands.read_ending(text, 0)


@pytest.mark.parametrize(
    ("said", "name", "cards"),
    [
        ("Nodes=n1 CPU_IDs=0 Mem=100 GRES=npu:910b:1(IDX:0)", "npu:910b", ["0"]),
        ("Nodes=n1 CPU_IDs=0-1 Mem=100 GRES=npu:910b:3(IDX:0,2-3)", "npu", ["0", "2", "3"]),
        ("Nodes=n1 CPU_IDs=0 Mem=100 GRES=gpu:h200:1(IDX:1),npu:910b:1(IDX:3)", "npu:910b3", ["3"]),
        ("Nodes=n1 CPU_IDs=0 Mem=100 GRES=xpu:2(IDX:4-5)", "xpu", ["4", "5"]),
        ("Nodes=n1 CPU_IDs=0-1 Mem=100 GRES=gpu:a:2(IDX:0-1),gpu:b:1(IDX:2)", "gpu", ["0", "1", "2"]),
        ("Nodes=n1 CPU_IDs=0 Mem=100 GRES=gpu:a:1(IDX:0),gpu:b:0(IDX:)", "gpu", ["0"]),
        ("Nodes=n1 CPU_IDs=0 Mem=100 GRES=npu:a:1(IDX:0,2),gpu:b:1(IDX:1)", "gpu", ["1"]),
        ("JOB_GRES=xpu:a:1 Nodes=n1 CPU_IDs=0 Mem=100 GRES=xpu:a(CNT:1)", "xpu", []),
        ("Nodes=n1 CPU_IDs=0 Mem=100 GRES=", "npu", []),
        ("GRES=gpu:h200:1(IDX:1)", "npu", []),
        ("", "npu", []),
    ],
)
def test_the_allocated_cards_are_read(said, name, cards):
    assert commands.read_cards(said, name) == cards


@pytest.mark.parametrize(
    ("said", "restarts", "reason"),
    [
        ("JobState=COMPLETING Reason=None Dependency=(null) Requeue=1 Restarts=0", 0, "cancelled"),
        ("JobState=COMPLETING Reason=TimeLimit Requeue=1 Restarts=0", 0, "timed out"),
        ("JobState=COMPLETING Reason=None Requeue=1 Restarts=1", 0, "requeued"),
        ("JobState=COMPLETING Reason=None Requeue=1 Restarts=1", 1, "cancelled"),
        ("JobState=NODE_FAIL Reason=NodeDown Restarts=0", 0, "node failed"),
        ("JobState=RUNNING Reason=None Restarts=0", 0, None),
        ("JobState=FAILED Reason=NonZeroExitCode Restarts=0", 0, None),
        ("", 0, None),
    ],
)
def test_why_a_running_job_is_being_ended(said, restarts, reason):
    assert commands.read_ending(said, restarts) == reason


def test_the_accounting_database_is_read():
    """As sacct --parsable2 is documented; a state may go on with who cancelled it."""
    text = "5_0|COMPLETED|n1\n5_1|CANCELLED by 1000|None assigned\n5_2|NODE_FAIL|n3\n5|CANCELLED by 0|None assigned\n"
    text += "5_[3-4%2]|CANCELLED by 0|None assigned|0:0\n"
    jobs = commands.read_history("b", text)
    states = ["COMPLETED", "CANCELLED", "NODE_FAIL", "CANCELLED", "CANCELLED"]
    assert [jobs["b", place].state for place in range(5)] == states
    assert jobs["b", ALL].state == "CANCELLED" and len(jobs) == 6


def test_what_the_database_takes_for_waiting_or_running_is_not_believed():
    """Where slurmctld lost a job, sacct says so for ever."""
    assert commands.read_history("b", "5_0|RUNNING|n1\n5_1|PENDING|None assigned\n5_2|COMPLETING|n1\n") == {}


def test_every_end_has_a_word_that_records_know():
    from harness.catalogue.datafiles import SCHEMAS

    schema = (SCHEMAS / "record.schema.json").read_text()
    for reason, why in [*ENDED.values(), REQUEUED, FORGOTTEN]:
        assert f'"{reason}"' in schema and why


def test_a_refusal_keeps_slurms_words_and_says_what_to_do():
    words = "sbatch: error: Batch job submission failed: Requested node configuration is not available\n"
    why, remedy = commands.why_refused(words, "npu:310:1")
    assert why == "Batch job submission failed: Requested node configuration is not available."
    assert "npu:310:1" in remedy and "sinfo" in remedy
    limit = "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates "
    limit += "accounting/QOS policy (job submit limit, user's size and/or time limits)\n"
    assert "once others have ended" in commands.why_refused(limit, "")[1]
    assert "partition" in commands.why_refused("sbatch: error: invalid partition specified: x", "")[1]
    assert "SLURM_CONF" in commands.why_refused("sbatch: fatal: Could not establish a configuration source", "")[1]
    assert commands.uncertain("Socket timed out on send/recv operation") and not commands.uncertain(words)


def test_arrays_are_as_long_as_the_cluster_allows():
    assert commands.largest_array("MailProg = /bin/mail\nMaxArraySize            = 1001\n") == 1000
    assert commands.largest_array("") == 1000
    assert [len(some) for some in commands.chunks(range(25), 10)] == [10, 10, 5]
