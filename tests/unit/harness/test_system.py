"""What operating systems do differently."""

import os
import secrets
import signal
import subprocess
import sys

import pytest

from harness import system


def test_a_lock_is_one_call_s_until_its_file_is_closed_and_leaves_what_is_written_there(tmp_path):
    place = tmp_path / ".lock"
    with place.open("a+") as first, place.open("a+") as second:
        system.lock(first.fileno())
        first.write("box")
        first.flush()
        with pytest.raises(BlockingIOError):
            system.lock(second.fileno(), wait=False)
        first.close()
        system.lock(second.fileno(), wait=False)
        assert place.read_text() == "box"


def test_a_program_that_inherits_a_lock_holds_it_on(tmp_path):
    place = tmp_path / ".lock"
    with place.open("a") as handle:
        system.lock(handle.fileno())
        program = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(handle.fileno(),)
        )
    with place.open("a") as other:
        with pytest.raises(BlockingIOError):
            system.lock(other.fileno(), wait=False)
        program.communicate(b"\n")
        system.lock(other.fileno(), wait=False)


def test_processes_are_found_by_a_variable_that_they_inherited_and_only_those():
    mark = secrets.token_hex(16)
    words = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(words, env={**os.environ, "MARK": mark}, stdin=-1, stdout=-1, start_new_session=True) as one:
        assert one.stdout and one.stdout.readline()
        assert list(system.carrying("MARK", mark)) == [one.pid]
        assert list(system.carrying("MARK", mark[:-1])) == list(system.carrying("ARK", mark)) == []
        system.end_group(one.pid, system.KILL)
        assert one.wait() == -signal.SIGKILL
        system.end_group(one.pid, system.KILL)  # gone already


def test_the_caller_and_the_memory_are_those_that_the_kernel_names():
    assert system.user() == (os.getuid(), os.getgid())
    assert system.memory() == pytest.approx(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), rel=0.01)
    assert system.group_names()[0] in ("root", "wheel")


def test_signals_wait_while_one_thing_is_finished():
    got = []
    former = signal.signal(signal.SIGTERM, lambda *_: got.append("ended"))
    try:
        with system.undisturbed():
            os.kill(os.getpid(), signal.SIGTERM)
            assert got == []
        assert got == ["ended"]
    finally:
        signal.signal(signal.SIGTERM, former)
