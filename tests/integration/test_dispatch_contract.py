"""What every dispatcher keeps, whoever runs the jobs: a real Slurm, a real Kubernetes API server, a real sshd.

What is submitted is on the list before it is sent; whoever follows may leave, be killed or come again from another
shell; a daemon that is gone is waited for; nothing is lost, nothing runs twice, every attempt leaves a record.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import kube_cluster
import pytest
import s3_server
import slurm_cluster
import ssh_server
import yaml
from checkouts import processes
from dispatch_places import OnKubernetes, OnSlurm, OnSsh
from kube_cluster import NAMESPACE

from harness.environments import stacks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnSsh]:
    folder = tmp_path_factory.mktemp("on-ssh")
    with ssh_server.running(folder / "ssh") as server:
        yield OnSsh(server, folder)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnSlurm]:
    folder = tmp_path_factory.mktemp("on-slurm")
    with slurm_cluster.running(folder / "slurm", {"n1": "", "n2": "", "n3": "npu:910b:1"}) as cluster:
        yield OnSlurm(cluster, folder)


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnKubernetes]:
    folder = tmp_path_factory.mktemp("on-kubernetes")
    kube_cluster.skip_without_programs()
    stack = stacks.prepare(stacks.stack("kubernetes")).folder
    with s3_server.running(folder / "s3") as server:
        keys = {"aws_access_key_id": "tester", "aws_secret_access_key": s3_server.KEYS["AWS_SECRET_ACCESS_KEY"]}
        boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1", **keys).create_bucket(Bucket="team")
        place = OnKubernetes(folder, server.endpoint, stack)
        with kube_cluster.running(folder / "kubernetes", place.checkout.folder, s3_server.KEYS) as cluster:
            place.cluster = cluster
            place.environment["KUBECONFIG"] = str(cluster.kubeconfig)
            yield place


class Site:
    """A place with a seed of its own for one test."""

    seeds = iter(range(1, 1000))

    def __init__(self, place: Any) -> None:
        self.place: Any = place
        self.seed = next(self.seeds)

    def words(self, *more: str, seconds: float = 0.0) -> list[str]:
        own = seconds * self.place.pace + self.seed / 1000  # --missing goes by the parameters, not by the seed
        told = ["--seed", str(self.seed), "--set", f"seconds={own:.3f}", *more]
        return ["run", "--task", "1", "--hw", "cpu", *self.place.place, *told]

    def run(self, *more: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        return self.inv(*self.words(*more, **options))

    def inv(self, *words: str) -> "subprocess.CompletedProcess[str]":
        done: subprocess.CompletedProcess[str] = self.place.checkout(*words, env=self.place.environment, timeout=150)
        return done

    def start(self, seconds: float) -> "subprocess.Popen[str]":
        """Start it, and wait until its program has begun."""
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
        process: subprocess.Popen[str] = self.place.checkout.start(
            *self.words(seconds=seconds), env=self.place.environment, **pipes
        )
        self.until(self.place.begun)
        return process

    def until(self, condition: Callable[[], Any], seconds: float = 120) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, "it did not come to that"
            time.sleep(0.1)
        return found

    def records(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.place.checkout.records()
        return [record for record in found if record["seed"] == self.seed]

    def ends(self) -> list[str]:
        attempts = sorted(self.records(), key=lambda each: each.get("job", {}).get("attempt", each["id"]))
        return [record["exit"]["reason"] for record in attempts]

    def listed(self) -> list[dict[str, Any]]:
        results = self.place.checkout.results
        return [
            json.loads(path.read_text()) for where in (".jobs", ".remote") for path in results.glob(f"{where}/*.json")
        ]


@pytest.fixture(params=["slurm", "kubernetes", "ssh"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    here = Site(request.getfixturevalue(request.param))
    yield here
    here.place.start()
    here.place.clear()
    assert here.inv("jobs").returncode in (0, 1)
    assert here.listed() == [], "all that was submitted is over, and off the list"
    assert here.inv("verify").returncode == 0


def test_a_cell_runs_there_and_the_same_command_runs_nothing_again(site: Site) -> None:
    done = site.run()
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = site.records()
    assert record["passed"]
    if site.place.on != "ssh":
        assert record["job"]["scheduler"] == site.place.on.partition(":")[0]
        assert record["job"]["attempt"] == 1 and record["job"]["node"].startswith("n")
    again = site.run()
    assert again.returncode == 0 and site.place.again in again.stdout and len(site.records()) == 1


def test_ctrl_c_leaves_it_and_another_shell_follows_it_to_its_end(site: Site) -> None:
    process = site.start(seconds=25)
    (batch,) = site.listed()
    process.send_signal(signal.SIGINT)
    assert "./inv jobs follows " in process.communicate(timeout=20)[0] and process.returncode == 130
    assert site.place.running in site.inv("jobs", "--once").stdout
    assert "is under way already" in site.run(seconds=25).stdout
    (record,) = site.records()
    assert record["passed"]
    if site.place.on != "ssh":
        assert record["id"] == batch["cells"][0]["run"], "the list named it before it was sent"


def test_a_dispatcher_that_is_killed_loses_nothing(site: Site) -> None:
    process = site.start(seconds=5)
    process.kill()
    process.communicate()
    done = site.inv("jobs")
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout + done.stderr
    assert site.place.again in site.run(seconds=5).stdout and site.ends() == ["finished"]


def test_cancelled_from_another_shell_it_leaves_a_record(site: Site) -> None:
    process = site.start(seconds=55)
    done = site.inv("jobs", "--cancel")
    said, code, end = ("Ending", 130, "interrupted") if site.place.on == "ssh" else ("Cancelled 1 jobs", 1, "cancelled")
    assert done.returncode == 1 and said in done.stdout, done.stdout + done.stderr
    output = process.communicate(timeout=60)[0]
    assert process.returncode == code and end in output
    assert site.ends() == [end]


def test_a_daemon_that_is_gone_is_waited_for(site: Site) -> None:
    process = site.start(seconds=25)
    site.place.kill_daemon()
    time.sleep(8)
    site.place.start()
    site.until(lambda: process.poll() is not None or site.place.operate(), 200)
    output = process.communicate(timeout=150)[0]
    assert process.returncode == 0 and site.place.silent in output, output
    assert site.ends()[-1] == "finished" and set(site.ends()[:-1]) <= {"requeued"}


def test_a_lost_node_costs_an_attempt_and_both_leave_a_record(site: Site) -> None:
    process = site.start(seconds=10)
    site.place.lose_node()
    output = process.communicate(timeout=150)[0]
    if site.place.on == "ssh":  # nobody but a person starts it again
        assert process.returncode == 4 and site.ends() == ["interrupted"], output
        assert site.run(seconds=10).returncode == 0
        assert site.ends() == ["interrupted", "finished"]
    else:
        assert process.returncode == 0, output
        assert site.ends() == ["requeued", "finished"]


@pytest.mark.parametrize("site", ["slurm", "kubernetes"], indirect=True)
def test_a_job_past_its_time_limit_leaves_a_record(site: Site) -> None:
    process = site.start(seconds=59)
    site.place.cut_short()
    output = process.communicate(timeout=150)[0]
    assert process.returncode == 1, output
    assert site.ends() in (["timed out"], ["cancelled"])


def test_here_a_killed_harness_leaves_a_record_by_the_next_look_at_the_jobs(ssh: OnSsh) -> None:
    site = Site(ssh)
    words = ["run", "--task", "1", "--hw", "cpu", "--seed", str(site.seed), "--set", "seconds=30"]
    process = ssh.checkout.start(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    drafts = ssh.checkout.results / ".unfinished"
    site.until(lambda: any("sleeping" in log.read_text() for log in drafts.glob("[!.]*/run.log")))
    for each in (process.pid, *processes(f"--seed {site.seed} ")):
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
    process.wait()
    assert "Sealed a run that was killed" in site.inv("jobs").stdout
    assert site.ends() == ["interrupted"] and site.inv("verify").returncode == 0


# What one of them alone can have


def test_memory_that_ran_out_and_a_node_that_wanted_it_are_named(kubernetes: OnKubernetes) -> None:
    for reason, end, words in (
        ("OOMKilled", "not started", "more memory than was asked for"),
        ("Preempting", "cancelled", "gave way"),
    ):
        site = Site(kubernetes)
        process = site.start(seconds=50)
        kubernetes.cluster.end_pod(reason)
        output = process.communicate(timeout=60)[0]
        assert process.returncode == 1 and site.ends() == [end] and words in output, output


def test_an_image_that_is_not_there_is_said_while_it_is_waited_for(kubernetes: OnKubernetes) -> None:
    kubernetes.settle(images="registry.example/missing")
    site = Site(kubernetes)
    process = kubernetes.checkout.start(*site.words(), env=kubernetes.environment, stdout=subprocess.PIPE)
    assert process.stdout
    for line in process.stdout:
        if "ImagePullBackOff" in line:
            break
    else:
        raise AssertionError("it ended without a word about the image")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert site.inv("jobs", "--cancel").returncode == 1 and site.ends() == ["cancelled"]
    kubernetes.settle()


def test_the_real_server_takes_the_manifest_of_every_kind(kubernetes: OnKubernetes) -> None:
    kinds = sorted(path.parent.name for path in kubernetes.checkout.folder.glob("hardware/*/hardware.yaml"))
    words = ("run", "--task", "1", "--hw", ",".join(kinds), "--on", "kubernetes", "--dry-run")
    done = kubernetes.checkout(*words, env=kubernetes.environment)
    made = list(yaml.safe_load_all(done.stdout))
    assert len(made) == len(kinds) > 10, done.stderr
    for manifest in made:
        kubernetes.cluster.post(f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs?dryRun=All", manifest)
    there = {job["metadata"]["name"] for job in kubernetes.cluster.jobs()}
    assert not there & {manifest["metadata"]["name"] for manifest in made}, "nothing was submitted"


def test_what_the_cluster_refuses_is_said_and_leaves_nothing_on_the_list(kubernetes: OnKubernetes) -> None:
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
    place = f"/api/v1/namespaces/{NAMESPACE}/resourcequotas"
    kubernetes.cluster.post(place, quota)
    kubernetes.cluster.until(lambda: kubernetes.cluster.get(f"{place}/few")["status"].get("hard"), "the quota")
    site = Site(kubernetes)
    try:
        done = site.run()
    finally:
        kubernetes.cluster.ask("DELETE", f"{place}/few")
    assert done.returncode == 4 and "exceeded quota" in done.stderr and site.listed() == []
    kubernetes.settle(namespace="default")
    done = site.run()
    kubernetes.settle()
    assert done.returncode == 4 and "403" in done.stderr and len(done.stderr.strip().splitlines()) == 3
    kubernetes.cluster.write_kubeconfig("stranger", "nobody")
    stranger = {**kubernetes.environment, "KUBECONFIG": str(kubernetes.cluster.folder / "stranger.json")}
    done = kubernetes.checkout(*site.words(), env=stranger)
    assert done.returncode == 4 and "does not know you (401)" in done.stderr and site.listed() == []
    assert site.records() == []
