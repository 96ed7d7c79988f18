"""Kubernetes as the list of jobs asks it, by client.py, which is kept running while it is asked."""

import contextlib
import json
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
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
FEW = 8  # jobs whose attempts are asked for one by one: a list of all of a batch grows with it


class KubernetesScheduler:
    title = "Kubernetes"

    def __init__(self) -> None:
        self._client: subprocess.Popen[str] | None = None
        self._let_in = False
        self._counts: dict[tuple[str, int], tuple[Job, int]] = {}  # jobs as they were seen last, and their attempts

    def queue(self, batches: Sequence[Batch]) -> Queue:
        found: dict[tuple[str, int], Job] = {}
        for namespace in dict.fromkeys(batch.where for batch in batches):
            own = [batch for batch in batches if batch.where == namespace]
            for first in range(0, len(own), SOME):
                found |= self._jobs(namespace, [label_of(batch) for batch in own[first : first + SOME]])
        names = {label_of(batch): batch for batch in batches}
        known: dict[str, dict[int, Job]] = defaultdict(dict)
        for (label, place), job in found.items():
            known[label][place] = job
        counted = ((batch, self._counted(batch, known[label])) for label, batch in names.items())
        return {(batch.id, place): job for batch, jobs in counted for place, job in jobs.items()}

    def _counted(self, batch: Batch, jobs: Mapping[int, Job]) -> dict[int, Job]:
        """The jobs with their attempts, once one has ended: a pod that was lost is followed by another."""
        if not any(job.ended for job in jobs.values()):
            return dict(jobs)
        before = {place: self._counts.get((batch.id, place)) for place in jobs}
        news = [place for place, job in jobs.items() if _is_news(job, before[place])]
        attempts = attempts_of(batch, news) if news else {}
        counted = {}
        for place, job in jobs.items():
            known = before[place]
            count = attempts.get(place, known[1] if known else 0)
            if place in attempts or place not in news:
                self._counts[batch.id, place] = job, count
            counted[place] = replace(job, restarts=max(count - 1, 0))
        return counted

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


def _is_news(job: Job, before: tuple[Job, int] | None) -> bool:
    """Whether more attempts of a job may have begun; but for the first one of a job that waited."""
    if before is None:
        return True
    was, attempts = before
    begins = was.waiting and not attempts and not job.ended
    return job != was and not begins


def attempts_of(batch: Batch, places: Sequence[int]) -> dict[int, int]:
    """How many attempts of these cells have begun, by what they left in the store; nothing where it does not answer."""
    found = dict.fromkeys(places, 0)
    below = f"{ATTEMPTS}/{batch.id}/"
    prefixes = [below] if len(places) > FEW else [f"{below}{place}/" for place in places]
    try:
        for prefix in prefixes:
            for key, _ in deliveries.reachable(batch.store).list(prefix):
                place = key.split("/")[2]
                if place.isdigit() and int(place) in found:
                    found[int(place)] += 1
    except StoreError:  # then no record comes either, and this is asked again
        return {}
    return found
