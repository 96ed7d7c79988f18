"""200 cells on four nodes of a real Slurm: what the dispatcher adds to a cell; and whether kills lose anything.

./inv bench --only cluster                  or with kills: .stacks/test/bin/python bench/keep.py cluster --kills 80

The nodes, of four kinds, are on this machine, and the cells are programs that do nothing, each in a whole `./inv run`.
Beside it the same arrays are handed to sbatch as they are, and nobody follows them. Takes ten minutes; --kills 80 an
hour: in each of its rounds a random node, daemon or dispatcher is killed at a random moment, and the
same command is given again until it says that all is well.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from killing import add_options, calls_until_well, tally
from measuring import ROOT, ended, goal

sys.path.insert(0, str(ROOT))
sys.path.insert(1, str(ROOT / "tests" / "integration"))
import clusters
from checkouts import Checkout
from slurm_cluster import Cluster, running

from harness.evidence import hashing

STACK = "test"  # that ./inv bench runs it in
NODES = {"n1": "npu:910b:2", "n2": "xpu:p800:2", "n3": "gpu:h200:2", "n4": "mlu:370:2"}
KINDS = {"ascend": ("npu", "n1"), "kunlun": ("xpu", "n2"), "cuda": ("gpu", "n3"), "cambricon": ("mlu", "n4")}
CELLS = 200
VICTIMS = ("node", "slurmd", "slurmctld", "dispatcher")


@contextlib.contextmanager
def site(parts: int) -> Iterator[tuple[Cluster, Checkout]]:
    """A cluster whose four nodes are of a kind each, and a checkout with that many parts, which all of them see."""
    with tempfile.TemporaryDirectory(prefix="homework-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        checkout = clusters.checkout_for_a_cluster(
            folder / "checkout", "options: {mem: 100M, cpus-per-task: 1}\n", KINDS
        )
        clusters.give_parts(folder / "checkout", parts)
        with running(folder / "slurm", NODES) as cluster:
            yield cluster, checkout


def words(seed: int, *more: str) -> list[str]:
    """The command of a round."""
    return ["run", "--task", "all", "--hw", ",".join(KINDS), "--on", "slurm:local", "--seed", str(seed), *more]


# What the dispatcher adds


def overhead(cells: int) -> None:
    """Run the cells by the dispatcher, then the same arrays by sbatch alone, and print what differs."""
    with site(cells // len(KINDS)) as (cluster, checkout):
        start = time.monotonic()
        with (checkout.folder / ".cache" / "log").open("w") as log:
            process = checkout.start(*words(1), env=cluster.environment, stdout=log, stderr=log)
            arrays = _copy_arrays(checkout, len(KINDS))
            code, processor, memory = ended(process)
        ours = time.monotonic() - start
        passed = sum(record["passed"] for record in checkout.records())
        if code != 0 or passed != cells:
            sys.exit(f"exit code {code}, {passed} of {cells} passed:\n{log_of(checkout)}")
        bare = _bare(cluster, checkout, arrays)
    print(f"{cells} cells on {len(NODES)} nodes: {ours:.1f} s by ./inv run --on slurm, {bare:.1f} s by sbatch alone")
    print(
        f"The dispatcher, with the commands it calls: {processor:.2f} s of processor, {processor / cells:.4f} s a cell"
    )
    print(goal("what the dispatcher adds to a cell", max(0.0, ours - bare) / cells, at_most=1))
    print(goal("the dispatcher's memory at most", memory, at_most=200, unit=" MiB"))


def log_of(checkout: Checkout) -> str:
    """The end of what the dispatcher said."""
    return str((checkout.folder / ".cache" / "log").read_text()[-3000:])


def _copy_arrays(checkout: Checkout, number: int) -> list[tuple[str, str]]:
    """The scripts of the arrays with their lists, as soon as all have been submitted."""
    folder, until = checkout.results / ".jobs", time.monotonic() + 60
    while time.monotonic() < until:
        batches = [path for path in folder.glob("*.json") if json.loads(path.read_text())["job"]]
        if len(batches) == number:
            return [(each.with_suffix(".sh").read_text(), each.with_suffix(".list").read_text()) for each in batches]
        time.sleep(0.05)
    sys.exit(f"not everything was submitted in a minute:\n{log_of(checkout)}")


def _bare(cluster: Cluster, checkout: Checkout, arrays: Sequence[tuple[str, str]]) -> float:
    """Submit the same arrays without a dispatcher; seconds until the queue is empty."""
    start = time.monotonic()
    for number, (script, lines) in enumerate(arrays):
        place = checkout.folder / ".cache" / f"bare-{number}"
        with place.with_suffix(".list").open("w") as file:
            for line in lines.splitlines():
                run = line.partition("HOMEWORK_RUN=")[2].split()[0]
                file.write(line.replace(run, hashing.new_id()).replace("--seed 1 ", "--seed 2 ") + "\n")
        batch = script.partition("--job-name=homework-")[2].split()[0]
        place.with_suffix(".sh").write_text(script.replace(f"results/.jobs/{batch}", f".cache/bare-{number}"))
        done = subprocess.run(
            ["sbatch", place.with_suffix(".sh")],
            cwd=checkout.folder,
            env=cluster.environment,
            stdout=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            sys.exit("sbatch refused the bare array")
    while cluster("squeue", "-h"):
        time.sleep(0.5)
    seconds = time.monotonic() - start
    passed = sum(record["passed"] and record["seed"] == 2 for record in checkout.records())
    expected = sum(len(lines.splitlines()) for _, lines in arrays)
    if passed != expected:
        sys.exit(f"of the bare arrays' cells {passed} of {expected} passed")
    return seconds


# Kills


def kills(asked: argparse.Namespace) -> None:
    """Kill a node, a daemon or the dispatcher in each round, and count what is there."""
    with site(parts=2) as (cluster, checkout), _operator(cluster):
        harm = partial(_round, cluster, checkout)
        tally(asked, VICTIMS, checkout, cluster.environment, harm, partial(_mistakes, checkout))


def _round(cluster: Cluster, checkout: Checkout, seed: int, victim: str, chance: random.Random) -> int:
    """Start the command, kill the victim, and give the command until it succeeds; how many calls it took."""
    command = words(seed, "--set", "seconds=1.0")
    path = checkout.folder / ".cache" / "log"
    with path.open("a") as log:
        options: dict[str, Any] = {
            "env": cluster.environment,
            "stdout": log,
            "stderr": log,
            "stdin": subprocess.DEVNULL,
        }
        process = checkout.start(*command, **options)
        time.sleep(chance.uniform(0.5, 8))
        node = chance.choice(list(NODES))
        if victim == "dispatcher":
            process.kill()
        elif victim == "node":
            cluster.kill_node(node)
        else:
            cluster.kill_daemon(node if victim == "slurmd" else victim)
        time.sleep(chance.uniform(0, 8))
        cluster.start()
        calls: int = calls_until_well(process, lambda: checkout.start(*command, **options), path)
        return calls


def _mistakes(checkout: Checkout, seed: int) -> str:
    """What is not as it should be after a round, in words; empty if nothing was lost and nothing stands twice."""
    found = [record for record in checkout.records() if record["seed"] == seed]
    passed = Counter((each["cell"]["part"], each["cell"]["hardware"]) for each in found if each["passed"])
    attempts = Counter((each["job"]["id"], each["job"]["attempt"], each["id"]) for each in found)
    unfinished = [path.name for path in (checkout.results / ".unfinished").glob("*")]
    listed = [path.name for path in (checkout.results / ".jobs").glob("*.json")]
    wrong = {
        "cells without a passed record": 2 * len(KINDS) - len(passed),
        "cells with two": sum(number > 1 for number in passed.values()),
        "attempts with two records": sum(number > 1 for number in attempts.values()),
        "left unfinished": len(unfinished),
        "left on the list": len(listed),
    }
    return "".join(f"; {name}: {number}" for name, number in wrong.items() if number)


@contextlib.contextmanager
def _operator(cluster: Cluster) -> Iterator[None]:
    """Do what an operator does, without the two minutes that Slurm gives a node: release and start requeued jobs."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(1):
            with contextlib.suppress(subprocess.TimeoutExpired):
                for line in cluster("squeue", "-h", "-r", "-t", "PENDING", "-O", "JobArrayID:|,Reason:").splitlines():
                    job, _, reason = line.partition("|")
                    if "held" in reason:
                        cluster("scontrol", "release", job)
                    if "held" in reason or reason.strip() == "BeginTime":
                        cluster("scontrol", "update", f"jobid={job}", "StartTime=now")
                if {"drained", "draining"} & set(cluster("sinfo", "-h", "-N", "-o", "%T").split()):
                    cluster("scontrol", "update", f"nodename={','.join(NODES)}", "state=resume")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def main() -> None:
    """What the dispatcher adds, and with --kills whether anything is lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cells", type=int, default=CELLS, help="how many")
    add_options(parser)
    asked = parser.parse_args()
    if shutil.which("sbatch") is None or os.getuid() != 0:
        sys.exit("Slurm is not here, or this is not root: apt-get install slurmctld slurmd slurm-client munge")
    if asked.kills:
        kills(asked)
    else:
        overhead(asked.cells)


if __name__ == "__main__":
    main()
