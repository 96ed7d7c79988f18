"""The simulated cards against the plain CPU: an MLP's training step, and all_reduce against copying memory.

    .stacks/base/bin/python bench/sim.py
    .stacks/base/bin/python bench/sim.py all_reduce

Training: the same MLP with AdamW on `cpu` and `sim:0`, in turn, a process each; the ratio of the median steps.
all_reduce: 8 ranks with 64 MiB of float32 each, on 8 cards. Memory copy: the same 8 processes copy their 64 MiB at the
same time, from the same source to the same target, by the card's own copy. So both sides read 512 MiB and write
512 MiB, which is the least that an all_reduce can do. Every round does each once, in turn; the first round, in which
memory is touched for the first time, does not count. The ratio of the medians says how many copies an all_reduce takes.
"""

import ctypes
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STACK = "test"  # that ./inv bench runs it in
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
        seconds: dict[str, list[float]] = {"copy": [], "cards": [], "in place": [], "host": []}
        device = ctypes.byref(ctypes.c_int(rank))
        source, target = (plugin.on_card(rank, np.full(BYTES // 4, number, "float32")) for number in (1, 0))
        on_host = np.ones(BYTES // 4, "float32"), np.zeros(BYTES // 4, "float32")
        one = np.ones(1, "float32")

        def reduce(numbers: Any, into: Any) -> None:
            addresses, count = (ranks.pointer(numbers), ranks.pointer(into)), ranks.size(numbers.size)
            plugin.xccl_all_reduce(*addresses, count, floats, total, communicator, None)

        def copy() -> None:
            plugin.memory_copy_d2d(device, ranks.pointer(target), ranks.pointer(source), ranks.size(BYTES))

        actions: dict[str, Callable[[], None]] = {
            "copy": copy,
            "cards": lambda: reduce(source, target),
            "in place": lambda: reduce(target, target),
            "host": lambda: reduce(*on_host),
        }
        for _ in range(ROUNDS):
            for name, action in actions.items():
                reduce(one, one)
                started = time.perf_counter()
                action()
                reduce(one, one)
                seconds[name].append(time.perf_counter() - started)
            assert target[0] == target[-1] == RANKS**2
        if rank == 0:
            results.write_text(json.dumps({name: statistics.median(found[1:]) for name, found in seconds.items()}))

    assert ranks.run(plugin, RANKS, work) == [0] * RANKS
    seconds = json.loads(results.read_text())
    rate = RANKS * BYTES / seconds["copy"] / 1e9
    print(f"{RANKS} ranks copy 64 MiB each at the same time: {1000 * seconds['copy']:.0f} ms ({rate:.1f} GB/s)")
    kinds = {"cards": "between tensors on cards", "in place": "in place on cards", "host": "between arrays on the host"}
    for name, title in kinds.items():
        ratio = seconds[name] / seconds["copy"]
        print(f"all_reduce of 64 MiB, {title}: {1000 * seconds[name]:.0f} ms, {ratio:.2f} times the copy (goal: 3)")


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        print(train(sys.argv[2], *map(int, sys.argv[3:])))
    elif sys.argv[1:2] == ["all_reduce"]:
        compare_all_reduce()
    else:
        compare_all_reduce()
        compare_training()
