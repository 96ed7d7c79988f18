"""`--on kubernetes` through the official client, against a server that answers the few calls that are made.

test_dispatch_contract.py asks a real API server, where its programs are. Here a small HTTP server takes jobs and runs
each one's own command, as a kubelet would, in an empty folder, with its environment and its Secret's; the store is a
real S3 server. It shows that client, words and pod work together, and says nothing about schedulers and images.
"""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pods
import pytest
import s3_server
from checkouts import ROOT, Checkout, copy_of_this_checkout
from containers import BASE, NAMES

from harness.environments import images, inside, stacks
from harness.environments.client import Client

pytestmark = pytest.mark.slow
POD_IMAGE = f"{NAMES}/pushed/cpu:base"
NO_INDEX = {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}  # what would install something ends


class Cluster(ThreadingHTTPServer):
    """Takes jobs, and runs each at once, by `engine` if it has one; `/forbidden` is a namespace that behaves so."""

    def __init__(self, folder: Path, image: Path) -> None:
        super().__init__(("127.0.0.1", 0), Calls)
        self.folder, self.image = folder, image
        self.engine: Client | None = None
        self.jobs: dict[str, dict[str, Any]] = {}
        self.threads: list[threading.Thread] = []

    def take(self, job: dict[str, Any]) -> None:
        job["status"] = {}
        self.jobs[job["metadata"]["name"]] = job
        self.threads.append(threading.Thread(target=self._run, args=(job,)))
        self.threads[-1].start()

    def _run(self, job: dict[str, Any]) -> None:
        pod = job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "homework-store"}}]
        folder = self.folder / job["metadata"]["name"]
        folder.mkdir()
        own = {**pods.environment(container, "a-node"), **s3_server.KEYS}
        if self.engine:
            words = [self.engine.path, "run", "--rm", "--network", "host", *pods.docker_options(pod, folder)]
            for name, value in {**own, **NO_INDEX}.items():
                words += ["--env", f"{name}={value}"]
            done = subprocess.run([*words, POD_IMAGE, *container["args"]], capture_output=True, text=True)
        else:
            environment = {"PATH": os.environ["PATH"], inside.VARIABLE: str(self.image), **own, "HOME": str(folder)}
            done = subprocess.run(container["args"], cwd=folder, env=environment, capture_output=True, text=True)
        (folder / "log").write_text(done.stdout + done.stderr)
        ended = {"status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        failed = {"type": "Failed", "reason": "BackoffLimitExceeded", "message": "it failed"}
        job["status"] = {"conditions": [{**ended, **({"type": "Complete"} if done.returncode == 0 else failed)}]}


class Calls(BaseHTTPRequestHandler):
    server: Cluster

    def do_POST(self) -> None:
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "/namespaces/forbidden/" in self.path:
            return self._answer(403, {"message": 'jobs.batch is forbidden: user "anna" cannot create'})
        self.server.take(job)
        self._answer(201, job)

    def do_GET(self) -> None:
        jobs = list(self.server.jobs.values()) if "/batch/" in self.path else []
        self._answer(200, {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": jobs})

    def _answer(self, code: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def near(tmp_path: Path) -> Checkout:
    near = copy_of_this_checkout(tmp_path / "near")
    (near.folder / ".stacks" / "kubernetes").symlink_to(stacks.prepare(stacks.stack("kubernetes")).folder)
    (near.folder / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    for words in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "The toy")):
        subprocess.run(["git", *words], cwd=near.folder, check=True)
    return near


@pytest.fixture
def cluster(tmp_path: Path, near: Checkout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    (tmp_path / "pods").mkdir()
    cluster = Cluster(tmp_path / "pods", pods.image_folder(near))
    threading.Thread(target=cluster.serve_forever, daemon=True).start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "anna"}}],
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{cluster.server_port}"}}],
        "users": [{"name": "anna", "user": {}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    for name, value in s3_server.KEYS.items():
        monkeypatch.setenv(name, value)
    with s3_server.running(tmp_path / "s3") as server:
        boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1").create_bucket(Bucket="team")
        _settle(near, f"s3://team/homework?service=seaweedfs&endpoint={server.endpoint}")
        yield cluster
        for thread in cluster.threads:
            thread.join()
    cluster.shutdown()
    cluster.server_close()


def _settle(near: Checkout, store: str, namespace: str = "homework") -> None:
    lines = (
        "images: registry.example/homework",
        f"store: {store}",
        "secret: homework-store",
        f"namespace: {namespace}",
    )
    (near.folder / "kubernetes.yaml").write_text("\n".join(lines))


def test_cells_run_as_jobs_and_their_records_come_here(near: Checkout, cluster: Cluster) -> None:
    words = ("run", "--on", "kubernetes", "--hw", "cpu", "--task", "1")
    dry = near(*words, "--dry-run")
    assert "kind: Job" in dry.stdout and not cluster.jobs, dry.stderr
    done = near(*words, "--set", "size=5")
    logs = [path.read_text() for path in cluster.folder.glob("*/log")]
    assert done.returncode == 0, [done.stdout, done.stderr, logs]
    assert "✓ 1     cpu        passed in" in done.stdout and "3 points earned of 7" in done.stdout
    (record,) = near.records()
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=near.folder, capture_output=True, text=True).stdout
    assert record["parameters"]["size"] == 5 and record["program"]["revision"] == head.strip()
    assert record["program"]["clean"] is True
    assert near("verify").returncode == 0
    failed = near(*words, "--set", "mode=crash")
    assert failed.returncode == 1 and "1 of 1 cells failed" in failed.stderr, failed.stdout + failed.stderr
    assert [record["passed"] for record in near.records()] == [True, False], "a failed cell's record comes too"


def test_what_the_cluster_refuses_is_said_with_exit_code_4(
    near: Checkout, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (near.folder / "kubernetes.yaml").read_text()
    (near.folder / "kubernetes.yaml").write_text(settings.replace("namespace: homework", "namespace: forbidden"))
    words = ("run", "--on", "kubernetes", "--hw", "cpu", "--task", "1")
    done = near(*words)
    assert done.returncode == 4 and "cannot create" in done.stderr and len(done.stderr.strip().splitlines()) == 3
    cluster.shutdown()
    cluster.server_close()
    done = near(*words)
    assert done.returncode == 4 and "does not answer" in done.stderr
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    done = near(*words)
    assert done.returncode == 4 and "kubeconfig" in done.stderr


def test_a_pod_runs_in_its_image_as_it_is_and_installs_nothing(
    near: Checkout, cluster: Cluster, engine: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOMEWORK_IMAGES", f"{NAMES}/toys")  # by another name, no other run takes it for its own image
    image = pods.toy_image(near, BASE)
    images.build(image, engine, None)
    inside.build(image, engine, POD_IMAGE)
    cluster.engine = engine
    words = ("run", "--on", "kubernetes", "--hw", "cpu", "--task", "1")
    done = near(*words)
    logs = [path.read_text() for path in cluster.folder.glob("*/log")]
    assert done.returncode == 0, [done.stdout, done.stderr, logs]
    (record,) = near.records()
    built = engine.inspect(image.name) or {}
    assert record["engine"] == {"name": "local", "image": built["Id"], "sbom": images.label(built, "sbom")}
    assert record["command"][0] == "/opt/homework/bin/python" and near("verify").returncode == 0
    assert record["stack"]["python"] == images.label(built, "python")
    assert record["paddle"]["wheel_sha256"] in (images.label(built, "wheels") or "")
    assert not any("nstalling" in log for log in logs)


def test_an_image_without_this_projects_harness_is_refused(near: Checkout, cluster: Cluster) -> None:
    (cluster.image / "harness").unlink()
    (cluster.image / "harness").mkdir()
    (cluster.image / "harness" / "lock.txt").write_text("another==1.0\n")
    _require_not_started(near, cluster, "that of another version")


def test_an_image_that_is_older_than_the_project_is_refused(near: Checkout, cluster: Cluster) -> None:
    with (near.folder / "docker" / "locks" / "base.txt").open("a") as lock:
        lock.write("# A change\n")
    _require_not_started(near, cluster, "older than its files")


def _require_not_started(near: Checkout, cluster: Cluster, said: str) -> None:
    done = near("run", "--on", "kubernetes", "--hw", "cpu", "--task", "1")
    (log,) = cluster.folder.glob("*/log")
    assert done.returncode == 1 and said in log.read_text(), log.read_text()
    assert [record["exit"]["reason"] for record in near.records()] == ["not started"]
