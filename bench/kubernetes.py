"""Cells on a real Kubernetes API server: what the dispatcher costs a cell; and whether kills lose anything.

./inv bench --only kubernetes            or with kills: .stacks/test/bin/python bench/keep.py kubernetes --kills 60

etcd, kube-apiserver and its job controller run here (tests/kubernetes/build.sh makes the last two, once), and a small
kubelet runs each pod's own command, which does nothing, in a whole `./inv run`. In each round of --kills a node, the
API server or the dispatcher is killed at a random moment of a fixed seed, and the same command is given until all is
well. A node is one on which a pod runs.
"""

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from killing import add_options, calls_until_well, tally
from measuring import ROOT, ended, goal

sys.path.insert(0, str(ROOT))
sys.path.insert(1, str(ROOT / "tests" / "integration"))
import boto3
import clusters
import kube_cluster
import s3_server
from checkouts import Checkout
from kube_cluster import KubeCluster

from harness.environments import stacks

STACK = "test"  # that ./inv bench runs it in
CELLS = 20
VICTIMS = ("node", "kube-apiserver", "dispatcher")


@contextlib.contextmanager
def site(parts: int = 2) -> Iterator[tuple[KubeCluster, Checkout, dict[str, str]]]:
    """A cluster of two nodes, and a checkout with a toy of that many parts that submits to it."""
    with tempfile.TemporaryDirectory(prefix="homework-bench-") as name:
        folder = Path(name)
        checkout = clusters.checkout_for_a_cluster(folder / "checkout", "", {})
        clusters.give_parts(checkout.folder, parts)
        stack = stacks.prepare(stacks.stack("kubernetes")).folder
        (checkout.folder / ".stacks" / "kubernetes").symlink_to(stack)
        with s3_server.running(folder / "s3") as server:
            client: Any = boto3.client(
                "s3",
                endpoint_url=server.endpoint,
                region_name="us-east-1",
                aws_access_key_id=s3_server.KEYS["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=s3_server.KEYS["AWS_SECRET_ACCESS_KEY"],
            )
            client.create_bucket(Bucket="team")
            address = f"s3://team/homework?service=seaweedfs&endpoint={server.endpoint}"
            settings = {"images": "registry.example/homework", "store": address, "secret": "homework-store"}
            lines = [f"{key}: {value}" for key, value in {**settings, "namespace": kube_cluster.NAMESPACE}.items()]
            (checkout.folder / "kubernetes.yaml").write_text("\n".join(lines))
            with kube_cluster.running(folder / "kubernetes", checkout.folder, s3_server.KEYS) as cluster:
                environment = {**os.environ, **s3_server.KEYS, "KUBECONFIG": str(cluster.kubeconfig)}
                yield cluster, checkout, environment


def words(seed: int, seconds: float) -> list[str]:
    told = ["--seed", str(seed), "--set", f"seconds={seconds}"]
    return ["run", "--task", "all", "--hw", "cpu", "--on", "kubernetes", *told]


def overhead(cells: int) -> None:
    """Run the cells by one call, and print what that took."""
    with site(cells) as (_, checkout, environment):
        start = time.monotonic()
        process = checkout.start(*words(1, 0), env=environment, stdout=subprocess.DEVNULL)
        code, processor, memory = ended(process)
        seconds = time.monotonic() - start
        passed = sum(record["passed"] for record in checkout.records())
    print(f"{passed} of {cells} cells passed in {seconds:.1f} s; exit code {code}")
    print(f"The dispatcher: {processor:.1f} s of processor, {processor / cells:.2f} s a cell, {memory:.0f} MiB")
    print(goal("the dispatcher's processor, a cell", processor / cells, at_most=0.1))
    print(goal("cells that did not pass", cells - passed, 0, unit=""))


def kills(asked: argparse.Namespace) -> None:
    """Kill a node, the API server or the dispatcher in each round, and count what is there."""
    with site() as (cluster, checkout, environment):
        harm = partial(_round, cluster, checkout, environment)
        tally(asked, VICTIMS, checkout, environment, harm, partial(_mistakes, checkout))


def _round(
    cluster: KubeCluster, checkout: Checkout, environment: dict[str, str], seed: int, victim: str, chance: random.Random
) -> int:
    """Start the command, kill the victim, and give the command until it succeeds; how many calls it took."""
    command = words(seed, 1.0)
    path = checkout.folder / ".cache" / "log"
    log = path.open("a")
    options: dict[str, Any] = {"env": environment, "stdout": log, "stderr": log, "stdin": subprocess.DEVNULL}
    process = checkout.start(*command, **options)
    if victim == "node":  # one on which a pod runs
        while not (nodes := _at_work(cluster)) and process.poll() is None:
            time.sleep(0.1)
        time.sleep(chance.uniform(0, 8))
        cluster.lose_node(chance.choice(nodes or sorted(cluster.nodes)))
    else:
        time.sleep(chance.uniform(1, 20))
    if victim == "dispatcher":
        process.kill()
    elif victim != "node":
        cluster.kill_daemon(victim)
        time.sleep(chance.uniform(0, 8))
        cluster.start()
    calls: int = calls_until_well(process, lambda: checkout.start(*command, **options), path)
    return calls


def _at_work(cluster: KubeCluster) -> list[str]:
    """The nodes on which a pod runs."""
    return sorted({pod.node for pod in list(cluster.pods.values()) if not pod.over})


def _mistakes(checkout: Checkout, seed: int) -> str:
    """What is not as it should be after a round, in words; empty if nothing was lost and nothing stands twice."""
    found = [record for record in checkout.records() if record["seed"] == seed]
    passed = Counter(each["cell"]["part"] for each in found if each["passed"])
    attempts = Counter((each["job"]["id"], each["job"]["attempt"]) for each in found)
    last = dict(sorted(attempts))  # of each job the number of its last attempt
    wrong = {
        "cells without a passed record": 2 - len(passed),
        "cells with two": sum(number > 1 for number in passed.values()),
        "attempts with two records": sum(number > 1 for number in attempts.values()),
        "attempts without": sum(last.values()) - len(attempts),
        "left on the list": len(list((checkout.results / ".jobs").glob("*.json"))),
    }
    return "".join(f"; {name}: {number}" for name, number in wrong.items() if number)


def main() -> None:
    """What the dispatcher costs, and with --kills whether anything is lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cells", type=int, default=CELLS, help="how many")
    add_options(parser)
    asked = parser.parse_args()
    if absent := kube_cluster.absent_programs():
        sys.exit(f"{absent[0]} is not here: sh tests/kubernetes/build.sh makes it; HOMEWORK_KUBERNETES names it")
    if asked.kills:
        kills(asked)
    else:
        overhead(asked.cells)


if __name__ == "__main__":
    main()
