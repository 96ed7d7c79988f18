"""Task 13-2 with a project of one's own: tests/data/mixer, whose reference.npz PyTorch made by capture_torch.py."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.catalogue import entries
from harness.checkout import ROOT
from harness.environments import stacks
from harness.runs.judge import judge_metric

PROJECT = ROOT / "tests" / "data" / "mixer"
PROGRAMS = ROOT / "projects" / "13-conversion"

pytestmark = pytest.mark.slow


@pytest.fixture
def mixer(tmp_path: Path) -> Path:
    return shutil.copytree(PROJECT, tmp_path / "mixer")


def compared(
    project: Path, *more: str, program: str = "same.py", part: str = "13-2"
) -> subprocess.CompletedProcess[str]:
    python = stacks.prepare(stacks.stack("convert")).python
    out = project.parent / "out"
    words = ["--part", part, "--device", "cpu", "--out", str(out), "--set", f"source={project}", *more]
    done = subprocess.run(
        [python, "-W", "ignore", PROGRAMS / program, *words], capture_output=True, text=True, timeout=300
    )
    if done.returncode == 0:
        done.metrics = json.loads((out / "metrics.json").read_text())
    return done


COMPARED = [
    "float32_equal",
    "float64_equal",
    *(f"float64_{kind}" for kind in ("output", "gradient", "loss", "trained")),
]


def judged(done: subprocess.CompletedProcess[str], name: str, part: str = "13-2") -> str:
    found = entries.load().parts[part]
    return judge_metric(found, name, {"source": "mine"}, done.metrics).verdict


def test_a_project_never_seen_is_converted_and_agrees(mixer):
    done = compared(mixer, f"reference={mixer / 'reference.npz'}")
    assert done.returncode == 0, done.stderr
    assert done.metrics["float32_equal"] and done.metrics["float64_equal"]
    assert done.metrics["initialised_otherwise"] == 0
    assert {judged(done, name) for name in COMPARED} == {"passed"}


@pytest.mark.plants("13-2", "float32_equal", "float64_equal")
@pytest.mark.plants("13-2", "float64_output", "float64_gradient", "float64_loss", "float64_trained")
def test_the_first_layer_that_computes_something_else_is_named(mixer):
    model = mixer / "model.py"
    model.write_text(model.read_text().replace("nn.GELU()", "nn.GELU(approximate='tanh')"))
    done = compared(mixer, f"reference={mixer / 'reference.npz'}")
    assert done.returncode == 0, done.stderr
    assert {judged(done, name) for name in COMPARED} == {"failed"}
    assert "mixer, float64: FIRST DIFFERENCE in output/along.0.1:" in done.stdout


@pytest.mark.plants("13-2", "initialised_otherwise")
def test_a_layer_that_begins_otherwise_fails_though_it_computes_the_same(mixer):
    model = mixer / "model.py"
    text, changed = re.subn(r"(nn\.Linear\([^()]+\))", r"begun(\1)", model.read_text())
    model.write_text(text.replace("class ", BEGUN + "class ", 1))
    done = compared(mixer, f"reference={mixer / 'reference.npz'}")
    assert done.returncode == 0, done.stderr
    assert changed and judged(done, "initialised_otherwise") == "failed" and judged(done, "float64_equal") == "passed"


BEGUN = """def begun(layer):
    nn.init.normal_(layer.weight)
    return layer


"""


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
    assert "reference=stored has no mixer.\nName a Python" in done.stderr


# Task 13-1


HOOKED = """import torch

def middle(x):
    return x.register_hook(print)

if __name__ == "__main__":
    print(middle(torch.ones([1, 4])))
"""


@pytest.mark.plants("13-1", "rate_after", "open_after", "calls")
@pytest.mark.parametrize(
    ("text", "failing"),
    [
        (HOOKED.replace("register_hook(print)", "mean(1)"), set()),
        (HOOKED, {"rate_after", "open_after"}),
        (
            HOOKED.replace("import torch", "")
            .replace("torch.ones([1, 4])", "None")
            .replace("x.register_hook(print)", "x"),
            {"calls", "rate_after"},
        ),
    ],
    ids=["converted", "a call is not", "there is nothing of PyTorch"],
)
def test_a_project_of_which_a_call_is_not_converted_fails(tmp_path, text, failing):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "main.py").write_text(text)
    done = compared(tmp_path / "mine", "pytorch=none", program="main.py", part="13-1")
    assert done.returncode == 0, done.stderr
    names = ("calls", "rate_after", "open_after")
    assert {name for name in names if judged(done, name, "13-1") == "failed"} == failing
    declared = entries.load().parts["13-1"].metrics
    assert all(declared[name].applies({"source": "mine"}, "cpu") for name in done.metrics)


REACHES = """import os
import sys
from concurrent.futures import ProcessPoolExecutor

import torch
from parts.states import state

if __name__ == "__main__":
    print(torch.ones(
        [1, 4]).sum().item())
    state()
"""
SWALLOWED = """    try:
        state()
    except%s:
        %s
"""
REACHING = {  # what a script makes of the line that it reaches
    "plain": "    state()\n",
    "exception": SWALLOWED % (" Exception", "print('no state')"),
    "goes_on": SWALLOWED % ("", "print('no state')"),
    "leaves": SWALLOWED % (" BaseException", "sys.exit(0)"),
    "exits": SWALLOWED % ("", "os._exit(0)"),
    "child": "    with ProcessPoolExecutor(1) as pool:\n        pool.submit(state)\n",
    "another": SWALLOWED % (" BaseException as error", "raise ValueError('no state') from error"),
}


def test_a_script_that_reaches_an_open_line_fails_by_that_line_whatever_it_catches(tmp_path):
    mine = tmp_path / "mine"
    (mine / "parts").mkdir(parents=True)
    (mine / "parts" / "states.py").write_text(
        "import torch\n\nSIZES = [\n    1,\n    2]\n\n\ndef state():\n    return torch.get_rng_state()\n"
    )
    for name, end in {**REACHING, "passes_by": "    print('done')\n"}.items():
        (mine / f"{name}.py").write_text(REACHES.replace("    state()\n", end))
    done = compared(mine, "pytorch=none", program="main.py", part="13-1")
    assert done.returncode == 0, done.stderr
    said = dict(re.findall(r"(?m)^  python (\w+)\.py\n(?:    .*\n)*  (\S.*)$", done.stdout))
    passed = said.pop("passes_by")
    assert said == dict.fromkeys(REACHING, "FAILED parts/states.py:9: torch.get_rng_state is open, and was reached")
    assert passed == "runs, not compared, because pytorch=none was asked for"
    assert done.stdout.count("    no state\n") == 1  # of the script with a bare `except`: all others end there
    assert judged(done, "ran", "13-1") == "failed"
