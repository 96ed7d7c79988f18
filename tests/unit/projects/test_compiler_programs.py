"""Task 2's programs as a person runs them, and with a fault planted in a line of their source."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mutants import run_mutant, verdicts

from harness.catalogue import entries, expressions

paddle = pytest.importorskip("paddle")
pytest.importorskip("matplotlib")
pytestmark = pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("g++")), reason="kernels need gcc and g++")

FOLDER = Path(__file__).resolve().parents[3] / "projects" / "02-compiler"
erf = np.vectorize(math.erf)


def run(program, part, out, *words, **environment):
    command = [sys.executable, "-W", "ignore", FOLDER / program, "--part", part, "--out", out, "--set", *words]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)


OWN = """\
import paddle

def block(x, weight: "columns"):
    return paddle.tanh(x * weight).sum(-1, keepdim=True) * x

def raises(x):
    raise RuntimeError("not today")

def logarithm(x):
    return paddle.log(x)

def branches(x):
    if x.sum() > 0:
        return paddle.exp(x)
    return paddle.exp(-x)
"""


@pytest.mark.slow
def test_the_program_compiles_ones_own_file_and_leaves_every_stage(run_program, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    own = f"subgraph={tmp_path / 'own.py'}:block"
    out = run_program("02-compiler", "--part", "2-1", "--set", own, "rows=64", "columns=96")
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["proven"] and metrics["backend"] == "generated" and metrics["cinn"] == "not in this wheel"
    assert set(verdicts("2-1", metrics, rows=64, columns=96).values()) == {"passed"}
    assert len(list((out / "stages").glob("*.c"))) == metrics["kernels"] == 2
    assert (out / "stages.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "environment", "code", "says"),
    [
        (["subgraph={own}:raises"], {}, 2, "not today"),
        (["subgraph={own}:branches"], {}, 2, "control flow"),
        (["subgraph={own}:logarithm"], {}, 2, "not finite"),
        (["subgraph=layer_norm", "dtype=bfloat16"], {}, 2, "float32"),
        (["subgraph=gelu"], {"CC": "no-such-compiler"}, 3, "apt-get install g++"),
        (["subgraph=attention", "rows=100"], {}, 2, "multiples of 128"),
    ],
)
def test_what_cannot_be_compiled_ends_with_three_lines(tmp_path, words, environment, code, says):
    (tmp_path / "own.py").write_text(OWN)
    words = [word.format(own=tmp_path / "own.py") for word in words]
    done = run("main.py", "2-1", tmp_path / "out", "rows=128", "columns=64", *words, **environment)
    assert done.returncode == code, done.stderr
    said = done.stderr[done.stderr.index("error: ") :]
    assert says in said and len(said.splitlines()) == 3 and "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_comparison_measures_both_allocators(tmp_path):
    done = run("faster.py", "2-3", tmp_path, "subgraph=swish", "sizes=64x96", "rounds=3")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    found = verdicts("2-3", metrics, subgraph="swish", sizes="64x96", rounds=3)
    assert found == {
        "speedup_default": "not judged",
        "speedup_tuned": "not judged",
        "forward_error": "passed",
        "gradient_error": "passed",
    }
    for allocator in ("default", "tuned"):
        rows = json.loads((tmp_path / f"times-{allocator}.json").read_text())
        assert [set(row["milliseconds"]) for row in rows] == [{"plain eager", "to_static", "generated code"}] * 2
        assert metrics[f"least_speedup_{allocator}"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["sizes=64"], 2, "512x1024"),
        (["sizes=100x1024"], 2, "multiples of 128"),
        (["sizes=128x1024,128x100"], 2, "multiples of 64"),
        (["subgraph=gelu", "sizes=128x4"], 2, "at least 8"),
        (["sizes=1280000x65536"], 3, "memory"),
        (["subgraph=no_such"], 2, "no subgraph"),
    ],
)
def test_sizes_that_cannot_be_measured_are_refused_before_the_run(tmp_path, words, code, says):
    done = run("faster.py", "2-3", tmp_path, *words)
    assert done.returncode == code and says in done.stderr, done.stderr
    assert len(done.stderr[done.stderr.index("error: ") :].splitlines()) == 3


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"subgraph": "attention", "rows": 100}, "blocks of 128"),
        ({"subgraph": "rotary_embedding", "columns": 100}, "64 numbers"),
        ({"subgraph": "layer_norm", "dtype": "bfloat16"}, "bfloat16"),
        ({"subgraph": "paddle_softmax", "dynamic": True}, "size is open"),
        ({"rows": 1048576, "columns": 65536}, "13 GB"),
    ],
)
def test_what_could_only_fail_is_refused_before_the_run(settings, says):
    part = entries.load().parts["2-1"]
    values = {name: parameter.default for name, parameter in part.parameters.items()} | settings
    unmet = [each.otherwise for each in part.requires if not expressions.parse(each.that).truth({**values, "cards": 1})]
    assert len(unmet) == 1 and says in unmet[0]


# Faults: each is a line of the project's own source changed, and the program run with it.


@pytest.mark.slow
@pytest.mark.plants("2-1", "forward_error", "gradient_error")
def test_constants_written_with_three_digits_are_an_error(tmp_path):
    changes = {
        "02-compiler/emission.py": [('return f"(REAL){float(number)!r}"', 'return f"(REAL){float(number):.2e}"')]
    }
    metrics = run_mutant(tmp_path, "02-compiler/main.py", changes, "--set", "rows=128", "columns=96")
    found = verdicts("2-1", metrics, rows=128, columns=96)
    assert found == {"kernels": "passed", "proven": "passed", "forward_error": "failed", "gradient_error": "failed"}


@pytest.mark.slow
@pytest.mark.plants("2-1", "gradient_error")
def test_a_sum_over_the_rows_that_lacks_one_threads_share_is_an_error_of_the_gradient(tmp_path):
    changes = {"02-compiler/emission.py": [("for (int t = 0; t < threads; ++t)", "for (int t = 1; t < threads; ++t)")]}
    metrics = run_mutant(tmp_path, "02-compiler/main.py", changes, "--set", "rows=128", "columns=96")
    found = verdicts("2-1", metrics, rows=128, columns=96)
    assert found["forward_error"] == "passed" and found["gradient_error"] == "failed"


@pytest.mark.slow
@pytest.mark.plants("2-1", "kernels", "proven")
def test_a_generator_that_leaves_everything_with_paddle_has_compiled_nothing(tmp_path):
    changes = {"02-compiler/lowering.py": [("elif name not in RULES:", "elif name in RULES:")]}
    metrics = run_mutant(tmp_path, "02-compiler/main.py", changes, "--set", "rows=128", "columns=96")
    found = verdicts("2-1", metrics, rows=128, columns=96)
    assert found == {"kernels": "failed", "proven": "failed", "forward_error": "passed", "gradient_error": "passed"}


@pytest.mark.slow
@pytest.mark.plants("2-1", "proven")
def test_kernels_that_are_not_what_runs_are_not_proven(tmp_path):
    changes = {"02-compiler/generator.py": [("inputs, outputs, self.spoil)", "inputs, outputs, False)")]}
    metrics = run_mutant(tmp_path, "02-compiler/main.py", changes, "--set", "rows=128", "columns=96")
    assert verdicts("2-1", metrics, rows=128, columns=96)["proven"] == "failed"


@pytest.mark.slow
@pytest.mark.plants("2-3", "speedup_default", "speedup_tuned", "forward_error", "gradient_error")
def test_a_chain_that_runs_a_hundred_times_and_is_wrong_fails(tmp_path):
    often = "lambda *tensors: [compiled(*tensors) for _ in range(100)][-1]"
    names = ('NAMES = ("rms_norm", "layer_norm", ', 'NAMES = ("layer_norm",)\n_ = (')
    changes = {
        "02-compiler/faster.py": [names],
        "02-compiler/measure.py": [("GENERATED: compiled}", f"GENERATED: {often}}}")],
        "02-compiler/emission.py": [('return f"(REAL){float(number)!r}"', 'return f"(REAL){float(number):.2e}"')],
    }
    words = ("--set", "sizes=960x1100", "rounds=3")
    metrics = run_mutant(tmp_path, "02-compiler/faster.py", changes, *words)
    assert set(verdicts("2-3", metrics, sizes="960x1100", rounds=3).values()) == {"failed"}


@pytest.mark.parametrize("asked", [None, "1", "3"])
def test_a_kernel_has_the_threads_that_were_asked_for_or_one_for_each_processor(asked):
    """Importing Paddle writes OMP_NUM_THREADS=1 where nobody has asked."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if asked:
        environment["OMP_NUM_THREADS"] = asked
    command = [sys.executable, "-c", "import toolchain; print(toolchain.threads())"]
    done = subprocess.run(command, cwd=FOLDER, env=environment, capture_output=True, text=True)
    assert int(done.stdout) == int(asked or len(os.sched_getaffinity(0))), done.stderr
