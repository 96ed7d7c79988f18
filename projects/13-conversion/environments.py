"""The Pythons that both sides run in: PyTorch's, and what a project asks for besides."""

import fcntl
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

PYTORCH = "torch==2.13.0"
INDEX = "https://download.pytorch.org/whl/cpu"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "paddlehomework" / "pytorch"


class NoEnvironment(RuntimeError):
    """Packages that could not be had: which, and why."""


@dataclass(frozen=True)
class Pytorch:
    """A Python that has torch, or why there is none."""

    python: str = ""
    why_not: str = ""


def pytorch(asked: str) -> Pytorch:
    """`auto`: the one here, if there is one; `install`: one that is made now and kept; `none`; or one that is named."""
    if asked == "none":
        return Pytorch(why_not="pytorch=none was asked for")
    if asked not in ("auto", "install"):
        found = shutil.which(asked)
        if found is None or not _has_torch(found):
            raise NoEnvironment(f"pytorch={asked} is no Python with torch and numpy")
        return Pytorch(found)
    for python in (sys.executable, str(CACHE / "bin" / "python")):
        if os.path.exists(python) and _has_torch(python):
            return Pytorch(python)
    if asked == "install":
        return _make()
    return Pytorch(why_not="there is no PyTorch here; --set pytorch=install installs one, some 200 MB to download")


def _has_torch(python: str) -> bool:
    """Whether it finds both, without importing them: that takes minutes where a machine is busy."""
    look = "import sys; from importlib.util import find_spec; sys.exit(not (find_spec('numpy') and find_spec('torch')))"
    try:
        return subprocess.run([python, "-c", look], capture_output=True, timeout=120).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _make() -> Pytorch:
    """Installed by one process at a time."""
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    python = str(CACHE / "bin" / "python")
    with CACHE.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(python) and _has_torch(python):  # another made it while this one waited
            return Pytorch(python)
        what = f"Installing {PYTORCH} for the CPU to compare with: some 200 MB to download, 1 GB in {CACHE} (once)"
        print(what, file=sys.stderr, flush=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", CACHE], check=True, capture_output=True)
            install = ["-m", "pip", "install", "-q", "--retries", "1", "--extra-index-url", INDEX]
            words = [python, *install, *_wanted(), "numpy<2", "pillow"]
            subprocess.run(words, check=True, capture_output=True, text=True, timeout=900)
        except (OSError, subprocess.SubprocessError) as error:
            said = str(getattr(error, "stderr", "") or error).strip().splitlines()
            shutil.rmtree(CACHE, ignore_errors=True)
            why = f"there is no PyTorch here and none could be installed: {said[-1] if said else error}"
            return Pytorch(why_not=why)
    return Pytorch(python)


def _wanted() -> list[str]:
    return [f"{PYTORCH}+cpu" if sys.platform == "linux" and os.uname().machine == "x86_64" else PYTORCH]


@dataclass
class Packages:
    """Folders with what a project asks for, one for each side: both have numpy of their own."""

    names: list[str]
    folders: dict[str, Path] = field(default_factory=dict)

    def install(self, side: str, python: str, into: Path) -> None:
        """Raises NoEnvironment with pip's last line."""
        if not self.names:
            return
        words = ["-m", "pip", "install", "-q", "--target", str(into), "--no-deps", *self.names]
        runner = python if _has_pip(python) else shutil.which("python3") or python
        done = subprocess.run([runner, *words], capture_output=True, text=True)
        if done.returncode != 0:
            last = [line for line in done.stderr.strip().splitlines() if "ERROR" in line] or ["pip failed"]
            raise NoEnvironment(f"requires={' '.join(self.names)}: {last[-1]}")
        self.folders[side] = into


def _has_pip(python: str) -> bool:
    return subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0
