"""Lessons run by the first command of their own docstring, as a person who reads them would type it."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.catalogue import entries
from harness.catalogue.entries import Part
from harness.checkout import ROOT
from harness.cli import tools

BOOK = entries.load()
PROGRAMS = sorted({part.program for part in BOOK.parts.values() if part.program})
LONG = {"04-plate", "05-practical", "07-new-accelerator", "09-inference", "10-optimised-inference", "11-new-model"}


def name(program: Path) -> str:
    return program.relative_to(ROOT / "projects").as_posix()


def first_command(program: Path) -> list[str]:
    """The words of the first command in the program's docstring; what stands behind `#` or three spaces is no word."""
    text = ast.get_docstring(ast.parse(program.read_text(encoding="utf-8"))) or ""
    line = next((line for line in text.splitlines() if re.match(r"    \S", line)), "")
    return shlex.split(re.split(r" #|   ", line.strip())[0])


@pytest.mark.parametrize("program", PROGRAMS, ids=name)
def test_the_first_command_names_its_interpreter_and_runs_this_program(program: Path) -> None:
    command, word, *rest = first_command(program)
    assert command == "./inv" and word in ("python", "run")
    if word == "python":
        found = tools.lesson(BOOK, rest)
        assert found.part.program == program and rest[0] == f"projects/{name(program)}"


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS, ids=name)
def test_the_first_command_runs(program: Path, tmp_path: Path) -> None:
    """To its end, or where that takes long until it says what it does."""
    _, word, *rest = first_command(program)
    if word == "run":
        pytest.skip("a cell: other tests run these")
    command = [ROOT / "inv", word, *rest, "--out", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        assert running.stdout is not None
        said = ""
        for line in running.stdout:
            said += line
            if program.parent.name in LONG and re.match(r"part \S+ on cpu", line):
                return running.kill()
    assert running.returncode == 0 and (tmp_path / "metrics.json").is_file(), said


@pytest.mark.slow
def test_a_lesson_by_hand_ends_with_its_own_exit_code() -> None:
    command = [ROOT / "inv", "python", "projects/01-install/main.py", "--set", "size=none"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "size=none: expected a whole number" in done.stderr


# Where nothing but its own folders lies, as in an image or a pack that is handed in


def start(part: Part, place: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the part's program in a copy of what it uses, with nothing of this checkout on Python's path."""
    for folder in part.folders:
        shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    assert part.program
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-W", "ignore", part.program.relative_to(ROOT), "--part", part.name, *words]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize("part", [part for part in BOOK.parts.values() if part.program], ids=lambda part: part.name)
def test_its_own_folders_are_enough_to_start(part: Part, tmp_path: Path) -> None:
    done = start(part, tmp_path, "--help")
    assert done.returncode == 0 and "--part" in done.stdout, done.stderr


@pytest.mark.slow
def test_its_own_folders_are_enough_to_run(tmp_path: Path) -> None:
    done = start(BOOK.parts["8-1"], tmp_path, "--out", str(tmp_path / "out"))
    assert done.returncode == 0 and (tmp_path / "out" / "metrics.json").is_file(), done.stderr
