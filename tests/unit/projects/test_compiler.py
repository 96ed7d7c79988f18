"""Parts 2-1 and 2-3: kernels generated from PIR compute what the program computed, or are refused with a reason."""

import importlib
import math
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

paddle = pytest.importorskip("paddle")
pytest.importorskip("matplotlib")
pytestmark = pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("g++")), reason="kernels need gcc and g++")

FOLDER = Path(__file__).resolve().parents[3] / "projects" / "02-compiler"
erf = np.vectorize(math.erf)


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    """The modules of the project, which find each other by name."""
    sys.path.insert(0, str(FOLDER))
    names = {path.stem for path in FOLDER.glob("*.py")} - {"main", "faster", "own_pass"}
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    modules = {name: importlib.import_module(name) for name in sorted(names)}
    paddle.set_device("cpu")
    yield type("Compiler", (), modules)
    sys.path.remove(str(FOLDER))
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(before)


def as_numpy(name, x, *more):
    """The built-in subgraphs in numpy, float64."""

    def softmax(x):
        exponential = np.exp(x - x.max(-1, keepdims=True))
        return exponential / exponential.sum(-1, keepdims=True)

    def normal(x):
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    functions = {
        "rms_norm": lambda x, w: x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * w,
        "layer_norm": lambda x, w, b: normal(x) * w + b,
        "softmax": softmax,
        "gelu": lambda x: 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3))),
        "swish": lambda x, w, b: x * sigmoid(x) * w + b,
        "swiglu": lambda x, g: g * sigmoid(g) * x,
        "rotary_embedding": lambda x, c, s: x * c + np.concatenate([-x[..., 32:], x[..., :32]], -1) * s,
        "attention": lambda q, k, v: q + softmax(0.125 * q @ np.swapaxes(k, -1, -2)) @ v,
        "paddle_layer_norm": lambda x, w, b: normal(x) * w + b,
        "paddle_softmax": softmax,
        "paddle_gelu": lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2))),
    }
    return functions[name](x, *more)


BUILT_IN = [
    "rms_norm", "layer_norm", "softmax", "gelu", "swish", "swiglu", "rotary_embedding", "attention",
    "paddle_layer_norm", "paddle_softmax", "paddle_gelu",
]  # fmt: skip


def compile_and_compare(compiler, function, arrays, dtype="float32"):
    """Forward and gradients of the generated code against float64; returns both errors and the report."""
    inputs = compiler.accuracy.tensors(arrays, dtype)
    hook = compiler.generator.Generator(getattr(function, "__name__", "f"))
    compiled, _ = compiler.tracing.to_static(function, inputs, hook)
    with paddle.no_grad():
        shape = function(*compiler.accuracy.tensors(arrays, "float32")).shape  # not every kernel has bfloat16
    slope = np.random.default_rng(1).standard_normal(shape, dtype="float32")
    found = compiler.accuracy.evaluate(compiled, inputs, [slope])
    exact = compiler.accuracy.reference(function, inputs, [slope])
    return compiler.accuracy.errors(found, exact), hook.report, found


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_subgraph_computes_what_numpy_does_in_float64(compiler, name):
    subgraph = compiler.subgraphs.find(name)
    arrays = subgraph.arrays(128, 192, seed=3)
    (_, gradient), report, found = compile_and_compare(compiler, subgraph.function, arrays)
    exact = as_numpy(name, *(array.astype("float64") for array in arrays))
    assert np.abs(found.results[0] - exact).max() / np.abs(exact).max() < 1e-6
    assert gradient < 2e-6
    assert report.forward and len(report.forward) == len(report.backward)
    assert Counter(name for name, _ in report.left) == ({"matmul": 2} if name == "attention" else {})


@pytest.mark.parametrize("name", ["paddle_softmax", "gelu", "paddle_layer_norm"])
def test_bfloat16_is_computed_in_float32_and_rounded_once(compiler, name):
    subgraph = compiler.subgraphs.find(name)
    (forward, gradient), report, _ = compile_and_compare(
        compiler, subgraph.function, subgraph.arrays(33, 70, seed=0), "bfloat16"
    )
    assert forward < 2**-8 and gradient < 2**-7  # half a unit in the last place of 8 bits is 2^-9
    assert "bfloat16" in report.forward[0].source


def test_one_program_takes_any_batch(compiler):
    subgraph = compiler.subgraphs.find("layer_norm")
    spec = [paddle.static.InputSpec(shape, "float32", stop_gradient=False) for shape in ([None, 40], [40], [40])]
    hook = compiler.generator.Generator("dynamic")
    compiled, _ = compiler.tracing.to_static(subgraph.function, spec, hook)
    for rows in (1, 2, 7, 1000):
        inputs = compiler.accuracy.tensors(subgraph.arrays(rows, 40, seed=rows), "float32")
        slope = np.ones((rows, 40), "float32") + np.arange(40, dtype="float32")
        found = compiler.accuracy.evaluate(compiled, inputs, [slope])
        exact = compiler.accuracy.reference(subgraph.function, inputs, [slope])
        assert max(compiler.accuracy.errors(found, exact)) < 1e-5
    assert len(hook.report.forward) == 1


def test_other_tensors_than_the_traced_ones_are_traced_anew(compiler):
    function = compiler.subgraphs.find("softmax").function
    traced = compiler.accuracy.tensors([np.ones((4, 32), "float32")], "float32")
    compiled, _ = compiler.tracing.to_static(function, traced, compiler.generator.Generator("guarded"))
    for rows, columns in ((4, 32), (6, 48), (4, 32)):
        array = np.random.default_rng(rows).standard_normal((rows, columns), dtype="float32")
        assert np.allclose(
            compiled(paddle.to_tensor(array)), as_numpy("softmax", array), atol=1e-6
        )  # stop_gradient too
        tensor = paddle.to_tensor(array, stop_gradient=False)
        assert np.allclose(compiled(tensor), as_numpy("softmax", array), atol=1e-6)


def test_the_next_row_is_asked_for_and_nothing_streams_beside_a_sum(compiler):
    """rms_norm's gradient: several loops, the last of which writes one result and adds to another."""
    subgraph = compiler.subgraphs.find("rms_norm")
    _, report, _ = compile_and_compare(compiler, subgraph.function, subgraph.arrays(32, 64, seed=0))
    forward, backward = report.forward[0].source, report.backward[0].source
    assert forward.count("__builtin_prefetch(x0 + 64 + j)") == 1 and "prefetch(x1" not in forward  # not the weights
    assert "stream_float" in forward and "stream_float" not in backward


def test_wrong_kernels_change_the_output(compiler):
    subgraph = compiler.subgraphs.find("swish")
    inputs = compiler.accuracy.tensors(subgraph.arrays(8, 32, seed=0), "float32")
    wrong, _ = compiler.tracing.to_static(
        subgraph.function, inputs, compiler.generator.Generator("wrong", gradients=False, spoil=True)
    )
    np.testing.assert_allclose(wrong(*inputs).numpy(), 2 * subgraph.function(*inputs).numpy(), rtol=1e-5)


UNARY = {
    "exp": lambda x: paddle.exp(-x * x),
    "tanh": paddle.tanh,
    "erf": paddle.erf,
    "sigmoid": paddle.nn.functional.sigmoid,
    "log": lambda x: paddle.log(x * x + 0.5),
    "sqrt": lambda x: paddle.sqrt(x * x + 1.0),
    "abs": paddle.abs,
    "relu": paddle.nn.functional.relu,
}
REDUCED = {
    "none": lambda x, axes: x,
    "sum": lambda x, axes: x - 0.1 * x.sum(axes, keepdim=True),
    "mean": lambda x, axes: x * x.mean(axes, keepdim=True),
    "max": lambda x, axes: x - x.max(axes, keepdim=True),
    "min": lambda x, axes: x - x.min(axes, keepdim=True),
}


@paddle.jit.not_to_static  # dy2st would look for the source of a lambda, and find the table's
def applied(table, name, *arguments):
    return table[name](*arguments)


@pytest.mark.slow
@settings(
    max_examples=12, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(
    shape=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    broadcast=st.lists(st.booleans(), min_size=4, max_size=4),
    last=st.integers(1, 2),
    reduction=st.sampled_from(sorted(REDUCED)),
    first=st.sampled_from(sorted(UNARY)),
    second=st.sampled_from(sorted(UNARY)),
)
def test_chains_over_any_shape_are_right_whether_generated_or_left(
    compiler, shape, broadcast, last, reduction, first, second
):
    axes = list(range(-min(last, len(shape)), 0))

    def chain(x, y):
        inner = applied(REDUCED, reduction, applied(UNARY, first, x) * y, axes)
        return applied(UNARY, second, inner) + y

    other = [1 if narrow else size for size, narrow in zip(shape, broadcast, strict=False)]
    numbers = np.random.default_rng(0)
    arrays = [numbers.standard_normal(sizes, dtype="float32") for sizes in (shape, other)]
    inputs = compiler.accuracy.tensors(arrays, "float32")
    hook = compiler.generator.Generator("chain")
    compiled, _ = compiler.tracing.to_static(chain, inputs, hook)
    slope = np.ones(np.broadcast_shapes(shape, other), "float32")
    found = compiler.accuracy.evaluate(compiled, inputs, [slope])
    exact = compiler.accuracy.reference(chain, inputs, [slope])
    assert np.abs(found.results[0] - exact.results[0]).max() < 1e-4
    for ours, theirs in zip(found.gradients, exact.gradients, strict=True):
        assert np.abs(ours - theirs).max() <= 1e-3 * max(1.0, np.abs(theirs).max())


def rectified(x):
    return paddle.nn.functional.relu(x - 0.1 * paddle.nn.functional.relu(x).sum(-1, keepdim=True))


def test_a_truth_value_that_a_gradient_multiplies_with_counts_one_or_zero(compiler):
    arrays = [np.random.default_rng(0).standard_normal((5, 20), dtype="float32")]
    errors, report, _ = compile_and_compare(compiler, rectified, arrays)
    assert max(errors) < 1e-6
    assert "greater_than" in report.backward[0].decomposed and not report.left


def truths(x, y):
    above = x > y
    return above.astype("float32") * paddle.exp(x) + paddle.where(above, x, y)


def test_truth_values_that_are_tensors_stay_with_paddle_and_are_named(compiler):
    arrays = [np.random.default_rng(seed).standard_normal((4, 8), dtype="float32") for seed in (0, 1)]
    errors, report, _ = compile_and_compare(compiler, truths, arrays)
    assert max(errors) < 1e-6
    assert "greater_than" in dict(report.left) and report.forward


def test_what_has_no_rule_stays_with_paddle_and_is_named(compiler):
    def function(x):
        return paddle.cumsum(paddle.exp(x), axis=-1) * 2.0 + x

    (forward, gradient), report, _ = compile_and_compare(compiler, function, [np.ones((4, 8), "float32")])
    assert max(forward, gradient) < 1e-6
    assert [name for name, _ in report.left] == ["cumsum"]
    assert len(report.forward) == 2


def test_a_reduction_over_a_leading_axis_that_is_used_again_is_left(compiler):
    def function(x):
        return x - x.sum(0, keepdim=True)

    (forward, gradient), report, _ = compile_and_compare(compiler, function, [np.eye(6, dtype="float32")])
    assert max(forward, gradient) < 1e-6
    assert report.forward and report.rewritten.count("generated_kernel") == len(report.forward)


def lambda_free(x):
    return paddle.exp(x)


def test_not_a_number_and_infinity_go_through(compiler):
    values = np.array([[np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, 90.0, -110.0] * 4], "float32")
    inputs = compiler.accuracy.tensors([values], "float32")
    compiled, _ = compiler.tracing.to_static(lambda_free, inputs, compiler.generator.Generator("special"))
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(compiled(*inputs).numpy(), np.exp(values), rtol=1e-6, atol=1e-37)


def test_tanh_is_right_to_six_units_and_never_above_one(compiler):
    ends = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, 9.0, -9.5, 88.0]
    values = np.concatenate([ends, np.linspace(-10, 10, 20001), np.logspace(-30, 0, 22)]).astype("float32")
    compiled, _ = compiler.tracing.to_static(
        tanh, compiler.accuracy.tensors([values], "float32"), compiler.generator.Generator("tanh")
    )
    found, exact = compiled(paddle.to_tensor(values)).numpy(), np.tanh(values.astype("float64"))
    np.testing.assert_allclose(found, exact, rtol=6 * 2**-23, atol=0)
    assert np.abs(found[1:]).max() == 1 and np.array_equal(np.signbit(found[1:]), np.signbit(values[1:]))


def tanh(x):
    return paddle.tanh(x)


def test_a_kernel_is_compiled_once_and_a_broken_one_again(compiler, tmp_path, monkeypatch):
    monkeypatch.setenv("KERNEL_CACHE", str(tmp_path))
    source = '#include "kernel.h"\nconst int64_t interface[] = {0};\nvoid run(void) {}\n'
    first = compiler.toolchain.compile_kernel("small", source)
    assert first.seconds > 0
    assert compiler.toolchain.compile_kernel("small", source).seconds == 0
    broken = first.path.with_name("other.so")
    broken.write_bytes(b"cut")
    assert not compiler.toolchain.usable(broken) and not broken.exists()
    changed = compiler.toolchain.compile_kernel("small", source + "\n")
    assert changed.path != first.path


def test_a_kernel_that_does_not_compile_is_a_defect_with_the_compilers_words(compiler, tmp_path, monkeypatch):
    monkeypatch.setenv("KERNEL_CACHE", str(tmp_path))
    with pytest.raises(compiler.toolchain.CompilationFailed, match=r"(?s)wrong-\w+\.c.*undeclared.*defect") as raised:
        compiler.toolchain.compile_kernel("wrong", "int one(void) { return two; }\n")
    assert not isinstance(raised.value, compiler.toolchain.NoCompiler)


def test_without_a_compiler_the_error_names_the_package(compiler, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(compiler.toolchain.NoCompiler, match=r"apt-get install g\+\+"):
        compiler.toolchain.compile_kernel("none", "int x;")


@pytest.mark.parametrize(
    ("cinn", "host", "expected"), [(True, False, "cinn"), (True, True, "cinn"), (False, True, "generated")]
)
def test_cinn_is_chosen_wherever_it_is_compiled_in(compiler, cinn, host, expected):
    assert compiler.backend.choose(cinn, host, "some") == expected


def test_a_card_without_cinn_is_refused(compiler):
    with pytest.raises(compiler.backend.NoBackend, match="npu:0"):
        compiler.backend.choose(False, False, "npu:0")


def test_a_silent_fallback_of_cinn_is_found(compiler):
    compiler.backend.require_cinn("BackEnd.CINN", '"cinn_runtime.jit_kernel"', {"FLAGS_use_cinn": True})
    for backend, program, flags in [
        ("BackEnd.PHI", '"cinn_runtime.jit_kernel"', {}),
        ("BackEnd.CINN", '"pd_op.add"', {}),
        ("BackEnd.CINN", '"cinn_runtime.jit_kernel"', {"FLAGS_use_cinn": False}),
    ]:
        with pytest.raises(compiler.backend.SilentFallback):
            compiler.backend.require_cinn(backend, program, flags)


def test_a_silent_fallback_of_the_generator_is_found(compiler):
    kernel = "custom_op.generated_kernel_1_1"
    compiler.backend.require_generated([kernel, "pd_op.add"], 1, changed=True)
    for operators, kernels, changed in (
        (["pd_op.add"], 1, True),
        ([kernel], 2, True),
        ([kernel], 1, False),
        ([], 0, True),
    ):
        with pytest.raises(compiler.backend.SilentFallback):
            compiler.backend.require_generated(operators, kernels, changed)


def test_memory_of_the_host_is_recognised(compiler):
    assert compiler.backend.in_host_memory(paddle.arange(16, dtype="float32"))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no_such", "no subgraph"),
        ("missing.py:f", "no such file"),
        ("{file}:nothing", "no function"),
        ("{broken}:f", "ZeroDivisionError"),
        ("{file}:empty", "at least one tensor"),
    ],
)
def test_a_subgraph_that_is_not_there_is_refused_with_the_reason(compiler, tmp_path, name, why):
    (tmp_path / "file.py").write_text("def empty():\n    return 1\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    name = name.format(file=tmp_path / "file.py", broken=tmp_path / "broken.py")
    with pytest.raises(compiler.subgraphs.SubgraphError, match=why) as raised:
        compiler.subgraphs.find(name)
    assert len(str(raised.value).splitlines()) == 3


def test_sizes_that_do_not_divide_are_refused(compiler):
    with pytest.raises(compiler.subgraphs.SubgraphError, match="divide"):
        compiler.subgraphs.find("attention").sizes(100, 64)
