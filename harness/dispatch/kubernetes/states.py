"""States: what Kubernetes says of a Job and its pods, in the words that the list of jobs has for every scheduler.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.dispatch.listed.job import Job

NODE_LOST = ("NodeLost", "NodeShutdown", "Shutdown", "Terminated", "DeletionByTaintManager", "DeletionByPodGC")
GAVE_WAY = ("Preempting", "PreemptionByScheduler", "PreemptionByKubeScheduler", "EvictionByEvictionAPI", "Evicted")
BEGUN = ("Running", "Succeeded", "Failed")  # after the last two it is a moment until the Job says so
Document = Mapping[str, Any]


def job_of(document: Document, pods: Sequence[Document]) -> Job:
    """A Job with its pods as the list of jobs knows one."""
    name = document["metadata"]["name"]
    pods = sorted(pods, key=lambda pod: pod["metadata"].get("creationTimestamp") or "")
    latest = pods[-1] if pods else {"spec": {}, "status": {}, "metadata": {}}
    nodes = latest["spec"].get("nodeName") or ""
    for condition in _true(document):
        if condition["type"] == "Complete":
            return Job(id=name, state="COMPLETED", nodes=nodes, reason="None")
        if condition["type"] == "Failed":
            state, told = _failed(condition, latest)
            return Job(id=name, state=state, nodes=nodes, reason=told, code=_code(latest))
    if latest["status"].get("phase") in BEGUN or document["metadata"].get("deletionTimestamp"):
        return Job(id=name, state="RUNNING", nodes=nodes or "its node")
    return Job(id=name, state="PENDING", reason=_waits_for(document, latest) or "None")


def _true(document: Document) -> list[Document]:
    return [each for each in document["status"].get("conditions") or () if each["status"] == "True"]


def _failed(condition: Document, pod: Document) -> tuple[str, str]:
    """Why a Job failed: what its last pod says, else what the Job says itself."""
    said = [condition.get("reason") or "", pod["status"].get("reason") or ""]
    said += [each.get("reason") or "" for each in _true(pod) if each["type"] == "DisruptionTarget"]
    said += [end.get("reason") or "" for end in _ends(pod)]
    if "DeadlineExceeded" in said:
        return "TIMEOUT", _waits_for({"spec": {}}, pod)
    if "OOMKilled" in said:
        return "OUT_OF_MEMORY", "OOMKilled"
    for state, reasons in (("NODE_FAIL", NODE_LOST), ("PREEMPTED", GAVE_WAY)):
        if found := next((reason for reason in said if reason in reasons), ""):
            return state, pod["status"].get("message") or found
    return "FAILED", condition.get("reason") or ""


def _ends(pod: Document) -> list[Document]:
    states = [each.get("state") or {} for each in pod["status"].get("containerStatuses") or ()]
    return [state["terminated"] for state in states if state.get("terminated")]


def _code(pod: Document) -> int:
    return next((int(end.get("exitCode") or 0) for end in _ends(pod)), 0)


def _waits_for(document: Document, pod: Document) -> str:
    """What a Job that does not run waits for: Kueue, a place on a node, its image."""
    if document["spec"].get("suspend"):
        return "Kueue has not admitted it yet"
    for condition in pod["status"].get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return condition.get("message") or condition.get("reason") or ""
    for container in pod["status"].get("containerStatuses") or ():
        if waiting := (container.get("state") or {}).get("waiting"):
            return ": ".join(each for each in (waiting.get("reason"), waiting.get("message")) if each)
    return ""
