"""docker/entry.sh: a program starts as from the vendor's login shell, whatever its set-up scripts are like."""

import shutil
import subprocess

import pytest

from harness.checkout import ROOT
from harness.environments import setup

ENTRY = ROOT / "docker" / "entry.sh"
BASH_ONLY = """\
function find_abi() { local found=0; [[ "${1:-}" == *abi1* ]] && found=1; echo "$found"; }
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
export VENDOR_LIBRARY_HOME="${here}/abi_$(find_abi "$@")"
"""
UNSET = "export VENDOR_TOOLKIT_HOME=/vendor\nexport PYTHONPATH=$VENDOR_TOOLKIT_HOME/python:$NOBODY_SET_THIS\n"


@pytest.fixture
def script(tmp_path):
    def write(text, name="set_env.sh"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def entry(*words, scripts="", shell="sh", **variables):
    environment = {"PATH": "/usr/bin:/bin", "SETUP": scripts, **variables}
    return subprocess.run([shell, ENTRY, *words], env=environment, capture_output=True, text=True)


def said(name, **options):
    return entry("sh", "-c", f'echo "${name}"', **options).stdout.strip()


def test_what_bash_alone_reads_is_sourced_by_bash(script, tmp_path):
    assert said("VENDOR_LIBRARY_HOME", scripts=script(BASH_ONLY)) == f"{tmp_path}/abi_0"


def test_variables_that_nobody_set_end_nothing(script):
    assert said("PYTHONPATH", scripts=script(UNSET)) == "/vendor/python:"


def test_several_are_sourced_in_order_and_those_that_are_not_there_left_out(script):
    scripts = f"{script('export A=1', 'a')} /no/such/file {script('export B=${A}2', 'b')}"
    assert said("B", scripts=scripts) == "12"


def test_a_script_does_not_read_the_programs_words(script):
    done = entry("printenv", "VENDOR_LIBRARY_HOME", scripts=script(BASH_ONLY))
    assert done.stdout.strip().endswith("abi_0"), done
    assert "abi_0" in entry("sh", "-c", 'echo "$VENDOR_LIBRARY_HOME"', "abi1", scripts=script(BASH_ONLY)).stdout


@pytest.mark.parametrize("text", ["false", "cd /", "echo loud", "set -eu; true", "return 3", "no_such_command"])
def test_what_else_a_script_does_changes_neither_the_place_nor_the_output(script, tmp_path, text):
    program = ["sh", "-c", 'pwd; echo "$NOBODY_SET_THIS"']
    done = subprocess.run(
        ["sh", ENTRY, *program],
        env={"PATH": "/usr/bin:/bin", "SETUP": script(text)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}\n\n"), done


@pytest.mark.parametrize("shell", ["bash", "dash"])
@pytest.mark.parametrize("ends", ["exit 0", "exit 3", "set -e; false"])
def test_a_script_that_ends_the_shell_ends_neither_the_others_nor_the_program(script, tmp_path, shell, ends):
    scripts = f"{script(f'export ONE=1; cd /; {ends}')} {script('export TWO=2', 'other.sh')}"
    path = "/usr/bin:/bin" if shell == "bash" else str(_without_bash(tmp_path))
    done = entry(
        "sh", "-c", 'echo "$ONE$TWO$1"; exit 7', "x", "two words", scripts=scripts, shell="/bin/dash", PATH=path
    )
    assert (done.stdout, done.returncode) == ("12two words\n", 7)
    assert "set_env.sh ended the shell" in done.stderr and "other.sh" not in done.stderr


def _without_bash(folder):
    tools = folder / "tools"
    tools.mkdir()
    for name in ("sh", "uname"):
        (tools / name).symlink_to(shutil.which(name))
    return tools


def test_a_script_takes_nothing_from_the_programs_input_and_may_lose_the_path(script):
    scripts = script("read line; PATH=/nowhere; exec 1>/dev/null; export PATH")
    environment = {"PATH": "/usr/bin:/bin", "SETUP": scripts}
    done = subprocess.run(["/bin/sh", ENTRY, "cat"], env=environment, capture_output=True, text=True, input="first\n")
    assert done.stdout == "first\n"


def test_the_programs_words_and_its_ending_are_its_own():
    done = entry("sh", "-c", 'printf "%s|" "$@"; exit 7', "sh", "a b", "", "*", "c\nd")
    assert done.returncode == 7 and done.stdout == "a b||*|c\nd|"


@pytest.mark.skipif(not shutil.which("dash"), reason="dash is not here")
def test_without_bash_it_is_the_plain_shell(script, tmp_path):
    for name in ("sh", "env", "uname", "dash"):
        (tmp_path / name).symlink_to(shutil.which(name))
    done = entry("env", scripts=script(UNSET), shell=str(tmp_path / "dash"), PATH=str(tmp_path))
    assert "VENDOR_TOOLKIT_HOME=/vendor" in done.stdout.splitlines(), done.stderr


def test_on_arm_the_openmp_runtime_goes_first(tmp_path):
    uname = tmp_path / "uname"
    uname.write_text("#!/bin/sh\necho aarch64\n")
    uname.chmod(0o755)
    text = ENTRY.read_text().replace("/usr/lib64/libgomp.so.1", f"{tmp_path}/libgomp.so.1")
    (tmp_path / "entry.sh").write_text(text)
    (tmp_path / "libgomp.so.1").touch()
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    words = ["sh", tmp_path / "entry.sh", "sh", "-c", 'echo "$LD_PRELOAD"']
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == f"{tmp_path}/libgomp.so.1"
    own = {**environment, "LD_PRELOAD": "/own/libgomp.so.1"}
    done = subprocess.run(words, env=own, capture_output=True, text=True)
    assert done.stdout.strip() == "/own/libgomp.so.1", "a person's own stands"


# Whether this shell has sourced them


@pytest.fixture(autouse=True)
def _ask_again():
    setup._sets.cache_clear()


def test_a_script_whose_variables_this_shell_lacks_was_not_sourced(script, monkeypatch):
    one = script(UNSET)
    assert setup.not_sourced([one, "/no/such/file"]) == (one,)
    monkeypatch.setenv("VENDOR_TOOLKIT_HOME", "/vendor")
    monkeypatch.setenv("PYTHONPATH", "/vendor/python")
    setup._sets.cache_clear()
    assert setup.not_sourced([one]) == ()


def test_a_script_that_bash_alone_reads_is_seen_as_well(script):
    one = script(BASH_ONLY)
    assert setup.not_sourced([one]) == (one,)


def test_a_script_that_ends_the_shell_is_not_waited_for(script):
    assert setup.not_sourced([script("exit 3")]) == ()
