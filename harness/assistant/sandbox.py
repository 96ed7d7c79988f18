"""The sandbox: runs code that nobody has read yet, in namespaces of the kernel, without network.

It sees the interpreter and an empty folder in memory, and its processes all end with it.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.errors import EngineError

BOOTSTRAP = Path(__file__).with_name("enclosure.py")
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
LOOK = 0.1  # seconds between two looks at the memory held
NOT_BUILT = 125  # the exit status of the enclosure itself
KILLED = "unshare: sigprocmask unblock failed: Invalid argument\n"  # its words for a child that ended by SIGKILL


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
    """How a run ended; `stopped` says which limit ended it, or nothing."""

    status: int
    output: str
    stopped: str = ""

    @property
    def passed(self) -> bool:
        return self.status == 0 and not self.stopped


def run(files: Mapping[str, str], words: Sequence[str], limits: Limits | None = None) -> Outcome:
    """Run Python with `words` in a folder that holds `files` (name: text).

    Raises:
        EngineError: the kernel gives no namespaces here, so that nothing was run.
    """
    if sys.platform != "linux":
        raise _refusal("Its namespaces are Linux's alone.")
    limits = limits or Limits()
    unshare = shutil.which("unshare")
    if not unshare:
        raise _refusal("There is no unshare (util-linux).")
    as_root = os.geteuid() == 0
    namespaces = [] if as_root else ["--user", "--map-root-user"]
    namespaces += ["--net", "--pid", "--mount", "--ipc", "--uts", "--fork", "--kill-child"]
    with tempfile.TemporaryDirectory(prefix="sandbox-") as root:
        order = {
            "files": dict(files),
            "command": [sys.executable, "-u", *words],
            "root": root,
            "shown": _shown(),
            "limits": asdict(limits),
            "as_root": as_root,
        }
        process = subprocess.Popen(
            [unshare, *namespaces, sys.executable, "-I", str(BOOTSTRAP)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            output, stopped = _watch(process, json.dumps(order).encode(), limits)
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # not waited for yet, so that its number is still its own
            status = process.wait()
    text = output.decode("utf-8", "replace")
    if status == 1 and text.endswith(KILLED):
        over = f"longer than {limits.seconds} s of processor, or killed for want of memory"
        return Outcome(-signal.SIGKILL, text.removesuffix(KILLED), over)
    if (status == 1 and text.startswith("unshare:")) or (status == NOT_BUILT and text.startswith("enclosure:")):
        raise _refusal(text.strip().splitlines()[0])
    return Outcome(status, text, stopped)


def require() -> None:
    """See before anything is asked that a sandbox can be made.

    Raises:
        EngineError: none can.
    """
    run({}, ["-c", ""])


def _watch(process: "subprocess.Popen[bytes]", order: bytes, limits: Limits) -> tuple[bytes, str]:
    """The output up to its limit, and the limit that ended the run; the pipe is closed when all processes are gone."""
    assert process.stdin and process.stdout
    with contextlib.suppress(BrokenPipeError):  # its output says why
        process.stdin.write(order)
        process.stdin.close()
    end, output = time.monotonic() + limits.seconds, b""
    while (left := end - time.monotonic()) > 0:
        if held(process.pid) > limits.memory:
            return output, f"more than {limits.memory // 2**20} MiB of memory in all processes"
        if select.select([process.stdout], [], [], min(left, LOOK))[0]:
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                _await_end(process, end)
                return output, ""
            output += chunk
            if len(output) > limits.output:
                return output[: limits.output], f"more than {limits.output // 1024} KiB of output"
    return output, f"longer than {limits.seconds} s"


def held(ancestor: int) -> int:
    """The bytes that a process and all its descendants hold in memory; a page shared by two counts twice."""
    if sys.platform != "linux":
        raise NotImplementedError
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):  # it ended meanwhile
                parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
                children.setdefault(int(parent), []).append(int(entry.name))
    family, pages = [ancestor], 0
    for one in family:  # grows as descendants are found
        family += children.get(one, [])
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{one}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _await_end(process: "subprocess.Popen[bytes]", end: float) -> None:
    """Wait without reaping: the caller kills the group by its number."""
    if sys.platform != "linux":
        raise NotImplementedError
    while time.monotonic() < end and not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.01)


def _shown() -> list[str]:
    """What of the machine the code may read: the system's programs and the interpreter's folders."""
    system = [folder for folder in SYSTEM if os.path.lexists(folder)]
    own = {os.path.abspath(folder) for folder in (sys.prefix, sys.base_prefix)}
    return [*system, *sorted(folder for folder in own if not folder.startswith("/usr"))]


def _refusal(why: str) -> EngineError:
    return EngineError(
        "The code was not run: no sandbox can be made here.",
        why,
        "Use a Linux (5.12 or newer) that allows user namespaces, or root: sysctl kernel.unprivileged_userns_clone=1",
    )
