"""Kubernetes as the list of jobs asks it: whose jobs they are, and what an answer that is none means."""

import json
import sys

import pytest

from harness.dispatch.kubernetes import scheduler as module
from harness.dispatch.kubernetes.manifests import PLACE_LABEL, RUN_LABEL
from harness.dispatch.kubernetes.scheduler import KubernetesScheduler
from harness.dispatch.listed.batches import Batch, JobCell
from harness.dispatch.listed.job import Silent
from harness.errors import EngineError

RUN = "20261123T154312.042Z-4fa01c"
CELL = JobCell(run=RUN, part="4", hardware="cpu", parameters={}, seed=0, cards=1)
BATCH = Batch(
    id=RUN, cells=(CELL, CELL), program={}, submitted="", store="", scheduler="kubernetes", where="homework", job=1
)
JOB = {
    "metadata": {"name": BATCH.name_of(1), "labels": {RUN_LABEL: RUN, PLACE_LABEL: "1"}},
    "spec": {"suspend": None},
    "status": {},
}
POD = {
    "metadata": {"labels": {"job-name": BATCH.name_of(1)}},
    "spec": {"nodeName": "n1"},
    "status": {"phase": "Running"},
}
REFUSED = {"error": "refused", "what": "The cluster refused it (403).", "why": "no", "remedy": "Ask."}
SILENT = {"error": "silent", "what": "The cluster does not answer (503).", "why": "later", "remedy": "Wait."}


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    """A scheduler whose client gives these answers, one after the other, and ends at the next question."""

    def answers(*said):
        lines = [json.dumps(each) for each in said]
        client = tmp_path / "client.py"
        client.write_text(f"for line in {lines!r}:\n    input()\n    print(line, flush=True)\ninput()\n")
        found = KubernetesScheduler()
        monkeypatch.setattr(module, "CLIENT", client)
        monkeypatch.setattr(module.stacks, "prepare", lambda stack: type("Stack", (), {"python": sys.executable}))
        return found

    return answers


def test_jobs_are_known_by_their_labels_and_strangers_are_left_alone(cluster):
    stranger = {**JOB, "metadata": {"name": "x", "labels": {RUN_LABEL: RUN, PLACE_LABEL: "x"}}}
    found = cluster({"jobs": [JOB, stranger], "pods": [POD]}).queue([BATCH])
    assert {key: (job.state, job.nodes) for key, job in found.items()} == {(RUN, 1): ("RUNNING", "n1")}


def test_attempts_are_counted_where_a_job_changed_and_once_more_where_the_store_was_silent(cluster, monkeypatch):
    def answer(**status):
        return {"jobs": [{**JOB, "status": status}], "pods": [POD]}

    asked, said = [], [{}, {1: 2}]
    monkeypatch.setattr(module, "attempts_of", lambda batch, places: asked.append(places) or said.pop(0))
    over = {"conditions": [{"type": "Complete", "status": "True"}]}
    scheduler = cluster(answer(), answer(**over), answer(**over), answer(**over))
    assert [scheduler.queue([BATCH])[RUN, 1].restarts for _ in range(4)] == [0, 0, 1, 1] and asked == [[1], [1]]


def test_an_answer_that_is_none_is_silence_and_a_refusal_is_said(cluster):
    asked = cluster(SILENT, REFUSED)
    with pytest.raises(Silent, match="503"):
        asked.queue([BATCH])
    with pytest.raises(EngineError, match="403") as raised:
        asked.queue([BATCH])
    assert not isinstance(raised.value, Silent)
    with pytest.raises(Silent, match="client ended"):
        asked.queue([BATCH])


def test_who_was_let_in_before_waits_for_a_cluster_that_starts(cluster):
    asked = cluster({"jobs": [], "pods": []}, REFUSED, REFUSED)
    assert asked.queue([BATCH]) == {}
    with pytest.raises(Silent, match="403"):
        asked.queue([BATCH])
    with pytest.raises(EngineError) as raised:
        asked.create("homework", {})
    assert not isinstance(raised.value, Silent)
