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

FASTER = 1.5
PRODUCT = """
import time
import paddle

paddle.set_device("cpu")
a, b = paddle.randn([1024, 512]), paddle.randn([512, 1024])
seconds = []
for _ in range(30):
    start = time.process_time()
    a @ b
    seconds.append(time.process_time() - start)
print(2 * 1024 * 512 * 1024 / min(seconds) / 1e9)  # in processor time, the fastest: others may be at work here
"""


def speed(**settings: str) -> float:
    """GFLOP/s of a product in a process of its own, for MKL reads its variable once."""
    kept = {name: value for name, value in os.environ.items() if name != "MKL_DEBUG_CPU_TYPE"}
    environment = {**kept, "OMP_NUM_THREADS": "1", **settings}
    done = subprocess.run([sys.executable, "-c", PRODUCT], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


description = Path("/proc/cpuinfo")
processor = description.read_text() if description.exists() else ""
if "AuthenticAMD" not in processor or "avx2" not in processor:
    elsewhere("this processor is not AMD's")
code = "7" if "avx512vl" in processor else "5"
plain, told = speed(), speed(MKL_DEBUG_CPU_TYPE=code)
found = f"{plain:.0f} GFLOP/s, and {told:.0f} with MKL_DEBUG_CPU_TYPE={code}"
(present if told > FASTER * plain else absent)(found)
