"""Kubernetes as the list of jobs asks it, by client.py, which is kept running while it is asked."""

import contextlib
import json
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.dispatch.kubernetes.manifests import PLACE_LABEL, RUN_LABEL, label_of
from harness.dispatch.kubernetes.states import job_of
from harness.dispatch.listed import deliveries
from harness.dispatch.listed.batches import Batch
from harness.dispatch.listed.job import Job, Queue, Silent
from harness.environments import stacks
from harness.errors import EngineError, StoreError

NAME = "kubernetes"
CLIENT = Path(__file__).with_name("client.py")
ATTEMPTS = "attempts"  # below it in the store each attempt of a job leaves its number
SOME = 50  # batches of one request


class KubernetesScheduler:
    title = "Kubernetes"

    def __init__(self) -> None:
        self._client: subprocess.Popen[str] | None = None
        self._let_in = False

    def queue(self, batches: Sequence[Batch]) -> Queue:
        found: dict[tuple[str, int], Job] = {}
        for namespace in dict.fromkeys(batch.where for batch in batches):
            own = [batch for batch in batches if batch.where == namespace]
            for first in range(0, len(own), SOME):
                found |= self._jobs(namespace, [label_of(batch) for batch in own[first : first + SOME]])
        names = {label_of(batch): batch for batch in batches}
        known = {(names[label].id, place): job for (label, place), job in found.items()}
        for batch in batches:
            known |= _counted(batch, {place: job for (name, place), job in known.items() if name == batch.id})
        return known

    def _jobs(self, namespace: str, labels: Sequence[str]) -> dict[tuple[str, int], Job]:
        answer = self.ask(do="list", namespace=namespace, label=f"{RUN_LABEL} in ({','.join(labels)})")
        pods = defaultdict(list)
        for pod in answer["pods"]:
            pods[pod["metadata"]["labels"].get("job-name")].append(pod)
        found = {}
        for job in answer["jobs"]:
            label, place = (job["metadata"]["labels"].get(name, "") for name in (RUN_LABEL, PLACE_LABEL))
            if label in labels and place.isdigit():
                found[label, int(place)] = job_of(job, pods[job["metadata"]["name"]])
        return found

    def history(self, batch: Batch) -> Queue:
        """What is in the cluster no more has left nothing there but, in the store, its attempts."""
        return {}

    def create(self, namespace: str, manifest: dict[str, Any]) -> None:
        self.ask(do="create", namespace=namespace, manifest=manifest)

    def cancel(self, jobs: Sequence[tuple[Batch, Job]]) -> None:
        for batch, job in jobs:
            self.ask(do="delete", namespace=batch.where, name=job.id)

    def ask(self, **request: Any) -> dict[str, Any]:
        """The cluster's answer.

        Raises:
            Silent: it does not answer now.
            EngineError: it refuses.
        """
        process = self._started()
        assert process.stdin and process.stdout
        line = ""
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        if not line:
            self._client = None
            raise Silent("Kubernetes' client ended.", f"Its exit code was {process.wait()}.", "Call again.")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            # While an API server starts it refuses whom it let in before: its rules are not there yet.
            again = self._let_in and request["do"] == "list"
            kind = Silent if again or answer["error"] == "silent" else EngineError
            raise kind(answer["what"], f"{answer['why']}.", answer["remedy"])
        self._let_in = True
        return answer

    def _started(self) -> "subprocess.Popen[str]":
        if self._client is None or self._client.poll() is not None:
            python = stacks.prepare(stacks.stack(NAME)).python
            # In a session of its own: a Ctrl-C is for this process. Its input ends with this one, and so does it.
            self._client = subprocess.Popen(
                [python, CLIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
            )
        return self._client


def _counted(batch: Batch, jobs: dict[int, Job]) -> dict[tuple[str, int], Job]:
    """The jobs with the number of their attempts, once one has ended: a pod that was lost is followed by another."""
    if not any(job.ended for job in jobs.values()):
        return {}
    attempts = attempts_of(batch)
    return {(batch.id, place): replace(job, restarts=max(attempts.get(place, 1) - 1, 0)) for place, job in jobs.items()}


def attempts_of(batch: Batch) -> dict[int, int]:
    """How many attempts of each cell have begun, by what they left in the store."""
    found: dict[int, int] = defaultdict(int)
    with contextlib.suppress(StoreError):  # then no record comes either, and this is asked again
        for key, _ in deliveries.reachable(batch.store).list(f"{ATTEMPTS}/{batch.id}/"):
            place = key.split("/")[2]
            found[int(place) if place.isdigit() else -1] += 1
    return found
