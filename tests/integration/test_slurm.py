"""Cells as jobs of a real Slurm: they run on nodes that pretend to be kinds of hardware, and whatever is killed on the
way, each leaves a record that says so."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clusters
import pytest
from checkouts import Checkout
from slurm_cluster import Cluster, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("slurm"), clusters.NODES) as found:
        yield found


@pytest.fixture(scope="module")
def shared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The checkout that all nodes see. Its tests tell their cells apart by the seed."""
    return clusters.checkout_for_a_cluster(tmp_path_factory.mktemp("shared") / "checkout")


@pytest.fixture(scope="module", autouse=True)
def overdue(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Site"]:
    """A job past its time limit, on a node of its own beside the other tests: Slurm looks only every half minute."""
    settings = "options: {mem: 100M, nodelist: n5}\nkinds: {sim: {gres: 'sim:b'}}\n"
    here = Site(cluster, clusters.checkout_for_a_cluster(tmp_path_factory.mktemp("overdue") / "checkout", settings))
    here.dispatcher = here.start("cpu", "--set", "seconds=59")
    here.until(here.sleeping)
    (job,) = here.jobs()
    cluster("scontrol", "update", f"jobid={job}", "EndTime=now")
    yield here
    here.cancel()
    here.dispatcher.communicate(timeout=60)


class Site:
    """The cluster with its checkout, from which one test submits with a seed of its own."""

    seeds = iter(range(1, 1000))

    def __init__(self, cluster: Cluster, checkout: Checkout) -> None:
        self.cluster, self.checkout, self.seed = cluster, checkout, next(self.seeds)
        self.dispatcher: subprocess.Popen[str] | None = None

    def words(self, hw: str, *more: str, task: str = "1", on: str = "slurm:local") -> list[str]:
        return ["run", "--task", task, "--hw", hw, "--on", on, "--seed", str(self.seed), *more]

    def run(self, hw: str, *more: str, **options: str) -> "subprocess.CompletedProcess[str]":
        return self.checkout(*self.words(hw, *more, **options), env=self.cluster.environment, timeout=60)

    def start(self, hw: str, *more: str, **options: str) -> "subprocess.Popen[str]":
        words = self.words(hw, *more, **options)
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
        return self.checkout.start(*words, env=self.cluster.environment, **pipes)

    def inv(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return self.checkout(*words, env=self.cluster.environment, timeout=60)

    def records(self) -> list[dict[str, Any]]:
        return [record for record in self.checkout.records() if record["seed"] == self.seed]

    def ends(self) -> list[str]:
        return sorted(record["exit"]["reason"] for record in self.records())

    def jobs(self, state: str = "running", what: str = "%i") -> list[str]:
        """Of this checkout's jobs in a state, their numbers or `what` else squeue shows."""
        lines = self.cluster("squeue", "-h", "-r", "-t", state, "-o", f"%Z|{what}").splitlines()
        return [
            found for place, _, found in (line.partition("|") for line in lines) if place == str(self.checkout.folder)
        ]

    def cancel(self) -> None:
        self.cluster("scancel", *self.jobs("pending,running"))

    def until(self, condition: Callable[[], Any], seconds: float = 40) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, self.cluster("squeue", "-a", "-r", "--states=all")
            time.sleep(0.1)
        return found

    def sleeping(self) -> list[Path]:
        """The drafts whose program has begun."""
        logs = (self.checkout.results / ".unfinished").glob("[!.]*/run.log")
        return [log.parent for log in logs if "sleeping" in log.read_text()]

    def on_the_list(self) -> list[str]:
        return [path.name for path in (self.checkout.results / ".jobs").glob("*[!k]") if path.name != ".lock"]


@pytest.fixture
def site(cluster: Cluster, shared: Checkout) -> Iterator[Site]:
    here = Site(cluster, shared)
    yield here
    here.cancel()
    cluster.start()
    here.until(lambda: not here.jobs("pending,running,completing"))
    assert here.inv("jobs").returncode in (0, 1)
    assert here.on_the_list() == [] and here.inv("verify").returncode == 0


def test_cells_run_where_their_cards_are_and_see_only_their_own(site: Site) -> None:
    done = site.run("cpu,npu,xpu", "--set", "seconds=3", "--format", "json", task="1,2")
    assert done.returncode == 0, done.stdout + done.stderr
    found = {(record["cell"]["part"], record["cell"]["hardware"]): record for record in site.records()}
    assert len(found) == 6 and all(record["passed"] for record in found.values())
    assert {record["job"]["node"] for (_, kind), record in found.items() if kind == "ascend"} == {"n1"}
    assert {record["job"]["node"] for (_, kind), record in found.items() if kind == "kunlun"} == {"n2"}
    seen = [found[part, "ascend"]["environment"]["ASCEND_RT_VISIBLE_DEVICES"] for part in ("1", "2")]
    assert sorted(seen) == ["0", "1"], "two jobs at once on a node, each with a card of its own"
    assert {found[part, "ascend"]["environment"]["NPU_VISIBLE_DEVICES"] for part in ("1", "2")} == {"0"}
    assert {card["index"] for card in found["1", "ascend"]["hardware"]["cards"]} == {seen[0]}
    assert "▶ 1     kunlun     running on n2" in done.stdout
    assert "✓ 2     cpu        passed in " in done.stdout
    paths = json.loads(done.stdout.splitlines()[-1])
    assert len(paths) == 6 and all(json.loads(Path(path).read_text())["passed"] for path in paths)


def test_the_same_command_submits_only_what_is_missing(site: Site) -> None:
    words = ("npu", "--set", "fails_once=true")
    first = site.run(*words, task="1,2")
    assert first.returncode == 1 and "1 of 2 cells failed" in first.stderr
    again = site.run(*words, task="1,2")
    assert again.returncode == 0 and "1 on ascend has run already" in again.stdout
    assert re.search(r"Job \d+: 1 cell on ascend", again.stdout)
    assert "Job " not in site.run(*words, task="1,2").stdout
    assert len(site.records()) == 3


def test_what_slurm_refuses_is_said_in_its_words_and_leaves_nothing(site: Site) -> None:
    settings = site.checkout.folder / "slurm.yaml"
    before = settings.read_text()
    settings.write_text(before + "  ascend: {gres: 'npu:310'}\n")
    try:
        done = site.run("npu")
    finally:
        settings.write_text(before)
    assert done.returncode == 4 and "Requested node configuration is not available" in done.stderr
    assert "npu:310:1" in done.stderr and site.records() == []


def test_cancelled_jobs_leave_records_whether_they_ran_or_waited(site: Site) -> None:
    dispatcher = site.start("npu", "--set", "seconds=50", task="1,2")
    site.until(lambda: len(site.sleeping()) == 2)
    other = site.start("cpu", "--set", "seconds=50")
    site.until(lambda: len(site.sleeping()) == 3)
    site.cluster("scontrol", "update", "nodename=n3,n4", "state=drain", "reason=test")
    waiting = site.start("cpu", "--set", "seconds=49")
    site.until(lambda: site.jobs("pending"))
    site.cancel()
    outputs = [process.communicate(timeout=60)[0] for process in (dispatcher, other, waiting)]
    site.cluster("scontrol", "update", "nodename=n3,n4", "state=resume")
    assert [process.returncode for process in (dispatcher, other, waiting)] == [1, 1, 1], outputs
    assert site.ends() == ["cancelled"] * 4
    never = [record for record in site.records() if record["hardware"]["model"] == "none seen"]
    assert [record["parameters"]["seconds"] for record in never] == [49.0]
    assert "cancelled: its job was cancelled" in outputs[0] and "✗" in outputs[2]


def test_a_node_that_dies_costs_an_attempt_and_both_have_records(site: Site) -> None:
    dispatcher = site.start("cpu", "--set", "seconds=2")
    site.until(site.sleeping)
    site.cluster.kill_node(*site.jobs(what="%N"))
    (job,) = site.until(lambda: site.jobs("pending"))
    site.cluster("scontrol", "update", f"jobid={job}", "StartTime=now")  # Slurm would wait two minutes
    output = dispatcher.communicate(timeout=60)[0]
    assert dispatcher.returncode == 0 and "attempt 2" in output, output
    assert site.ends() == ["finished", "requeued"]
    assert {record["job"]["attempt"]: record["passed"] for record in site.records()} == {1: False, 2: True}


def test_a_node_that_dies_where_jobs_are_not_requeued_leaves_a_record(site: Site) -> None:
    settings = site.checkout.folder / "slurm.yaml"
    before = settings.read_text()
    settings.write_text(before.replace("options: {mem", "options: {requeue: false, no-requeue: true, mem", 1))
    try:
        dispatcher = site.start("xpu", "--set", "seconds=50")
        site.until(site.sleeping)
    finally:
        settings.write_text(before)
    site.cluster.kill_node("n2")
    output = dispatcher.communicate(timeout=60)[0]
    assert dispatcher.returncode == 1 and "node failed" in output
    (record,) = site.records()
    assert record["exit"]["reason"] == "node failed" and "NODE_FAIL on n2" in record["checks"][0]["why"]
    assert record["hardware"]["model"] == "kunlun" and record["log"]["bytes"] > 0, "what it had begun is kept"


def test_a_killed_dispatcher_loses_nothing(site: Site) -> None:
    dispatcher = site.start("npu,cpu", "--set", "seconds=3")
    site.until(lambda: len(site.sleeping()) == 2)
    dispatcher.kill()
    dispatcher.communicate()
    again = site.start("npu,cpu", "--set", "seconds=3")
    output = again.communicate(timeout=60)[0]
    assert again.returncode == 0 and output.count("is under way already") == 2 and "cells on" not in output
    assert site.ends() == ["finished", "finished"]


def test_a_killed_controller_is_waited_for(site: Site) -> None:
    dispatcher = site.start("cpu", "--set", "seconds=8")
    site.until(site.sleeping)
    time.sleep(5)  # slurmctld writes its state down every few seconds; what it forgets is in the benchmark
    site.cluster.kill_daemon("slurmctld")
    time.sleep(2)
    site.cluster.start()
    output = dispatcher.communicate(timeout=60)[0]
    assert dispatcher.returncode == 0, output
    assert site.ends() == ["finished"]


def test_images_are_built_first_and_a_failed_build_cancels_the_cells(site: Site) -> None:
    done = site.run("npu", on="slurm:container")  # this checkout has no Dockerfile to build
    assert done.returncode == 1 and "cancelled" in done.stdout
    (record,) = site.records()
    assert record["exit"]["reason"] == "cancelled" and "Dependency" in record["checks"][0]["why"]
    log = site.checkout.results / "1" / "ascend" / record["id"] / "run.log"
    assert "Dockerfile" in log.read_text() or "container engine" in log.read_text(), "the build's words are kept"


def test_ctrl_c_without_a_terminal_leaves_the_jobs_and_says_how_to_go_on(site: Site) -> None:
    dispatcher = site.start("cpu", "--set", "seconds=50")
    site.until(site.sleeping)
    dispatcher.send_signal(signal.SIGINT)
    output = dispatcher.communicate(timeout=20)[0]
    assert dispatcher.returncode == 130 and "./inv jobs follows them" in output
    assert "running on n" in site.inv("jobs", "--once").stdout
    cancelled = site.inv("jobs", "--cancel")
    assert cancelled.returncode == 1 and "Cancelled 1 jobs" in cancelled.stdout
    assert site.ends() == ["cancelled"]


def test_ctrl_c_on_a_terminal_asks_and_cancels(site: Site) -> None:
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(site.checkout.folder)
        os.execve(
            "./inv", ["./inv", *site.words("cpu", "--set", "seconds=50")], {**site.cluster.environment, "TERM": "xterm"}
        )
    site.until(site.sleeping)
    os.write(terminal, b"\x03")
    shown = _read_until(terminal, b"cancel them (c)?")
    os.write(terminal, b"c\n")
    shown += _read_until(terminal, b"records say so")
    while not os.waitpid(process, os.WNOHANG)[0]:
        _read_until(terminal, b"", 0.2)
    assert b"\x1b[36m" in shown and b"\x1b[2K" in shown, "drawn in place, in colours"
    assert site.ends() == ["cancelled"]


def test_a_job_past_its_time_limit_leaves_a_record(overdue: Site) -> None:
    assert overdue.dispatcher
    output = overdue.dispatcher.communicate(timeout=60)[0]
    assert overdue.dispatcher.returncode == 1 and "timed out" in output
    (record,) = overdue.records()
    assert record["exit"]["reason"] == "timed out" and record["job"]["node"] == "n5"
    assert overdue.inv("verify").returncode == 0


def test_real_programs_run_as_jobs_on_the_cpu_and_on_the_simulated_card_of_their_type(overdue: Site) -> None:
    shutil.rmtree(overdue.checkout.folder / "projects" / "01-toy")
    clusters.add_real_project(overdue.checkout, "01-install")
    words = ("run", "--task", "install", "--hw", "cpu,sim", "--on", "slurm:local")
    done = overdue.checkout(*words, env=overdue.cluster.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    records = {record["cell"]["hardware"]: record for record in overdue.checkout.records() if record["seed"] == 0}
    assert set(records) == {"cpu", "sim"} and all(record["passed"] for record in records.values())
    assert records["sim"]["device"]["device"].startswith("sim")
    assert records["sim"]["environment"]["SIM_RUNTIME_VISIBLE_DEVICES"] == "2", "the node's third card is the only b"
    assert [card["index"] for card in records["sim"]["hardware"]["cards"]] == ["2"]


def _read_until(terminal: int, wanted: bytes, seconds: float = 20) -> bytes:
    os.set_blocking(terminal, False)
    shown, deadline = b"", time.monotonic() + seconds
    while time.monotonic() < deadline and (not wanted or wanted not in shown):
        try:
            shown += os.read(terminal, 65536)
        except OSError:
            time.sleep(0.05)
    assert not wanted or wanted in shown, shown
    return shown
