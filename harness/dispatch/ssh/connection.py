"""A connection to a far machine: one ssh, over which far.py answers. All settings are ssh's own (~/.ssh/config)."""

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.dispatch.ssh import far
from harness.errors import EngineError, UsageError

PROGRAM = Path(far.__file__)
# No question is ever asked; a link that is dead, and does not say so, is noticed after a minute.
OPTIONS = ("-T", "-oBatchMode=yes", "-oConnectTimeout=20", "-oServerAliveInterval=15", "-oServerAliveCountMax=4")
START = 'exec python3 -c \'import sys; exec(compile(sys.stdin.buffer.read({size}), "far.py", "exec"))\''
MOST_LINES_BEFORE = 1000  # what a talkative .bashrc may print before the greeting


@dataclass(frozen=True)
class Address:
    """ssh://user@host:port/folder, of which only the host is needed."""

    host: str
    user: str = ""
    port: int | None = None
    folder: str = ""

    def __str__(self) -> str:
        return (f"{self.user}@" if self.user else "") + self.host

    @property
    def command(self) -> list[str]:
        user = ["-l", self.user] if self.user else []
        port = ["-p", str(self.port)] if self.port else []
        return ["ssh", *OPTIONS, *user, *port, "--", self.host, START.format(size=PROGRAM.stat().st_size)]


def parse(text: str) -> Address:
    """The address that --host names.

    Raises:
        UsageError: it is none.
    """
    see = "For example: --host ssh://user@box, or ssh://user@box:2222/srv/homework with port and folder."
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"--host {text}: not an address.", f"{error}.", see) from error
    if parts.password is not None:
        raise UsageError("--host: a password in an address.", "Others see it in the list of processes.", "Use a key.")
    if parts.scheme != "ssh" or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f"--host {text}: not an address.", "It is ssh://USER@HOST:PORT/FOLDER.", see)
    if any(name.startswith("-") for name in (parts.hostname, parts.username or "")):
        raise UsageError(f"--host {text}: not an address.", "ssh would take it for an option.", see)
    return Address(parts.hostname, parts.username or "", port, parts.path.rstrip("/"))


class Broken(EngineError):
    """A connection that was there is not any more."""


class Connection:
    """Asks far.py; one question at a time, from any thread."""

    def __init__(self, address: Address) -> None:
        """Connect.

        Raises:
            EngineError: no ssh, no way there, a key that is not known, no Python there; or this is Windows.
        """
        _refuse_windows()
        self.address = address
        self._turn = threading.Lock()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the connection
        try:
            self._ssh = subprocess.Popen(
                address.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._words,
                start_new_session=True,  # a Ctrl-C is for this side, which then asks what becomes of the run
            )
        except FileNotFoundError as error:
            raise EngineError("There is no ssh here.", "--host needs it.", "apt-get install openssh-client") from error
        assert self._ssh.stdin and self._ssh.stdout
        self._to, self._from = self._ssh.stdin, self._ssh.stdout
        self._write([PROGRAM.read_bytes()])
        greeting = far.GREETING.encode() + b"\n"
        if not any(line == greeting for line, _ in zip(self._from, range(MOST_LINES_BEFORE), strict=False)):
            raise self._explained()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        """Leave: far.py ends when nothing more can be asked."""
        for stream in (self._to, self._from):
            with _no_pipe():
                stream.close()
        try:
            self._ssh.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._ssh.kill()
            self._ssh.wait()
        self._words.close()

    def ask(self, contents: Iterable[bytes] = (), **request: Any) -> tuple[dict[str, Any], bytes]:
        """An answer, and the bytes behind it.

        Raises:
            EngineError: the far side cannot do it, or the connection broke.
        """
        with self._turn:
            self._write([json.dumps(request).encode() + b"\n"])
            self._write(contents)
            return self._answer()

    def run(self, echo: Callable[[bytes], None], **request: Any) -> int:
        """Run ./inv there, or follow a run that goes on, its output to `echo` as it comes; its exit code.

        Raises:
            Broken: the connection broke; the run goes on.
            KeyboardInterrupt: Ctrl-C; the run goes on, and this connection answers no more.
        """
        with self._turn:
            self._write([json.dumps(request).encode() + b"\n"])
            while True:
                answer, output = self._answer()
                if "code" in answer:
                    return int(answer["code"])
                echo(output)

    def _write(self, contents: Iterable[bytes]) -> None:
        """Send; a side that is gone may have said why, which reading the answer tells."""
        with _no_pipe():
            for content in contents:
                self._to.write(content)
            self._to.flush()

    def _answer(self) -> tuple[dict[str, Any], bytes]:
        line = self._from.readline()
        try:
            answer = json.loads(line)
            content = self._from.read(answer["bytes"])
            whole = len(content) == answer["bytes"]
        except (ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            raise self._broken()
        if "error" in answer:
            raise self._refused(str(answer["error"]), str(answer["why"]))
        return answer, content

    def _said(self) -> list[str]:
        self._words.seek(0)
        return self._words.read().decode("utf-8", "replace").split("\n")

    def _broken(self) -> "Broken":
        with _no_pipe():
            self._to.close()
        last = next((line for line in reversed(self._said()) if line.strip()), "ssh said nothing")
        again = "A run that had begun goes on there: ./inv jobs follows it, and fetches its record."
        return Broken(f"The connection to {self.address} broke.", last.strip(), again)

    def _explained(self) -> EngineError:
        code = self._ssh.wait()
        return explain(self.address, code, "\n".join(self._said()))

    def _refused(self, kind: str, why: str) -> EngineError:
        what, remedy = REFUSALS.get(kind, REFUSALS["system"])
        return EngineError(f"{self.address}: {what}", f"{why}.", remedy)


def _refuse_windows() -> None:
    if sys.platform == "win32":
        raise EngineError(
            "--host does not go from Windows itself.",
            "Which files are programs is not told apart there, and git may have changed their line ends.",
            "Call ./inv in WSL, whose ssh and keys it then uses.",
        )


REFUSALS = {
    "not ours": (
        "the folder has files that were not sent by --host; nothing was written.",
        "Name an empty folder, or a new one: ssh://user@host/folder",
    ),
    "changed": ("a file changed on its way, or while it was sent.", "Call again."),
    "busy": ("another run is going on.", "Call again when it is over."),
    "absent": ("a file is not there.", "Call again; ./inv run there makes it anew."),
    "system": (
        "the system there refused it.",
        "Free space or mend the folder's permissions there, then call again; what was sent is kept.",
    ),
}


def explain(address: Address, code: int, said: str) -> EngineError:
    """Why no connection came about, from ssh's exit code and message."""
    for signs, what, remedy in CAUSES:
        if any(sign in said for sign in signs) or (code in NOT_FOUND and signs == NO_PYTHON):
            return EngineError(f"{address}: {what}", _telling(signs, said), remedy.format(address=address))
    why = _telling((), said) or f"ssh ended with exit code {code}."
    return EngineError(f"{address}: no connection.", why, f"Try it by hand: ssh {address} python3 --version")


def _telling(signs: Iterable[str], said: str) -> str:
    """The line that has a sign, else the last one."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if any(sign in line for sign in signs)]
    return (telling or lines or [""])[-1]


NOT_FOUND = (126, 127)  # what a shell answers
NO_PYTHON = ("python3: not found", "python3: command not found")
CAUSES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("REMOTE HOST IDENTIFICATION HAS CHANGED", "Host key for"),
        "its key is not the one it had.",
        "It was set up anew, or it is another machine. If you know why: ssh-keygen -R HOST, then ssh {address}",
    ),
    (
        ("Host key verification failed",),
        "its key is not known here.",
        "Connect by hand once, compare the key that is shown, and say yes: ssh {address}",
    ),
    (
        ("Permission denied", "Too many authentication failures"),
        "it accepts no key from here.",
        "ssh-copy-id {address} brings yours there; a key with a passphrase has to be in an agent: ssh-add",
    ),
    (
        ("Could not resolve hostname", "Connection refused", "timed out", "No route to host", "is unreachable"),
        "it cannot be reached.",
        "Compare name and port with the address; is the machine on, and is there a network?",
    ),
    (
        NO_PYTHON,
        "there is no Python.",
        "Install it there: apt-get install python3 python3-venv; ssh must find it: ssh {address} python3 --version",
    ),
    (
        ("SyntaxError",),
        "its Python is too old.",
        "Put one of 3.10 to 3.13 first on PATH there; which one ssh finds says: ssh {address} python3 --version",
    ),
)


@contextmanager
def _no_pipe() -> Iterator[None]:
    with suppress(BrokenPipeError, ValueError):  # ValueError: closed before
        yield
