"""Paddle on the CPU with glibc's defaults, and with the three MALLOC_ variables of hardware/cpu/hardware.yaml.

    ./inv bench --only allocator

glibc gives large blocks back to the system when they are freed, so that every result of an operator is memory that the
system has to clear first, page by page. The variables keep it in the process. Both sides are processes of their own, in
turn; a side reports the median time of an operator and the page faults of one call (getrusage).
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from measuring import ROOT, keep
from tabulate import tabulate

STACK = "test"  # that ./inv bench runs it in

ROUNDS, CALLS = 5, 20
SHAPE = (4096, 1024)


def variables() -> dict[str, str]:
    """The MALLOC_ variables as hardware/cpu/hardware.yaml has them; this stack has no reader of YAML."""
    text = (ROOT / "hardware" / "cpu" / "hardware.yaml").read_text()
    return dict(re.findall(r'^  (MALLOC_\w+): "(\d+)"$', text, re.MULTILINE))


def measure() -> None:
    """One side: print {operator: [median milliseconds, page faults a call]}."""
    import resource
    import time

    import paddle
    import paddle.nn.functional as F

    x, weight = paddle.randn(SHAPE), paddle.ones(SHAPE[-1:])
    operators: dict[str, Callable[[], object]] = {
        "add": lambda: x + x,
        "exp": lambda: paddle.exp(x),
        "softmax": lambda: F.softmax(x),
        "gelu": lambda: F.gelu(x),
        "rms_norm": lambda: x * paddle.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * weight,
    }
    found = {}
    for name, operator in operators.items():
        operator()
        faults, seconds = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, []
        for _ in range(CALLS):
            started = time.perf_counter()
            operator()
            seconds.append(time.perf_counter() - started)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
        found[name] = [1000 * statistics.median(seconds), faults / CALLS]
    print(json.dumps(found))


def side(environment: dict[str, str]) -> dict[str, list[float]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    clean["PYTHONWARNINGS"] = "ignore:No ccache found"
    command = [sys.executable, str(Path(__file__)), "--measure"]
    done = subprocess.run(command, env={**clean, **environment}, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure both sides in turn, and print the table."""
    kept_memory = variables()
    rounds = [(side({}), side(kept_memory)) for _ in range(ROUNDS)]
    rows = []
    numbers: dict[str, float] = {}
    for name in rounds[0][0]:
        default, kept = ([statistics.median(pair[i][name][j] for pair in rounds) for j in (0, 1)] for i in (0, 1))
        ratio = statistics.median(pair[0][name][0] / pair[1][name][0] for pair in rounds)
        rows.append((name, default[0], kept[0], ratio, default[1], kept[1]))
        numbers |= {f"{name}_default_ms": default[0], f"{name}_kept_ms": kept[0], f"{name}_ratio": ratio}
        numbers |= {f"{name}_default_faults": default[1], f"{name}_kept_faults": kept[1]}
    print(f"Paddle's operators on {' x '.join(map(str, SHAPE))} float32, {ROUNDS} rounds in turn")
    print("with " + " ".join(f"{name}={value}" for name, value in kept_memory.items()) + "\n")
    headers = ("operator", "default, ms", "kept, ms", "ratio", "faults a call", "kept")
    print(tabulate(rows, headers, floatfmt=("", ".2f", ".2f", ".2f", ".0f", ".0f")) + "\n")
    numbers["median_ratio"] = statistics.median(row[3] for row in rows)
    print(f"the median operator takes {numbers['median_ratio']:.2f} times as long by default")
    keep(numbers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true", help="be one of the sides")
    measure() if parser.parse_args().measure else main()
