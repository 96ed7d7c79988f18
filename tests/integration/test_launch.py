"""Several ranks: started for real by paddle.distributed.launch, ended in every way, with nothing left behind."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from checkouts import processes

from harness.catalogue import entries
from harness.catalogue.cells import Cell, CellRequest
from harness.catalogue.entries import Cards, Metric
from harness.engines.engine import LAUNCHER, Launch, Request, python_words, variables
from harness.evidence import records
from harness.machine.devices import Card
from harness.machine.probe import Finding
from harness.runs import runner

pytestmark = pytest.mark.slow

# A program of several ranks that keeps the contract without Paddle, and ends in the way that `mode` names.
TOY = """
import json, os, pathlib, signal, sys, time

words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
rank, ranks, mode = int(os.environ["PADDLE_TRAINER_ID"]), int(os.environ["PADDLE_TRAINERS_NUM"]), MODE
print(f"this is rank {rank} of {ranks}", flush=True)
if mode == "kill" and rank == 2:
    os.kill(os.getpid(), signal.SIGKILL)
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if rank == 1:
        sys.exit(5)
if mode != "good":
    time.sleep(120)
out = pathlib.Path(words["--out"])
proof = {"device": "cpu", "places": {"Place(cpu)": 1}, "rank": rank, "processes": ranks}
(out / ("device.json" if rank == 0 else f"device.{rank}.json")).write_text(json.dumps(proof))
if rank == 0:
    (out / "metrics.json").write_text(json.dumps({"threads": os.environ["OMP_NUM_THREADS"]}))
"""


class Here:
    """An engine that starts the ranks in this interpreter, with the command that every engine starts."""

    name = "here"

    def __init__(self, program: Path) -> None:
        self.program = program

    def missing(self, cell: Cell) -> None:
        return None

    def prepare(self, cell: Cell) -> None:
        pass

    def launch(self, request: Request) -> Launch:
        settings = {**variables(request), "TMPDIR": str(self.program.parent)}
        command = (sys.executable, *python_words(request, self.program))
        return Launch(command=command, environment={**os.environ, **settings}, settings=settings)


def run(folder: Path, mode: str, timeout: float = 60.0) -> tuple[dict, Path, float]:
    """Run the toy on 4 ranks; its record, the record's folder, and how many seconds it took."""
    program = folder / f"toy-{folder.name}.py"
    program.write_text(TOY.replace("MODE", repr(mode)))
    book = entries.load()
    metrics = {"threads": Metric(name="threads", when={})}
    part = replace(book.parts["8-1"], cards=Cards(4), timeout=timeout, parameters={}, metrics=metrics)
    finding = Finding(book.hardware["cpu"], (Card(index="0", model="Processor A"),))
    asked = CellRequest(part=part, kind=finding.hardware, parameters={}, cards=4)
    entry = runner.Planned(asked, Here(program), "here", finding)
    started = time.monotonic()
    place = runner.run_cell(entry, folder / "results").folder
    seconds = time.monotonic() - started
    assert processes(str(program)) == [] and not list(folder.glob("launch-*")), "nothing stays behind"
    return records.read(place / records.FILE), place, seconds


def test_every_rank_runs_and_leaves_its_log_and_its_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")  # the launcher writes the whole environment down
    record, place, _ = run(tmp_path, "good")
    assert record["passed"] and record["cards"] == 4
    assert {f"ranks/{rank}.log" for rank in range(4)} <= set(record["artefacts"])
    assert {"device.json", "device.1.json", "device.2.json", "device.3.json"} <= set(record["artefacts"])
    assert [(place / "ranks" / f"{rank}.log").read_text() for rank in range(4)] == [
        f"this is rank {rank} of 4\n" for rank in range(4)
    ]
    assert (place / records.LOG).read_text() == "this is rank 0 of 4\n"
    assert record["environment"]["OMP_NUM_THREADS"] == record["metrics"]["threads"]
    assert not [path for path in place.rglob("*") if path.is_file() and b"hush-hush" in path.read_bytes()]


def test_a_rank_that_dies_ends_all_and_its_log_is_shown(tmp_path: Path) -> None:
    record, place, seconds = run(tmp_path, "kill")
    assert not record["passed"] and record["exit"]["code"] == 1 and seconds < 30
    shown = (place / records.LOG).read_text()
    assert "rank 2 failed first, killed by SIGKILL" in shown
    assert "this is rank 2 of 4" in shown.partition("failed first")[2]


def test_ranks_that_do_not_listen_are_ended_too(tmp_path: Path) -> None:
    record, place, seconds = run(tmp_path, "stubborn")
    assert record["exit"]["code"] == 5 and seconds < 30
    assert "rank 1 failed first, with exit code 5" in (place / records.LOG).read_text()


def test_ranks_that_hang_are_ended_at_the_time_limit(tmp_path: Path) -> None:
    record, place, seconds = run(tmp_path, "hang", timeout=12.0)
    assert record["exit"]["reason"] == "timed out" and seconds < 25
    assert (place / "ranks" / "3.log").read_text() == "this is rank 3 of 4\n"


def test_two_machines_share_the_ranks(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = tmp_path / "toy.py"
    program.write_text(TOY.replace("MODE", "'good'"))
    settings = {"PADDLE_NNODES": "2", "PADDLE_MASTER": f"127.0.0.1:{port}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(LAUNCHER), str(program), "--cards", "4", "--out", str(tmp_path)]
    machines = [subprocess.Popen(command, env={**os.environ, **settings}) for _ in range(2)]
    assert [machine.wait(timeout=60) for machine in machines] == [0, 0]
    assert sorted(path.name for path in (tmp_path / "ranks").glob("[0-9]*")) == [f"{rank}.log" for rank in range(4)]
