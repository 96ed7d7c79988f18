"""The command line: usage errors are explained, and every ending has its exit code."""

import contextlib
import io
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import invoke
import pytest
from hypothesis import given
from hypothesis import strategies as st
from invoke.exceptions import Exit

from harness import errors
from harness.cli import pages
from harness.cli.commands import Option, command
from harness.cli.program import Program
from harness.errors import Interrupted

ROOT = Path(__file__).resolve().parents[4]


class Raise:
    """What the command `do` raises."""

    error: BaseException | None = None


@command("run")
def do(context, number: Annotated[int, Option(help="a number")] = 1, name="x", flag=False):
    """Do what the test wants.

    Raises what it is told to.
    """
    if Raise.error is not None:
        raise Raise.error
    print("done", number, name, flag)


@command("look")
def look(context, run: Annotated[str, Option(help="a run", operand=True, default="latest")]):
    """Look at one run."""
    print("looked at", run)


@command("run")
def hand(context, program: Annotated[list, Option(help="a program", operand=True, handed_on=True, default="")]):
    """Hand on what stands behind it."""
    print(program)


@command("elsewhere")
def serve(
    context,
    arguments: Annotated[
        list,
        Option(help="its own", operand=True, handed_on=True, default="", more=lambda: "Options\n  --port PORT  a port"),
    ],
):
    """Serve, with the options of a program."""
    print(arguments)


COMMANDS = invoke.Collection(do, look, hand, serve)


@pytest.fixture
def inv(capsys, monkeypatch):
    """Type a command: gives exit code, stdout and stderr."""
    monkeypatch.setattr(Raise, "error", None)

    def type_command(*words, error=None):
        Raise.error = error
        with pytest.raises(SystemExit) as left:
            Program(COMMANDS, "0").run(["inv", *words])
        said = capsys.readouterr()
        return left.value.code, said.out, said.err

    return type_command


def test_a_command_that_ends_well_exits_with_0(inv):
    assert inv("do") == (0, "done 1 x False\n", "")
    assert inv("do", "--number", "5", "--name=y", "--flag") == (0, "done 5 y True\n", "")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("HomeworkError", 1), ("UsageError", 2), ("DataFileError", 2), ("HardwareError", 3),
        ("EngineError", 4), ("BuildError", 5), ("VerificationError", 6), ("StoreError", 7),
    ],
)  # fmt: skip
def test_each_error_has_its_exit_code_and_its_three_lines(inv, name, code):
    error = getattr(errors, name)("What.", "Why.", "What to do.")
    assert inv("do", error=error) == (code, "", "What.\nWhy.\nWhat to do.\n")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Interrupted(2), 130),
        (Interrupted(15), 143),
        (KeyboardInterrupt(), 130),
        (Exit(code=4), 4),
        (PermissionError(13, "Permission denied", "/results"), 7),
        (ValueError("surprise"), 1),
        (RecursionError(), 1),
    ],
)
def test_every_other_ending_has_its_exit_code_without_a_traceback(inv, error, code):
    found, out, err = inv("do", error=error)
    assert found == code and out == "" and "Traceback" not in err


def test_a_defect_is_said_to_be_one_and_debug_shows_where(inv):
    _, _, err = inv("do", error=ValueError("surprise"))
    assert err.startswith("A defect in PaddleHomework: ValueError: surprise\n")
    for words in (("--debug", "do"), ("do", "--debug")):
        _, _, err = inv(*words, error=ValueError("surprise"))
        assert "Traceback (most recent call last)" in err


def test_a_file_that_the_system_refuses_is_named(inv):
    _, _, err = inv("do", error=PermissionError(13, "Permission denied", "/results/x"))
    assert err.startswith("/results/x: Permission denied.\n")


# Usage errors


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["lok"], "lok: no such command.\nIt is not a command of this program. Did you mean look?\nSee ./inv --help\n"),
        (["do", "--numbr", "5"], "Did you mean --number?\nSee ./inv do --help\n"),
        (["do", "--zzz"], "--zzz: no such option.\nIt is not an option of do.\nSee ./inv do --help\n"),
        (["do", "--number"], "--number lacks its value.\nIt is: a number.\nWrite --number INT"),
        (["do", "--number", "many"], "--number many: no such number.\nIt is a whole number from 0"),
        (["do", "xyz"], "xyz: not understood.\ndo takes options alone.\nSee ./inv do --help\n"),
        (["--nonsense"], "--nonsense: no such"),
    ],
)
def test_usage_errors_exit_with_2_and_say_what_to_do(inv, words, says):
    code, out, err = inv(*words)
    assert code == 2 and out == "" and says in err and len(err.splitlines()) <= 3


def test_an_operand_that_is_left_out_has_its_default(inv):
    assert inv("look") == (0, "looked at latest\n", "")
    assert inv("look", "2026") == (0, "looked at 2026\n", "")


# Help


@pytest.mark.parametrize("words", [["--help"], ["-h"], []])
def test_the_page_of_help_names_every_command(inv, words):
    code, out, _ = inv(*words)
    assert code == 0 and "Exit codes: 0 all passed" in out
    assert "Run\n  do     Do what the test wants." in out and "Look\n  look   Look at one run." in out


@pytest.mark.parametrize(
    "words", [["do", "--help"], ["do", "-h"], ["--help", "do"], ["look", "--help"], ["do", "--name", "y", "--help"]]
)
def test_a_command_is_explained_and_not_done(inv, words):
    code, out, _ = inv(*words)
    assert code == 0 and ("Raises what" in out or "Look at one run" in out) and "done" not in out


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errors.UsageError, "usage error, a named file that is not there, or a bad data file"),
        (errors.HardwareError, "hardware"),
        (errors.EngineError, "engine"),
        (errors.BuildError, "build"),
        (errors.VerificationError, "verification"),
        (errors.StoreError, "results or store"),
    ],
)
def test_the_exit_codes_in_the_help_are_those_of_the_errors(error, words):
    assert f"{error.code} {words}" in " ".join(pages.HELP.split())


def test_a_completion_script_and_candidates_are_printed(inv):
    code, out, _ = inv("--print-completion-script", "bash")
    assert code == 0 and "complete" in out
    assert inv("--print-completion-script", "tcsh")[0] == 2
    code, out, _ = inv("--complete", "--", "do --")
    assert code == 0 and "--number" in out.split()


def test_a_reader_that_leaves_early_is_no_error():
    script = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}]\n"
        "from harness.cli.program import Program\nfrom harness.cli.commands import command\nimport invoke\n"
        "@command('run')\ndef talk(context):\n    'Talk.'\n    for _ in range(100000): print('words')\n"
        "Program(invoke.Collection(talk), '0').run(['inv', 'talk'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "words\n"
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait() == 0


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=5))
def test_what_stands_behind_a_program_is_its_own_whatever_it_is(words):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit) as left:
        given = ["inv", "hand", "main.py", "--debug", "--help", "look", *words]
        Program(COMMANDS, "0").run(given)
    assert left.value.code == 0
    assert said.getvalue() == f"{['main.py', '--debug', '--help', 'look', *words]}\n"


def test_a_command_that_hands_on_has_a_help_of_its_own(inv):
    code, said, _ = inv("hand", "--help")
    assert code == 0 and "Hand on what stands behind it." in said


def test_what_stands_behind_serve_goes_to_its_program_as_it_stands(inv):
    assert inv("serve") == (0, "[]\n", "")
    assert inv("serve", "--port", "0", "--model=x y", "--debug") == (
        0,
        "['--port', '0', '--model=x y', '--debug']\n",
        "",
    )
    code, said, _ = inv("serve", "--port", "0", "--help")
    assert code == 0 and "Usage: ./inv serve [options]\n" in said and "  --port PORT  a port" in said


def test_the_list_has_every_command_in_its_group(inv):
    code, said, _ = inv("--list")
    assert code == 0 and [line for line in said.splitlines() if line and line[0] != " "] == ["Run", "Look", "Elsewhere"]
    assert "other tasks" not in said + inv("do", "--help")[1]


def test_the_help_of_a_command_has_each_option_with_its_default(inv):
    _, said, _ = inv("do", "--help")
    assert "Usage: ./inv do [options]\n" in said and "  --number INT  a number [1]\n" in said
    _, said, _ = inv("look", "--help")
    assert "Usage: ./inv look [RUN] [options]\n" in said and "  RUN  a run [latest]\n" in said
