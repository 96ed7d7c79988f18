"""Submits jobs and follows them, by Kubernetes' own client: a program of the stack "kubernetes".

stdin: {"namespace", "label", "jobs"}. stdout: a line of JSON for each change: {"job", "state", "why"}, or an {"error",
"why", "remedy"} at the end. The states are queued, running, passed and failed. Ends when all jobs have.
"""

import json
import logging
import sys
import time
from typing import Any

from kubernetes import client, config
from kubernetes.client.rest import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

SECONDS = 2.0
CODES = {
    401: "The cluster does not know you: log in again, as your kubeconfig wants it.",
    403: "Ask for the right to create, list and watch jobs and pods there: kubectl auth can-i create jobs",
    404: "Is the namespace there? kubectl get namespaces",
    422: "Compare kubernetes.yaml with docs/kubernetes.md; ./inv run --dry-run prints the manifest.",
}


def tell(**words: str) -> None:
    print(json.dumps(words), file=sys.__stdout__, flush=True)


def state(job: Any, pods: Any) -> tuple[str, str]:
    """A job's state and why it is so, where the cluster says it."""
    for condition in job.status.conditions or ():
        if condition.status == "True" and condition.type in ("Complete", "Failed"):
            told = f"{condition.reason or ''}: {condition.message or ''}".strip(": ")
            return ("passed", "") if condition.type == "Complete" else ("failed", told)
    if job.spec.suspend:
        return "queued", "Kueue has not admitted it yet"
    own = [pod for pod in pods if (pod.metadata.labels or {}).get("job-name") == job.metadata.name]
    for pod in own:
        if pod.status.phase == "Running":
            return "running", f"on {pod.spec.node_name}"
        for condition in pod.status.conditions or ():
            if condition.type == "PodScheduled" and condition.status == "False":
                return "queued", condition.message or condition.reason or ""
        for container in pod.status.container_statuses or ():
            if container.state and container.state.waiting:
                return "queued", container.state.waiting.reason or ""
    return "queued", ""


def follow(namespace: str, label: str, names: set[str]) -> None:
    """Tell every change until all jobs have ended; one that somebody deleted has failed."""
    known: dict[str, tuple[str, str]] = {}
    while any(known.get(name, ("",))[0] not in ("passed", "failed") for name in names):
        jobs = client.BatchV1Api().list_namespaced_job(namespace, label_selector=label).items
        pods = client.CoreV1Api().list_namespaced_pod(namespace, label_selector=label).items
        found = {job.metadata.name: state(job, pods) for job in jobs}
        for name in sorted(names):
            now = found.get(name, ("failed", "somebody deleted the job"))
            if known.get(name) != now and known.get(name, ("",))[0] not in ("passed", "failed"):
                known[name] = now
                tell(job=name, state=now[0], why=now[1])
        time.sleep(SECONDS)


def main() -> None:
    """Submit, follow, and say what went wrong."""
    asked = json.load(sys.stdin)
    sys.stdout = sys.stderr  # the library prints, too
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # each retry, before the error that is told
    try:
        config.load_config()
        for manifest in asked["jobs"]:
            client.BatchV1Api().create_namespaced_job(asked["namespace"], manifest)
        follow(asked["namespace"], asked["label"], {manifest["metadata"]["name"] for manifest in asked["jobs"]})
    except ConfigException as error:
        tell(
            error="There is no usable kubeconfig.", why=f"{error}", remedy="Set KUBECONFIG; kubectl get jobs tries it."
        )
    except ApiException as error:
        try:
            why = str(json.loads(error.body)["message"])
        except (ValueError, KeyError, TypeError):
            why = str(error.reason)
        remedy = CODES.get(error.status or 0, "Call again later; kubectl get events says more.")
        tell(error=f"The cluster refused it ({error.status}).", why=why, remedy=remedy)
    except (HTTPError, OSError) as error:
        remedy = "Is the address in your kubeconfig right, and the cluster on? kubectl cluster-info"
        tell(error="The cluster does not answer.", why=str(error), remedy=remedy)


if __name__ == "__main__":
    main()
