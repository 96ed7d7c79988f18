"""Part 2-2: the pass replaces what means the same, leaves its near-misses alone, and is what runs."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mutants import run_mutant, verdicts

paddle = pytest.importorskip("paddle")
pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="the pass in C++ needs g++")

FOLDER = Path(__file__).resolve().parents[3] / "projects" / "02-compiler"
ROUTES = ("python", "c++")
SOURCE = "upstream/paddle/fluid/pir/transforms/general/activation_fuse_pass.cc"


@pytest.fixture(scope="module")
def own_pass(load):
    paddle.set_device("cpu")
    return load("02-compiler/own_pass.py")


def run(own_pass, function, route, wrong=False):
    """The function with the pass in its path, its inputs, and what the pass did."""
    inputs = own_pass.accuracy.tensors(own_pass.cases.arrays(function), "float32")
    compiled, hook = own_pass.substituted(function, inputs, route, wrong)
    return compiled, inputs, hook


@pytest.mark.parametrize("route", ROUTES)
def test_every_chain_is_replaced_and_computes_the_same_forward_and_backward(own_pass, route):
    for function, chains in own_pass.cases.MATCHING.items():
        compiled, inputs, hook = run(own_pass, function, route)
        assert hook.matches == chains, function.__name__
        slope = np.random.default_rng(1).standard_normal(compiled(*inputs).shape, dtype="float32")
        found = own_pass.accuracy.evaluate(compiled, inputs, [slope])
        exact = own_pass.accuracy.reference(function, inputs, [slope])
        assert max(own_pass.accuracy.errors(found, exact)) < 1e-6, function.__name__


@pytest.mark.parametrize("route", ROUTES)
def test_no_near_miss_is_replaced(own_pass, route):
    for function in own_pass.cases.NEAR_MISSES:
        _, _, hook = run(own_pass, function, route)
        assert hook.matches == 0 and hook.after == hook.before, function.__name__


def test_without_its_constraints_a_rule_replaces_near_misses_and_computes_something_else(own_pass, monkeypatch):
    monkeypatch.setattr(own_pass.rules, "is_softmax", lambda match: True)
    for name in ("another_axis", "two_axes", "whole_tensor", "axis_lost", "sum_axis_lost"):
        function = getattr(own_pass.cases, name)
        compiled, inputs, hook = run(own_pass, function, "python")
        assert hook.matches == 1, name
        assert not np.allclose(compiled(*inputs).numpy(), function(*inputs).numpy(), atol=0.01), name


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("name", "matches"), [("softmax", 1), ("swiglu", 0)])
def test_a_size_that_is_not_known_may_be_another_one(own_pass, route, name, matches):
    subgraph = own_pass.subgraphs.find(name)
    specification = [paddle.static.InputSpec([None, 8], "float32", stop_gradient=False) for _ in subgraph.shapes]
    _, hook = own_pass.substituted(subgraph.function, specification, route)
    assert hook.matches == matches


def test_python_and_c_plus_plus_leave_the_same_program(own_pass):
    function = own_pass.cases.transformer_block
    (_, _, first), (_, _, second) = (run(own_pass, function, route) for route in ROUTES)
    assert first.after == second.after != first.before == second.before


def test_a_rule_that_is_wrong_on_purpose_changes_the_output(own_pass):
    for function in (own_pass.cases.softmax, own_pass.cases.gate_first):
        compiled, inputs, _ = run(own_pass, function, "python", wrong=True)
        assert not np.allclose(compiled(*inputs).numpy(), function(*inputs).numpy(), atol=0.1)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_on_the_cpu_swiglu_runs_in_parts_quicker_and_with_a_gradient_in_half_precision(own_pass, dtype):
    function = own_pass.cases.gate_first
    inputs = own_pass.accuracy.tensors(own_pass.cases.arrays(function), dtype)
    hook = own_pass.rules.Substitution()
    compiled, partial = own_pass.tracing.to_static(function, inputs, hook)
    names = [operation.name() for operation in partial.train_program.forward_program.global_block().ops]
    assert {"float32": "pd_op.silu", "bfloat16": "pd_op.sigmoid"}[dtype] in names and "pd_op.swiglu" not in names
    assert "pd_op.swiglu" in hook.after and hook.matches == 1  # what another device runs
    slope = np.ones(inputs[0].shape, "float32")
    found = own_pass.accuracy.evaluate(compiled, inputs, [slope])
    exact = own_pass.accuracy.reference(function, inputs, [slope])
    assert max(own_pass.accuracy.errors(found, exact)) < (1e-6 if dtype == "float32" else 2**-6)


def test_swiglu_of_one_tensor_is_left_alone(own_pass):
    x = paddle.randn([4, 8])
    compiled, _ = own_pass.substituted(paddle.incubate.nn.functional.swiglu, [x], "python")
    np.testing.assert_allclose(compiled(x).numpy(), paddle.incubate.nn.functional.swiglu(x).numpy(), rtol=1e-6)


def two_results(x):
    power = paddle.exp(x - x.max(-1, keepdim=True))
    total = power.sum(-1, keepdim=True)
    return power / total, total


def test_a_value_that_is_returned_too_is_kept(own_pass):
    x = paddle.randn([4, 8])
    for route in ROUTES:
        compiled, hook = own_pass.substituted(two_results, [x], route)
        assert hook.matches == 0
        for found, expected in zip(compiled(x), two_results(x), strict=True):
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-6)


def test_the_patch_for_upstream_holds_the_pass_that_ran_and_its_test_passes(own_pass, tmp_path):
    header = tmp_path / "paddle/fluid/pir/transforms/passes.h"
    header.parent.mkdir(parents=True)
    around = ["inplace", "replace_fetch_with_shadow_output", "identity_op_clean", "map_op_to_another"]
    around += ["matmul_scale_fuse", "matmul_transpose_fuse"]
    header.write_text("".join(f"USE_PIR_PASS({name}_pass);\n" for name in around))
    subprocess.run(["git", "apply", FOLDER / "upstream" / "activation_fuse_pass.patch"], cwd=tmp_path, check=True)
    assert "USE_PIR_PASS(activation_fuse_pass);" in header.read_text()
    sources = [path for path in tmp_path.rglob("*activation_fuse_pass*") if path.is_file()]
    assert len(sources) == 3
    for path in sources:
        assert path.read_text() == (FOLDER / "upstream" / path.relative_to(tmp_path)).read_text()
    (test,) = tmp_path.rglob("test_*.py")
    program = (
        "import ctypes, paddle, runpy; "
        f"ctypes.CDLL({str(own_pass.rules.load_pass().path)!r}, ctypes.RTLD_GLOBAL); "
        f"runpy.run_path({str(test)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and "Ran 5 tests" in done.stderr, done.stderr


AVX512 = "avx512f" in Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else True
RMS_NORM = """\
import paddle
ones = paddle.ones([4, 8])
paddle._C_ops.rms_norm(ones, None, None, paddle.ones([8]), None, 1e-6, 1, -1.0, 0, 0.0, 0.0)
"""


@pytest.mark.slow
@pytest.mark.skipif(AVX512, reason="the processor has the instructions of that kernel")
def test_no_rule_leads_to_the_fused_rms_norm_which_ends_the_process_without_avx512():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", RMS_NORM], capture_output=True, text=True)
    assert done.returncode == -signal.SIGILL, done.stdout + done.stderr


@pytest.mark.slow
def test_the_program_says_what_was_replaced_and_leaves_both_programs(tmp_path):
    command = [sys.executable, FOLDER / "own_pass.py", "--part", "2-2", "--out", tmp_path]
    command += ["--set", "subgraph=swiglu", "rows=32", "columns=48", "rounds=3"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert set(verdicts("2-2", metrics, subgraph="swiglu", rows=32, columns=48, rounds=3).values()) == {"passed"}
    programs = {path.stem: path.read_text() for path in (tmp_path / "programs").iterdir()}
    assert "pd_op.sigmoid" in programs["before"] and "pd_op.swiglu" in programs["cpp"] == programs["python"]


def test_without_a_compiler_the_program_ends_with_three_lines(tmp_path):
    command = [sys.executable, FOLDER / "own_pass.py", "--part", "2-2", "--out", tmp_path]
    environment = {**os.environ, "CXX": "no-such-compiler"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 3 and "apt-get install g++" in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr[done.stderr.index("error: ") :].splitlines()) == 3


SMALL = ("--set", "subgraph=swiglu", "rows=32", "columns=48", "rounds=3")


def failed(metrics):
    found = verdicts("2-2", metrics, subgraph="swiglu", rows=32, columns=48, rounds=3)
    return {name for name, verdict in found.items() if verdict == "failed"}


@pytest.mark.slow
@pytest.mark.plants("2-2", "matches_python", "false_matches_python", "same_program", "operators_after", "proven")
def test_a_rule_in_python_that_lacks_orders_and_constraints_fails(tmp_path):
    changes = [
        ('for outer in (("gated", "x"), ("x", "gated"))', 'for outer in (("x", "gated"),)'),
        ('kept = match.BoolAttr("maximum_keeps") and match.BoolAttr("sum_keeps")', "kept = True"),
    ]
    metrics = run_mutant(tmp_path, "02-compiler/own_pass.py", {"02-compiler/rules.py": changes}, *SMALL)
    assert failed(metrics) == {
        "matches_python", "false_matches_python", "same_program", "operators_after", "proven",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.plants("2-2", "matches_cpp", "false_matches_cpp", "same_program")
def test_a_rule_in_c_plus_plus_that_lacks_orders_and_constraints_fails(tmp_path):
    changes = [
        ("Order{false, false, x_first}", "Order{false, false, true}"),
        ('match.Attr<bool>("maximum_keeps") &&\n           match.Attr<bool>("sum_keeps") && ', ""),
    ]
    file = f"02-compiler/{SOURCE}"
    assert failed(run_mutant(tmp_path, "02-compiler/own_pass.py", {file: changes}, *SMALL)) == {
        "matches_cpp", "false_matches_cpp", "same_program",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.plants("2-2", "forward_error", "gradient_error")
def test_a_rule_that_swaps_the_factors_computes_something_else(tmp_path):
    changes = {"02-compiler/rules.py": [('("x", "gate") if wrong else ("gate", "x")', '("x", "gate")')]}
    metrics = run_mutant(tmp_path, "02-compiler/own_pass.py", changes, *SMALL)
    assert {"forward_error", "gradient_error"} <= failed(metrics)
