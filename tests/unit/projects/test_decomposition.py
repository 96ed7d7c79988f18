"""Task 3: the own split rule of gelu computes gelu, by both routes, and only where it should."""

import importlib
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from folders import PROJECTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutants import run_mutant, verdicts

paddle = pytest.importorskip("paddle")
pytest.importorskip("matplotlib")

needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="g++ is not here: apt-get install g++")


@pytest.fixture(scope="module")
def splitting():
    """The project's module, with those of the compiler that it uses as its own."""
    folders = [str(PROJECTS / name) for name in ("03-decomposition", "02-compiler")]
    sys.path[:0] = folders
    names = {path.stem for name in folders for path in Path(name).glob("*.py")} - {"main"}
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    module = importlib.import_module("splitting")
    module.accuracy = importlib.import_module("accuracy")
    paddle.set_device("cpu")
    yield module
    del sys.path[:2]
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(before)


def approximate(x):
    return paddle.nn.functional.gelu(x, approximate=True)


def exact_erf(x):
    return paddle.nn.functional.gelu(x)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_the_rule_is_gelu_for_any_number(splitting, values):
    x = np.array(values, "float32")
    found = splitting.split_gelu(paddle.to_tensor(x)).numpy()
    x = x.astype("float64")
    twice = np.clip(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3), -700, 700)
    expected = x / (1 + np.exp(-twice))
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-7)


def test_fewer_operators_and_less_traffic_than_paddles_rule(splitting):
    paddles = splitting.decomposed(approximate, [8, 16])
    own = splitting.decomposed(approximate, [8, 16], splitting.Splitting())
    assert "elementwise_pow" in splitting.operators(paddles)
    assert splitting.operators(own) == {"multiply": 3, "scale": 1, "sigmoid": 1}
    assert splitting.traffic(own) < 0.7 * splitting.traffic(paddles)


@pytest.mark.parametrize("route", ["python", pytest.param("c++", marks=needs_compiler)])
def test_gelu_without_the_approximation_keeps_paddles_rule(splitting, route):
    hook = splitting.Splitting()
    if route == "python":
        found = splitting.decomposed(exact_erf, [8, 16], hook)
        assert hook.calls == 0
    else:
        override = splitting.Override()
        before = override.calls
        with override:
            found = splitting.decomposed(exact_erf, [8, 16])
        assert override.calls == before
    assert splitting.operators(found)["erf"] == 1


@needs_compiler
def test_paddles_rule_is_back_even_after_an_error(splitting):
    before = splitting.operators(splitting.decomposed(approximate, [8, 16]))
    with pytest.raises(ZeroDivisionError), splitting.Override():
        assert splitting.operators(splitting.decomposed(approximate, [8, 16])) != before
        raise ZeroDivisionError
    assert splitting.operators(splitting.decomposed(approximate, [8, 16])) == before


@pytest.mark.parametrize("route", ["python", pytest.param("c++", marks=needs_compiler)])
def test_results_and_gradients_are_those_of_float64_where_several_are_taken_apart(splitting, route):
    def twice(x):
        return approximate(x) + 3 * approximate(approximate(x))

    accuracy, tracing = splitting.accuracy, splitting.tracing
    inputs = accuracy.tensors([np.random.default_rng(0).standard_normal((4, 33), dtype="float32")], "float32")
    slope = np.random.default_rng(1).standard_normal((4, 33), dtype="float32")
    hook = splitting.Splitting() if route == "python" else splitting.Override()
    before = hook.calls
    with tracing.decomposing(), nullcontext() if route == "python" else hook:
        static, partial = tracing.to_static(twice, inputs)
        partial._hookers[:0] = [hook] if route == "python" else []
        _ = partial.train_program
    assert hook.calls == before + 3
    found, exact = accuracy.evaluate(static, inputs, [slope]), accuracy.reference(twice, inputs, [slope])
    assert max(accuracy.errors(found, exact)) < 1e-5


MAIN = "03-decomposition/main.py"


def failed(metrics, **parameters):
    found = verdicts("3", metrics, **parameters)
    return {name for name, verdict in found.items() if verdict == "failed"}


@pytest.mark.slow
@needs_compiler
def test_the_program_passes_and_judges_no_time_of_small_tensors(tmp_path):
    metrics = run_mutant(tmp_path, MAIN, {}, "--set", "rows=1", "columns=64", "rounds=3")
    found = verdicts("3", metrics, rows=1, columns=64, rounds=3)
    assert {name for name, verdict in found.items() if verdict == "not judged"} == {
        "forward_speedup", "forward_speedup_compiled",
    }  # fmt: skip
    assert set(found.values()) == {"passed", "not judged"}


@pytest.mark.slow
@needs_compiler
@pytest.mark.plants("3", "operators_after", "traffic_after", "python_calls", "same_operators")
def test_a_rule_in_python_that_is_not_applied_fails(tmp_path):
    changes = {"03-decomposition/splitting.py": [("        if hook:", "        if None:")]}
    metrics = run_mutant(tmp_path, MAIN, changes, "--set", "rows=8", "columns=64", "rounds=3")
    assert failed(metrics, rows=8, columns=64) == {"operators_after", "traffic_after", "python_calls", "same_operators"}


@pytest.mark.slow
@needs_compiler
@pytest.mark.plants("3", "cpp_calls", "restored", "proven")
def test_a_rule_in_c_plus_plus_that_stays_and_whose_wrong_twin_never_runs_fails(tmp_path):
    changes = [
        ("if (interface != nullptr && original != nullptr) interface->decomp_ = original;", "(void)interface;"),
        ("without_cubic_term = wrong;", "without_cubic_term = wrong && false;"),
    ]
    metrics = run_mutant(
        tmp_path, MAIN, {"03-decomposition/override.cc": changes}, "--set", "rows=8", "columns=64", "rounds=3"
    )
    assert failed(metrics, rows=8, columns=64) == {"cpp_calls", "restored", "proven"}


@pytest.mark.slow
@needs_compiler
@pytest.mark.plants("3", "forward_error", "gradient_error", "forward_speedup", "forward_speedup_compiled")
def test_a_rule_that_is_wrong_and_dear_and_a_kernel_that_runs_fifty_times_fail(tmp_path):
    dear = "paddle.pow(x, 5.0) / paddle.pow(x, 3.0) * paddle.pow(x, 4.0) / paddle.pow(x, 2.0) / (x * x)"
    rule = [
        ("square = x * x\n", f"square = {dear}\n"),
        ("0.0 if wrong else 0.044715 * CONSTANT", "0.0 if wrong else 0.0445 * CONSTANT"),
    ]
    calls = [("True)\n    return static", "True)\n    return lambda x: [static(x) for _ in range(50)][-1]")]
    changes = {"03-decomposition/splitting.py": rule, MAIN: calls}
    metrics = run_mutant(tmp_path, MAIN, changes, "--set", "rows=1024", "columns=1024", "rounds=3")
    faults = {"forward_error", "gradient_error", "forward_speedup", "forward_speedup_compiled"}
    assert faults <= failed(metrics, rows=1024, columns=1024)
