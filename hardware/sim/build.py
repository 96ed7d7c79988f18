"""Build the simulated cards' plug-in for the Paddle of this Python, unless it is there already.

    python hardware/sim/build.py

The plug-in goes into .cache/sim/<hash>/, where the hash covers its sources, Paddle's version, the compiler and the
processor; .cache/sim/<version of Paddle> leads to it, and is what CUSTOM_DEVICE_ROOT names. With --portable it runs
on every processor with AVX2, not only on this one: so does the image's. Two builds at the same moment wait for each
other. Exit code 5, with what to install, if it cannot be built.

Paddle's headers take the compiler longer than the kernels themselves, so that the files of kernels/ are compiled as
few large ones, one for each processor. What was compiled is kept in .cache/sim/objects: after a change, the rest is
linked as it is.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent
PLUGIN = HERE / "plugin"
CACHE = HERE.parents[1] / ".cache" / "sim"
LIBRARY = "libpaddle-sim.so"
COMPILER = os.environ.get("CXX", "g++")
# native: the build stays on this machine, and the hash knows its processor. An image travels.
PORTABLE = {"x86_64": "x86-64-v3", "aarch64": "armv8-a"}
PROCESSOR = PORTABLE[platform.machine()] if "--portable" in sys.argv else "native"
PACKAGES = ("paddlepaddle", "paddlepaddle-gpu")
FLAGS = ["-std=c++17", "-O3", f"-march={PROCESSOR}", "-fno-math-errno", "-fno-trapping-math", "-fPIC"]
DEFINES = ["-DPADDLE_WITH_CUSTOM_KERNEL", "-DPADDLE_WITH_CUSTOM_DEVICE"]


def refuse(what: str, why: str, remedy: str) -> NoReturn:
    print(f"error: {what}\n  why: {why}\n  to do: {remedy}", file=sys.stderr)
    raise SystemExit(5)


def paddle() -> tuple[Path, str]:
    """Paddle's folder and version, without importing it: an import would already look for the plug-in."""
    found = importlib.util.find_spec("paddle")
    if found is None or not found.submodule_search_locations:
        refuse("This Python has no Paddle.", sys.executable, "Use a stack's Python: .stacks/base/bin/python")
    folder = Path(found.submodule_search_locations[0])
    for name in PACKAGES:
        try:
            return folder, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    refuse("Paddle's version is unknown.", f"{folder} belongs to no package.", "Install paddlepaddle.")


def sources() -> list[Path]:
    return sorted(path for path in PLUGIN.rglob("*") if path.suffix in (".cc", ".h"))


def fingerprint(version: str) -> str:
    """The hash of all that decides what the plug-in's machine code is."""
    return _hash(_circumstances(version), *_texts(sources()))


def _circumstances(version: str) -> str:
    """Of Paddle the hashes of its libraries too: builds of untagged sources are all called 0.0.0."""
    lists = (
        each.read_text("RECORD") or "" for name in PACKAGES for each in importlib.metadata.distributions(name=name)
    )
    libraries = "\n".join(sorted(re.findall(r"^paddle/.*\.so,.*$", next(lists, ""), re.MULTILINE)))
    compiler = subprocess.run([COMPILER, "-dumpfullversion"], capture_output=True, text=True).stdout
    return "\0".join([version, libraries, compiler, _processor(), Path(__file__).read_text()])


def _texts(paths: Iterable[Path]) -> list[str]:
    return [f"{path.relative_to(HERE)}\n{path.read_text()}" for path in paths]


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _with_headers(source: Path) -> set[Path]:
    """A file of the plug-in and the plug-in's own headers that it includes."""
    found = {source}
    for name in re.findall(r'^#include "(.+)"', source.read_text(), re.MULTILINE):
        for header in (source.parent / name, PLUGIN / name):
            if header.is_file() and header not in found:
                found |= _with_headers(header)
    return found


def units() -> list[list[Path]]:
    """What is compiled together: the kernels, in as many parts as there are processors; every other file alone."""
    files = [path for path in sources() if path.suffix == ".cc"]
    kernels = [path for path in files if path.parent.name == "kernels"]
    kernels.sort(key=lambda path: path.stat().st_size, reverse=True)
    parts = min(len(kernels), len(os.sched_getaffinity(0)))
    return [kernels[part::parts] for part in range(parts)] + [[path] for path in files if path not in kernels]


def _processor() -> str:
    if PROCESSOR != "native":
        return PROCESSOR
    try:
        lines = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    return "\n".join(sorted(set(re.findall(r"^(?:model name|flags|Features|CPU part)\s*:.*$", lines, re.MULTILINE))))


def build() -> Path:
    """The folder with the plug-in, built if need be."""
    if shutil.which(COMPILER) is None:
        refuse(f"No C++ compiler: {COMPILER}.", "The simulated cards are built on first use.", "apt-get install g++")
    folder, version = paddle()
    place = CACHE / fingerprint(version)
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second build waits here, and then finds the first one's work
        if not (place / LIBRARY).is_file():
            _build_into(place, folder, _circumstances(version))
        _point_to(place, version)
    return place


def _build_into(place: Path, folder: Path, circumstances: str) -> None:
    print("Building the simulated cards (once)", file=sys.stderr)
    started = time.perf_counter()
    kept = CACHE / "objects"
    kept.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        work = Path(scratch)
        include = ["-I", str(_headers(work, folder)), "-I", str(PLUGIN)]
        include += ["-isystem", str(folder / "include"), "-isystem", str(folder / "include" / "third_party")]

        def compiled(unit: list[Path]) -> Path:
            needed = sorted(set().union(*map(_with_headers, unit)))
            name = _hash(circumstances, *_texts([*unit, *needed]))
            target, fresh, together = kept / f"{name}.o", work / f"{name}.o", work / f"{name}.cc"
            if not target.is_file():
                together.write_text("".join(f'#include "{path}"\n' for path in unit))
                _run([COMPILER, *FLAGS, *DEFINES, *include, "-c", str(together), "-o", str(fresh)])
                os.replace(fresh, target)
            return target

        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            objects = list(pool.map(compiled, units()))
        result = work / "result"
        result.mkdir()
        paths = ["-L", str(folder / "base"), "-L", str(folder / "libs")]
        libraries = ["-l:libpaddle.so", "-l:libphi.so", "-l:libphi_core.so", "-l:libcommon.so", "-lrt", "-ldl"]
        link = ["-Wl,--allow-shlib-undefined", *paths, *libraries]
        _run([COMPILER, "-shared", *map(str, objects), *link, "-o", str(result / LIBRARY)])
        os.replace(result, place)
    print(f"Built in {time.perf_counter() - started:.1f} s", file=sys.stderr)


def _headers(work: Path, folder: Path) -> Path:
    """Two headers that go before Paddle's own: the wheel lacks what they would include."""
    own = work / "include"
    (own / "paddle" / "phi").mkdir(parents=True)
    (own / "glog").mkdir()
    configuration = (folder / "include" / "paddle" / "phi" / "config.h").read_text()
    lines = [line for line in configuration.splitlines() if "PADDLE_WITH_DNNL" not in line]
    (own / "paddle" / "phi" / "config.h").write_text("\n".join(lines) + "\n")
    (own / "glog" / "logging.h").write_text("#pragma once\n")
    return own


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        refuse(
            "The simulated cards could not be built.",
            done.stderr.strip()[-3000:] or f"{command[0]} ended with {done.returncode}",
            "g++ 9 or newer is needed (apt-get install g++), and a version of Paddle that docs/versions.md shows.",
        )


def _point_to(place: Path, version: str) -> None:
    """Let the version's name lead to `place`; renamed into place, so that it always leads somewhere."""
    beside = CACHE / f"{version}.{os.getpid()}"
    beside.unlink(missing_ok=True)
    beside.symlink_to(place.name)
    os.replace(beside, CACHE / version)


if __name__ == "__main__":
    print(build())
