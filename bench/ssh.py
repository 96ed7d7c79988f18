"""Runs over a real sshd: is anything lost, or twice, where the daemon, the machine or the dispatcher is killed?

./inv bench --only ssh               a round of each; or more: .stacks/test/bin/python bench/keep.py ssh --kills 60

The daemon is on loopback, and a folder stands for the far machine. In each round one of the three is killed at a random
moment of a fixed seed, and the same command is given, as a person would, until it says that all is well.
"""

import argparse
import contextlib
import os
import random
import signal
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
from measuring import ROOT

sys.path.insert(0, str(ROOT))
sys.path.insert(1, str(ROOT / "tests" / "integration"))
import clusters
import ssh_server
from checkouts import Checkout

STACK = "test"  # that ./inv bench runs it in
VICTIMS = ("node", "sshd", "dispatcher")
PARTS = 2


@contextlib.contextmanager
def site() -> Iterator[tuple[ssh_server.Server, Checkout, Path]]:
    """A server, a checkout with a toy of two parts, and the far folder."""
    with tempfile.TemporaryDirectory(prefix="homework-bench-") as name:
        folder = Path(name)
        checkout, far = clusters.checkout_for_a_cluster(folder / "checkout", "", {}), folder / "far"
        far.mkdir()
        (far / ".sent.json").write_text('{"revision": null, "clean": null, "files": {}}')
        for kept in (".venv", ".stacks"):
            (far / kept).symlink_to(checkout.folder / kept)
        with ssh_server.running(folder / "ssh") as server:
            yield server, checkout, far


def lose(far: Path, server: ssh_server.Server) -> None:
    """The far machine loses its power: all that runs in its folder ends, and every session."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if Path(os.readlink(path / "cwd")) == far:
                os.kill(int(path.name), signal.SIGKILL)
    server.kill()


def kills(asked: argparse.Namespace) -> None:
    """Kill the machine, the daemon or the dispatcher in each round, and count what is there."""
    with site() as (server, checkout, far):
        harm = partial(_round, server, checkout, far)
        tally(asked, VICTIMS, checkout, server.environment(), harm, partial(_mistakes, checkout, far))


def _round(
    server: ssh_server.Server, checkout: Checkout, far: Path, seed: int, victim: str, chance: random.Random
) -> int:
    """Start the command, kill the victim, and give the command until it succeeds; how many calls it took."""
    there = ["--host", server.address(str(far)), "--missing"]
    own = ["--seed", str(seed), "--set", f"seconds={1 + seed / 1000}"]  # --missing goes by the parameters
    command = ["run", "--task", "all", "--hw", "cpu", *there, *own]
    path = checkout.folder / ".cache" / "log"
    with path.open("a") as log:
        options: dict[str, Any] = {"env": server.environment(), "stdout": log, "stderr": log}
        options["stdin"] = subprocess.DEVNULL
        process = checkout.start(*command, **options)
        time.sleep(chance.uniform(0.5, 8))
        if victim == "dispatcher":
            process.kill()
        elif victim == "node":
            lose(far, server)
        else:
            server.kill()
        time.sleep(chance.uniform(0, 4))
        server.start()
        calls: int = calls_until_well(process, lambda: checkout.start(*command, **options), path)
        return calls


def _mistakes(checkout: Checkout, far: Path, seed: int) -> str:
    """What is not as it should be after a round, in words; empty if nothing was lost and nothing stands twice."""
    found = [record for record in checkout.records() if record["seed"] == seed]
    passed = Counter(each["cell"]["part"] for each in found if each["passed"])
    there = {path.parent.name for path in (far / "results").glob("*/*/*/record.json")}
    wrong = {
        "cells without a passed record": PARTS - len(passed),
        "cells with two": sum(number > 1 for number in passed.values()),
        "records that did not come": len(there - {record["id"] for record in checkout.records()}),
        "left unfinished": len(list((far / "results" / ".unfinished").glob("[!.]*"))),
        "left on the list": len(list((checkout.results / ".remote").glob("*.json"))),
    }
    return "".join(f"; {name}: {number}" for name, number in wrong.items() if number)


def main() -> None:
    """Whether anything is lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    add_options(parser, rounds=len(VICTIMS))
    kills(parser.parse_args())


if __name__ == "__main__":
    main()
