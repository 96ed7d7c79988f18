"""import paddle writes OMP_NUM_THREADS=1 into the environment of the process

So every child process, and every OpenMP library that is loaded later, computes with one thread, and a program cannot
tell a person's wish from Paddle's. Expected: the environment stays as it was, and Paddle limits its own threads alone.
"""

import os
import subprocess
import sys

from verdict import absent, present

os.environ.pop("OMP_NUM_THREADS", None)
import paddle  # noqa: F401  only now: the import is what is looked at

child = [sys.executable, "-c", "import os; print(os.environ.get('OMP_NUM_THREADS'))"]
number = subprocess.run(child, capture_output=True, text=True, check=True).stdout.strip()
if number == "None":
    absent("a child process after the import has no OMP_NUM_THREADS, as before")
present(f"a child process after the import has OMP_NUM_THREADS={number}, which nobody set")
