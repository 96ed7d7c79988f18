"""Lessons by hand: the project of the file that is named decides the stack, --device the kind of hardware."""

import pytest

from harness.catalogue import entries
from harness.checkout import ROOT
from harness.cli import tools
from harness.cli.tools import SERVER_OPTIONS
from harness.errors import UsageError

BOOK = entries.load()


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(
    ("words", "part", "stack"),
    [
        ("projects/01-install/main.py", "1", "base"),
        ("projects/08-ffn/parallel.py --part 8-2", "8-2", "base"),
        ("projects/08-llama/main.py", "8-3", "nlp"),
        ("projects/06-open-source/findings/one_thread.py", "6", "base"),
        ("projects/kit/launch.py projects/08-ffn/parallel.py --cards 8", "8-2", "base"),
        (f"{ROOT}/projects/13-conversion/same.py --out x", "13-2", "convert"),
    ],
)
def test_the_file_names_the_part_and_its_stack(words, part, stack):
    found = tools.lesson(BOOK, words.split())
    assert (found.part.name, found.part.stack, found.kind.name) == (part, stack, "cpu")


@pytest.mark.parametrize(
    ("words", "kind"), [("--device sim", "sim"), ("--device=npu:3", "ascend"), ("--seed 1", "cpu")]
)
def test_the_device_names_the_kind(words, kind):
    assert tools.lesson(BOOK, ["projects/01-install/main.py", *words.split()]).kind.name == kind


@pytest.mark.parametrize("words", ["", "projects/01-install/nowhere.py", "tasks.py", "projects/kit/launch.py"])
def test_what_is_no_program_of_a_project_is_refused(words):
    with pytest.raises(UsageError, match="no program of projects/"):
        tools.lesson(BOOK, words.split())


def test_every_program_of_bench_that_names_a_stack_is_a_measurement():
    found = tools.measurements()
    assert {"startup", "compiler", "bounds"} <= set(found) and not {"measuring", "keep", "compiler_sides"} & set(found)
    assert found["compiler"].stack == "bench-compiler" and found["startup"].summary.startswith("How long")
    named = {stack for each in found.values() for stack in (each.stack, each.beside) if stack}
    assert found["inference"].beside == "bench-peers" in named
    assert all((ROOT / "docker" / "locks" / f"{stack}.txt").is_file() for stack in named)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--wieghts int4", "unrecognized arguments: --wieghts int4"),
        ("--weights int3", "invalid choice: 'int3'"),
        ("--blocks 1", "--blocks must be 4 to 1048576"),
        ("--host 0.0.0.0", "set a key"),
        ("--por 8001", "unrecognized arguments: --por 8001"),
        ("--device gpu:x", "--device gpu:x is no device"),
        ("--model nowhere", "there is no model at nowhere"),
    ],
)
def test_what_the_server_refuses_is_a_usage_error_before_it_is_started(arguments, says, monkeypatch):
    monkeypatch.delenv("PADDLEHOMEWORK_API_KEY", raising=False)
    with pytest.raises(UsageError) as caught:
        tools.require_options("serve", SERVER_OPTIONS, arguments.split())
    assert says in caught.value.what and len(str(caught.value).splitlines()) == 3
    tools.require_options("serve", SERVER_OPTIONS, ["--weights", "int4", "--port=0"])


@pytest.mark.parametrize(
    ("files", "model", "says"),
    [
        ({"m/notes.txt": "x"}, "m", "has no config.json and 0 GGUF files"),
        ({"m/a.gguf": "GGUF", "m/b.gguf": "GGUF"}, "m", "has no config.json and 2 GGUF files"),
        ({"m/a.gguf": ""}, "m", "a.gguf is no GGUF file"),
        ({"m.txt": "hello"}, "m.txt", "m.txt is no GGUF file"),
        ({"m/config.json": "{"}, "m", "config.json is not JSON"),
        ({"m/config.json": "[" * 100_000}, "m", "config.json is not JSON"),
        ({"m/config.json": "[]"}, "m", "names no architecture"),
        ({"m/config.json": '{"architectures": ["X"]}', "m/pytorch_model.bin": ""}, "m", "neither model.safetensors"),
    ],
)
def test_what_is_no_model_is_refused_before_the_server_is_installed(tmp_path, files, model, says):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as caught:
        tools.require_options("serve", SERVER_OPTIONS, ["--model", str(tmp_path / model)])
    assert says in caught.value.what and len(str(caught.value).splitlines()) == 3


def test_the_servers_own_options_and_defaults_are_shown():
    shown = tools.options_of(SERVER_OPTIONS)
    assert "--cache {float32,float16,int8}" in shown and "keys and values [float16]" in shown
    assert tools.options_of(ROOT / "nowhere.py") == ""


def test_all_tests_take_two_processes_and_fast_ones_are_never_thorough(monkeypatch):
    calls = []
    monkeypatch.setattr(tools, "run", lambda stack, command: calls.append([stack, *command]))
    tools.test("", fast=False)
    tools.test("tests/unit/test_entry.py -q", fast=True)
    assert calls == [
        ["test", "pytest", "-n", "2", "--no-loadscope-reorder", "tests"],
        ["test", "pytest", "tests/unit/test_entry.py", "-q", "-m", "not slow and not thorough"],
    ]
