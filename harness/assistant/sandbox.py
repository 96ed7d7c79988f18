"""The sandbox: runs code that nobody has read yet, by bubblewrap, without network and with few system calls.

It sees the interpreter and an empty folder in memory, and its processes all end with it.
"""

import contextlib
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness import system
from harness.assistant import memory, system_calls
from harness.errors import EngineError

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
DEVICES = ("null", "zero", "urandom")
WORK = "/pairing"
LOOK = 0.1  # seconds between two looks at the memory held
NOBODY = "65534"
INSTALL = (
    "Install bubblewrap and libseccomp: apt-get install bubblewrap libseccomp2 (dnf install bubblewrap libseccomp)"
)
ALLOW = "Use a Linux that allows user namespaces, or root: sysctl kernel.unprivileged_userns_clone=1"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of one run: seconds of the clock and of each process's CPU, bytes, and how many processes.

    No process can ask for more than `memory`, and if all together hold more than that they are ended.
    """

    seconds: int = 30
    memory: int = 2**30
    disk: int = 64 * 2**20
    processes: int = 64
    output: int = 256 * 2**10


@dataclass(frozen=True)
class Outcome:
    """How a run ended; `stopped` says which limit ended it, or nothing; `said` came over a pipe of its own."""

    status: int
    output: str
    stopped: str = ""
    said: bytes = b""

    @property
    def passed(self) -> bool:
        return self.status == 0 and not self.stopped


def run(
    files: Mapping[str, str],
    words: Sequence[str],
    limits: Limits | None = None,
    shown: Mapping[str, Path] | None = None,
    told: bytes = b"",
) -> Outcome:
    """Run Python with `words` in a folder that holds `files` (name: text).

    `shown` are files to read, by their place in the sandbox. `told` is its standard input. The number of a pipe whose
    content is `said` of the outcome is in the environment as SAID; descendants that close what they inherit lack it.

    Raises:
        EngineError: no sandbox can be made here, so that nothing was run.
    """
    limits = limits or Limits()
    bubblewrap = shutil.which("bwrap")
    if not bubblewrap:
        raise _refusal("There is no bwrap (bubblewrap).", INSTALL)
    with contextlib.ExitStack() as stack, memory.group(limits.memory) as group:
        rules, answers, standing = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        try:
            system_calls.filter_into(rules)
        except OSError as error:
            raise _refusal(f"{error}.", INSTALL) from error
        standing.write(told)
        standing.seek(0)
        contents = [(name, stack.enter_context(_holding(text))) for name, text in files.items()]
        said, saying = os.pipe()
        stack.callback(os.close, said)
        wrapped = [
            bubblewrap, *_walls(limits.disk), *_views(shown or {}), *_written(contents),
            "--setenv", "SAID", str(saying), "--seccomp", str(rules.fileno()), "--json-status-fd",
            str(answers.fileno()), "--", *_restraints(limits), sys.executable, "-u", *words,
        ]  # fmt: skip
        inherited = [saying, *(file.fileno() for file in (rules, answers, *(file for _, file in contents)))]
        process = subprocess.Popen(
            group.joined(wrapped), stdin=standing, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, pass_fds=inherited,
        )  # fmt: skip
        os.close(saying)
        try:
            output, stopped = _watch(process, limits, group)
        finally:
            system.end_group(process.pid, system.KILL)  # not waited for yet, so that its number is still its own
            status = process.wait()
        answers.seek(0)
        if not stopped and status and b'"exit-code"' not in answers.read():
            raise _refusal(output.decode("utf-8", "replace").strip().partition("\n")[0] or f"status {status}", ALLOW)
        if not stopped and (group.overrun() or status == 128 + system.KILL):
            stopped = _over(limits) if group.overrun() else f"longer than {limits.seconds} s of processor"
        return Outcome(status, output.decode("utf-8", "replace"), stopped, _read_all(said))


def require() -> None:
    """See before anything is asked that a sandbox can be made.

    Raises:
        EngineError: none can.
    """
    outcome = run({}, ["-c", ""])
    if not outcome.passed:
        raise _refusal(outcome.output.strip() or outcome.stopped, ALLOW)


# The command


def _walls(disk: int) -> list[str]:
    """Namespaces of its own, an empty environment, and a folder to work in."""
    namespaces = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if (system.user() or (0,))[0] == 0:  # root stays root for the mounts alone: _restraints leaves it
        privileges = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        privileges += ["--cap-add", "CAP_SETPCAP"]
    else:
        privileges = ["--unshare-user", "--uid", NOBODY, "--gid", NOBODY]
    environment = {"PATH": "/usr/bin:/bin", "HOME": WORK, "TMPDIR": WORK, "LANG": "C.UTF-8"}
    words = [word for pair in environment.items() for word in ("--setenv", *pair)]
    work = ["--perms", "0777", "--size", str(disk), "--tmpfs", WORK, "--chdir", WORK]
    return ["--die-with-parent", "--new-session", "--clearenv", *namespaces, *privileges, *words, *work]


def _views(shown: Mapping[str, Path]) -> list[str]:
    """What of the machine the code may read: the system's programs, the interpreter's folders, and what is shown."""
    own = {os.path.abspath(folder) for folder in (sys.prefix, sys.base_prefix)}
    words = []
    for folder in [*SYSTEM, *sorted(folder for folder in own if not folder.startswith("/usr"))]:
        words += _open_way(folder)
        if Path(folder).is_symlink():
            words += ["--symlink", os.readlink(folder), folder]
        elif Path(folder).exists():
            words += ["--ro-bind", folder, folder]
    for name in DEVICES:
        words += [*_open_way(f"/dev/{name}"), "--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for place, path in shown.items():
        words += [*_open_way(place), "--ro-bind", str(path), place]
    return [*words, "--dir", "/proc", "--remount-ro", "/"]


def _open_way(place: str) -> list[str]:
    """The folders above a place, which bubblewrap would make for root alone."""
    return [word for above in [*Path(place).parents][-2::-1] for word in ("--perms", "0755", "--dir", str(above))]


def _written(contents: Sequence[tuple[str, IO[bytes]]]) -> list[str]:
    return [
        word for name, file in contents for word in ("--perms", "0666", "--file", str(file.fileno()), f"{WORK}/{name}")
    ]


def _restraints(limits: Limits) -> list[str]:
    """What runs first inside: it gives up what root has, and takes the limits."""
    given_up = [
        "setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
    ] if (system.user() or (0,))[0] == 0 else []  # fmt: skip
    return [
        *given_up, "prlimit", f"--cpu={limits.seconds}", f"--as={limits.memory}", f"--nproc={limits.processes}",
        f"--fsize={limits.disk}", "--nofile=128", "--core=0", "--",
    ]  # fmt: skip


@contextlib.contextmanager
def _holding(text: str):  # type: ignore[no-untyped-def]
    with tempfile.TemporaryFile() as file:
        file.write(text.encode("utf-8", "surrogateescape"))
        file.seek(0)
        yield file


# The run


def _watch(process: "subprocess.Popen[bytes]", limits: Limits, group: memory.Group) -> tuple[bytes, str]:
    """The output up to its limit, and the limit that ended the run; the pipe is closed when all processes are gone."""
    assert process.stdout
    end, output = time.monotonic() + limits.seconds, b""
    while (left := end - time.monotonic()) > 0:
        if group.overrun() if group.folder else memory.held(process.pid) > limits.memory:
            return output, _over(limits)  # the kernel ends one process, and leaves the others
        if select.select([process.stdout], [], [], min(left, LOOK))[0]:
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                _await_end(process, end)
                return output, ""
            output += chunk
            if len(output) > limits.output:
                return output[: limits.output], f"more than {limits.output // 1024} KiB of output"
    return output, f"longer than {limits.seconds} s"


def _over(limits: Limits) -> str:
    return f"more than {limits.memory // 2**20} MiB of memory in all processes"


def _await_end(process: "subprocess.Popen[bytes]", end: float) -> None:
    """Wait without reaping: the caller kills the group by its number."""
    if sys.platform != "linux":
        raise NotImplementedError("bubblewrap, which encloses the code, is Linux's alone")
    while time.monotonic() < end and not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.01)


def _read_all(pipe: int) -> bytes:
    """What stands in a pipe that nobody writes to any more, at most what the pipe holds."""
    if sys.platform != "win32":
        os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):
        return os.read(pipe, 65536)
    return b""


def _refusal(why: str, remedy: str) -> EngineError:
    return EngineError("The code was not run: no sandbox can be made here.", why, remedy)
