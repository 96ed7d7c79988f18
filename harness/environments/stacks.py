"""Stacks: the local environments that programs run in, made from their locks when a cell needs them.

There is one for each version of Paddle, and for kinds with wheels of their own; they lie beside each other.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from harness import system
from harness.catalogue import releases
from harness.catalogue.entries import Hardware
from harness.catalogue.releases import Release
from harness.checkout import ROOT
from harness.environments import pins, uv
from harness.errors import BuildError


@dataclass(frozen=True)
class Stack:
    """A local environment: a lock, and on top the wheels that are not in it: a vendor's, or an unlisted Paddle's.

    `base` is the Python that makes it, `pins` are the hashes by which the vendor's wheels are known, `beside` is the
    lock of what the vendor's SDK imports into programs.
    """

    name: str
    lock: Path
    folder: Path
    vendor_wheels: tuple[str, ...] = ()
    index: str | None = None
    base: str = getattr(sys, "_base_executable", sys.executable)
    pins: tuple[tuple[str, str], ...] = ()
    release: Release | None = None
    beside: Path | None = None

    @property
    def python(self) -> Path:
        return self.folder / system.SCRIPTS / "python"

    @property
    def lock_sha256(self) -> str:
        return hashlib.sha256(self.lock.read_bytes()).hexdigest()

    @property
    def recipe(self) -> str:
        """All that decides what is installed; the environment keeps a copy once it is whole."""
        own = self.release.wheels if self.release else ""
        found = sorted(f"{path.name} {path.stat().st_mtime_ns}" for path in Path(own).glob("*.whl")) if own else []
        beside = [self.beside.read_text()] if self.beside else []
        return "\n".join([self.lock_text, *beside, *self.vendor_wheels, self.index or "", *found])

    @property
    def lock_text(self) -> str:
        """What is installed by hash: the lock, without the Paddle that an unlisted one takes the place of."""
        text = self.lock.read_text()
        if self.release is None or self.release.listed:
            return text
        return re.sub(r"^paddlepaddle==.*\n(?:[ ].*\n)*", "", text, flags=re.MULTILINE)

    @property
    def others(self) -> Path:
        """The file with `lock_text`, where that is not the lock."""
        return self.folder.with_name(f"{self.folder.name}.txt")

    @property
    def own_wheels(self) -> list[str]:
        """The vendor's wheels but Paddle for the CPU, which is in the lock."""
        return [wheel for wheel in self.vendor_wheels if not wheel.startswith("paddlepaddle==")]

    @property
    def unlisted_paddle(self) -> str:
        """The Paddle for the CPU that no lock has, as a requirement; else empty."""
        listed = self.release is None or self.release.listed
        return "" if listed else next((each for each in self.vendor_wheels if each.startswith("paddlepaddle==")), "")

    @property
    def ready(self) -> bool:
        stamp = self.folder / "recipe.txt"
        return stamp.is_file() and stamp.read_text() == self.recipe and not self.of_another_python

    @property
    def of_another_python(self) -> bool:
        """Whether it was made by a Python of another version than the one that would make it now."""
        made, wanted = python_version(self), version_of(self.base)
        return bool(made and wanted) and made != wanted


def stack(name: str, hardware: Hardware | None = None, root: Path = ROOT, release: Release | None = None) -> Stack:
    """The stack of that name for one hardware kind (None: tools that need no device) and version of Paddle.

    Args:
        release: absent, the kind's own default; of tools the homework's.

    Raises:
        BuildError: there is no lock of that name.
    """
    book = releases.load()
    if release is None:
        release = book.default(hardware) if hardware else book.listed[book.homework]
    lock = root / release.lock(name)
    if not lock.is_file():
        known = ", ".join(path.stem for path in sorted(lock.parent.glob("*.txt"))) or "none"
        raise BuildError(
            f"There is no stack {name!r} for Paddle {release.near}.",
            f"{lock.parent.relative_to(root)}/ has: {known}.",
            f"Write docker/locks/{name}.in and run .venv/bin/python docker/locks/compile.py {name}",
        )
    made = Stack(name, lock, root / ".stacks" / release.of(name), release=release)
    index = hardware.data["wheels"].get("index") if hardware else None
    if hardware is None or index is None:
        return made if release.listed else replace(made, vendor_wheels=(f"paddlepaddle=={release.version}",))
    return replace(
        made,
        folder=made.folder.with_name(f"{made.folder.name}-{hardware.name}"),
        vendor_wheels=tuple(f"{package}=={release.version}" for package in hardware.data["wheels"]["packages"]),
        index=index,
        base=python_for(hardware, release) or Stack.base,
        pins=_pins(root),
        beside=beside(hardware, root),
    )


def beside(hardware: Hardware, root: Path) -> Path | None:
    """The lock of what a kind's SDK imports into the programs that call it; None where it imports nothing."""
    name = hardware.data["wheels"].get("beside")
    return root / "docker" / "locks" / f"{name}.txt" if name else None


def _pins(root: Path) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in pins.read(root).items() if name.endswith(".whl"))


# Which Python


def python_for(hardware: Hardware, release: Release) -> str | None:
    """The Python for a kind's environments: this one, or another here of a version that wheels and locks are for."""
    wanted = [version for version in release.python if version in hardware.data["wheels"]["python"]]
    if releases.HERE in wanted:
        return Stack.base
    return next((found for version in reversed(wanted) if (found := _find(version))), None)


@cache
def _find(version: str) -> str | None:
    words = [sys.executable, "-m", "uv", "python", "find", "--quiet", "--system", "--no-python-downloads", version]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.stdout.strip() or None if done.returncode == 0 else None


@cache
def version_of(python: str) -> str | None:
    """The version of an interpreter, as 3.10; None where it does not say it."""
    if python == Stack.base:
        return releases.HERE
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", asked], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except OSError:
        return None
    return done.stdout.strip() or None


def python_version(stack: Stack, whole: bool = False) -> str | None:
    """The version of Python of an environment as it was made: 3.10, or 3.10.14 as a whole."""
    try:
        settings = (stack.folder / "pyvenv.cfg").read_text()
    except OSError:
        return None
    found = re.search(r"^version(?:_info)? *= *((\d+\.\d+)\S*)", settings, re.MULTILINE)
    return found.group(1 if whole else 2) if found else None


def install_commands(stack: Stack) -> list[list[str]]:
    """The commands that make the environment, in order; each may be repeated after a break.

    Bytecode is compiled here: without, `import paddle` takes 5 s instead of 2 the first time, and every time where
    Python may not write its own. The vendor's wheels are fetched from its index alone, where nobody else can put one of
    their name.
    """
    uv_words, into = [sys.executable, "-m", "uv"], ["--python", str(stack.python)]
    source = stack.lock if stack.release is None or stack.release.listed else stack.others
    commands = [
        [*uv_words, "venv", "--quiet", "--allow-existing", "--python", stack.base, str(stack.folder)],
        [*uv_words, "pip", "sync", "--compile-bytecode", "--require-hashes", *into, str(source)],
    ]
    if stack.beside:  # and the lock once more: of what both name its versions stay
        install = [*uv_words, "pip", "install", "--compile-bytecode", "--require-hashes", "--no-deps", *into]
        commands += [[*install, "--requirement", str(lock)] for lock in (stack.beside, source)]
    if stack.own_wheels:
        words = ["env", f"PIP_CONFIG_FILE={os.devnull}", sys.executable, "-m", "pip", *into, "download", "--isolated"]
        words += ["--no-deps", "--only-binary", ":all:", "--disable-pip-version-check"]
        words += ["--index-url", stack.index or "", *_own_folder(stack), "--dest", str(stack.folder / WHEELS)]
        cert = uv.pip_settings().get("cert")
        commands.append([*words, *(["--cert", cert] if cert else []), *stack.own_wheels])
    if stack.unlisted_paddle:
        install, own = [*uv_words, "pip", "install", "--compile-bytecode", *into], _own_folder(stack)
        # An own wheel is taken alone, as the index may have one of its name; then what it asks for beyond the lock.
        commands += [[*install, "--no-deps", "--no-index", *own, stack.unlisted_paddle]] * bool(own)
        commands.append([*install, *own, stack.unlisted_paddle])
    return commands


def _own_folder(stack: Stack) -> list[str]:
    """Own wheels go before any index's."""
    return ["--find-links", stack.release.wheels] if stack.release and stack.release.wheels else []


def vendor_commands(stack: Stack) -> list[list[str]]:
    """The commands that install the fetched wheels, and then what they ask for beyond the lock."""
    if not stack.own_wheels:
        return []
    uv_pip, into = [sys.executable, "-m", "uv", "pip"], ["--python", str(stack.python)]
    alone = ["--no-deps", "--no-index", "--find-links", str(stack.folder / WHEELS)]
    asking = ["--index", stack.index or "", "--index-strategy", "first-index"]
    install = [*uv_pip, "install", "--compile-bytecode", *into]
    commands = [[*install, *alone, *stack.own_wheels], [*install, *asking, *stack.own_wheels]]
    if "paddlepaddle" not in {wheel.partition("==")[0] for wheel in stack.vendor_wheels}:
        commands.insert(0, [*uv_pip, "uninstall", "--quiet", *into, "paddlepaddle"])
    return commands


def missing_commands(stack: Stack) -> list[list[str]]:
    """The commands that make the environment, as they can be typed; none where it is whole."""
    if stack.ready:
        return []
    _write_others(stack)
    return [*install_commands(stack), *vendor_commands(stack)]


def _write_others(stack: Stack) -> None:
    """The file that the commands name in the lock's place, where it is not the lock that they install."""
    if stack.release and not stack.release.listed:
        stack.others.parent.mkdir(exist_ok=True)
        stack.others.write_text(stack.lock_text)


WHEELS, HASHES = "wheels", "wheels.txt"


def prepare(stack: Stack) -> Stack:
    """Make the environment if it is not whole, with progress on stderr. A broken-off install is finished.

    Raises:
        BuildError: a command failed; its output is above.
    """
    if stack.ready:
        return stack
    stack.folder.parent.mkdir(exist_ok=True)
    with _locked(stack.folder.with_name(f"{stack.folder.name}.lock")):
        if stack.ready:  # another call made it while this one waited
            return stack
        if stack.of_another_python:
            print(f"It was of Python {python_version(stack)}; {stack.base} makes it anew.", file=sys.stderr)
            shutil.rmtree(stack.folder)
        _write_others(stack)
        what = f"the stack {stack.folder.name}, once"
        _run(stack, install_commands(stack), what)
        hashes = {**_held_against_pins(stack), **_own_hashes(stack)}
        if stack.own_wheels:
            _run(stack, vendor_commands(stack), f"the vendor's wheels in {what}")
        (stack.folder / HASHES).write_text("".join(f"{sha256}  {name}\n" for name, sha256 in hashes.items()))
        shutil.rmtree(stack.folder / WHEELS, ignore_errors=True)
        (stack.folder / "recipe.txt").write_text(stack.recipe)
    return stack


def _run(stack: Stack, commands: list[list[str]], what: str) -> None:
    failure = uv.run(commands, what)
    if failure:
        print(failure, file=sys.stderr)
        why = "See above; usually the package index is out of reach or the disk is full."
        remedy = "./inv doctor shows the disk, pip config list the index. Call again: what was downloaded is kept."
        if stack.release and not stack.release.listed:
            why = (
                f"See above; Paddle {stack.release.version} is not listed: the index or folder may have no wheel of it."
            )
            remedy = "--wheels FOLDER takes a wheel of your own, for this Python and machine."
        raise BuildError(f"The stack {stack.folder.name} could not be installed.", why, remedy)


def _held_against_pins(stack: Stack) -> dict[str, str]:
    """The hash of each wheel that was fetched.

    Raises:
        BuildError: docker/pins.json knows a file of that name with another hash.
    """
    known, hashes = dict(stack.pins), {}
    for wheel in sorted((stack.folder / WHEELS).glob("*.whl")):
        hashes[wheel.name] = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if known.get(wheel.name, hashes[wheel.name]) != hashes[wheel.name]:
            raise BuildError(
                f"{wheel.name} of {stack.index} is not the file that docker/pins.json names.",
                f"Its hash is {hashes[wheel.name]}, and {known[wheel.name]} is kept.",
                "Ask the vendor which is right; a new one is kept by ./inv build --pin.",
            )
    return hashes


def _own_hashes(stack: Stack) -> dict[str, str]:
    """The hash of the own wheel of Paddle that fits the environment's Python; no index's of its name is meant."""
    if stack.release is None or not stack.release.wheels:
        return {}
    python = f"cp{(python_version(stack) or releases.HERE).replace('.', '')}"
    wheels = sorted(Path(stack.release.wheels).glob(f"paddlepaddle*-{stack.release.version}-*.whl"))
    fitting = [wheel for wheel in wheels if {python, "py3"} & set(re.split("[-.]", wheel.stem))]
    return {wheel.name: hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in fitting}


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file, saying so while another call has it."""
    with path.open("w") as handle:
        try:
            system.lock(handle.fileno(), wait=False)
        except BlockingIOError:
            print(f"Another call is installing {path.stem}; waiting for it.", file=sys.stderr)
            system.lock(handle.fileno())
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
    return next(iter(_installed(python.parent.parent, "paddlepaddle*", root)), None)


def installed_plug_ins(stack: Stack, root: Path = ROOT) -> list[Paddle]:
    """The vendor's plug-ins in an environment, as it installed them beside Paddle."""
    names = [wheel.partition("==")[0].replace("-", "_") for wheel in stack.own_wheels]
    return [
        found
        for name in names
        if not name.startswith("paddlepaddle")
        for found in _installed(stack.folder, f"{name}-*", root)
    ]


def _installed(folder: Path, pattern: str, root: Path) -> Iterator[Paddle]:
    fetched = folder / HASHES
    lines = (line.split() for line in fetched.read_text().splitlines()) if fetched.is_file() else ()
    hashes = {name: sha256 for sha256, name in lines}
    for info in sorted(folder.glob(f"lib/python*/site-packages/{pattern}.dist-info")):
        package, _, version = info.name.removesuffix(".dist-info").partition("-")
        wheel = next((name for name in hashes if name.startswith(f"{package}-{version}-")), None)
        sha256 = hashes.get(wheel or "")
        if wheel is None:
            wheel, sha256 = _wheel(root, package, version, (info / "WHEEL").read_text())
        yield Paddle(package.replace("_", "-"), version, wheel, sha256)


def _wheel(root: Path, package: str, version: str, metadata: str) -> tuple[str | None, str | None]:
    """The wheel's file name and hash: the lock admits one file for each Python and machine."""
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
