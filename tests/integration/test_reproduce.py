"""reproduce, compare and reference as a person types them, on the toy."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
from checkouts import ROOT, Checkout

TRACE = """
import numpy
loss = numpy.linspace(8, 1, 20, dtype="float32")
numpy.savez(out / "trace.npz", loss=loss)
"""


def with_a_trace(checkout: Checkout) -> Path:
    program = checkout.folder / "projects" / "01-toy" / "main.py"
    program.write_text(program.read_text() + TRACE)
    return program


def commit(checkout: Checkout) -> None:
    """Make it a git checkout whose tree is clean."""
    shutil.copy(ROOT / ".gitignore", checkout.folder)
    (checkout.folder / ".gitignore").open("a").write("/.venv\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        named = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", checkout.folder, *named, *words], check=True)


def test_a_run_again_finds_the_same(checkout: Checkout) -> None:
    with_a_trace(checkout)
    checkout("run", "--set", "size=2", "--seed", "7")
    done = checkout("reproduce")
    assert done.returncode == 0, done.stderr
    assert "✓ equal" in done.stdout and "✓ agrees" in done.stdout and "Around it nothing differs" in done.stdout
    first, second = checkout.records()
    assert all(first[name] == second[name] for name in ("cell", "parameters", "seed", "metrics", "command"))
    assert checkout("verify").returncode == 0


def test_another_value_is_a_difference_and_exits_with_1(checkout: Checkout) -> None:
    program = with_a_trace(checkout)
    checkout("run")
    (record,) = checkout.records()
    program.write_text(program.read_text().replace("0.01", "0.0100001").replace("linspace(8, 1,", "linspace(8, 2,"))
    done = checkout("reproduce", record["id"])
    assert done.returncode == 1 and "Beyond tolerance: 1: loss" in done.stderr
    assert "✓ 1.0e-05 off" in done.stdout and "First differs: loss, step 2 of 20" in done.stdout
    program.write_text(program.read_text().replace("0.0100001", "0.02"))
    again = checkout("reproduce", record["id"])
    assert again.returncode == 1 and "Beyond tolerance: 1: error, loss" in again.stderr


def test_a_run_again_that_fails_is_an_error_of_its_own(checkout: Checkout) -> None:
    program = with_a_trace(checkout)
    checkout("run")
    program.write_text("raise SystemExit(3)")
    done = checkout("reproduce")
    assert done.returncode == 1 and "was run again, and failed" in done.stderr


def test_the_reference_is_kept_and_held_against(checkout: Checkout) -> None:
    program = with_a_trace(checkout)
    missing = checkout("reproduce", "reference/1")
    assert missing.returncode == 2 and "Part 1 has no reference" in missing.stderr
    checkout("run")
    refused = checkout("reference", "--task", "1")
    assert refused.returncode == 2 and "outside a git checkout" in refused.stderr
    commit(checkout)
    shutil.rmtree(checkout.results / "1")
    checkout("run", "--set", "size=2")
    assert "no passing run to take" in checkout("reference", "--task", "1").stdout
    checkout("run")
    assert "results/reference/1.json" in checkout("reference", "--task", "1").stdout
    assert checkout("compare", "--reference").returncode == 0
    assert checkout("reproduce", "reference/1").returncode == 0
    program.write_text(program.read_text().replace("0.01", "0.02"))
    checkout("run")
    done = checkout("compare", "--reference", "--hw", "cpu")
    assert done.returncode == 1 and "Beyond tolerance: 1: error" in done.stderr


def test_two_runs_are_compared_by_their_traces(checkout: Checkout) -> None:
    program = with_a_trace(checkout)
    checkout("run")
    program.write_text(program.read_text() + "loss[12] += 1\nnumpy.savez(out / 'trace.npz', loss=loss)\n")
    checkout("run")
    first, second = (record["id"] for record in checkout.records())
    done = checkout("compare", "--run", f"{first},{second}")
    assert done.returncode == 1
    value = np.linspace(8, 1, 20, dtype="float32")[12]
    assert f"First differs: loss, step 13 of 20: {value:.7g} then, {value + 1:.7g} now" in done.stdout
    assert checkout("compare", "--run", f"{first},{first}").returncode == 0
    nothing = checkout("compare", "--task", "1", "--hw", "cpu,sim")
    assert nothing.returncode == 2 and "There is nothing to compare" in nothing.stderr


def test_runs_without_a_trace_are_not_called_equal(checkout: Checkout) -> None:
    checkout("run")
    checkout("run")
    first, second = (record["id"] for record in checkout.records())
    done = checkout("compare", "--run", f"{first},{second}")
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 3
    assert "Nothing could be compared" in done.stderr and first in done.stderr
