"""CPU allocator: every large result is given back to the system, which clears its pages again for the next one

`x + x` of 16 MiB touches fresh pages in every call, so that the kernel clears 4096 of them a call. With the three
variables of glibc's malloc below the memory is kept, and the same addition is several times as fast. Expected: the
CPU allocator keeps large blocks, as those of the devices do.
"""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from verdict import absent, elsewhere, present

ROWS, COLUMNS, CALLS = 4096, 1024, 20  # results of 16 MiB
PAGES = ROWS * COLUMNS * 4 // os.sysconf("SC_PAGE_SIZE")
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
KEEP = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "1073741824",
}


def measure():
    """Print the page faults of a call, as a share of its result's pages, and its milliseconds."""
    import paddle

    paddle.set_device("cpu")
    x = paddle.ones([ROWS, COLUMNS])
    for _ in range(3):
        x + x
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
    for _ in range(CALLS):
        x + x
    seconds = time.perf_counter() - start
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    print(faults / CALLS / PAGES, 1000 * seconds / CALLS)


def measured(variables):
    """Both in a process of its own, whose allocator the variables set."""
    plain = {name: value for name, value in os.environ.items() if name not in (*KEEP, "LD_PRELOAD", "GLIBC_TUNABLES")}
    command = [sys.executable, __file__, "measure"]
    output = subprocess.run(command, env=plain | variables, capture_output=True, text=True, check=True).stdout
    share, milliseconds = map(float, output.split()[-2:])
    return share, milliseconds


if __name__ == "__main__":
    if "measure" in sys.argv:
        measure()
        sys.exit()
    (share, slow), (kept, fast) = measured({}), measured(KEEP)
    found = f"faults on {share:.0%} of a result's pages, {slow:.1f} ms; memory kept: {kept:.0%}, {fast:.1f} ms"
    if share > 0.5:
        present(found)
    # Huge pages make few faults of many: there the share says nothing.
    (elsewhere if "[always]" in HUGE_PAGES.read_text() else absent)(found)
