"""What operating systems do differently: locks on files, groups of processes, signals, and who calls.

Locks are flock's and not filelock's: a program inherits that of its record, and what a lock file says is read.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator

# A file that is opened so is no link and makes nobody wait, where the system has such flags.
PLAIN_FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
SCRIPTS = "Scripts" if sys.platform == "win32" else "bin"  # of a virtual environment

if sys.platform == "win32":
    import msvcrt

    BEHIND = 2**30  # a byte behind any content, for what is locked there nobody can read

    def lock(file: int, wait: bool = True) -> None:
        """Lock an open file until it is closed; raises BlockingIOError where another has it and nobody waits."""
        place = os.lseek(file, 0, os.SEEK_CUR)
        try:
            while not _taken(file):
                if not wait:
                    raise BlockingIOError("another process has the lock")
                time.sleep(0.1)
        finally:
            os.lseek(file, place, os.SEEK_SET)

    def _taken(file: int) -> bool:
        os.lseek(file, BEHIND, os.SEEK_SET)
        with contextlib.suppress(OSError):
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
            return True
        return False

    def user() -> tuple[int, int] | None:
        """The numbers of who calls and of the group; None where the system has none."""
        return None

    def user_name() -> str:
        """The caller's name, or number where it has none."""
        return os.getlogin()

    def group_names() -> dict[int, str]:
        """The groups of this machine by number."""
        return {}

    def end_group(leader: int, number: signal.Signals) -> None:
        """Signal a program and what it started."""
        import psutil

        with contextlib.suppress(psutil.Error):
            for process in [*psutil.Process(leader).children(recursive=True), psutil.Process(leader)]:
                process.send_signal(number)

else:
    import fcntl
    import grp
    import pwd

    def lock(file: int, wait: bool = True) -> None:
        """Lock an open file until it is closed; raises BlockingIOError where another has it and nobody waits."""
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)

    def user() -> tuple[int, int] | None:
        """The numbers of who calls and of the group; None where the system has none."""
        return os.getuid(), os.getgid()

    def user_name() -> str:
        """The caller's name, or number where it has none."""
        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return str(os.getuid())

    def group_names() -> dict[int, str]:
        """The groups of this machine by number."""
        return {entry.gr_gid: entry.gr_name for entry in grp.getgrall()}

    def end_group(leader: int, number: signal.Signals) -> None:
        """Signal a program and what it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, number)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a hang-up wait meanwhile, whichever thread the system gives them to."""
    waiting: list[int] = []
    former = {number: signal.signal(number, lambda number, _: waiting.append(number)) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        for each in waiting:
            signal.raise_signal(each)


def carrying(name: str, value: str) -> Iterator[int]:
    """The processes that inherited a variable: also those that left their program's group, as launchers' workers do."""
    if sys.platform == "linux":  # psutil asks each process for much more, and a machine may have thousands
        wanted = f"{name}={value}".encode()
        for process in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{process}/environ", "rb") as file:
                if wanted in file.read().split(b"\0"):
                    yield int(process)
        return
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(name) == value:
                yield process.pid


def memory() -> int:
    """The bytes of memory that this machine has."""
    import psutil

    return int(psutil.virtual_memory().total)
