"""Where the tests of dispatchers run jobs: a real Slurm, a real Kubernetes API server, a machine behind a real sshd."""

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import clusters
import s3_server
import ssh_server
from checkouts import Checkout, sent_before
from kube_cluster import NAMESPACE, KubeCluster
from slurm_cluster import Cluster


class Place(Protocol):
    """Where jobs run, and what can go wrong there."""

    on: str
    silent: str
    again: str
    running: str
    place: Sequence[str]
    pace: float
    checkout: Checkout
    environment: dict[str, str]

    def begun(self) -> bool: ...
    def kill_daemon(self) -> None: ...
    def start(self) -> None: ...
    def operate(self) -> None: ...
    def lose_node(self) -> None: ...
    def cut_short(self) -> None: ...
    def clear(self) -> None: ...


class OnSlurm:
    on, silent = "slurm:local", ""  # for some seconds squeue waits by itself
    again, running, place, pace = "has run already", "running on n", ("--on", on), 1.0
    settings = "options: {mem: 100M, cpus-per-task: 1, exclude: n3}\n"

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.environment = cluster, cluster.environment
        self.checkout = clusters.checkout_for_a_cluster(folder / "checkout", self.settings, {})

    def begun(self) -> bool:
        logs = (self.checkout.results / ".unfinished").glob("[!.]*/run.log")
        return any("sleeping" in log.read_text() for log in logs)

    def kill_daemon(self) -> None:
        time.sleep(6)  # within 5 s slurmctld saves what it knows; a job that it did not save is lost to Slurm itself
        self.cluster.kill_daemon("slurmctld")

    def start(self) -> None:
        self.cluster.start()

    def operate(self) -> None:
        """Do what an operator does with jobs that a slurmctld had not saved when it died, and now holds."""
        held = self.cluster("squeue", "-h", "-r", "-t", "pending", "-o", "%i|%r").splitlines()
        for job in [line.partition("|")[0] for line in held if "held" in line]:
            self.cluster("scontrol", "release", job)
            self.cluster("scontrol", "update", f"jobid={job}", "StartTime=now")

    def lose_node(self) -> None:
        (node,) = self.cluster("squeue", "-h", "-t", "running", "-o", "%N").split()
        self.cluster.kill_node(node)
        for job in self.cluster("squeue", "-h", "-r", "-t", "pending", "-o", "%i").split():
            self.cluster("scontrol", "update", f"jobid={job}", "StartTime=now")

    def cut_short(self) -> None:
        for job in self.cluster("squeue", "-h", "-r", "-t", "running", "-o", "%i").split():
            self.cluster("scontrol", "update", f"jobid={job}", "EndTime=now")

    def clear(self) -> None:
        self.cluster("scancel", "--me")


class OnKubernetes:
    on, silent = "kubernetes", "The cluster does not answer; waiting until it does."
    again, running, place, pace = "has run already", "running on n", ("--on", on), 1.0

    def __init__(self, folder: Path, endpoint: str, kept: Path) -> None:
        self.checkout = clusters.checkout_for_a_cluster(folder / "checkout", "", {})
        self.address = f"s3://team/homework?service=seaweedfs&endpoint={endpoint}"
        self.settle()
        (self.checkout.folder / ".stacks" / "kubernetes").symlink_to(kept)
        self.environment = {**os.environ, **s3_server.KEYS}
        self.cluster: KubeCluster

    def settle(self, images: str = "registry.example/homework", namespace: str = NAMESPACE) -> None:
        lines = (f"images: {images}", f"store: {self.address}", "secret: homework-store", f"namespace: {namespace}")
        (self.checkout.folder / "kubernetes.yaml").write_text("\n".join(lines))

    def begun(self) -> bool:
        running = [pod.name for pod in list(self.cluster.pods.values()) if pod.process and not pod.over]
        drafts = [self.cluster.folder / "pods" / name / "results" / ".unfinished" for name in running]
        return any("sleeping" in log.read_text() for draft in drafts for log in draft.glob("[!.]*/run.log"))

    def kill_daemon(self) -> None:
        self.cluster.kill_daemon("kube-apiserver")

    def start(self) -> None:
        self.cluster.start()

    def operate(self) -> None:
        """Nothing is left to an operator."""

    def lose_node(self) -> None:
        self.cluster.lose_node(next(pod.node for pod in self.cluster.pods.values() if not pod.over))

    def cut_short(self) -> None:
        self.cluster.cut_short()

    def clear(self) -> None:
        self.settle()
        for job in self.cluster.jobs():
            path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/{job['metadata']['name']}"
            self.cluster.ask("DELETE", f"{path}?propagationPolicy=Foreground")
        self.cluster.until(lambda: not self.cluster.jobs(), "all jobs gone", 30)


class OnSsh:
    """A machine behind a real sshd: a run there is one, whatever cells it has, and so is its place on the list."""

    on, silent = "ssh", "Trying again in 1 s."
    again, running, pace = "nothing is missing", "running since", 0.6

    def __init__(self, server: ssh_server.Server, folder: Path) -> None:
        self.server, self.environment = server, server.environment()
        self.checkout = clusters.checkout_for_a_cluster(folder / "checkout", "", {})
        self.far = sent_before(self.checkout, folder / "far").folder
        self.place: Sequence[str] = ("--host", server.address(str(self.far)), "--missing")

    def begun(self) -> bool:
        logs = (self.far / "results" / ".unfinished").glob("[!.]*/run.log")
        return any("sleeping" in log.read_text() for log in logs)

    def kill_daemon(self) -> None:
        self.server.kill()

    def start(self) -> None:
        self.server.start()

    def operate(self) -> None:
        """Nothing is left to an operator."""

    def lose_node(self) -> None:
        """The machine loses its power, and is on again."""
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if Path(os.readlink(path / "cwd")) == self.far:
                    os.kill(int(path.name), signal.SIGKILL)
        self.server.kill()
        self.server.start()

    def clear(self) -> None:
        """No run goes on here beyond its test."""
