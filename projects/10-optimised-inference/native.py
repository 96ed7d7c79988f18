"""The kernels in C++ (kernels/), compiled on first use and then Paddle operators like any other.

The build goes into .cache/kernels/<hash>/, the hash being that of the sources, the compiler and Paddle's version.
"""

import hashlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import paddle

HERE = Path(__file__).resolve().parent
SOURCES = sorted((HERE / "kernels").glob("*.*"))
CACHE = Path(os.environ.get("PADDLEHOMEWORK_CACHE", HERE.parents[1] / ".cache")) / "kernels"
COMPILER = os.environ.get("CXX", "g++")
# Without tree-reassoc, which adds products up in an order that needs more registers than there are.
FLAGS = ["-std=c++17", "-O3", "-fPIC", "-fopenmp", "-fno-math-errno", "-fno-tree-reassoc"]
ISAS = ("avx512", "avx2", "portable")


class NoKernels(RuntimeError):
    """The kernels cannot be built or run here; the text says why."""


def build() -> Path:
    """The compiled library, made if it is not there yet. Raises NoKernels without a compiler, or if it refuses."""
    if shutil.which(COMPILER) is None:
        raise NoKernels(f"there is no C++ compiler {COMPILER}")
    version = subprocess.run([COMPILER, "-dumpfullversion"], capture_output=True, text=True).stdout
    parts = [version, paddle.__version__, " ".join(FLAGS), *(path.read_text() for path in SOURCES)]
    library = CACHE / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16] / "libllm.so"
    if library.is_file():
        return library
    print("compiling the kernels (once) …", flush=True)
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            _compile(Path(folder), library)
    except OSError as error:  # a checkout that is mounted read-only
        raise NoKernels(f"they cannot be written: {error}") from None
    return library


def _compile(folder: Path, library: Path) -> None:
    include = Path(paddle.sysconfig.get_include())
    includes = [f"-I{path}" for path in (include, include / "third_party", sysconfig.get_path("include"))]
    units = [path for path in SOURCES if path.suffix == ".cc"]
    objects = [folder / f"{unit.stem}.o" for unit in units]
    commands = [
        [COMPILER, *FLAGS, *(includes if unit.stem == "decoder" else []), "-c", str(unit), "-o", str(made)]
        for unit, made in zip(units, objects, strict=True)
    ]
    paddle_folder = include.parent / "base"
    link = [COMPILER, "-shared", "-fopenmp", *map(str, objects), f"-L{paddle_folder}", "-l:libpaddle.so"]
    link += [f"-Wl,-rpath,{paddle_folder}", "-o", str(folder / library.name)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(_call, commands))
    _call(link)
    os.replace(folder / library.name, library)  # whole or not at all, also with two builds at once


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line]
        raise NoKernels(f"the compiler refuses: {lines[0] if lines else ' '.join(command)}")


class Kernels:
    """The operators for one instruction set: "best", or one of ISAS by name.

    Raises NoKernels where they cannot be built, or this CPU cannot run them.
    """

    def __init__(self, isa: str = "best") -> None:
        _load(str(build()))
        self.isa = next(name for name in ISAS if isa in (name, "best") and runs(name)) if isa == "best" else isa
        if not runs(self.isa):
            raise NoKernels(f"this CPU cannot run the {isa} kernels")
        self.rows = int(_call_operator("llm_rows", paddle.zeros([1]), self.isa))

    def __call__(self, name: str, *arguments: Any) -> Any:
        """Call an operator of decoder.cc by its name without "llm_": inputs, then attributes but the last."""
        return _call_operator(f"llm_{name}", *arguments, self.isa)


def runs(isa: str) -> bool:
    """Whether this CPU has what the kernels of `isa` need. The operators must be loaded."""
    try:
        _call_operator("llm_rows", paddle.zeros([1]), isa)
    except (RuntimeError, OSError):  # Paddle raises either for a refusal in C++
        return False
    return True


def _call_operator(name: str, *arguments: Any) -> Any:
    found = paddle._C_ops._run_custom_op(name, *arguments)
    return found[0] if len(found) == 1 else found


@cache
def _load(library: str) -> None:
    from paddle.utils.cpp_extension import load_op_meta_info_and_register_op

    load_op_meta_info_and_register_op(library)


def make_kernels(isa: str) -> Kernels | None:
    """The C++ kernels, or None with the reason printed: then Paddle's plain operators compute.

    Raises NoKernels where those of one instruction set are asked for by its name.
    """
    if not paddle.get_device().startswith("cpu"):
        print(f"the kernels are the CPU's: {paddle.get_device()} computes with Paddle's operators")
        return None
    if isa == "none":
        return None
    try:
        kernels = Kernels(isa)
    except NoKernels as error:
        if isa != "best":
            raise
        print(f"NOTE: no kernels, because {error}")
        print("Paddle's plain operators compute instead, slower: in float32, on weights rounded to each kind")
        return None
    print(f"kernels: {kernels.isa}, {kernels.rows} rows in a panel")
    return kernels
