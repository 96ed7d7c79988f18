"""Memory of all processes of a run together: a cgroup holds it where one can be made, otherwise it is looked at."""

import contextlib
import mmap
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Group:
    """A cgroup of its own; where `folder` is None there is none."""

    folder: Path | None = None

    def joined(self, command: list[str]) -> list[str]:
        """The command, which puts itself into the group first."""
        if self.folder is None:
            return command
        return ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.folder / "cgroup.procs"), *command]

    def overrun(self) -> bool:
        """Whether the kernel has ended a process of the group for want of memory."""
        if self.folder is None:
            return False
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError):
                counts = dict(line.split() for line in (self.folder / name).read_text().splitlines())
                return int(counts.get("oom_kill", 0)) > 0
        return False


@contextlib.contextmanager
def group(limit: int) -> Iterator[Group]:
    """A group that holds at most `limit` bytes, or none where the system lets this user make none."""
    made = _make(limit)
    try:
        yield Group(made)
    finally:
        for _ in range(50 if made else 0):
            with contextlib.suppress(OSError):
                made.rmdir()  # type: ignore[union-attr]
                break
            time.sleep(0.02)  # its last process is still ending


def _make(limit: int) -> Path | None:
    for parent, names in _places():
        folder = parent / f"pairing-{os.getpid()}-{time.monotonic_ns()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / names[0]).write_text(str(limit))
        except OSError:
            folder.rmdir()
            continue
        with contextlib.suppress(OSError):  # a kernel that does not count swap
            (folder / names[1]).write_text(str(limit if "memsw" in names[1] else 0))
        return folder
    return None


def _places() -> list[tuple[Path, tuple[str, str]]]:
    """Where a group may be made: below this process's own in version 1, beside it in version 2."""
    found = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if "memory" in controllers.split(","):
                names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
                found.append((MOUNTS / "memory" / path.lstrip("/"), names))
            elif not controllers and (MOUNTS / "cgroup.controllers").exists():
                found.append(((MOUNTS / path.lstrip("/")).parent, ("memory.max", "memory.swap.max")))
    return found


def held(ancestor: int) -> int:
    """The bytes that a process and all its descendants hold in memory; a page shared by two counts twice."""
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
    return pages * mmap.PAGESIZE
