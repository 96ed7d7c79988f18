"""Where a cluster keeps accounts, sacct tells how jobs ended that squeue has forgotten."""

from collections.abc import Iterator
from pathlib import Path

import clusters
import pytest
from checkouts import Checkout
from slurm_cluster import Cluster, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("slurm"), {"n3": ""}, accounting=True) as found:
        yield found


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    settings = "options: {mem: 100M, cpus-per-task: 1, no-requeue: true}\n"
    return clusters.checkout_for_a_cluster(tmp_path_factory.mktemp("shared") / "checkout", settings, {})


def test_sacct_says_how_forgotten_jobs_ended(cluster: Cluster, checkout: Checkout) -> None:
    cluster("scontrol", "update", "partition=main", "state=down")
    words = ("run", "--task", "1,2", "--hw", "cpu", "--on", "slurm:local", "--seed", "1", "--set", "seconds=1")
    submitting = checkout.start(*words, env=cluster.environment)
    try:
        # a job that Slurm has never looked at is left out by sacct
        cluster.wait(lambda: "EligibleTime=2" in cluster("scontrol", "show", "job"), "the jobs")
    finally:
        submitting.kill()
        submitting.wait()
    cluster("scancel", "--user=root")
    cluster.wait(lambda: not cluster("squeue", "-h", "-r", "--states=all"), "squeue to forget")
    done = checkout("jobs", env=cluster.environment)
    found = [(record["exit"]["reason"], record["checks"][0]["why"]) for record in checkout.records()]
    assert [reason for reason, _ in found] == ["cancelled"] * 2, done.stdout + done.stderr
    assert all("its job was cancelled (job " in why and "CANCELLED" in why for _, why in found)


def test_a_job_that_ends_unseen_is_told_by_sacct_too(cluster: Cluster, checkout: Checkout) -> None:
    cluster("scontrol", "update", "partition=main", "state=up")
    words = ("run", "--task", "1", "--hw", "cpu", "--on", "slurm:local", "--seed", "2", "--set", "seconds=50")
    submitting = checkout.start(*words, env=cluster.environment)
    try:
        cluster.wait(lambda: any("sleeping" in log.read_text() for log in drafts(checkout)), "the program")
    finally:
        submitting.kill()
        submitting.wait()
    cluster.kill_node("n3")
    cluster.wait(lambda: not cluster("squeue", "-h", "-r", "--states=all"), "squeue to forget")
    done = checkout("jobs", env=cluster.environment)
    (record,) = [record for record in checkout.records() if record["seed"] == 2]
    assert record["exit"]["reason"] == "node failed" and record["hardware"]["model"] != "none seen", done.stdout


def drafts(checkout: Checkout) -> list[Path]:
    return list((checkout.results / ".unfinished").glob("[!.]*/run.log"))
