"""A real Kubernetes API server with its etcd and job controller on loopback, and a small kubelet that runs each pod's
own command in an empty folder, with another in the place of its image, on nodes that can be lost."""

import base64
import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pods
import pytest
import yaml
from checkouts import ROOT, Checkout
from s3_server import free_ports

from harness.environments import inside

FOLDER = Path(os.environ.get("HOMEWORK_KUBERNETES") or Path.home() / ".cache" / "paddlehomework" / "kubernetes")
PROGRAMS = ("kube-apiserver", "kube-controller-manager")
NAMESPACE = "homework"
CONTROLLERS = "job,ttl-after-finished,namespace,garbagecollector,resourcequota"
TOKENS = {"admin": 'keeper,admin,0,"system:masters"', "anna": "anna,anna,1"}
MERGE = "application/strategic-merge-patch+json"
SLOTS = 2  # pods at once on a node
Document = dict[str, Any]


class KubeCluster:
    """`lose_node` and `kill_daemon` do harm; `start` starts again what does not run."""

    def __init__(self, folder: Path, kept: Path, nodes: tuple[str, ...] = ("n1", "n2")) -> None:
        self.folder, self.image, self.nodes = folder, pods.image_folder(Checkout(kept)), set(nodes)
        folder.mkdir(parents=True)
        self.etcd, self.peer, self.port, self.manager = free_ports(4)
        (folder / "tokens.csv").write_text("\n".join(TOKENS.values()) + "\n")
        subprocess.run(["openssl", "genrsa", "-out", folder / "key.pem", "2048"], check=True, capture_output=True)
        for name, token in (("admin", "keeper"), ("anna", "anna")):
            self.write_kubeconfig(name, token)
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.pods: dict[str, Pod] = {}
        self._over = threading.Event()
        self._kubelet = threading.Thread(target=self._work, daemon=True)

    def write_kubeconfig(self, name: str, token: str) -> None:
        cluster = {"server": f"https://127.0.0.1:{self.port}", "insecure-skip-tls-verify": True}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": name}}],
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
        }
        (self.folder / f"{name}.json").write_text(json.dumps(config))

    @property
    def kubeconfig(self) -> Path:
        """Of a person with the rights of docs/kubernetes-role.yaml, and no more."""
        return self.folder / "anna.json"

    def start(self) -> None:
        """Start the daemons that do not run, and wait until they answer."""
        words = {
            "etcd": [
                f"--data-dir={self.folder}/etcd",
                f"--listen-client-urls=http://127.0.0.1:{self.etcd}",
                f"--advertise-client-urls=http://127.0.0.1:{self.etcd}",
                f"--listen-peer-urls=http://127.0.0.1:{self.peer}",
                f"--initial-advertise-peer-urls=http://127.0.0.1:{self.peer}",
                f"--initial-cluster=default=http://127.0.0.1:{self.peer}",
            ],
            "kube-apiserver": [
                f"--etcd-servers=http://127.0.0.1:{self.etcd}",
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                f"--secure-port={self.port}",
                f"--cert-dir={self.folder}/certificates",
                f"--token-auth-file={self.folder}/tokens.csv",
                "--authorization-mode=RBAC",
                "--disable-admission-plugins=ServiceAccount",
                "--feature-gates=TTLAfterFinished=true",
                "--allow-privileged=true",
                "--service-account-issuer=https://127.0.0.1",
                f"--service-account-key-file={self.folder}/key.pem",
                f"--service-account-signing-key-file={self.folder}/key.pem",
                "--service-cluster-ip-range=127.96.0.0/24",
            ],
            "kube-controller-manager": [
                f"--kubeconfig={self.folder}/admin.json",
                f"--controllers={CONTROLLERS}",
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                f"--secure-port={self.manager}",
                "--port=0",
                "--feature-gates=TTLAfterFinished=true",
            ],
        }
        for name, flags in words.items():
            if name not in self._daemons or self._daemons[name].poll() is not None:
                program = shutil.which(name) if name == "etcd" else str(FOLDER / name)
                assert program
                with (self.folder / f"{name}.log").open("ab") as log:
                    self._daemons[name] = subprocess.Popen(
                        [program, *flags], stdout=log, stderr=log, cwd=self.folder, start_new_session=True
                    )
            if name == "kube-apiserver":
                self.until(lambda: self.get("/readyz", raw=True) == "ok", "the API server")
        if not self._kubelet.is_alive():
            self._kubelet.start()

    def until(self, condition: Any, what: str, seconds: float = 90) -> Any:
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError):
                if found := condition():
                    return found
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text(errors="replace")[-1500:] for path in self.folder.glob("*.log"))
                raise RuntimeError(f"it did not come to that: {what}\n{logs}")
            time.sleep(0.1)

    def prepare(self, keys: dict[str, str]) -> None:
        """The namespace, the Secret with the store's keys, and anna's rights."""
        self.post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        secret = {"metadata": {"name": "homework-store"}, "stringData": keys}
        self.post(f"/api/v1/namespaces/{NAMESPACE}/secrets", secret)
        place = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
        for each in yaml.safe_load_all((ROOT / "docs" / "kubernetes-role.yaml").read_text()):
            self.post(f"{place}/{each['kind'].lower()}s", each)

    # The API, as an administrator asks it

    def ask(self, method: str, path: str, body: Document | None = None, kind: str = "application/json") -> Any:
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", method=method)
        request.add_header("Authorization", "Bearer keeper")
        request.add_header("Content-Type", kind)
        context = ssl._create_unverified_context()
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(request, data, timeout=10, context=context) as answer:
            return answer.read().decode()

    def get(self, path: str, raw: bool = False) -> Any:
        text = self.ask("GET", path)
        return text if raw else json.loads(text)

    def post(self, path: str, body: Document) -> None:
        self.ask("POST", path, body)

    def patch(self, path: str, body: Document) -> None:
        self.ask("PATCH", path, body, MERGE)

    def jobs(self, namespace: str = NAMESPACE) -> list[Document]:
        items: list[Document] = self.get(f"/apis/batch/v1/namespaces/{namespace}/jobs")["items"]
        return items

    def cut_short(self) -> None:
        """Let the time limit of every job be over."""
        for job in self.jobs():
            path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/{job['metadata']['name']}"
            self.patch(path, {"spec": {"activeDeadlineSeconds": 1}})

    # Harm

    def kill_daemon(self, name: str) -> None:
        self._daemons[name].kill()
        self._daemons[name].wait()

    def lose_node(self, name: str) -> None:
        """A node loses its power; what watches nodes gives its pods up, and it comes back as a new one."""
        for pod in [pod for pod in self.pods.values() if pod.node == name]:
            pod.kill()
            self.until(lambda pod=pod: self._forget(pod), "the lost pod")

    def end_pod(self, reason: str, code: int = 137) -> None:
        """End every pod at once, as the kernel or the kubelet does, for a reason of the container or the pod."""
        for pod in list(self.pods.values()):
            pod.why = (reason, code)
            pod.kill()

    # The kubelet of all nodes

    def _work(self) -> None:
        while not self._over.wait(0.2):
            with contextlib.suppress(OSError, ValueError):
                found = self.get(f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
                for document in found:
                    self._tend(document)

    def _tend(self, document: Document) -> None:
        name, status = document["metadata"]["name"], document["status"]
        pod = self.pods.get(name)
        if pod is None:
            if document["metadata"].get("deletionTimestamp"):
                return self._delete(name)
            if status["phase"] == "Pending" and not document["spec"].get("nodeName"):
                self._place(document)
            elif document["spec"].get("nodeName") and status["phase"] in ("Pending", "Running"):
                self.pods[name] = Pod(self, document)
            return
        if not pod.told and (pod.process or pod.image_is_missing):
            self.patch(self._status(name), {"status": pod.begun()})
            pod.told = True
        if document["metadata"].get("deletionTimestamp"):
            pod.end()
            if pod.over:
                self._forget(pod)
        elif pod.process and pod.over and status["phase"] not in ("Succeeded", "Failed"):
            self.patch(self._status(name), {"status": pod.ended()})
            pod.gone = True

    def _place(self, document: Document) -> None:
        busy = [pod.node for pod in self.pods.values() if not pod.gone]
        free = [node for node in sorted(self.nodes) for _ in range(SLOTS - busy.count(node))]
        if not free:
            return
        name, target = document["metadata"]["name"], {"apiVersion": "v1", "kind": "Node", "name": free[0]}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
        self.post(f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/binding", body)
        document["spec"]["nodeName"] = free[0]
        self.pods[name] = Pod(self, document)

    def _status(self, name: str) -> str:
        return f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/status"

    def _forget(self, pod: "Pod") -> bool:
        self._delete(pod.name)
        self.pods.pop(pod.name, None)
        return True

    def _delete(self, name: str) -> None:
        try:
            self.ask("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}?gracePeriodSeconds=0")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise

    def secret(self, name: str) -> dict[str, str]:
        data = self.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}")["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def logs(self) -> list[str]:
        return [path.read_text(errors="replace")[-2000:] for path in self.folder.glob("pods/*/log")]

    def stop(self) -> None:
        self._over.set()
        if self._kubelet.is_alive():
            self._kubelet.join(timeout=30)
        for pod in self.pods.values():
            pod.kill()
        for daemon in self._daemons.values():
            daemon.kill()
            daemon.wait()


class Pod:
    """A pod's only container, as a process in a folder of its own; one without an image never begins."""

    def __init__(self, cluster: KubeCluster, document: Document) -> None:
        self.name, self.node = document["metadata"]["name"], document["spec"]["nodeName"]
        (container,) = document["spec"]["containers"]
        self.image_is_missing = "/missing/" in container["image"]
        self.told = self.gone = False
        self.why: tuple[str, int] | None = None
        self.process: subprocess.Popen[bytes] | None = None
        if self.image_is_missing:
            return
        folder = cluster.folder / "pods" / self.name
        folder.mkdir(parents=True)
        given = pods.environment(container, self.node)
        for source in container["envFrom"]:
            given |= cluster.secret(source["secretRef"]["name"])
        environment = {"PATH": os.environ["PATH"], inside.VARIABLE: str(cluster.image), **given, "HOME": str(folder)}
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                container["args"], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def over(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def begun(self) -> Document:
        if self.process:
            return {"phase": "Running"}
        waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
        return {"phase": "Pending", "containerStatuses": [_container({"waiting": waiting})]}

    def ended(self) -> Document:
        assert self.process
        code = self.process.wait()
        reason, code = self.why or (("Completed" if code == 0 else "Error"), code if code >= 0 else 128 - code)
        status = {"containerStatuses": [_container({"terminated": {"exitCode": code, "reason": reason}})]}
        if reason in ("Evicted", "Preempting", "NodeShutdown"):
            status["reason"] = reason
        return {"phase": "Succeeded" if code == 0 else "Failed", **status}

    def end(self) -> None:
        """Ask it to end, as a kubelet does first: the container's own process alone."""
        if self.process and not self.over and not getattr(self, "asked", False):
            self.asked = True
            self.process.terminate()

    def kill(self) -> None:
        """End all of it without a word; the harness and the programs in it have sessions of their own."""
        if self.process is None:
            return
        for process in (self.process.pid, *_descendants(self.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.process.wait()


def _descendants(process: int) -> list[int]:
    with contextlib.suppress(OSError):
        children = [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
        return [*children, *(each for child in children for each in _descendants(child))]
    return []


def _container(state: Document) -> Document:
    return {"name": "cell", "state": state, "ready": False, "restartCount": 0, "image": "x", "imageID": ""}


def absent_programs() -> list[str]:
    absent = [str(FOLDER / name) for name in PROGRAMS if not os.access(FOLDER / name, os.X_OK)]
    return absent + ([] if shutil.which("etcd") else ["etcd"])


def skip_without_programs() -> None:
    if absent := absent_programs():
        pytest.skip(f"{absent[0]} is not here: sh tests/kubernetes/build.sh makes it; HOMEWORK_KUBERNETES names it")


@contextlib.contextmanager
def running(folder: Path, kept: Path, keys: dict[str, str]) -> Iterator[KubeCluster]:
    """A cluster in `folder`; skips the test where its programs are not."""
    skip_without_programs()
    cluster = KubeCluster(folder, kept)
    try:
        cluster.start()
        cluster.prepare(keys)
        yield cluster
    finally:
        cluster.stop()
