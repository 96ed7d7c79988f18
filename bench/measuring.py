"""What the benchmarks share: commands timed in turn, tables of medians, goals, and a copy of the checkout."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from tabulate import tabulate

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(sys.executable).parent  # where this environment keeps nox, reframe and snakemake
COPIED = (".gitignore", "inv", "tasks.py", "harness", "hardware", "projects", "docker")
SHARED = (".venv", ".stacks")
Timings = dict[str, list[float]]


@dataclass(frozen=True)
class Side:
    """One of the commands that are compared; `before` is done before each run of it and not timed."""

    name: str
    command: Sequence[str | Path]
    folder: Path = ROOT
    environment: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], object] = field(default=lambda: None)


def interleaved(sides: Sequence[Side], rounds: int, warm: bool = True) -> Timings:
    """Seconds that each side took in every round, A B C A B C …; with `warm` after a round that only fills caches."""
    timings: Timings = {side.name: [] for side in sides}
    for number in range(rounds + warm):
        for side in sides:
            seconds = _seconds(side)
            if number >= warm:
                timings[side.name].append(seconds)
    return timings


def _seconds(side: Side) -> float:
    side.before()
    environment = {**os.environ, **side.environment}
    start = time.perf_counter()
    done = subprocess.run(
        side.command, cwd=side.folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(f"{side.name}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds


def added(timings: Timings, name: str, bare: str) -> float:
    """The median of what `name` took more than `bare`, round by round."""
    return statistics.median(a - b for a, b in zip(timings[name], timings[bare], strict=True))


def table(timings: Timings, ratio_to: str) -> str:
    """Median, least and most seconds of each side, and the ratio of its median to that of `ratio_to`."""
    base = statistics.median(timings[ratio_to])
    rows = [
        (name, statistics.median(seconds), min(seconds), max(seconds), statistics.median(seconds) / base)
        for name, seconds in timings.items()
    ]
    headers = ("seconds", "median", "least", "most", f"× {ratio_to}")
    return str(tabulate(rows, headers, floatfmt=("", ".3f", ".3f", ".3f", ".2f")))


def goal(what: str, number: float, at_most: float = inf, at_least: float = 0.0, unit: str = " s") -> str:
    """A line for a goal: its bound, the number, met or not."""
    if at_most == inf:
        bound = f"at least {at_least:g}{unit}"
    else:
        bound = f"{at_least:g} to {at_most:g}{unit}" if at_least else f"at most {at_most:g}{unit}"
    return f"goal: {what}: {bound}; it is {number:.3g}{unit}: {'met' if at_least <= number <= at_most else 'NOT met'}"


def keep(numbers: Mapping[str, float]) -> None:
    """Numbers of this measurement that texts may quote: bench/keep.py puts them beside what was printed."""
    if place := os.environ.get("BENCH_NUMBERS"):
        Path(place).write_text(json.dumps(dict(numbers)))


def picture() -> Path | None:
    """Where a picture of this measurement (SVG) is to be written, for bench/keep.py to put beside what was printed."""
    place = os.environ.get("BENCH_PICTURE")
    return Path(place) if place else None


def most_memory(process: int | str = "self") -> float:
    """MiB at the peak of a process, of it alone: what getrusage says begins with the peak of whoever started it."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def ended(process: "subprocess.Popen[str]") -> tuple[int, float, float]:
    """Wait for a process to its end: its exit code, its seconds of processor with those of the commands that it called,
    also of one that it leaves, and its own MiB at the peak."""
    memory = left = 0.0
    while True:
        with suppress(OSError, IndexError):  # one that has just ended holds nothing any more
            memory, left = most_memory(process.pid), _of_children(process.pid)
        found, status, usage = os.wait4(process.pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime + left, memory
        time.sleep(0.1)


def _of_children(process: int) -> float:
    """Seconds of processor of the commands that a process has running now."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    stats = [Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split() for child in children]
    return sum(int(ticks) for stat in stats for ticks in stat[11:13]) / os.sysconf("SC_CLK_TCK")


@contextmanager
def copy_of_checkout() -> Iterator[Path]:
    """A temporary copy of this checkout, committed and without results, which shares its environments."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # leaving, it still removes the copy
    with tempfile.TemporaryDirectory(prefix="homework-bench-") as name:
        tree = Path(name)
        for part in COPIED:
            (tree / part).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(ROOT / part, tree / part)
        for part in SHARED:
            (tree / part).symlink_to(ROOT / part)
        commit(tree)
        yield tree


def commit(tree: Path) -> None:
    """Commit all of `tree`, which becomes a git checkout: `./inv run` asks git what it runs."""
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    for words in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "A copy to measure")):
        subprocess.run(["git", "-C", tree, *words], check=True)
