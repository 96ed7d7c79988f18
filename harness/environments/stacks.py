"""Stacks: the local environments that programs run in, made from docker/locks/<stack>.txt when a cell needs them."""

import fcntl
import hashlib
import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.catalogue.entries import Hardware, locked_paddle
from harness.checkout import ROOT
from harness.environments import uv
from harness.errors import BuildError

LOCKS = ROOT / "docker" / "locks"
paddle_version = locked_paddle


@dataclass(frozen=True)
class Stack:
    """A local environment: a lock, and for kinds whose Paddle is not in it the vendor's wheels on top."""

    name: str
    lock: Path
    folder: Path
    vendor_wheels: tuple[str, ...] = ()
    index: str | None = None

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def lock_sha256(self) -> str:
        return hashlib.sha256(self.lock.read_bytes()).hexdigest()

    @property
    def recipe(self) -> str:
        """All that decides what is installed; the environment keeps a copy once it is whole."""
        return "\n".join([self.lock.read_text(), *self.vendor_wheels, self.index or ""])

    @property
    def ready(self) -> bool:
        stamp = self.folder / "recipe.txt"
        return stamp.is_file() and stamp.read_text() == self.recipe


def stack(name: str, hardware: Hardware | None = None, root: Path = ROOT) -> Stack:
    """The stack of that name for one hardware kind (None: tools that need no device).

    Raises:
        BuildError: there is no lock of that name.
    """
    lock = root / "docker" / "locks" / f"{name}.txt"
    if not lock.is_file():
        known = ", ".join(path.stem for path in sorted(lock.parent.glob("*.txt")))
        raise BuildError(
            f"There is no stack {name!r}.",
            f"docker/locks/ has: {known}.",
            f"Write docker/locks/{name}.in and run docker/locks/compile.sh {name}",
        )
    index = hardware.data["wheels"].get("index") if hardware else None
    if hardware is None or index is None:
        return Stack(name, lock, root / ".stacks" / name)
    wheels = tuple(f"{package}=={paddle_version(root)}" for package in hardware.data["wheels"]["packages"])
    return Stack(name, lock, root / ".stacks" / f"{name}-{hardware.name}", wheels, index)


def install_commands(stack: Stack) -> list[list[str]]:
    """The commands that make the environment, in order; each may be repeated after a break.

    Bytecode is compiled here: without, `import paddle` takes 5 s instead of 2 the first time, and every time where
    Python may not write its own.
    """
    words = [sys.executable, "-m", "uv"]
    into = ["--python", str(stack.python)]
    base = getattr(sys, "_base_executable", sys.executable)
    commands = [
        [*words, "venv", "--quiet", "--allow-existing", "--python", base, str(stack.folder)],
        [*words, "pip", "sync", "--compile-bytecode", "--require-hashes", *into, str(stack.lock)],
    ]
    if stack.vendor_wheels:
        if not any(wheel.startswith("paddlepaddle==") for wheel in stack.vendor_wheels):
            commands.append([*words, "pip", "uninstall", "--quiet", *into, "paddlepaddle"])
        own = [wheel for wheel in stack.vendor_wheels if not wheel.startswith("paddlepaddle==")]
        commands.append([*words, "pip", "install", "--compile-bytecode", *into, "--index", stack.index or "", *own])
    return commands


def prepare(stack: Stack) -> Stack:
    """Make the environment if it is not whole, with progress on stderr. A broken-off install is finished.

    Raises:
        BuildError: a command failed; its output is above.
    """
    if stack.ready:
        return stack
    stack.folder.parent.mkdir(exist_ok=True)
    with _locked(stack.folder.with_suffix(".lock")):
        if stack.ready:  # another call made it while this one waited
            return stack
        failure = uv.run(install_commands(stack), f"Installed the stack {stack.folder.name}, once")
        if failure:
            print(failure, file=sys.stderr)
            raise BuildError(
                f"The stack {stack.folder.name} could not be installed.",
                "See above; usually the package index is out of reach or the disk is full.",
                "./inv doctor shows the disk, pip config list the index. Call again: what was downloaded is kept.",
            )
        (stack.folder / "recipe.txt").write_text(stack.recipe)
    return stack


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file, saying so while another call has it."""
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another call is installing {path.stem}; waiting for it.", file=sys.stderr)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


# Which Paddle an environment holds


@dataclass(frozen=True)
class Paddle:
    """An installed Paddle. `wheel_sha256` is None where the wheel is not one of the pinned version's."""

    package: str
    version: str
    wheel: str | None
    wheel_sha256: str | None


def installed_paddle(python: Path, root: Path = ROOT) -> Paddle | None:
    """Find the Paddle of an environment from its metadata, without importing it."""
    for info in sorted(python.parent.parent.glob("lib/python*/site-packages/paddlepaddle*.dist-info")):
        package, _, version = info.name.removesuffix(".dist-info").partition("-")
        wheel, sha256 = _wheel(root, package, version, (info / "WHEEL").read_text())
        return Paddle(package.replace("_", "-"), version, wheel, sha256)
    return None


def _wheel(root: Path, package: str, version: str, metadata: str) -> tuple[str | None, str | None]:
    """The wheel's file name and hash: the lock admits one file for each Python and machine."""
    import json

    known = root / "docker" / "locks" / "paddle-wheels.json"
    tag = re.search(r"^Tag: (\S+?)-(\S+?)-\S+$", metadata, re.MULTILINE)
    if not known.is_file() or not tag:
        return None, None
    start = f"{package}-{version}-{tag.group(1)}-{tag.group(2)}-{sys.platform}"
    pattern = re.compile(re.escape(start).replace("linux", "(many)?linux") + rf".*_{platform.machine()}\.whl")
    for name, hashes in json.loads(known.read_text()).items():
        if pattern.fullmatch(name):
            return name, hashes["sha256"]
    return None, None
