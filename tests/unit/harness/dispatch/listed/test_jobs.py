"""The list of jobs: what each answer of Slurm's makes of a cell, and the records that jobs could not write."""

import json
import os
import platform
from pathlib import Path

import pytest
from samples import a_catalogue, a_record, before_run

from harness.dispatch.listed import batches, deliveries, job, jobs
from harness.dispatch.listed.batches import Batch, JobCell, attempt
from harness.dispatch.listed.job import ALL, NOT_SENT, OTHER_COMMIT, Job
from harness.errors import StoreError
from harness.evidence import hashing, records
from harness.evidence.records import Draft, adopt_unfinished
from harness.stores import transfer
from harness.stores.opening import open_store
from harness.verification.verifying import verify

RUN = "20261123T154312.042Z-4fa01c"
JOB = {"scheduler": "slurm", "id": "7_0", "node": "n1", "attempt": 1}
PROGRAM = {"4": {"file": "projects/04-plate/main.py", "revision": None, "clean": None}}


def a_batch(**changes) -> Batch:
    cell = JobCell(run=RUN, part="4", hardware="cpu", parameters={"method": "ritz"}, seed=0, cards=1)
    fields = {"cells": (cell,), "program": PROGRAM, "submitted": "2026-11-23T15:43:12.042Z", "job": 7}
    return Batch(id="batch", **{**fields, **changes})


def a_job(state: str, **more) -> Job:
    return Job(id="7_0", state=state, **{"nodes": "n1", "reason": "None", **more})


class Forgetful:
    """A scheduler that remembers nothing, and notes what it is to cancel."""

    title = "Slurm"

    def __init__(self):
        self.known, self.cancelled = {}, []

    def queue(self, batches):
        return self.known

    def history(self, batch):
        return {}

    def cancel(self, jobs):
        self.cancelled += [job.id for _, job in jobs]


def status(results: Path, batch: Batch, job: Job | None) -> jobs.Status:
    (found,) = jobs.survey(results, batch, {("batch", 0): job} if job else {}, Forgetful())
    return found


@pytest.fixture
def draft(results):
    """What an attempt has begun, on a machine that is lost."""

    def begin(run: str = RUN) -> Path:
        made = Draft(results, {**before_run(), "id": run, "job": JOB})
        (made.folder / "run.log").write_text("so far")
        made.lock.close()
        return made.folder

    return begin


@pytest.mark.parametrize(
    ("job", "state", "detail"),
    [
        (a_job("PENDING", nodes="", reason="Resources"), "waiting", "Resources"),
        (a_job("PENDING", nodes=""), "waiting", "no reason yet"),
        (a_job("RUNNING"), "running", "n1"),
        (a_job("COMPLETING"), "running", "n1"),
        (a_job("SUSPENDED"), "running", "n1"),
    ],
)
def test_a_job_that_is_not_over_is_shown_as_it_is(results, job, state, detail):
    found = status(results, a_batch(), job)
    assert (found.state, found.detail, found.record) == (state, detail, None)


@pytest.mark.parametrize(
    ("state", "begun", "reason"),
    [
        ("NODE_FAIL", True, "node failed"),
        ("TIMEOUT", True, "timed out"),
        ("CANCELLED", True, "cancelled"),
        ("CANCELLED", False, "cancelled"),
        ("FAILED", True, "killed"),
        ("FAILED", False, "not started"),
        ("COMPLETED", False, "not started"),
        ("OUT_OF_MEMORY", True, "killed"),
    ],
)
def test_what_a_job_could_not_write_is_sealed_with_the_reason(results, draft, state, begun, reason):
    batch = a_batch()
    batch.write(results)
    batch.file(results, "-0.log").write_text("the job's own words")
    if begun:
        draft()
    found = status(results, batch, a_job(state))
    record = records.read(found.record / "record.json")
    assert found.over and record["exit"] == {"reason": reason, "code": None, "signal": None} and not record["passed"]
    assert f"job 7_0, {state} on n1" in record["checks"][0]["why"]
    assert (found.record / "run.log").read_text() == ("so far" if begun else "the job's own words")
    assert verify(found.record, a_catalogue()) == []
    assert os.listdir(results / ".unfinished") == []
    assert status(results, batch, a_job(state)).record == found.record, "once, however often one looks"


def test_a_record_that_the_job_sealed_stands(results):
    place = a_record(results)
    own = JobCell(run=place.name, part="4", hardware="cpu", parameters={}, seed=0, cards=1)
    found = status(results, a_batch(cells=(own,)), a_job("COMPLETED"))
    assert found.record == place and records.read(place / "record.json")["passed"]


def test_a_program_that_still_writes_does_not_break_the_sealed_record(results, draft):
    """On a node that was given up it runs on."""
    with (draft() / "run.log").open("a") as orphan:
        found = status(results, a_batch(), a_job("NODE_FAIL"))
        orphan.write("and on and on")
    assert (found.record / "run.log").read_text() == "so far" and verify(found.record, a_catalogue()) == []


def test_a_requeued_job_has_a_record_of_each_attempt(results, draft):
    draft()
    found = status(results, a_batch(), a_job("PENDING", nodes="", reason="BeginTime", restarts=1))
    assert found.state == "waiting"
    (first,) = (results / "4" / "cpu").iterdir()
    assert first.name == RUN and records.read(first / "record.json")["exit"]["reason"] == "requeued"
    found = status(results, a_batch(), a_job("CANCELLED", restarts=1))
    assert found.record.name == attempt(RUN, 1) != RUN
    assert records.read(found.record / "record.json")["job"]["attempt"] == 2


def test_a_job_that_slurm_has_forgotten_is_completed(results, draft):
    draft()
    record = records.read(status(results, a_batch(), None).record / "record.json")
    assert record["exit"]["reason"] == "killed" and "does not know any more" in record["checks"][0]["why"]


def test_what_was_never_submitted_leaves_no_record(results):
    found = status(results, a_batch(job=0, caller=2**22 + 1), None)
    assert found.over and found.record is None and found.detail == "never submitted"


def test_what_is_just_being_submitted_is_waited_for(results):
    assert status(results, a_batch(job=0, caller=os.getpid()), None).state == "waiting"
    elsewhere = a_batch(
        job=0, caller=1, host="elsewhere", submitted=hashing.timestamp(jobs.datetime.now(jobs.timezone.utc))
    )
    assert status(results, elsewhere, None).state == "waiting"
    assert status(results, a_batch(job=0, caller=1, host="elsewhere"), None).over, "its call is long gone"


def test_a_batch_leaves_the_list_when_all_of_it_is_over(results):
    batch = a_batch()
    batch.write(results)
    batch.file(results, ".list").write_text("")
    assert batches.listed(results) == [batch]
    jobs.settle(results, batch, {("batch", 0): a_job("RUNNING")}, Forgetful())
    assert batches.listed(results) == [batch]
    jobs.settle(results, batch, {("batch", 0): a_job("CANCELLED")}, Forgetful())
    assert os.listdir(results / ".jobs") == []


def test_what_belongs_to_no_batch_is_tidied_away(results):
    a_batch(build="build-1").write(results)
    for name in ("batch-0.log", "build-1.log", "other-0.log", "build-2.sh", ".lock"):
        (results / ".jobs" / name).touch()
    batches.tidy(results)
    assert sorted(os.listdir(results / ".jobs")) == [".lock", "batch-0.log", "batch.json", "build-1.log"]


def test_a_torn_list_is_left_out(results):
    (results / ".jobs").mkdir()
    (results / ".jobs" / "torn.json").write_text('{"cells": [')
    assert batches.listed(results) == []


def test_only_its_own_machine_and_no_job_is_adopted(results, draft):
    """On a shared folder a lock may not be seen from elsewhere: what looks dead may be alive."""
    folder = draft()
    assert adopt_unfinished(results) == [], "a job is its scheduler's to judge"
    record = json.loads((folder / "record.json").read_text())
    del record["job"]
    (folder / "record.json").write_text(json.dumps(record))
    (folder / ".lock").write_text("another machine")
    assert adopt_unfinished(results) == []
    (folder / ".lock").write_text(platform.node())
    assert len(adopt_unfinished(results)) == 1


def test_who_cancelled_is_on_the_list_before_the_job_ends(results):
    batch, scheduler = a_batch(), Forgetful()
    batch.write(results)
    running = status(results, batch, a_job("RUNNING"))
    assert jobs.cancel(results, [running], lambda name: scheduler) == 1 and scheduler.cancelled == ["7_0"]
    (noted,) = batches.listed(results)
    assert noted.cancelled == (0,)
    record = records.read(status(results, noted, None).record / "record.json")
    assert record["exit"]["reason"] == "cancelled", "also where its scheduler has forgotten it"


def test_a_silent_scheduler_is_asked_ever_later(monkeypatch):
    waited = []
    monkeypatch.setattr(job.time, "sleep", waited.append)
    for silences in range(1, 9):
        job.wait_a_moment(0, silences)
    assert waited == [2, 4, 8, 16, 32, 60, 60, 60]
    for took in (0.01, 0.5, 100.0):
        job.wait_a_moment(job.time.monotonic(), took=took)
    assert waited[8:] == [1, 5, 60], "asking takes a tenth of the time at most"


def test_whole_arrays_that_were_cancelled_while_waiting_are_over(results):
    (found,) = jobs.survey(results, a_batch(), {("batch", ALL): a_job("CANCELLED", nodes="")}, Forgetful())
    assert records.read(found.record / "record.json")["exit"]["reason"] == "cancelled"


# Records that come over a store


@pytest.fixture
def sent(tmp_path, results):
    """A batch whose jobs send to a store; and what its node's job does: seal a record, and perhaps send it."""
    store, node = tmp_path / "store", tmp_path / "node"
    batch = a_batch(store=str(store), output="/tmp/homework-batch-%a.log")

    def leave(run: str = RUN, send: bool = True) -> None:
        folder = a_record(node, "4", "cpu", id=run)
        if send:
            transfer.upload(node, open_store(str(store)))
        assert folder.name == run

    return batch, leave


def test_a_record_comes_from_the_store_once_its_job_has_ended(results, sent):
    batch, leave = sent
    assert status(results, batch, a_job("RUNNING")).state == "running"
    leave()
    found = status(results, batch, a_job("COMPLETED"))
    assert found.over and found.record.name == RUN and verify(found.record, a_catalogue()) == []
    assert status(results, batch, None).record == found.record, "also when Slurm has forgotten the job"


def test_a_record_that_could_not_be_sent_is_away_until_it_comes(results, sent):
    batch, leave = sent
    batch.write(results)
    leave(send=False)
    (found,) = jobs.settle(results, batch, {("batch", 0): a_job("FAILED", code=NOT_SENT)}, Forgetful())
    assert (found.state, found.record) == ("away", None) and "on n1 in /tmp/homework-batch-0.log" in found.detail
    assert batches.listed(results) == [batch], "it stays on the list"
    leave("20261123T154312.042Z-ffffff")
    assert status(results, batch, a_job("FAILED", code=NOT_SENT)).record.name == RUN
    assert [path.name for path in (results / "4" / "cpu").iterdir()] == [RUN], "of that store only its own"


def test_a_record_that_was_given_up_has_a_stand_in_and_may_still_come(results, sent):
    batch, leave = sent
    leave(send=False)
    unsent = a_job("FAILED", code=NOT_SENT)
    assert jobs.give_up(results, [status(results, batch, unsent)]) == 1
    found = status(results, batch, unsent)
    record = records.read(found.record / "record.json")
    assert found.over and found.record.name != RUN and record["exit"]["reason"] == "killed"
    assert verify(found.record, a_catalogue()) == []
    leave("20261123T154312.042Z-ffffff")
    transfer.download(results, open_store(batch.store))
    assert len(list((results / "4" / "cpu").iterdir())) == 3


@pytest.mark.parametrize(
    ("job", "reason", "words"),
    [
        (a_job("NODE_FAIL"), "node failed", "its node failed"),
        (a_job("FAILED"), "not started", "on n1 in /tmp/homework-batch-0.log"),
        (a_job("FAILED", code=OTHER_COMMIT), "not started", "not at the commit"),
        (a_job("CANCELLED", nodes=""), "cancelled", "its job was cancelled (job 7_0"),
        (None, "killed", "does not know any more"),
    ],
)
def test_where_no_record_was_sent_another_stands_in(results, sent, job, reason, words):
    batch, _ = sent
    record = records.read(status(results, batch, job).record / "record.json")
    assert record["exit"]["reason"] == reason and words in record["checks"][0]["why"] and record["id"] != RUN
    assert status(results, batch, job).record.name == record["id"], "one, however often one looks"


def test_each_attempt_of_a_requeued_job_comes_or_has_a_stand_in(results, sent):
    batch, leave = sent
    assert status(results, batch, a_job("PENDING", nodes="", restarts=1)).state == "waiting"
    (first,) = (results / "4" / "cpu").iterdir()
    assert records.read(first / "record.json")["exit"]["reason"] == "requeued" and first.name != RUN
    leave(attempt(RUN, 1))
    found = status(results, batch, a_job("COMPLETED", restarts=1))
    assert found.record.name == attempt(RUN, 1) and len(list((results / "4" / "cpu").iterdir())) == 2


def test_a_silent_store_leaves_everything_as_it_is(results, sent, monkeypatch):
    batch, leave = sent

    def silent(address):
        raise StoreError("s3://team does not answer.", "Connection refused.")

    monkeypatch.setattr(deliveries, "reachable", silent)
    found = status(results, batch, a_job("COMPLETED", restarts=1))
    assert found.state == "away" and found.detail == "s3://team does not answer. Connection refused"
    assert not (results / "4").exists()
    monkeypatch.undo()
    leave()
    assert status(results, batch, a_job("COMPLETED")).over


def test_a_record_that_does_not_hold_is_refused_and_away(results, sent):
    batch, leave = sent
    leave()
    for path in Path(batch.store, "objects").rglob("*"):
        if path.is_file():
            path.write_bytes(b"x" * path.stat().st_size)
    found = status(results, batch, a_job("COMPLETED"))
    assert found.state == "away" and "failed verification" in found.detail and not (results / "4").exists()


def test_a_forgotten_job_that_begins_after_all_has_a_record_of_its_own(results, draft):
    batch, slurm = a_batch(), Forgetful()
    batch.write(results)
    other = draft("20261123T154312.042Z-ffffff")  # of another job, which goes on
    (status,) = jobs.look(results, lambda name: slurm)
    first = records.read(status.record / "record.json")
    assert first["exit"]["reason"] == "not started" and first["id"] != RUN
    assert "should it run after all" in first["checks"][0]["why"]
    late = draft()
    slurm.known = {("batch", 0): a_job("RUNNING")}
    jobs.look(results, lambda name: slurm)
    assert late.exists() and not (results / "4" / "cpu" / RUN).exists(), "it runs"
    slurm.known = {}
    jobs.look(results, lambda name: slurm)
    ran = results / "4" / "cpu" / RUN
    assert not late.exists() and other.exists() and (ran / "run.log").read_text() == "so far"
    assert "ran after all" in records.read(ran / "record.json")["checks"][0]["why"]
    assert [verify(place, a_catalogue()) for place in (ran, status.record)] == [[], []]


def test_a_job_that_its_scheduler_knows_again_keeps_what_it_writes(results, draft):
    batch, slurm, begun = a_batch(), Forgetful(), draft()
    slurm.known = {("batch", 0): a_job("RUNNING")}
    jobs.settle(results, batch, {}, slurm)
    jobs.look(results, lambda name: slurm)
    assert begun.exists() and (results / "4" / "cpu" / RUN).exists()
    slurm.known = {}
    jobs.look(results, lambda name: slurm)
    assert not begun.exists() and os.listdir(results / "4" / "cpu") == [RUN], "its record has it already"


def test_what_a_job_ran_twice_has_two_records(results, draft):
    """Also long after, when nothing is on the list."""
    place = a_record(results, id=RUN)
    again = draft()
    jobs.look(results, lambda name: Forgetful())
    (other,) = set(os.listdir(place.parent)) - {RUN}
    assert not again.exists() and verify(place.with_name(other), a_catalogue()) == []
    assert (place.with_name(other) / "run.log").read_text() == "so far"
