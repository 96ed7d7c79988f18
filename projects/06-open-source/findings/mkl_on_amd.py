"""Matrix products on AMD processors take MKL's slowest code, and are several times as fast once it is told otherwise

The wheels carry MKL of 2019, which looks for Intel's name before it looks for instructions. MKL_DEBUG_CPU_TYPE names
the code by hand: 5 for AVX2, 7 for AVX-512. Expected: the code that the processor can run, as oneDNN and OpenBLAS
choose it, or a newer MKL, or a word about it in the documentation.
"""

import os
import subprocess
import sys
from pathlib import Path

from verdict import absent, elsewhere, present

FASTER, SECONDS = 1.5, 3
PRODUCT = """
import sys, time
import paddle

paddle.set_device("cpu")
a, b = paddle.randn([1024, 512]), paddle.randn([512, 1024])
a @ b
calls, start, end = 0, time.process_time(), time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    a @ b
    calls += 1
print(2 * 1024 * 512 * 1024 * calls / (time.process_time() - start) / 1e9)
"""


def speeds(*choices: dict[str, str]) -> list[float]:
    """GFLOP/s of a product under each choice of variables, in processor time.

    In processes of their own, for MKL reads its variable once; all on one core at the same time, so that whoever else
    computes there, or on its other thread, slows all of them alike.
    """
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    kept = {name: value for name, value in os.environ.items() if name != "MKL_DEBUG_CPU_TYPE"}
    command = [sys.executable, "-W", "ignore", "-c", PRODUCT, str(SECONDS)]
    started = [
        subprocess.Popen(command, env={**kept, "OMP_NUM_THREADS": "1", **each}, stdout=subprocess.PIPE, text=True)
        for each in choices
    ]
    return [float(process.communicate()[0].split()[-1]) for process in started]


description = Path("/proc/cpuinfo")
processor = description.read_text() if description.exists() else ""
if "AuthenticAMD" not in processor or "avx2" not in processor:
    elsewhere("this processor is not AMD's")
code = "7" if "avx512vl" in processor else "5"
plain, told = speeds({}, {"MKL_DEBUG_CPU_TYPE": code})
found = f"{plain:.0f} GFLOP/s, and {told:.0f} with MKL_DEBUG_CPU_TYPE={code}"
(present if told > FASTER * plain else absent)(found)
