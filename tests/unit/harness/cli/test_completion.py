"""Completion: what can stand next on the command line."""

import subprocess
import sys

import invoke
import pytest
from samples import a_record

import harness.cli.program  # noqa: F401 before invoke, as the entry does
import tasks
from harness import checkout
from harness.catalogue import entries
from harness.cli import completion
from harness.errors import UsageError

COMMANDS = invoke.Collection.from_module(tasks)


def candidates(line: str) -> list[str]:
    return completion.candidates(line, COMMANDS)


@pytest.mark.parametrize("line", ["", "m", "mat", "--debug "])
def test_first_come_the_commands(line):
    found = candidates(line)
    assert {"run", "matrix", "doctor", "verify", "--help"} <= set(found)


def test_behind_a_command_come_its_options():
    assert {"--task", "--hw", "--set", "--dry-run", "--help"} <= set(candidates("run "))
    assert "--explain" in candidates("matrix --") and "--task" not in candidates("matrix --")
    assert "--task" in candidates("run --dry-run ")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("run --task ", "8-2"),
        ("run --task ", "ffn"),
        ("run --hw ", "npu"),
        ("run --on ", "kubernetes"),
        ("run --on ", "slurm"),
        ("run --on ", "slurm:container"),
        ("run --hw ", "auto"),
        ("run --on ", "local"),
        ("build --stack ", "science"),
        ("bench --only ", "startup"),
        ("serve --weights ", "int4"),
        ("run --set ", "grid="),
        ("run --profile ", "full"),
        ("matrix --format ", "html"),
        ("tasks --format ", "json"),
    ],
)
def test_behind_an_option_come_its_values(line, value):
    assert value in candidates(line) and "--help" not in candidates(line)


def test_set_offers_the_parameters_of_the_part_in_the_order_of_its_data_file():
    book = entries.load()
    for name in ("4", "7", "8-2"):
        expected = [f"{parameter}=" for parameter in book.parts[name].parameters]
        assert candidates(f"run --task {name} --set ") == expected
        assert candidates(f"run {name} --set ") == expected
        assert candidates(f"run --set grid=5 --task={name} --set ") == expected
    assert candidates("run --task nowhere --set ") == []
    text = (checkout.ROOT / "projects/04-plate/project.yaml").read_text()
    places = [text.index(f"\n      {each[:-1]}:") for each in candidates("run --task 4 --set ")]
    assert places == sorted(places)


def test_an_option_that_names_a_file_leaves_it_to_the_shell():
    assert candidates("run --sign ") == [] and candidates("verify --signers ") == []


def test_behind_serve_come_the_options_of_the_server():
    assert {"--model", "--weights", "--cache", "--help"} <= set(candidates("serve --"))
    assert candidates("serve --cache ") == ["float32", "float16", "int8"]


def test_a_format_that_a_command_lacks_is_not_offered():
    assert "html" not in candidates("show --format ")


def test_behind_a_comma_the_list_goes_on():
    found = candidates("run --task 4,8-2,f")
    assert "4,8-2,ffn" in found and all(each.startswith("4,8-2,") for each in found)


def test_behind_show_and_verify_come_the_runs(results, monkeypatch):
    folder = a_record(results)
    monkeypatch.setattr(checkout, "ROOT", results.parent)
    for name in ("show", "verify"):
        assert {"latest", folder.name} <= set(candidates(f"{name} "))
    assert folder.name not in candidates("run ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell):
    assert "--complete --" in completion.script(shell)


def test_the_bash_script_completes(tmp_path):
    program = tmp_path / "inv"
    program.write_text(f"#!{sys.executable}\nimport sys\nprint('run matrix', *sys.argv[1:3])\n")
    program.chmod(0o755)
    lines = f"""{completion.script("bash")}
COMP_WORDS=({program} ma) COMP_CWORD=1
_paddlehomework {program} ma {program}
printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("matrix\n", "")


def test_another_shell_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="bash, zsh, fish"):
        completion.script("powershell")
