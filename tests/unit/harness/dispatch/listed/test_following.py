"""Following: what is printed as jobs wait, run and end, and what happens when Slurm is silent or someone leaves."""

from dataclasses import replace

import pytest
from samples import a_record, a_record_not_judged

from harness.dispatch.listed import following, jobs
from harness.dispatch.listed.batches import Batch, JobCell
from harness.dispatch.listed.job import Job, Silent
from harness.dispatch.listed.jobs import Status
from harness.dispatch.slurm.scheduler import SlurmScheduler
from harness.errors import EngineError, HomeworkError, Interrupted, StoreError
from harness.evidence import records


def schedulers(name):
    return SlurmScheduler()


def a_batch(*runs: str) -> Batch:
    cells = tuple(JobCell(run=run, part="4", hardware="cpu", parameters={}, seed=0, cards=1) for run in runs)
    return Batch(id="b", cells=cells, program={}, submitted="2026-11-23T00:00:00.000Z", job=7)


def a_job(state: str, nodes: str = "", reason: str = "None") -> Job:
    return Job(id="7_0", state=state, nodes=nodes, reason=reason)


@pytest.fixture
def slurm(monkeypatch, results):
    """What squeue answers in turn: a job, None or what else it says where it is silent, or KeyboardInterrupt."""

    def answers(*said):
        left = iter(said)

        def queue(self, batches):
            now = next(left)
            if now is KeyboardInterrupt:
                raise KeyboardInterrupt
            if now is None or isinstance(now, str):
                raise Silent(now or "Slurm does not answer.")
            return {("b", 0): now}

        monkeypatch.setattr(SlurmScheduler, "queue", queue)
        monkeypatch.setattr(following, "wait_a_moment", lambda *told: None)

    return answers


def test_a_line_is_printed_when_a_cell_changes_and_the_records_are_returned(results, slurm, capsys):
    place = a_record(results)
    running = a_job("RUNNING", "n1")
    slurm(
        a_job("PENDING", reason="Resources"),
        running,
        running,
        None,
        None,
        "It knows you not.",
        a_job("COMPLETED", "n1"),
    )
    assert following.folders(following.follow(results, [(a_batch(place.name), 0)], schedulers)) == [place]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("job 7_0")[0].split() for line in lines[:2]] == [
        ["…", "4", "cpu", "waiting", "(Resources)"],
        ["▶", "4", "cpu", "running", "on", "n1"],
    ]
    silent = ["Slurm does not answer; waiting until it does.", "It knows you not; waiting until it does."]
    assert lines[2:4] == silent and lines[4].startswith("✓ 4     cpu")
    assert len(lines) == 5 and "\033" not in "".join(lines)


def test_a_cell_that_is_over_is_not_looked_at_again_while_others_run(results, monkeypatch):
    place, other = a_record(results), a_record(results)
    batch, over, running = a_batch(place.name, other.name), a_job("COMPLETED", "n1"), a_job("RUNNING", "n2")
    first = jobs.settle(results, batch, {("b", 0): over, ("b", 1): running}, SlurmScheduler())
    read, plain = [], records.read
    monkeypatch.setattr(jobs.records, "read", lambda path: read.append(path.parent) or plain(path))
    known = {("b", 0): over, ("b", 1): over}
    again = jobs.settle(results, batch, known, SlurmScheduler(), first)
    assert again[0] is first[0] and [status.record for status in again] == [place, other] and read == [other]
    assert jobs.settle(results, batch, {**known, ("b", 0): running}, SlurmScheduler(), again)[0].state == "running"


def test_ctrl_c_without_a_terminal_leaves_the_jobs(results, slurm, capsys):
    slurm(a_job("RUNNING", "n1"), KeyboardInterrupt)
    with pytest.raises(Interrupted) as interruption:
        following.follow(results, [(a_batch("20261123T154312.042Z-4fa01c"), 0)], schedulers)
    assert interruption.value.code == 130
    assert "1 cells are left to Slurm" in (said := capsys.readouterr().out) and "./inv jobs --cancel" in said


def test_nothing_to_follow_asks_nothing(results):
    assert following.follow(results, [], schedulers) == []


def test_a_failed_cell_says_why_in_its_line(results):
    place = a_record(results, error=5.0)
    status = Status(batch=a_batch(place.name), place=0, job=None, state="over", record=place)
    assert "error: 5 is over 0.1" in following.line(status)
    assert len(following.line(status, 40)) <= 40
    with pytest.raises(HomeworkError, match="1 of 1 cells failed"):
        following.require_passed([status], [])
    with pytest.raises(EngineError):
        following.require_passed([], [EngineError("refused")])


def test_the_total_counts_states():
    batch = a_batch("a", "b")
    waiting = Status(batch=batch, place=0, job=None, state="waiting")
    over = Status(batch=batch, place=1, job=None, state="over", detail="never submitted")
    assert following.total([waiting, over]) == "1 waiting, 0 running, 1 over"
    away = Status(batch=batch, place=1, job=None, state="away", detail="the store is silent")
    assert following.total([over, away]) == "0 waiting, 0 running, 1 over, 1 away"


def test_a_record_that_did_not_come_is_an_error_that_says_how_it_comes():
    batch = replace(a_batch("a"), store="s3://team/homework")
    away = Status(batch=batch, place=0, job=a_job("FAILED", "n1"), state="away", detail="its job could not send it")
    assert following.line(away).endswith("ended, its record is not here: its job could not send it   job 7_0")
    with pytest.raises(StoreError, match="A record is not here") as raised:
        following.require_passed([away], [])
    assert raised.value.code == 7 and "./inv upload --to 's3://team/homework'" in raised.value.remedy


def test_an_empty_list_says_what_fills_it(results, capsys):
    assert following.show(results, once=False, cancel=False, schedulers=schedulers) == []
    assert "--on slurm" in capsys.readouterr().out


def test_a_cell_that_is_not_judged_has_not_failed(results):
    place = a_record_not_judged(results)
    status = Status(batch=a_batch(place.name), place=0, job=None, state="over", record=place)
    assert "not judged in 1.5 s" in following.line(status)
    following.require_passed([status], [])
