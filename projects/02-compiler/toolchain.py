"""The system's compiler: C to a shared object that is kept, and the one C++ extension that carries kernels."""

import ctypes
import functools
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import paddle

HERE = Path(__file__).resolve().parent
PRELUDE = HERE / "kernel.h"
CARRIER = HERE / "carrier.cc"
FLAGS = ("-O2", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-fopenmp", "-w")
PACKAGE = "apt-get install g++ (Debian, Ubuntu), dnf install gcc-c++ (Fedora, openEuler)"


class NoCompiler(Exception):
    """There is no C or C++ compiler."""

    exit_code = 3


class CompilationFailed(Exception):
    """The compiler refuses the source: it is too old, or the source is wrong, which is a defect of this project."""

    exit_code = 1


@dataclass(frozen=True)
class Library:
    """A compiled kernel; `seconds` is what its compilation took, 0 if it was kept from before."""

    path: Path
    seconds: float


def cache() -> Path:
    """Where compiled kernels are kept: KERNEL_CACHE, or a folder in the user's cache."""
    given = os.environ.get("KERNEL_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(given) if given else base / "paddlehomework" / "kernels"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def compiler(variable: str, default: str) -> list[str]:
    """The command of the compiler that the environment names, or the default; raises NoCompiler."""
    command = shlex.split(os.environ.get(variable) or default)
    found = shutil.which(command[0])
    if not found:
        raise NoCompiler(
            f"No compiler {command[0]!r} is on PATH.\nKernels are C, and have to be compiled.\nInstall one: {PACKAGE}."
        )
    return [found, *command[1:]]


@functools.cache
def processor() -> str:
    """What -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    return "\n".join(sorted(set(re.findall(r"^(?:model name|flags|Features|CPU part)\s*:.*$", lines, re.MULTILINE))))


def key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def identity(command: list[str]) -> str:
    """The compiler's path, size and age: another version has others."""
    status = os.stat(command[0])
    return f"{shlex.join(command)} {status.st_size} {status.st_mtime_ns}"


def compile_kernel(name: str, source: str) -> Library:
    """Compile C to a shared object, unless the same source has been compiled for this processor before.

    The C source stands beside the shared object. Raises CompilationFailed with the compiler's own words.
    """
    command = [*compiler("CC", "gcc"), *FLAGS, "-shared", "-fPIC"]
    digest = key(source, PRELUDE.read_text(), identity(command), processor())
    target = cache() / f"{name}-{digest}.so"
    if usable(target):
        return Library(target, 0.0)
    written = target.with_suffix(".c")
    written.write_text(source)
    started = time.perf_counter()
    build([*command, f"-I{HERE}"], written, target, ["-lm"])
    return Library(target, time.perf_counter() - started)


def usable(path: Path) -> bool:
    """Whether a kept kernel can be loaded; one that a full disk has cut short cannot, and is made again."""
    if not path.is_file():
        return False
    try:
        ctypes.c_int64.in_dll(ctypes.CDLL(str(path)), "interface")
    except (OSError, ValueError):
        path.unlink()
        return False
    return True


def build(command: list[str], source: Path, target: Path, link: Sequence[str] = ()) -> None:
    """Compile `source` beside `target` and rename into place, so that no other process sees half a file."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        beside = Path(folder) / target.name
        done = subprocess.run([*command, "-o", str(beside), str(source), *link], capture_output=True, text=True)
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
            first = next((line for line in lines if "error" in line), lines[-1])
            raise CompilationFailed(
                f"{command[0]} does not compile {source}.\n{first.removeprefix(str(source)).strip(': ')}\n"
                "With gcc 9 or newer this is a defect of the generator: please report it with that file."
            )
        os.replace(beside, target)


def build_extension(source: Path, *flags: str) -> Library:
    """Compile C++ against Paddle's own headers, unless it has been before; raises as `compile_kernel` does."""
    folder = Path(paddle.__file__).parent
    command = [*compiler("CXX", "g++"), "-O1", "-std=c++17", "-shared", "-fPIC", "-w", *flags]
    digest = key(source.read_text(), paddle.__version__, str(folder), identity(command))
    target = cache() / f"{source.stem}-{digest}.so"
    if target.is_file():
        return Library(target, 0.0)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as own:  # Paddle's headers include glog's, which the wheel lacks
        stub = Path(own) / "glog" / "logging.h"
        stub.parent.mkdir()
        stub.touch()
        include = [f"-I{own}", f"-I{folder / 'include'}", f"-I{folder / 'include' / 'third_party'}"]
        link = ["-Wl,--allow-shlib-undefined", f"-L{folder / 'base'}", "-l:libpaddle.so", "-ldl"]
        build([*command, *include], source, target, link)
    return Library(target, time.perf_counter() - started)


@functools.cache
def load_carrier() -> Library:
    """Build and register the custom operator of carrier.cc, once a process."""
    carrier = build_extension(CARRIER, "-DPADDLE_WITH_CUSTOM_KERNEL")
    paddle.utils.cpp_extension.load_op_meta_info_and_register_op(str(carrier.path))
    ctypes.CDLL(str(carrier.path)).set_threads(threads())
    return carrier


def threads() -> int:
    """How many threads a kernel has: OMP_NUM_THREADS, or one for each processor that this process may use.

    OpenMP is asked, not the environment: where that has no OMP_NUM_THREADS, importing Paddle writes 1 there, after
    OpenMP has read it.
    """
    return ctypes.CDLL("libgomp.so.1").omp_get_max_threads()
