"""Inside a pod: which attempt of its job it is, told by the store alone."""

import pytest

from harness.dispatch.kubernetes import allocation
from harness.dispatch.kubernetes.scheduler import attempts_of
from harness.dispatch.listed.batches import Batch, JobCell, attempt
from harness.runs.processes import Ending

RUN = "20261123T154312.042Z-4fa01c"


@pytest.fixture
def pod(monkeypatch, tmp_path):
    (tmp_path / "store").mkdir()
    given = {"RUN": RUN, "PLACE": "b/0", "JOB": "homework-4-cpu-b-0", "NODE": "n1", "STORE": str(tmp_path / "store")}
    for name, value in given.items():
        monkeypatch.setenv(f"HOMEWORK_{name}", value)
    allocation._number.cache_clear()
    return str(tmp_path / "store")


def test_each_attempt_has_a_number_and_a_record_of_its_own(pod):
    first = allocation.job()
    assert first and first.run == RUN and first.facts["attempt"] == 1
    assert first.facts["node"] == "n1" and first.facts["scheduler"] == "kubernetes"
    assert allocation.job().run == RUN, "the number is taken once"
    allocation._number.cache_clear()
    second = allocation.job()
    assert second and second.run == attempt(RUN, 1) and second.facts["attempt"] == 2
    cell = JobCell(run=RUN, part="4", hardware="cpu", parameters={}, seed=0, cards=1)
    batch = Batch(id="b", cells=(cell,), program={}, submitted="", store=pod, scheduler="kubernetes", where="homework")
    assert attempts_of(batch, [0]) == {0: 2}


def test_outside_a_pod_there_is_no_job(monkeypatch):
    monkeypatch.delenv("HOMEWORK_PLACE", raising=False)
    assert allocation.job() is None


def test_nobody_but_kubernetes_ends_a_pod():
    assert allocation.true_ending(Ending("interrupted", None, "SIGTERM", 1.0, 0, 0)).reason == "cancelled"
    finished = Ending("finished", 0, None, 1.0, 0, 0)
    assert allocation.true_ending(finished) == finished
