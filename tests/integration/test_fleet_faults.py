"""8-2's route by fleet, which the CPU cannot run: on two simulated cards, right and with a fault planted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.catalogue import entries
from harness.runs.judge import judge_metric

ROOT = Path(__file__).resolve().parents[2]
PART = entries.load().parts["8-2"]
METRICS = "gradient_error_fleet", "loss_error_fleet"

pytestmark = pytest.mark.slow


@pytest.mark.plants("8-2", "gradient_error_fleet", "loss_error_fleet")
def test_a_loss_that_is_twice_what_it_should_be_is_caught(tmp_path):
    built = subprocess.run([sys.executable, ROOT / "hardware/sim/build.py"], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    environment = {**os.environ, "CUSTOM_DEVICE_ROOT": built.stdout.split()[-1], "PADDLE_XCCL_BACKEND": "sim"}
    environment |= {"OMP_NUM_THREADS": "1", "GLOG_minloglevel": "2"}
    program = [ROOT / "projects/kit/launch.py", ROOT / "tests/unit/projects/faulty_ranks.py"]
    words = ["--device", "sim", "--cards", "2", "--out", tmp_path, "--faults", "none", "fleet's loss doubled"]
    words += ["--set", "dp=1", "mp=1", "fleet=true", "steps=2", "hidden=32", "inner=64", "blocks=2"]
    command = [sys.executable, *map(str, program + words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads((tmp_path / "found.json").read_text())
    for fault, verdict in (("none", "passed"), ("fleet's loss doubled", "failed")):
        checks = [judge_metric(PART, name, {"fleet": True}, found[fault], 2, "simulated") for name in METRICS]
        assert {check.verdict for check in checks} == {verdict}
