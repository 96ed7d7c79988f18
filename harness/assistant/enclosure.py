"""Enclosure: what runs first within the sandbox's namespaces. It builds a root of its own, and becomes the program.

Called by harness/assistant/sandbox.py, with a JSON document on its standard input:
    {"files": {name: text}, "command": [...], "root": folder, "shown": [folders], "limits": {...}}
The root shows the interpreter read-only, an empty folder to work in, and nothing else of the machine.
"""

import ctypes
import json
import os
import resource
import sys
from pathlib import Path

assert sys.platform == "linux", "namespaces are Linux's alone"

MS_NOSUID, MS_BIND, MS_REC, MS_PRIVATE = 2, 4096, 16384, 1 << 18
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, ATTR_READ_ONLY = 442, -100, 0x8000, 1  # mount_setattr(2), Linux 5.12
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, CAPABILITIES = 24, 38, 64
NOBODY = 65534
DEVICES = ("null", "zero", "urandom")
LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    order = json.load(sys.stdin)
    root = Path(order["root"])
    _mount(None, Path("/"), None, MS_REC | MS_PRIVATE)
    _mount("tmpfs", root, "tmpfs", MS_NOSUID, "mode=755")
    _furnish(root, order["shown"])
    work = root / "pairing"
    _mount("tmpfs", work, "tmpfs", MS_NOSUID, f"mode=777,size={order['limits']['disk']},nr_inodes=4096")
    for name, text in order["files"].items():
        (work / name).write_text(text, encoding="utf-8")
    os.chroot(root)
    os.chdir("/pairing")
    _limit(order["limits"])
    _surrender(order["as_root"])
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/pairing", "TMPDIR": "/pairing", "LANG": "C.UTF-8"}
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.execve(order["command"][0], order["command"], environment)


def _furnish(root: Path, shown: list[str]) -> None:
    for folder in [*shown, *(f"/dev/{name}" for name in DEVICES)]:
        place = root / folder.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if Path(folder).is_symlink():
            place.symlink_to(os.readlink(folder))
            continue
        if Path(folder).is_dir():
            place.mkdir(exist_ok=True)
        else:
            place.touch()
        _mount(folder, place, None, MS_BIND | MS_REC)
    for name in ("pairing", "proc"):
        (root / name).mkdir()
    attributes = (ctypes.c_uint64 * 4)(ATTR_READ_ONLY, 0, 0, 0)
    path = os.fsencode(root)
    _check(LIBC.syscall(MOUNT_SETATTR, AT_FDCWD, path, AT_RECURSIVE, attributes, ctypes.c_size_t(32)), root)


def _limit(limits: dict[str, int]) -> None:
    for name, value in (
        (resource.RLIMIT_CPU, limits["seconds"]),
        (resource.RLIMIT_AS, limits["memory"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_FSIZE, limits["disk"]),
        (resource.RLIMIT_NOFILE, 128),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(name, (value, value))


def _surrender(as_root: bool) -> None:
    """Give up every privilege, so that what was mounted cannot be mounted otherwise."""
    for capability in range(CAPABILITIES):
        LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # those that the kernel does not know are refused
    if as_root:  # the kernel never counts the processes of root
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    _check(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), Path("/"))


def _mount(source: str | None, target: Path, kind: str | None, flags: int, data: str = "") -> None:
    words = [word.encode() if word else None for word in (source, str(target), kind)]
    _check(LIBC.mount(*words, ctypes.c_ulong(flags), data.encode()), target)


def _check(result: int, place: Path) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(place))


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        print(f"enclosure: {error}", file=sys.stderr)
        sys.exit(125)
