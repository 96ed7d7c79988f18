"""Wrong calls: each is refused in three lines, what, why and what to do, before anything is done."""

import re
import shlex
from pathlib import Path

import invoke
import pytest

import harness.cli.program  # noqa: F401 before invoke, as the entry does
import tasks
from harness.catalogue import entries
from harness.cli.program import Program
from harness.environments import stacks
from harness.runs import runner

ROOT = Path(__file__).resolve().parents[4]
CALLS = [
    [part.strip() for part in re.split(r"(?<!\S)# ", line)]
    for line in (ROOT / "tests/data/wrong_calls.txt").read_text(encoding="utf-8").splitlines()
    if line.strip() and not line.startswith("#")
]
BOOK = entries.load()
COMMANDS = invoke.Collection.from_module(tasks)


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Type a call in an empty folder: gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tasks, "RESULTS", tmp_path / "results")
    monkeypatch.delenv("HOMEWORK_STORE", raising=False)
    monkeypatch.setattr(entries, "load", lambda: BOOK)
    for place, name in ((stacks, "prepare"), (runner, "run_cell")):
        monkeypatch.setattr(place, name, None)  # what would be called, if the call were not refused

    def typed(words: str):
        with pytest.raises(SystemExit) as left:
            Program(COMMANDS, "0").run(["inv", *shlex.split(words)])
        return left.value.code, *capsys.readouterr()

    return typed


@pytest.mark.parametrize(("words", "says"), [(words, "".join(says)) for words, *says in CALLS])
def test_a_wrong_call_is_refused_in_three_lines(call, tmp_path, words, says):
    code, out, err = call(words)
    lines = err.splitlines()
    assert code == 2 and out == "", err
    assert len(lines) == 3 and all(line.strip() for line in lines) and "defect" not in err, err
    assert says in err
    assert list(tmp_path.iterdir()) == [], "nothing was made"


@pytest.mark.parametrize("name", sorted(COMMANDS.task_names))
def test_every_command_has_wrong_calls_of_its_own(name):
    assert sum(words.split(" ")[0] == name for words, *_ in CALLS) >= 1


@pytest.mark.parametrize("name", sorted(COMMANDS.task_names))
def test_no_command_takes_a_line_break_a_flood_or_bytes_for_a_name(call, name):
    for odd in ("--x\ny", "--" + "x" * 100_000, "--\udcff", "--\033[31mred"):
        code, _, err = call(f"{name} {shlex.quote(odd)}")
        assert code in (2,) and len(err.splitlines()) == 3 and len(err) < 9000 and "\033[31mred" not in err


def test_there_are_enough_of_them():
    assert len(CALLS) >= 144
