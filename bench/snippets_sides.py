"""One side of bench/snippets.py: runs every snippet of a folder in a process forked from one that has its framework.

PYTHON bench/snippets_sides.py torch|paddle FOLDER RECORDS
"""

import os
import signal
import sys
from pathlib import Path

SECONDS = 60  # of one snippet
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "projects" / "13-conversion"))


def main() -> None:
    kind, folder, records = sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve()
    import observing

    __import__(kind)
    for script in sorted(folder.glob("s*.py")):
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
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
