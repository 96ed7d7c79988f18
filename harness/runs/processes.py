"""Run a program to its end, whatever that end is: its output into a bounded log, its children never left behind."""

import contextlib
import os
import secrets
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from harness import system
from harness.errors import EngineError, Interrupted
from harness.evidence.record import Reason
from harness.evidence.redaction import Redactor, after_gap

HEAD_BYTES = TAIL_BYTES = 4 * 2**20
GRACE_SECONDS = 5.0
CHUNK = 65536
MARK = "PADDLEHOMEWORK_RUN"


@dataclass(frozen=True)
class Ending:
    """How a program ended.

    `reason` is finished, timed out, killed (by a signal of another's), interrupted (by a person) or not started; of
    a job that its scheduler ended also cancelled, requeued or node failed.
    `signal` names the one that ended or interrupted it.
    """

    reason: Reason
    code: int | None
    signal: str | None
    seconds: float
    output_bytes: int
    left_out_bytes: int

    @property
    def ok(self) -> bool:
        return self.reason == "finished" and self.code == 0


class Log:
    """A file that keeps the first and the last mebibytes of an output, and says how much it left out between.

    What it keeps, and what it echoes, has gone through the redactor. A disk that fills up is
    only told by `close`, so that the program is ended properly first.
    """

    def __init__(self, path: Path, echo: Callable[[bytes], None], redactor: Redactor) -> None:
        self._file = path.open("wb", buffering=0)
        self._echo = echo
        self._redactor = redactor
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self.received = 0
        self.left_out = 0
        self._line_open = False
        self._cut = False
        self._error: OSError | None = None

    def write(self, chunk: bytes) -> None:
        room = max(0, HEAD_BYTES - self.received)
        self.received += len(chunk)
        head, rest = chunk[:room], chunk[room:]
        self._show(self._redactor.feed(head))
        if rest and not self._cut:
            self._cut, self._line_open = True, False
            self._echo(b"\n[... it prints on; run.log keeps the end ...]\n")
        if rest:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
            while self._tail_bytes - len(self._tail[0]) >= TAIL_BYTES:
                dropped = len(self._tail.popleft())
                self._tail_bytes -= dropped
                self.left_out += dropped

    def close(self) -> None:
        """Write the end of the output, and end the last line for those who see it.

        Raises:
            OSError: the first one that the file met.
        """
        tail = b"".join(self._tail)
        if self.left_out:
            end = after_gap(tail)
            self.left_out += self._redactor.drop() + len(tail) - len(end)
            self._keep(b"\n[... %d bytes left out here ...]\n" % self.left_out)
            tail = end
        rest = self._redactor.feed(tail) + self._redactor.flush()
        if self._cut:
            self._keep(rest)
        else:
            self._show(rest)
        if self._line_open:
            self._echo(b"\n")
        self._file.close()
        if self._error:
            raise self._error

    def _show(self, text: bytes) -> None:
        if text:
            self._keep(text)
            self._echo(text)
            self._line_open = not text.endswith(b"\n")

    def _keep(self, chunk: bytes) -> None:
        try:
            self._file.write(chunk)
        except OSError as error:
            self._error = self._error or error


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    log: Path,
    timeout: float,
    echo: Callable[[bytes], None],
    redactor: Redactor,
    inherit: Sequence[int] = (),
) -> Ending:
    """Run `command` in `folder` for at most `timeout` seconds, its output into `log` and, up to a bound, to `echo`.

    Both get what `redactor` lets through. The program inherits the file descriptors `inherit`, and leads a
    process group of its own, which is ended as a whole: asked first (SIGTERM), then killed.
    """
    if sys.platform == "win32":
        raise EngineError(
            "Programs are not run on Windows itself.",
            "Their output and their end are followed as POSIX has it.",
            "Call ./inv in WSL, whose Linux has all of it.",
        )
    start = time.monotonic()
    output = Log(log, echo, redactor)
    mark = secrets.token_hex(16)
    reason: Reason = "finished"
    with _Interrupts() as interrupts:
        try:
            process = _start(command, folder, {**environment, MARK: mark}, inherit)
        except OSError as error:
            output.write(f"{command[0]}: {error.strerror}\n".encode())
            output.close()
            return Ending("not started", None, None, 0.0, output.received, 0)
        try:
            interrupts.listen()
            if not _pump(process, output, start + timeout):
                reason = "timed out"
        except Interrupted:
            reason = "interrupted"
        finally:
            interrupts.ignore()
            _end_all(process, mark, output)
            output.close()
    ended_by = signal.Signals(-process.returncode).name if process.returncode < 0 else None
    if reason == "finished" and ended_by:
        reason = "killed"
    return Ending(
        reason,
        None if ended_by else process.returncode,
        interrupts.name if reason == "interrupted" else ended_by,
        round(time.monotonic() - start, 3),
        output.received,
        output.left_out,
    )


def _start(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], inherit: Sequence[int]
) -> "subprocess.Popen[bytes]":
    """The program, as the leader of a session of its own, with its output in one pipe."""
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=inherit,
    )


def _pump(process: subprocess.Popen[bytes], output: Log, deadline: float) -> bool:
    """Move output into the log until the program ends; False when the deadline came first."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if process.poll() is not None:
                return True  # what it printed last is still drained; a child of its own may print on
            if selector.select(timeout=min(0.05, max(0.0, deadline - time.monotonic()))):
                chunk = os.read(process.stdout.fileno(), CHUNK)
                if not chunk:
                    break
                output.write(chunk)
        try:
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
            return True
        except subprocess.TimeoutExpired:
            return False  # it prints on, or closed its output and went on


def _end_all(process: subprocess.Popen[bytes], mark: str, output: Log) -> None:
    """End what is left of the program and its offspring, and keep what they still had to say."""
    assert process.stdout is not None
    if sys.platform != "win32":
        os.set_blocking(process.stdout.fileno(), False)
    _drain(process.stdout.fileno(), output)
    if process.poll() is None:
        system.end_group(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        _drain(process.stdout.fileno(), output)
        time.sleep(0.01)
    system.end_group(process.pid, system.KILL)
    for offspring in system.carrying(MARK, mark):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(offspring, system.KILL)
    process.wait()
    _drain(process.stdout.fileno(), output)
    process.stdout.close()


def _drain(descriptor: int, output: Log) -> None:
    with contextlib.suppress(BlockingIOError):
        for _ in range(256):  # a bounded amount, so that a flood cannot hold up the end
            chunk = os.read(descriptor, CHUNK)
            if not chunk:
                return
            output.write(chunk)


class _Interrupts:
    """Ctrl-C, SIGTERM and hang-up: noted from the first moment on, raised as Interrupted between listen and ignore."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._listening = False

    def __enter__(self) -> "_Interrupts":
        self._former = {number: signal.signal(number, self._note) for number in system.ENDING}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    @property
    def name(self) -> str | None:
        return signal.Signals(self._first).name if self._first else None

    def listen(self) -> None:
        self._listening = True
        if self._first:
            raise Interrupted(self._first)

    def ignore(self) -> None:
        self._listening = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._first = self._first or number
        if self._listening:
            raise Interrupted(number)


def to_terminal(prefix: str) -> Callable[[bytes], None]:
    """An echo that writes whole lines, each behind `prefix`, to stdout as they come."""
    from harness.terminal import dim

    pending = b""
    heard = True

    def echo(chunk: bytes) -> None:
        nonlocal pending, heard
        try:
            if heard:
                show(chunk)
        except BrokenPipeError:  # the reader left; the run goes on
            heard = False

    def show(chunk: bytes) -> None:
        nonlocal pending
        *lines, pending = (pending + chunk).split(b"\n")
        if len(pending) > 4096:
            lines, pending = [*lines, pending], b""
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip("\r")
            print(dim(prefix) + text[-4096:].replace("\x1b", "␛"))
        if lines:
            sys.stdout.flush()

    return echo
