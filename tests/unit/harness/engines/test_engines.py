"""Engines: which one runs a cell and why not, and the command that the local one returns."""

import os
import platform
from dataclasses import replace
from pathlib import Path

import pytest
from samples import a_kind, a_part

from harness.catalogue.cells import Cell
from harness.engines import choosing
from harness.engines.choosing import choose, engines
from harness.engines.engine import LAUNCHER, Request, program_arguments, python_words, variables
from harness.engines.local import LocalEngine
from harness.environments import stacks
from harness.errors import UsageError


def a_request(**parameters):
    cell = Cell(a_part(program=Path("/checkout/projects/04-plate/main.py")), a_kind())
    return Request(cell=cell, parameters=parameters, seed=7, cards=1, out=Path("/out"))


def on_cards(*ids, kind=None, cards=None):
    cell = Cell(a_part(program=Path("/checkout/projects/08-ffn/parallel.py")), kind or a_kind())
    return Request(cell=cell, parameters={}, seed=7, cards=cards or len(ids), out=Path("/out"), card_ids=ids)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A checkout with a lock, in which the local engine works."""
    locks = tmp_path / "docker" / "locks"
    locks.mkdir(parents=True)
    (locks / "base.txt").write_text("numpy==1.26.4\n")
    monkeypatch.setattr("harness.engines.local.ROOT", tmp_path)
    return tmp_path


def test_the_arguments_are_the_program_contract():
    words = program_arguments(a_request())
    assert words == ["--part", "4", "--device", "cpu", "--cards", "1", "--seed", "7", "--out", "/out"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (1e-06, "1e-06"),
        (True, "true"),
        (False, "false"),
        ("a=b c", "a=b c"),
        ("", ""),
        (0.1 + 0.2, "0.30000000000000004"),
    ],
)
def test_a_parameter_is_passed_so_that_it_reads_back_the_same(value, text):
    assert program_arguments(a_request(x=value))[-2:] == ["--set", f"x={text}"]


def test_each_parameter_is_passed_by_itself():
    words = program_arguments(a_request(grid=5, quick=True))
    assert [words[place + 1] for place, word in enumerate(words) if word == "--set"] == ["grid=5", "quick=true"]


# Several cards


def test_one_card_runs_the_program_itself_and_several_its_launcher():
    program = Path("/checkout/projects/08-ffn/parallel.py")
    one, eight = on_cards("0"), on_cards("0", cards=8)
    assert python_words(one, program) == [str(program), *program_arguments(one)]
    assert python_words(eight, program) == [str(LAUNCHER), str(program), *program_arguments(eight)]
    assert LAUNCHER.is_file() and program_arguments(eight)[4:6] == ["--cards", "8"]


def test_the_chosen_cards_are_the_visible_ones():
    kind = a_kind("cuda", "gpu", visible_devices="CUDA_VISIBLE_DEVICES")
    assert variables(on_cards("2", "5", kind=kind))["CUDA_VISIBLE_DEVICES"] == "2,5"
    assert "CUDA_VISIBLE_DEVICES" not in variables(on_cards("0"))


def test_the_runtimes_variable_chooses_and_the_launcher_counts_from_0():
    kind = a_kind("ascend", visible_devices="ASCEND_RT_VISIBLE_DEVICES", launcher_devices="NPU_VISIBLE_DEVICES")
    found = variables(on_cards("4", "5", kind=kind))
    assert found["ASCEND_RT_VISIBLE_DEVICES"] == "4,5" and found["NPU_VISIBLE_DEVICES"] == "0,1"


def test_a_runtime_that_counts_by_places_is_told_places():
    kind = a_kind("ascend", visible_devices="ASCEND_RT_VISIBLE_DEVICES", launcher_devices="NPU_VISIBLE_DEVICES")
    found = variables(replace(on_cards("4", "5", kind=kind), called=("0", "1")))
    assert found["ASCEND_RT_VISIBLE_DEVICES"] == "0,1" and found["NPU_VISIBLE_DEVICES"] == "0,1"


@pytest.mark.parametrize(("processors", "cards", "threads"), [(2, 8, "1"), (64, 8, "8"), (None, 2, "1")])
def test_the_ranks_share_the_processor(monkeypatch, processors, cards, threads):
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert variables(on_cards("0", cards=cards))["OMP_NUM_THREADS"] == threads
    assert "OMP_NUM_THREADS" not in variables(on_cards("0"))


def test_a_person_s_own_number_of_threads_stands(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert variables(on_cards("0", cards=8))["OMP_NUM_THREADS"] == "3"


# Choosing


class Refusing:
    name = "refusing"

    def missing(self, cell):
        return "no daemon answers"


@pytest.fixture
def two_engines(monkeypatch):
    """One that cannot run anything, before the local one."""
    local = LocalEngine()
    monkeypatch.setattr(choosing, "engines", lambda: {"refusing": Refusing(), "local": local})
    monkeypatch.setattr(LocalEngine, "missing", lambda self, cell: None)
    return local


def test_auto_takes_the_first_that_can(two_engines):
    assert choose("auto", a_request().cell) == (two_engines, "local engine; refusing: no daemon answers")


def test_a_name_takes_that_one_or_says_why_not(two_engines):
    assert choose("local", a_request().cell)[0] is two_engines
    assert choose("refusing", a_request().cell) == (None, "refusing: no daemon answers")


def test_when_none_can_every_reason_is_given(two_engines, monkeypatch):
    monkeypatch.setattr(LocalEngine, "missing", lambda self, cell: "no wheels")
    assert choose("auto", a_request().cell) == (None, "refusing: no daemon answers; local: no wheels")


def test_an_unknown_engine_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="Known: auto, container, local"):
        choose("cloud", a_request().cell)


def test_every_engine_answers_to_its_name():
    assert all(name == engine.name for name, engine in engines().items())


# The local engine


def test_it_says_which_python_or_machine_has_no_wheels(monkeypatch):
    engine, part = LocalEngine(), a_part()
    wheels = {"packages": ["p"], "python": ["2.7"], "machines": [platform.machine()]}
    assert "wheels are for 2.7" in engine.missing(Cell(part, a_kind(wheels=wheels)))
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert engine.missing(Cell(part, a_kind())) == "cpu has no wheels for riscv64"
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert engine.missing(Cell(part, a_kind())) is None


def test_it_runs_the_program_in_the_stack_s_python(root):
    launch = LocalEngine().launch(a_request(grid=5))
    assert launch.command[:2] == (
        str(root / ".stacks" / "base" / "bin" / "python"), "/checkout/projects/04-plate/main.py",
    )  # fmt: skip
    assert list(launch.command[2:]) == program_arguments(a_request(grid=5))


def test_a_shell_that_sourced_no_set_up_script_is_told_and_the_program_gets_it(root, tmp_path, monkeypatch, capsys):
    script = tmp_path / "set_env.sh"
    script.write_text("export VENDOR_HOME=/vendor\n")
    monkeypatch.setattr(stacks, "prepare", lambda stack: stack)
    request, kind = a_request(), a_kind(setup=[str(script)])
    object.__setattr__(request, "cell", Cell(request.cell.part, kind))
    LocalEngine().prepare(request.cell)
    assert f"has not sourced {script}" in capsys.readouterr().out
    launch = LocalEngine().launch(request)
    assert launch.command[:2] == ("sh", str(root / "docker" / "entry.sh")) and launch.settings["SETUP"] == str(script)
    monkeypatch.setenv("VENDOR_HOME", "/vendor")
    assert LocalEngine().launch(request).command[0].endswith("python"), "this shell has it"


def test_a_record_names_the_plug_ins_wheel_version_and_hash(root, monkeypatch):
    wheels = {
        "packages": ["paddlepaddle", "paddle-custom-npu"],
        "index": "https://x",
        "python": ["3.10", "3.11", "3.12"],
    }
    kind = a_kind("npu", wheels={**wheels, "machines": ["x86_64"]})
    (root / "docker" / "locks" / "base.in").write_text("paddlepaddle==3.0.0\n")
    stack = stacks.stack("base", kind, root)
    info = stack.folder / "lib" / "python3.10" / "site-packages" / "paddle_custom_npu-3.0.0.dist-info"
    info.mkdir(parents=True)
    (info / "WHEEL").write_text("Tag: cp310-cp310-linux_x86_64\n")
    (stack.folder / stacks.HASHES).write_text("ab  paddle_custom_npu-3.0.0-cp310-cp310-linux_x86_64.whl\n")
    (found,) = stacks.installed_plug_ins(stack, root)
    assert vars(found) == {
        "package": "paddle-custom-npu",
        "version": "3.0.0",
        "wheel": "paddle_custom_npu-3.0.0-cp310-cp310-linux_x86_64.whl",
        "wheel_sha256": "ab",
    }


def test_it_says_which_stack_and_which_paddle(root, monkeypatch):
    paddle = stacks.Paddle("paddlepaddle", "3.0.0", None, None)
    monkeypatch.setattr(stacks, "installed_paddle", lambda python: paddle)
    facts = LocalEngine().launch(a_request()).facts
    assert facts["stack"]["name"] == "base" and len(facts["stack"]["lock_sha256"]) == 64
    assert facts["stack"]["index"] is None
    assert facts["paddle"] == {"package": "paddlepaddle", "version": "3.0.0", "wheel": None, "wheel_sha256": None}


def test_the_kind_s_variables_are_recorded_and_this_shell_s_stay(root, monkeypatch):
    monkeypatch.setenv("OTHER", "kept")
    request = a_request()
    kind = a_kind(distributed={"backend": "gloo", "environment": {"BACKEND": "gloo"}})
    object.__setattr__(kind, "environment", {"FLAGS_x": "1"})
    object.__setattr__(request, "cell", Cell(request.cell.part, kind))
    launch = LocalEngine().launch(request)
    assert {"PYTHONUNBUFFERED": "1", "FLAGS_x": "1", "BACKEND": "gloo"}.items() <= launch.settings.items()
    assert launch.settings.items() <= launch.environment.items()
    assert "OTHER" not in launch.settings and launch.environment["OTHER"] == "kept"
    assert launch.environment["PATH"] == os.environ["PATH"]


def test_it_prepares_the_stack_of_the_cell(root, monkeypatch):
    prepared = []
    monkeypatch.setattr(stacks, "prepare", prepared.append)
    LocalEngine().prepare(a_request().cell)
    assert [stack.folder for stack in prepared] == [root / ".stacks" / "base"]


# Variables


def test_a_variable_that_the_caller_set_goes_before_the_kind_s(monkeypatch):
    kind = replace(
        a_kind(distributed={"environment": {"BACKEND": "npu"}}),
        environment={"MKL_DEBUG_CPU_TYPE": "7", "FLAGS_x": "1", "PLUG_IN": "{root}/.cache"},
    )
    for name, value in {"MKL_DEBUG_CPU_TYPE": "", "BACKEND": "mine", "PLUG_IN": "/mine", "OTHER": "1"}.items():
        monkeypatch.setenv(name, value)
    found = variables(on_cards("0", kind=kind))
    assert found["MKL_DEBUG_CPU_TYPE"] == "" and found["BACKEND"] == "mine" and found["FLAGS_x"] == "1"
    assert found["PLUG_IN"] == "{root}/.cache", "a folder of the checkout"
    assert "OTHER" not in found
