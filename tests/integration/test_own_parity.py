"""Task 13-2 with a project of one's own: tests/data/mixer, whose reference.npz PyTorch made by capture_torch.py."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.checkout import ROOT
from harness.environments import stacks

PROJECT = ROOT / "tests" / "data" / "mixer"
PROGRAM = ROOT / "projects" / "13-conversion" / "same.py"

pytestmark = pytest.mark.slow


@pytest.fixture
def mixer(tmp_path: Path) -> Path:
    return shutil.copytree(PROJECT, tmp_path / "mixer")


def compared(project: Path, *more: str) -> subprocess.CompletedProcess[str]:
    python = stacks.prepare(stacks.stack("convert")).python
    out = project.parent / "out"
    words = ["--part", "13-2", "--device", "cpu", "--out", str(out), "--set", f"source={project}", *more]
    done = subprocess.run([python, "-W", "ignore", PROGRAM, *words], capture_output=True, text=True, timeout=300)
    if done.returncode == 0:
        done.metrics = json.loads((out / "metrics.json").read_text())
    return done


def test_a_project_never_seen_is_converted_and_agrees(mixer):
    done = compared(mixer, f"reference={mixer / 'reference.npz'}")
    assert done.returncode == 0, done.stderr
    assert done.metrics["float32_equal"] and done.metrics["float64_equal"]
    assert done.metrics["float64_gradient"] < 1e-14
    assert done.metrics["initialised_otherwise"] == 0


def test_the_first_layer_that_computes_something_else_is_named(mixer):
    model = mixer / "model.py"
    model.write_text(model.read_text().replace("nn.GELU()", "nn.GELU(approximate='tanh')"))
    done = compared(mixer, f"reference={mixer / 'reference.npz'}")
    assert done.returncode == 0, done.stderr
    assert not done.metrics["float64_equal"]
    assert "mixer, float64: FIRST DIFFERENCE in output/along.0.1:" in done.stdout


def test_what_fails_in_paddle_is_named_by_its_line(mixer):
    model = mixer / "model.py"
    model.write_text(model.read_text().replace("x = x + along(x)", "x = x + along(x).reshape(7, -1)"))
    done = compared(mixer, f"reference={mixer / 'reference.npz'}")
    assert done.returncode == 1
    assert "mixer: the converted project fails: model.py:" in done.stderr


def test_without_a_case_it_says_how_one_looks(mixer):
    (mixer / "case.json").unlink()
    done = compared(mixer)
    assert done.returncode == 2
    assert "case.json is not there" in done.stderr and '"inputs": [4, 3, 32, 32]' in done.stderr


def test_without_a_reference_of_it_pytorch_has_to_be_asked(mixer):
    done = compared(mixer)
    assert done.returncode == 2
    assert "reference=stored has no mixer: name a Python" in done.stderr
