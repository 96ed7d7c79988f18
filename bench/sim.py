"""The simulated cards against the plain CPU: an MLP's training step, and all_reduce against copying memory.

    .stacks/base/bin/python bench/sim.py

Training: the same MLP with AdamW on `cpu` and `sim:0`, in turn, a process each; the ratio of the median steps.
all_reduce: 8 ranks with 64 MiB of float32 each. Memory copy: the same 8 processes copy their 64 MiB at the same time.
The ratio says how many times the copy of everybody's data an all_reduce of it takes.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "hardware" / "sim"))
GLIBC = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "1073741824",
}
SHAPES = {"256 → 1024 → 256, batch 256": (256, 256), "64 → 256 → 64, batch 512": (64, 512)}
RANKS, BYTES, ROUNDS = 8, 64 << 20, 7


def train(device: str, width: int, batch: int) -> float:
    """Seconds of a training step, the median."""
    import numpy as np
    import paddle

    paddle.set_device(device)
    numbers = np.random.default_rng(0)
    layers = paddle.nn.Linear(width, 4 * width), paddle.nn.GELU(), paddle.nn.Linear(4 * width, width)
    network = paddle.nn.Sequential(*layers)
    optimiser = paddle.optimizer.AdamW(1e-3, parameters=network.parameters())
    x, y = (paddle.to_tensor(numbers.normal(size=(batch, width)).astype("float32")) for _ in range(2))
    seconds = []
    for _ in range(40):
        started = time.perf_counter()
        loss = paddle.nn.functional.mse_loss(network(x), y)
        loss.backward()
        optimiser.step()
        optimiser.clear_grad()
        loss.item()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def compare_training() -> None:
    import ranks

    # The CPU gets glibc's settings of hardware/cpu/hardware.yaml: without them it is slower.
    environment = {**os.environ, **GLIBC, "CUSTOM_DEVICE_ROOT": str(ranks.built()), "GLOG_minloglevel": "2"}
    for name, shape in SHAPES.items():
        medians: dict[str, list[float]] = {"cpu": [], "sim:0": []}
        for _ in range(3):
            for device, found in medians.items():
                command = [sys.executable, __file__, "train", device, *map(str, shape)]
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                found.append(float(done.stdout.splitlines()[-1]))
        cpu, sim = (1000 * statistics.median(found) for found in medians.values())
        print(f"MLP {name}: cpu {cpu:.2f} ms, sim {sim:.2f} ms a step: sim at {cpu / sim:.0%} of the CPU (goal: 50 %)")


def compare_all_reduce() -> None:
    import numpy as np
    import ranks

    plugin = ranks.Plugin(ranks.built())
    floats, total = ranks.TYPES.index("float32"), ranks.OPERATIONS.index("sum")
    results = ROOT / ".cache" / "sim" / "bench.json"

    def work(communicator: object, rank: int) -> None:
        source, target = np.ones(BYTES // 4, "float32"), np.zeros(BYTES // 4, "float32")
        one = np.ones(1, "float32")
        reducing, copying = [], []

        def together() -> None:
            count = ranks.size(1)
            plugin.xccl_all_reduce(ranks.pointer(one), ranks.pointer(one), count, floats, total, communicator, None)

        for _ in range(ROUNDS):
            together()
            started = time.perf_counter()
            np.copyto(target, source)
            together()
            copying.append(time.perf_counter() - started)
            started = time.perf_counter()
            count, addresses = ranks.size(BYTES // 4), (ranks.pointer(source), ranks.pointer(target))
            plugin.xccl_all_reduce(*addresses, count, floats, total, communicator, None)
            reducing.append(time.perf_counter() - started)
            assert target[0] == target[-1] == RANKS
        if rank == 0:
            results.write_text(json.dumps([statistics.median(copying), statistics.median(reducing)]))

    assert ranks.run(plugin, RANKS, work) == [0] * RANKS
    copying, reducing = json.loads(results.read_text())
    rate = RANKS * BYTES / copying / 1e9
    print(f"{RANKS} ranks copy 64 MiB each: {1000 * copying:.0f} ms ({rate:.1f} GB/s); all_reduce of 64 MiB:", end=" ")
    print(f"{1000 * reducing:.0f} ms, {reducing / copying:.2f} times the copy (goal: at most 3)")


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        print(train(sys.argv[2], *map(int, sys.argv[3:])))
    else:
        compare_all_reduce()
        compare_training()
