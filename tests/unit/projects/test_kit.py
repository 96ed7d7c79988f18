"""The contract library: what a program is told, and what it leaves behind."""

import json
import math
import os
import platform
import random
import string
import subprocess
import sys
from pathlib import Path

import kit
import numpy as np
import paddle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit import arguments, choose_dtype, device, libraries, refuse, start

PROJECT = """
title: An example
parts:
  "9-1":
    title: not written yet
  "9-2":
    program: main.py
    parameters:
      grid: {default: 101, at_least: 11, at_most: 1001, help: points per side}
      method: {default: ritz, choices: [ritz, pinn]}
      step: {default: 0.5, at_least: 0}
      fast: {default: false}
  "9-3":
    program: main.py
"""

REGISTERED = paddle.base.core._get_all_register_op_kernels("phi")


@pytest.fixture
def main(tmp_path: Path) -> str:
    (tmp_path / "project.yaml").write_text(PROJECT)
    return str(tmp_path / "main.py")


@pytest.fixture
def begin(main: str, tmp_path: Path):
    return lambda *words: start(main, "An example.", ["--out", str(tmp_path / "out"), *words])


class TestArguments:
    def test_without_words_the_first_written_part_runs_on_the_cpu_with_its_defaults(self, main, tmp_path):
        found = arguments.parse(Path(main), None, [])
        assert (found.part, found.device, found.cards, found.seed) == ("9-2", "cpu", 1, 0)
        assert found.out == Path("results/by-hand/9-2")  # ignored by git in a checkout
        assert found.parameters == {"grid": 101, "method": "ritz", "step": 0.5, "fast": False}

    def test_values_take_the_type_of_the_default_and_the_last_one_wins(self, main):
        words = ["--set", "grid=21", "method=pinn", "--set", "fast=True", "step=1", "grid=31"]
        found = arguments.parse(Path(main), None, words).parameters
        assert found == {"grid": 31, "method": "pinn", "step": 1.0, "fast": True}
        assert isinstance(found["step"], float)

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["--set", "gird=21"], "part 9-2: unknown parameter 'gird'; there is grid, method, step, fast"),
            (["--set", "grid"], "part 9-2: --set grid: write NAME=VALUE"),
            (["--set", "grid=2.5"], "part 9-2: grid=2.5: expected a whole number"),
            (["--set", "grid=10"], "part 9-2: grid=10: at least 11"),
            (["--set", "grid=1002"], "part 9-2: grid=1002: at most 1001"),
            (["--set", "method=magic"], "part 9-2: method=magic: choose from ritz, pinn"),
            (["--set", "fast=1"], "part 9-2: fast=1: expected true or false"),
            (["--set", "step=nan"], "part 9-2: step=nan: expected a finite number"),
            (["--part", "9-3", "--set", "grid=21"], "part 9-3: unknown parameter 'grid'; there is none"),
            (["--cards", "0"], "--cards 0: at least 1"),
            (["--seed", "-1"], "--seed -1: numpy takes 0 to 4294967295"),
        ],
    )
    def test_a_wrong_word_is_one_clear_line_and_exit_2(self, main, capsys, words, says):
        with pytest.raises(SystemExit) as stop:
            arguments.parse(Path(main), None, words)
        assert stop.value.code == 2
        assert capsys.readouterr().err == f"error: {says}\n"

    def test_a_part_without_a_program_cannot_be_chosen(self, main, capsys):
        with pytest.raises(SystemExit) as stop:
            arguments.parse(Path(main), None, ["--part", "9-1"])
        assert stop.value.code == 2
        assert "9-1" in capsys.readouterr().err

    def test_a_number_that_yaml_reads_as_text_is_reported_where_it_stands(self):
        with pytest.raises(arguments.ParameterError, match="is text; write it with a point"):
            arguments.resolve({"rate": {"default": "1e-3"}}, [])

    @given(text=st.text())
    def test_whatever_is_given_the_value_keeps_its_type_and_bounds_or_is_refused(self, text):
        declared = {"grid": {"default": 101, "at_least": 11, "at_most": 1001}, "step": {"default": 0.5}}
        for name, kind in (("grid", int), ("step", float)):
            try:
                value = arguments.resolve(declared, [f"{name}={text}"])[name]
            except arguments.ParameterError as error:
                assert str(error).startswith(f"{name}=")
            else:
                assert type(value) is kind and math.isfinite(value)
                assert name != "grid" or 11 <= value <= 1001

    @given(value=st.floats(allow_nan=False, allow_infinity=False))
    def test_a_float_survives_the_command_line(self, value):
        assert arguments.resolve({"x": {"default": 0.0}}, [f"x={value!r}"]) == {"x": value}


class TestProgram:
    def test_it_leaves_metrics_trace_and_proof(self, begin, tmp_path):
        program = begin("--set", "grid=21")
        tensor = paddle.arange(3, dtype="float32")
        program.used(tensor, paddle.nn.Linear(2, 2))
        program.metric("works", np.bool_(True))
        program.metric("largest", tensor.max())
        program.metric("count", np.int64(3))
        program.metric("method", "ritz")
        program.trace(tensor=tensor, half=tensor.astype("bfloat16"), listed=[[1, 2]])
        program.finish()

        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
            "device.json",
            "metrics.json",
            "trace.npz",
        ]
        metrics = json.loads((program.out / "metrics.json").read_text())
        assert metrics == {"works": True, "largest": 2.0, "count": 3, "method": "ritz"}
        trace = np.load(program.out / "trace.npz")
        np.testing.assert_array_equal(trace["tensor"], [0, 1, 2])
        np.testing.assert_array_equal(trace["half"], [0, 1, 2])  # not the bits of a bfloat16
        assert trace["listed"].shape == (1, 2)

    def test_the_same_seed_gives_the_same_numbers_in_all_three_generators(self, begin):
        def draw() -> tuple[float, float, float]:
            return random.random(), float(np.random.rand()), paddle.rand([1]).item()

        begin("--seed", "7")
        first = draw()
        begin("--seed", "7")
        assert draw() == first
        begin("--seed", "8")
        assert all(one != other for one, other in zip(draw(), first, strict=True))

    def test_finishing_does_not_disturb_the_random_numbers(self, begin):
        program = begin()
        first = paddle.rand([1]).item()
        program = begin()
        program.finish()
        assert paddle.rand([1]).item() == first

    def test_a_metric_that_is_not_finite_is_written_for_the_judge_to_refuse(self, begin):
        program = begin()
        program.metric("error", float("nan"))
        program.finish()
        assert '"error": NaN' in (program.out / "metrics.json").read_text()

    def test_a_metric_has_a_new_and_flat_name(self, begin):
        program = begin()
        program.metric("error", 1)
        with pytest.raises(ValueError, match="already there"):
            program.metric("error", 2)
        for name in ["Error", "a.b", "", "2d", "größe", "a b"]:
            with pytest.raises(ValueError, match="lower case"):
                program.metric(name, 1)

    @pytest.mark.parametrize("value", [None, [1], 1j, np.zeros(2), {"a": 1}])
    def test_a_metric_is_one_number_boolean_or_text(self, begin, value):
        with pytest.raises(TypeError, match="metric thing"):
            begin().metric("thing", value)

    def test_a_failed_run_does_not_leave_the_files_of_the_one_before(self, begin):
        begin().finish()
        assert list(begin().out.iterdir()) == []

    def test_artefacts_stay_inside_the_folder(self, begin):
        program = begin()
        assert program.artefact("plots/loss.png").parent.is_dir()
        with pytest.raises(ValueError, match="outside"):
            program.artefact("../loss.png")

    def test_other_ranks_leave_only_their_proof(self, begin, monkeypatch):
        monkeypatch.setenv("PADDLE_TRAINER_ID", "3")
        monkeypatch.setenv("PADDLE_TRAINERS_NUM", "8")
        program = begin()
        program.metric("error", 1)
        program.finish()
        assert [path.name for path in program.out.iterdir()] == ["device.3.json"]
        proof = json.loads((program.out / "device.3.json").read_text())
        assert (proof["rank"], proof["processes"]) == (3, 8)

    def test_a_device_that_is_not_there_is_one_line_and_exit_3(self, begin, capsys):
        with pytest.raises(SystemExit) as stop:
            begin("--device", "abacus")
        assert stop.value.code == 3
        error = capsys.readouterr().err
        assert error.startswith("error: device abacus cannot be taken:") and error.count("\n") == 1


class NoModel(Exception):
    pass


class NoCompiler(Exception):
    exit_code = 3


class TestEnding:
    def test_a_refusal_says_what_why_and_what_to_do_and_leaves_out_what_is_not_known(self, capsys):
        for lines, said in [(("a", "b", "c"), "error: a\nb\nc\n"), (("a", "", "c"), "error: a\nc\n")]:
            with pytest.raises(SystemExit) as stop:
                refuse(*lines)
            assert stop.value.code == 2 and capsys.readouterr().err == said

    @pytest.mark.parametrize(("error", "code"), [(NoModel("none\nhere"), 2), (NoCompiler("none\nhere"), 3)])
    def test_an_error_that_a_program_names_ends_it_in_its_own_words(self, capsys, error, code):
        def run():
            raise error

        with pytest.raises(SystemExit) as stop:
            kit.main(run, NoModel, NoCompiler)
        assert stop.value.code == code and capsys.readouterr().err == "error: none\nhere\n"

    def test_any_other_error_is_a_defect_and_keeps_its_traceback(self):
        with pytest.raises(ZeroDivisionError):
            kit.main(lambda: 1 / 0, NoModel)

    def test_a_program_that_ends_well_is_left_alone(self):
        assert kit.main(lambda: None, NoModel) is None


class TestProof:
    def test_the_cpu_computed_and_computed_right(self, begin):
        program = begin()
        tensor = paddle.ones([2], dtype="float32")
        tensor.stop_gradient = False
        tensor.sum().backward()
        program.used(tensor)
        program.finish()
        proof = json.loads((program.out / "device.json").read_text())
        assert (proof["requested"], proof["device"]) == ("cpu", "cpu")
        assert list(proof["places"]) == ["Place(cpu)"]
        assert proof["places_of_the_program"] == {"Place(cpu)": 2}  # the tensor and its gradient
        assert all(proof["kernels"].values())
        assert 0 < proof["probe_error"] < 1e-5

    def test_only_tensors_and_layers_have_a_place(self, begin):
        with pytest.raises(TypeError, match="not ndarray"):
            begin().used(np.zeros(2))

    @pytest.mark.parametrize("taken", ["gpu:0", "gpu:3", "xpu:1", "npu:7"])
    def test_a_kernel_belongs_to_a_kind_of_device_and_a_place_to_one_card(self, taken):
        kind = taken.partition(":")[0]
        line = "{{data_type[float]; data_layout[Undefined(AnyLayout)]; place[Place({})]; library_type[PLAIN]}}"
        assert device.has_kernel({"tanh": [line.format(f"{kind}:0")]}, "tanh", taken)
        assert not device.has_kernel({"tanh": [line.format("cpu")]}, "tanh", taken)
        assert not device.has_kernel({"tanh": [line.format(":0")]}, "tanh", taken)  # as listed without any plug-in

    def test_the_sum_over_an_axis_is_not_mistaken_for_the_sum_of_tensors(self):
        line = "{data_type[float]; place[Place(npu:0)]}"
        assert not device.has_kernel(
            {"sum": [line], "reduce_sum": ["{data_type[float]; place[Place(cpu)]}"]}, "sum", "npu:0"
        )

    @given(kind=st.text(string.ascii_lowercase, min_size=1, max_size=8).filter(lambda kind: kind != "cpu"))
    def test_this_paddle_has_no_kernels_for_a_device_without_plug_in(self, kind):
        assert not any(device.has_kernel(REGISTERED, operator, f"{kind}:0") for operator in device.PROBE_OPERATORS)


class TestLibraries:
    def test_each_says_what_it_chose(self):
        found = {each["name"]: each for each in libraries.libraries()}
        assert {"OpenBLAS"} <= found.keys(), "numpy brings one"
        for each in found.values():
            assert each.keys() == {"name", "of", "version", "kernel", "threads"}
            assert each["of"] and each["version"] and each["kernel"]

    @pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernels of x86-64")
    def test_what_was_asked_for_is_what_it_says(self, tmp_path):
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]); import numpy, paddle; from kit.libraries import libraries;"
            "x = paddle.ones([8, 8]); (x @ x).numpy(); print([(l['name'], l['kernel']) for l in libraries()])"
        )
        asked = {"OPENBLAS_CORETYPE": "Nehalem", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_DEBUG_CPU_TYPE": "5"}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, str(Path(device.__file__).parents[1])],
            env={**os.environ, **asked},
            capture_output=True,
            text=True,
        )
        said = done.stdout.splitlines()[-1]
        assert "('OpenBLAS', 'Nehalem')" in said and "('oneDNN', 'AVX2')" in said and "('MKL', 'AVX2')" in said

    def test_where_the_system_says_nothing_none_is_named(self, monkeypatch):
        monkeypatch.setattr(libraries, "loaded", lambda: iter(()))
        assert libraries.libraries() == []

    def test_a_file_that_is_not_what_its_name_says_is_left_out(self, monkeypatch, tmp_path):
        (tmp_path / "libopenblas.so").write_text("no library")
        monkeypatch.setattr(libraries, "loaded", lambda: iter((tmp_path / "libopenblas.so",)))
        assert libraries.libraries() == []


class TestPrecision:
    def test_the_cpu_computes_in_float64(self):
        assert choose_dtype()[0] == "float64"

    def test_a_device_that_refuses_float64_is_given_float32(self, monkeypatch):
        def refuse(tensor):
            raise RuntimeError("the kernel tanh is not registered for float64")

        monkeypatch.setattr(paddle, "tanh", refuse)
        dtype, reason = choose_dtype()
        assert dtype == "float32" and "refuses float64" in reason
        assert paddle.get_flags("FLAGS_enable_api_kernel_fallback")["FLAGS_enable_api_kernel_fallback"]

    def test_a_device_that_takes_float64_and_rounds_it_is_given_float32(self, monkeypatch):
        rounded = paddle.exp
        monkeypatch.setattr(paddle, "exp", lambda x: rounded(x.astype("float32")).astype("float64"))
        dtype, reason = choose_dtype()
        assert dtype == "float32" and "is wrong by" in reason
