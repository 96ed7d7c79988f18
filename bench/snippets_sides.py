"""One side of bench/snippets.py: runs every snippet of a folder in a process forked from one that has its framework.

PYTHON bench/snippets_sides.py torch|paddle FOLDER RECORDS
"""

import os
import signal
import sys
from pathlib import Path

MODULES = {"torch": ("torch", "torch.utils.data", "torch._dynamo"), "paddle": ("paddle",)}  # what takes seconds, once
SECONDS = 60  # of one snippet
TOGETHER = int(os.environ.get("TOGETHER") or os.cpu_count() or 1)
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "projects" / "13-conversion"))


def main() -> None:
    kind, folder, records = sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve()
    import observing

    for name in MODULES[kind]:
        __import__(name)
    running = 0
    for script in sorted(folder.glob("s*.py")):
        if running == TOGETHER:
            os.wait()
            running -= 1
        running += 1
        child = os.fork()
        if child == 0:
            signal.alarm(SECONDS)
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            os.chdir(records)
            try:
                observing.observe(kind, folder, records / f"{script.stem}.{kind}", False, "cpu", [script.name])
            finally:
                os._exit(9)
    for _ in range(running):
        os.wait()


if __name__ == "__main__":
    main()
