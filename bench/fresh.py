"""How long a person waits: a fresh clone, with a new home and empty caches, to its first matrix; then once more.

./inv bench --only fresh

Takes minutes, and downloads every package. What is not committed is not in the clone.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from measuring import ROOT, goal
from tabulate import tabulate

STACK = "bench"  # that ./inv bench runs it in
VERDICT = re.compile(r"  \S (?:passed in|failed after) ([\d.]+) s")
PHASE = re.compile(r"(Setting up|Installing|Building|\[\d+/\d+\]).*")
KEPT = re.compile(r"PATH|PIP_.*|SSL_CERT_.*|REQUESTS_CA_BUNDLE")


def environment(home: Path) -> dict[str, str]:
    """Only PATH, without this checkout's environments, and the settings of pip and certificates."""
    kept = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)}
    path = [folder for folder in kept["PATH"].split(os.pathsep) if not Path(folder).is_relative_to(ROOT)]
    return {**kept, "PATH": os.pathsep.join(path), "HOME": str(home)}


def phases(tree: Path, surroundings: dict[str, str]) -> dict[str, float]:
    """Seconds of each phase of `./inv run`, told apart by the lines that it prints."""
    seconds: defaultdict[str, float] = defaultdict(float)
    phase = cell = "start"
    last = time.perf_counter()
    process = subprocess.Popen(
        ["./inv", "run"],
        cwd=tree,
        env=surroundings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    with process:
        for line in process.stdout or ():
            sys.stdout.write(line)
            now, verdict = time.perf_counter(), VERDICT.match(line)
            if verdict:  # what was before the program itself, an installation, stays with its own phase
                seconds[phase] += now - last - float(verdict[1])
                seconds[cell] += float(verdict[1])
                phase, last = "matrix", now
            elif PHASE.match(line):
                seconds[phase] += now - last
                phase, last = line.split(" · ")[0].strip(), now
                cell = phase if line.startswith("[") else cell
    seconds[phase] += time.perf_counter() - last
    if process.returncode != 0:
        sys.exit(f"./inv run: exit code {process.returncode}")
    return seconds


def main() -> None:
    """Clone, run cold, run warm, and print the phases."""
    with tempfile.TemporaryDirectory(prefix="homework-bench-") as name:
        home, tree = Path(name, "home"), Path(name, "clone")
        home.mkdir()
        surroundings = environment(home)
        start = time.perf_counter()
        subprocess.run(["git", "clone", "-q", ROOT, tree], check=True)
        clone = {"git clone": time.perf_counter() - start}
        cold, warm = clone | phases(tree, surroundings), phases(tree, surroundings)
    rows = [(phase, cold.get(phase), warm.get(phase)) for phase in {**cold, **warm}]
    rows.append(("together", sum(cold.values()), sum(warm.values())))
    print("\n" + tabulate(rows, ("seconds", "fresh", "again"), floatfmt=".1f"))
    print(f"fresh over again: {sum(cold.values()) / sum(warm.values()):.2f}")
    print(goal("a fresh clone to its first matrix", sum(cold.values()), at_most=240))
    print(goal("./inv run again", sum(warm.values()), at_most=180))


if __name__ == "__main__":
    main()
