"""States: what Kubernetes says of a Job and its pods, in the words of the list of jobs."""

import pytest

from harness.dispatch.kubernetes.states import job_of


def a_job(*conditions, suspend=False, deleted=None):
    found = [{"status": "True", **each} for each in conditions]
    metadata = {"name": "homework-4-cpu-1", "deletionTimestamp": deleted}
    return {"metadata": metadata, "spec": {"suspend": suspend}, "status": {"conditions": found}}


def a_pod(phase="Pending", node="", created="2026-11-23T00:00:00Z", conditions=(), **state):
    status = {"phase": phase, "conditions": list(conditions)}
    if state:
        status["containerStatuses"] = [{"state": state}]
    return {"metadata": {"creationTimestamp": created}, "spec": {"nodeName": node}, "status": status}


COMPLETE, FAILED = {"type": "Complete"}, {"type": "Failed", "reason": "BackoffLimitExceeded"}
NO_PLACE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes have a card"}


@pytest.mark.parametrize(
    ("job", "pod", "reason"),
    [
        (a_job(suspend=True), None, "Kueue has not admitted it yet"),
        (a_job(), a_pod(conditions=[NO_PLACE]), "0/3 nodes have a card"),
        (
            a_job(),
            a_pod(node="n1", waiting={"reason": "ErrImagePull", "message": "not found"}),
            "ErrImagePull: not found",
        ),
        (a_job(), a_pod(node="n1", waiting={"reason": "ContainerCreating"}), "ContainerCreating"),
        (a_job(), None, "None"),
    ],
)
def test_what_does_not_run_says_what_it_waits_for(job, pod, reason):
    found = job_of(job, [pod] if pod else [])
    assert found.waiting and found.reason == reason


@pytest.mark.parametrize("phase", ["Running", "Succeeded", "Failed"])
def test_a_pod_that_began_runs_until_its_job_says_otherwise(phase):
    found = job_of(a_job(), [a_pod(phase, "n1")])
    assert not found.ended and not found.waiting and found.nodes == "n1"


def test_a_job_that_is_being_deleted_runs_until_its_pods_are_gone():
    assert not job_of(a_job(deleted="2026-11-23T00:00:00Z"), []).waiting


@pytest.mark.parametrize(
    ("condition", "pod", "state"),
    [
        (COMPLETE, a_pod("Succeeded", "n1"), "COMPLETED"),
        (FAILED, a_pod("Failed", "n1", terminated={"reason": "Error", "exitCode": 75}), "FAILED"),
        (FAILED, a_pod("Failed", "n1", terminated={"reason": "OOMKilled", "exitCode": 137}), "OUT_OF_MEMORY"),
        ({"type": "Failed", "reason": "DeadlineExceeded"}, None, "TIMEOUT"),
        (
            FAILED,
            a_pod("Failed", "n1", conditions=[{"type": "DisruptionTarget", "status": "True", "reason": "Evicted"}]),
            "PREEMPTED",
        ),
        (FAILED, {**a_pod(), "status": {"phase": "Failed", "reason": "NodeLost", "message": "gone"}}, "NODE_FAIL"),
        (FAILED, None, "FAILED"),
    ],
)
def test_how_it_ended_is_said_by_its_pod_or_else_by_itself(condition, pod, state):
    found = job_of(a_job(condition), [pod] if pod else [])
    assert found.ended and found.state == state
    assert found.code == (75 if state == "FAILED" and pod else found.code)


def test_of_several_pods_the_latest_counts():
    lost = a_pod("Failed", "n1", "2026-11-23T00:00:00Z")
    assert job_of(a_job(), [a_pod("Running", "n2", "2026-11-23T00:01:00Z"), lost]).nodes == "n2"
