"""Known symptoms: each is found in the line that was reported, by itself, and what is shown is little."""

import re
import time
from pathlib import Path

import pytest

from harness.catalogue import datafiles, symptoms

ROOT = Path(__file__).resolve().parents[4]
FILES = [ROOT / "hardware" / "symptoms.yaml", *sorted(ROOT.glob("hardware/*/symptoms.yaml"))]
SYMPTOMS = [(path.parent.name, symptom) for path in FILES for symptom in datafiles.read(path, ROOT)[0]["symptoms"]]
each_symptom = pytest.mark.parametrize(
    ("kind", "symptom"), SYMPTOMS, ids=lambda each: each if isinstance(each, str) else each["cause"][:40]
)


@each_symptom
def test_a_symptom_is_found_in_what_was_reported_before_any_other(kind, symptom):
    log = f"step 1\n{symptom['example']}\nstep 2\n"
    found = symptoms.explain(log, [kind])
    assert found[0].cause == symptom["cause"]
    assert found[0].line == symptom["example"]
    assert found[0].source == symptom["sources"][0]


def test_nothing_is_known_of_a_log_of_a_run_that_went_well():
    log = (
        "Epoch 2: loss 0.42, 2 cards, 1024 MiB\nerror 1.2e-07 within 4.8e-07\n[ended: finished, exit code 0, no signal]"
    )
    assert symptoms.explain(log, [path.parent.name for path in FILES[1:]]) == []


def test_what_came_first_is_told_first_and_a_line_is_explained_once():
    log = "Address already in use\nOut of memory error on GPU 0\nlibcudart.so.12: cannot open shared object file\n"
    found = symptoms.explain(log.replace("\n", "\r\n"), ["iluvatar", "hygon", "cuda"][::-1])
    assert [each.line for each in found] == log.splitlines() and "of CUDA is not found" in found[2].cause
    named = symptoms.explain("corex 4.3.0\n\x1b[31m" + log.splitlines()[2] + "\x1b[0m", ["cuda", "hygon", "iluvatar"])
    assert [each.cause[:5] for each in named] == ["CoreX"]


def test_the_kinds_own_come_first_and_no_other_kinds_are_asked():
    log = (
        "You are using XPU version Paddle, but your XPU device is not set properly. CPU device will be used by default."
    )
    assert "R200" in symptoms.explain(log, ["kunlun"])[0].cause
    assert [each.cause for each in symptoms.explain(log, ["ascend"])] == [
        "Paddle found no card that it could open, and went on on the CPU."
    ]


def test_no_more_than_three_are_shown():
    log = "\n".join(symptom["example"] for kind, symptom in SYMPTOMS if kind == "hardware")
    assert len(symptoms.explain(log, [])) == symptoms.MOST


def test_of_a_long_log_the_beginning_and_the_end_are_read(tmp_path):
    log = tmp_path / "run.log"
    log.write_bytes(b"first\n" + b"x" * (3 * symptoms.END_BYTES) + b"\nlast \xff\n")
    text = symptoms.read_log(log)
    assert text.startswith("first\n") and text.endswith("last \ufffd\n") and len(text) <= 2 * symptoms.END_BYTES
    log.write_text("short\n")
    assert symptoms.read_log(log) == "short\n"


def test_a_long_log_is_searched_in_a_moment():
    start = time.monotonic()
    symptoms.explain("NCCL HCCL gloo error /dev/x " * 6000 + "\n" * 1000, [path.parent.name for path in FILES[1:]])
    assert time.monotonic() - start < 5


@each_symptom
def test_the_patterns_compile(kind, symptom):
    re.compile(symptom["pattern"], re.MULTILINE)
