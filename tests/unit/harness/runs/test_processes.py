"""Running programs: every way to end is told apart, the log is bounded, and no child is left behind."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.redaction import Redactor
from harness.runs import processes
from harness.runs.processes import Ending, Log

ROOT = Path(__file__).resolve().parents[4]


def ignore(chunk: bytes) -> None:
    pass


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Ending]:
    """Run a small Python program; its log is run.log in the test's folder."""

    def start(program: str, timeout: float = 20, echo: Callable[[bytes], None] = ignore, **more: Any) -> Ending:
        return processes.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            environment={**os.environ, "PYTHONUNBUFFERED": "1", **more.pop("environment", {})},
            folder=tmp_path,
            log=tmp_path / "run.log",
            timeout=timeout,
            echo=echo,
            redactor=Redactor(),
            **more,
        )

    return start


def gone(pid: int) -> bool:
    """Whether that process is no more, or only waits to be collected."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def pids(folder: Path) -> list[int]:
    """The processes that wrote their number into `pid` or `pids/`."""
    return [int(path.read_text()) for path in folder.glob("*.pid")]


# How a program ends


def test_a_program_that_ends_well_is_finished_with_its_output(run, tmp_path):
    seen: list[bytes] = []
    ending = run("print('hello'); import sys; print('oops', file=sys.stderr)", echo=seen.append)
    assert (ending.reason, ending.code, ending.signal, ending.ok) == ("finished", 0, None, True)
    assert (tmp_path / "run.log").read_bytes() == b"".join(seen) == b"hello\noops\n"
    assert ending.output_bytes == 11 and ending.left_out_bytes == 0 and 0 < ending.seconds < 20


def test_a_crash_has_its_code_and_its_traceback(run, tmp_path):
    ending = run("raise RuntimeError('no luck')")
    assert (ending.reason, ending.code, ending.ok) == ("finished", 1, False)
    assert "RuntimeError: no luck" in (tmp_path / "run.log").read_text()


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
def test_a_program_that_a_signal_ended_was_killed(run, name):
    ending = run(f"import os, signal; print('x'); os.kill(os.getpid(), signal.{name})")
    assert (ending.reason, ending.code, ending.signal, ending.ok) == ("killed", None, name, False)


def test_a_command_that_is_not_there_was_not_started(tmp_path):
    log = tmp_path / "run.log"
    ending = processes.run(
        ["/no/such/program"], environment={}, folder=tmp_path, log=log, timeout=5, echo=ignore, redactor=Redactor()
    )
    assert (ending.reason, ending.code, ending.ok) == ("not started", None, False)
    assert log.read_text() == "/no/such/program: No such file or directory\n"


def test_a_program_over_its_time_is_asked_to_end_and_keeps_its_last_words(run, tmp_path):
    ending = run(
        """
        import signal, sys, time
        def end(*_):
            print("tidied up"); sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        print("started")
        time.sleep(60)
        """,
        timeout=0.7,
    )
    assert (ending.reason, ending.code, ending.ok) == ("timed out", 0, False)
    assert (tmp_path / "run.log").read_text() == "started\ntidied up\n"
    assert ending.seconds < 4


def test_a_program_that_ignores_the_request_is_killed(run, monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.4)
    ending = run(
        """
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open("it.pid", "w").write(str(os.getpid()))
        while True:
            print("no"); time.sleep(0.05)
        """,
        timeout=0.7,
    )
    assert (ending.reason, ending.code, ending.signal) == ("timed out", None, "SIGKILL")
    assert 1.1 <= ending.seconds < 5
    assert [gone(pid) for pid in pids(tmp_path)] == [True]


def test_a_program_that_closes_its_output_and_goes_on_is_still_waited_for(run):
    assert run("import os, time; os.close(1); os.close(2); time.sleep(0.4); os._exit(3)").code == 3
    ending = run("import os, time; os.close(1); os.close(2); time.sleep(60)", timeout=0.6)
    assert ending.reason == "timed out" and ending.seconds < 5


def test_it_runs_in_its_folder_with_its_environment_and_no_input(run, tmp_path):
    ending = run(
        "import os, sys; print(os.getcwd(), os.environ['WORD'], repr(sys.stdin.read()))",
        environment={"WORD": "value"},
    )
    assert ending.ok
    assert (tmp_path / "run.log").read_text() == f"{tmp_path} value ''\n"


def test_it_inherits_only_the_descriptors_that_it_is_given(run, tmp_path):
    with (tmp_path / "given").open("w") as given_file, (tmp_path / "kept").open("w") as kept:
        os.set_inheritable(kept.fileno(), True)
        program = f"""
        import os
        os.write({given_file.fileno()}, b"mine")
        try: os.write({kept.fileno()}, b"mine")
        except OSError: print("closed")
        """
        assert run(program, inherit=(given_file.fileno(),)).ok
    assert (tmp_path / "given").read_text() == "mine" and (tmp_path / "run.log").read_text() == "closed\n"


# Children


CHILD = "import os, sys, time; open(sys.argv[1] + '.pid', 'w').write(str(os.getpid())); {}time.sleep(60)"


def offspring(name: str, before: str = "", **options: bool) -> str:
    """A line that starts a child which names itself and sleeps, holding the output open."""
    return (
        f"import subprocess, sys, time, os\n"
        f"subprocess.Popen([sys.executable, '-c', {CHILD.format(before)!r}, {name!r}], **{options!r})\n"
        f"while not os.path.exists({name + '.pid'!r}): time.sleep(0.02)\n"
    )


def test_a_grandchild_that_holds_the_output_does_not_hold_up_the_end(run, tmp_path):
    ending = run(offspring("child") + "print('done')")
    assert (ending.reason, ending.code) == ("finished", 0) and ending.seconds < 5
    assert (tmp_path / "run.log").read_text() == "done\n"
    assert [gone(pid) for pid in pids(tmp_path)] == [True]


def test_the_children_of_a_program_over_its_time_end_with_it(run, monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.3)
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    ending = run(offspring("one") + offspring("two", stubborn) + "time.sleep(60)", timeout=1.5)
    assert ending.reason == "timed out"
    assert [gone(pid) for pid in pids(tmp_path)] == [True, True]


def test_a_program_that_finished_is_not_held_up_by_the_chatter_of_its_child(run):
    """Otherwise only silence on the pipe shows that the program has ended, so the run takes its limit."""
    chatter = "\nwhile True: print('still here', flush=True); time.sleep(0.05)\n"
    program = (
        f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time' + {chatter!r}])\nprint('done')"
    )
    ending = run(program, timeout=3)
    assert (ending.reason, ending.code) == ("finished", 0)
    assert ending.seconds < 2


@pytest.mark.parametrize("end", ["", "time.sleep(60)"], ids=["finished", "timed out"])
def test_a_child_in_a_session_of_its_own_is_ended_too(run, tmp_path, end):
    """Otherwise such a child outlives the run. Paddle's launcher starts its workers so (os.setsid)."""
    run(offspring("own", start_new_session=True) + end, timeout=1.2)
    (pid,) = pids(tmp_path)
    left_behind = not gone(pid)
    if left_behind:
        os.kill(pid, signal.SIGKILL)
    assert not left_behind


# The log


HARNESS = """
import dataclasses, json, os, sys
sys.path.insert(0, {root!r})
from harness.runs import processes
from pathlib import Path
seen = 0
def echo(chunk):
    global seen
    seen += len(chunk)
ending = processes.run({command!r}, environment=dict(os.environ), folder=Path({folder!r}),
                       log=Path({folder!r}) / "run.log", timeout={timeout}, echo=echo, redactor=processes.Redactor())
# The peak of this process alone; getrusage would inherit that of the one that started it.
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
memory = int(status["VmHWM"].split()[0]) * 1024
print(json.dumps({{**dataclasses.asdict(ending), "memory": memory, "echoed": seen}}), flush=True)
"""


def harness_in_a_process(folder: Path, program: str, timeout: float = 60) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", program]
    script = HARNESS.format(root=str(ROOT), command=command, folder=str(folder), timeout=timeout)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def test_a_gigabyte_of_output_takes_little_memory_and_leaves_both_ends(tmp_path):
    flood = "import os; os.write(1, b'first'); [os.write(1, bytes(2**20)) for _ in range(1024)]; os.write(1, b'last')"
    process = harness_in_a_process(tmp_path, flood)
    said = json.loads(process.communicate(timeout=60)[0])
    assert said["reason"] == "finished" and said["output_bytes"] == 2**30 + 9
    log = (tmp_path / "run.log").read_bytes()
    assert log.startswith(b"first") and log.endswith(b"last")
    assert len(log) < 9 * 2**20 and said["left_out_bytes"] > 2**30 - 9 * 2**20
    assert said["echoed"] < 5 * 2**20
    assert said["memory"] < 120 * 2**20


@given(sizes=st.lists(st.integers(1, 40), max_size=30), chunk=st.integers(1, 64))
def test_a_log_keeps_the_first_and_the_last_lines_of_any_output(tmp_path_factory, sizes, chunk):
    """What it keeps are whole lines: half of one could be half of a secret."""
    path = tmp_path_factory.getbasetemp() / "any.log"
    lines = [bytes(33 + (number * 7 + place) % 90 for place in range(size)) for number, size in enumerate(sizes)]
    output = b"".join(line + b"\n" for line in lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "HEAD_BYTES", 100)
        patch.setattr(processes, "TAIL_BYTES", 100)
        log = Log(path, ignore, Redactor())
        for start in range(0, len(output), chunk):
            log.write(output[start : start + chunk])
        log.close()
    written = path.read_bytes()
    assert log.received == len(output)
    if not log.left_out:
        return assert_same(written, output)
    head, note, tail = written.partition(b"\n[... %d bytes left out here ...]\n" % log.left_out)
    assert note and output.startswith(head) and output.endswith(tail)
    assert all(part == b"" or part.endswith(b"\n") for part in (head, tail))
    assert len(head) + len(tail) + log.left_out == len(output)
    assert 100 - 41 <= len(head) <= 100 and 100 - 41 <= len(tail) <= 100 + 64


def assert_same(written: bytes, output: bytes) -> None:
    assert written == output


def test_the_terminal_is_told_that_the_rest_is_not_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "HEAD_BYTES", 10)
    seen: list[bytes] = []
    log = Log(tmp_path / "log", seen.append, Redactor())
    log.write(b"1234567\n")
    log.write(b"9abc")
    log.close()
    assert b"".join(seen).startswith(b"1234567\n\n[... it prints on")


def test_the_terminal_is_told_so_when_a_chunk_ends_where_the_head_ends(tmp_path, monkeypatch):
    """Otherwise a flood comes in chunks of 64 KiB, whose ends meet the head's end; no note is shown."""
    monkeypatch.setattr(processes, "HEAD_BYTES", 8)
    seen: list[bytes] = []
    log = Log(tmp_path / "log", seen.append, Redactor())
    log.write(b"1234567\n")
    log.write(b"9abc")
    log.close()
    assert b"it prints on" in b"".join(seen)


def test_a_full_disk_is_told_after_the_program_has_ended(small_disk, tmp_path, run):
    flood = "import os; [os.write(1, bytes(2**16)) for _ in range(40)]; open('ended', 'w').close()"
    with pytest.raises(OSError, match="No space left"):
        processes.run(
            [sys.executable, "-c", flood],
            environment=dict(os.environ), folder=tmp_path, log=small_disk / "run.log", timeout=20, echo=ignore,
            redactor=Redactor(),
        )  # fmt: skip
    assert (tmp_path / "ended").exists()


# Interruptions


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.02)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interrupted_harness_ends_the_program_and_says_so(tmp_path, name):
    process = harness_in_a_process(tmp_path, offspring("child") + "open('ready', 'w').close(); time.sleep(60)")
    wait_for(tmp_path / "ready")
    process.send_signal(getattr(signal, name))
    said = json.loads(process.communicate(timeout=20)[0])
    assert (said["reason"], said["signal"]) == ("interrupted", name)
    assert [gone(pid) for pid in pids(tmp_path)] == [True]


def test_an_impatient_person_interrupts_no_more_than_once(tmp_path):
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); open('ready', 'w').close(); time.sleep(60)"
    script = HARNESS.format(
        root=str(ROOT), command=[sys.executable, "-c", stubborn], folder=str(tmp_path), timeout=60
    ).replace("seen = 0", "processes.GRACE_SECONDS = 0.8\nseen = 0")
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    wait_for(tmp_path / "ready")
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.15)
    said = json.loads(process.communicate(timeout=20)[0])
    assert said["reason"] == "interrupted" and process.returncode == 0


def test_the_handlers_of_before_stand_again_afterwards(run):
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    run("pass")
    assert [signal.getsignal(number) for number in numbers] == before


def test_an_interruption_while_the_program_starts_leaves_no_child(run, tmp_path, monkeypatch):
    """Otherwise handlers are set after the start; between the two Ctrl-C leaves an orphan."""
    started: list[int] = []

    class Popen(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *words: Any, **options: Any) -> None:
            super().__init__(*words, **options)
            started.append(self.pid)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(processes.subprocess, "Popen", Popen)
    try:
        reason = run("import time; time.sleep(60)").reason
    except KeyboardInterrupt:
        reason = "interrupted"
    left_behind = not gone(started[0])
    if left_behind:
        os.kill(started[0], signal.SIGKILL)
    assert not left_behind and reason == "interrupted"


# The echo


def test_a_terminal_gets_whole_lines_behind_a_prefix(capsys):
    echo = processes.to_terminal("4 │ ")
    for chunk in (b"one\ntw", b"o\r\n", "é".encode()[:1], "é".encode()[1:], b"\n\x1b[31mred\n", b"\xff\n", b"unended"):
        echo(chunk)
    assert capsys.readouterr().out == "4 │ one\n4 │ two\n4 │ é\n4 │ ␛[31mred\n4 │ \ufffd\n"


def test_a_last_line_without_its_end_is_shown_too(run, capsys):
    """Otherwise what a program prints last without a line break never reaches the terminal."""
    run("print('a'); print('b', end='')", echo=processes.to_terminal("| "))
    assert capsys.readouterr().out == "| a\n| b\n"


def test_an_endless_line_is_shown_in_pieces(capsys):
    echo = processes.to_terminal("")
    for _ in range(100):
        echo(b"x" * 1000)
    out = capsys.readouterr().out
    assert out.count("\n") > 10 and max(map(len, out.splitlines())) <= 4096
