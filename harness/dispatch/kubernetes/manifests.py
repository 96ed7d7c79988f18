"""Manifests: a batch/v1 Job for each cell, with no privilege beyond what its kind's data names.

https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/
https://kueue.sigs.k8s.io/docs/tasks/run/jobs/
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.catalogue import datafiles
from harness.catalogue.cells import CellRequest
from harness.catalogue.entries import Hardware
from harness.checkout import ROOT
from harness.dispatch.listed.batches import Batch
from harness.environments import images
from harness.errors import UsageError

SETTINGS = ROOT / "kubernetes.yaml"
POD = Path(__file__).with_name("pod.py")
SET_UP_SECONDS = 3600  # what a job gets beyond the part's limit: its image is pulled, its record sent
KEPT_SECONDS = 86400  # after its end, for kubectl logs
USER = 1000  # the images' own
LOST = {"type": "DisruptionTarget", "status": "True"}  # a pod whose node failed, or that gave way: another follows
NODE = {"name": "HOMEWORK_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
RUN_LABEL = "paddlehomework.io/run"
PLACE_LABEL = "paddlehomework.io/place"  # of the cell among those of its run
GRACE_SECONDS = 120  # for the record of a pod that is ended, and its way to the store
UNITS: Mapping[str, int] = {"": 1, **{unit: 1024 ** (power + 1) for power, unit in enumerate("kmgt")}}


@dataclass(frozen=True)
class Settings:
    """What kubernetes.yaml says."""

    images: str
    store: str
    secret: str
    namespace: str = "default"
    queue: str = ""
    cpu: str = "2"
    memory: str = "8Gi"
    environment: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """Where a pod finds the project: an address that needs no keys, and the hash of what is there."""

    address: str
    sha256: str


def settings(path: Path = SETTINGS) -> Settings:
    """The settings of this team.

    Raises:
        UsageError: there are none.
        DataFileError: kubernetes.yaml has a mistake; its line is named.
    """
    if not os.path.lexists(path):
        what, why = "--on kubernetes: there is no kubernetes.yaml.", "It names images, store and secret."
        raise UsageError(what, why, "docs/kubernetes.md shows one.")
    return Settings(**datafiles.read(path, path.parent)[0])


def label_of(batch: Batch) -> str:
    """A batch's name as labels may have it."""
    return re.sub("[^A-Za-z0-9.-]", "-", batch.id)


def job(cell: CellRequest, site: Settings, source: Source, batch: Batch, place: int) -> dict[str, Any]:
    """The manifest of a cell's job, which has its place in a batch; made again it has the same name."""
    name = batch.name_of(place)
    labels = {"app.kubernetes.io/name": "paddlehomework", RUN_LABEL: label_of(batch), PLACE_LABEL: str(place)}
    job = {"HOMEWORK_RUN": batch.cells[place].run, "HOMEWORK_PLACE": f"{batch.id}/{place}", "HOMEWORK_JOB": name}
    deadline = int(cell.part.timeout) + SET_UP_SECONDS
    queue = {"kueue.x-k8s.io/queue-name": site.queue} if site.queue else {}
    spec = {
        "backoffLimit": 0,  # a cell that failed has a record that says so: running it again is for a person
        "podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [LOST]}]},
        "activeDeadlineSeconds": deadline,
        "ttlSecondsAfterFinished": KEPT_SECONDS,
        "template": {"metadata": {"labels": labels}, "spec": _pod(cell, site, source, job)},
    }
    if queue:
        spec["suspend"] = True  # until Kueue lets it start
    metadata = {"name": name, "namespace": site.namespace, "labels": {**labels, **queue}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _tag(cell: CellRequest) -> str:
    """Of the kind's image with the cell's stack and version of Paddle, as ./inv build names it."""
    return images.Image(hardware=cell.kind, stack=cell.part.stack or "base", release=cell.release).tag


def _pod(cell: CellRequest, site: Settings, source: Source, job: Mapping[str, str]) -> dict[str, Any]:
    mounts, volumes = _volumes(cell.kind, site)
    environment = {"HOME": "/tmp", **site.environment, **job, "HOMEWORK_STORE": site.store}
    container = {
        "name": "cell",
        "image": f"{site.images}/{cell.kind.name}:{_tag(cell)}",
        # The image's entry point stays: it sets the vendor's SDK up.
        "args": ["python3", "-c", POD.read_text(), source.address, source.sha256, site.store, *_words(cell)],
        "workingDir": "/homework",
        "env": [*({"name": name, "value": value} for name, value in environment.items()), NODE],
        "envFrom": [{"secretRef": {"name": site.secret}}],
        "resources": _resources(cell, site),
        "securityContext": _security(cell.kind),
        "volumeMounts": mounts,
    }
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsUser": USER, "runAsGroup": USER, "fsGroup": USER},
        "containers": [container],
        "volumes": volumes,
    }
    if selector := site.kinds.get(cell.kind.name, {}).get("node_selector"):
        pod["nodeSelector"] = dict(selector)
    return pod


def _words(cell: CellRequest) -> list[str]:
    """What the pod's ./inv run is called with; who submitted the jobs shows the matrix."""
    return [*cell.options, "--on", "local", "--format", "bare"]


def _resources(cell: CellRequest, site: Settings) -> dict[str, Any]:
    named = site.kinds.get(cell.kind.name, {}).get("resource")
    resource = named or cell.kind.data.get("scheduler", {}).get("kubernetes")
    cards = {resource: str(cell.cards)} if resource else {}  # a CPU has none, nor have simulated cards
    return {"requests": {"cpu": site.cpu, "memory": site.memory}, "limits": {"memory": site.memory, **cards}}


def _security(kind: Hardware) -> dict[str, Any]:
    """As a container of `--on container` has it: the kind's capabilities alone, and privileged where its data says."""
    data, closed = kind.data.get("container", {}), {"readOnlyRootFilesystem": True}
    if data.get("privileged"):
        return {"privileged": True, **closed}
    options = data.get("options", {})
    capabilities = {"drop": ["ALL"], **({"add": options["cap_add"]} if "cap_add" in options else {})}
    unconfined = "seccomp=unconfined" in options.get("security_opt", ())
    return {
        **closed,
        "allowPrivilegeEscalation": False,
        "capabilities": capabilities,
        "seccompProfile": {"type": "Unconfined" if unconfined else "RuntimeDefault"},
    }


def _volumes(kind: Hardware, site: Settings) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What can be written: the project's folder, /tmp, shared memory; and the driver's files, which the kind names."""
    data = kind.data.get("container", {})
    shared = {"medium": "Memory", "sizeLimit": _shared(data.get("options", {}).get("shm_size", ""), site.memory)}
    mounts: list[dict[str, Any]] = [
        {"name": "homework", "mountPath": "/homework"},
        {"name": "temporary", "mountPath": "/tmp"},
        {"name": "shared", "mountPath": "/dev/shm"},
    ]
    volumes: list[dict[str, Any]] = [
        {"name": "homework", "emptyDir": {}},
        {"name": "temporary", "emptyDir": {}},
        {"name": "shared", "emptyDir": shared},
    ]
    for number, place in enumerate(data.get("mounts", ())):
        mounts.append({"name": f"driver-{number}", "mountPath": place, "readOnly": True})
        volumes.append({"name": f"driver-{number}", "hostPath": {"path": place}})
    return mounts, volumes


def _shared(wanted: str, memory: str) -> str:
    """The size of /dev/shm, which counts as memory of the job: what the kind wants, and at most half of the limit."""
    most = int(_bytes(memory) / 2)
    return str(min(int(_bytes(wanted)), most) if wanted else most)


def _bytes(quantity: str) -> float:
    """16g, 16Gi or 2000M in bytes; Docker's g is Kubernetes' Gi, and its M a thousand thousand."""
    digits = re.match(r"[0-9.]+", quantity)
    assert digits, "its schema wants a quantity"
    return float(digits.group()) * UNITS[quantity[digits.end() :].removesuffix("i").lower()]
