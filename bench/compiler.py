"""Generated kernels beside torch.compile, on the five subgraphs of part 2-1 that both sides write out by hand.

    PYTHON bench/compiler.py [--rows 4096] [--columns 1024] [--rounds 15] [--default-allocator]

with a Python that has the packages of docker/locks/base.txt and torch (2.13, CPU). Each side lives in a process of its
own, so that their threads do not disturb each other; they take turns, a batch of calls each, and medians count.
Both processes have the same allocator settings, by default those of hardware/cpu/hardware.yaml.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from tabulate import tabulate

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("rms_norm", "softmax", "layer_norm", "gelu", "swish")
MODES = ("forward", "forward and backward")
CALLS = 4  # in a batch; the first of them is not counted, its threads may have slept

Calls = dict[str, Callable[[], Any]]


def torch_side(rows: int, columns: int) -> Calls:
    """The subgraphs in PyTorch, compiled."""
    import torch

    def rms_norm(x: Any, weight: Any, _: Any) -> Any:
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * weight

    def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
        centred = x - x.mean(-1, keepdim=True)
        variance = (centred * centred).mean(-1, keepdim=True)
        return centred * torch.rsqrt(variance + 1e-5) * weight + bias

    def softmax(x: Any, *_: Any) -> Any:
        exponential = torch.exp(x - x.max(-1, keepdim=True).values)
        return exponential / exponential.sum(-1, keepdim=True)

    def gelu(x: Any, *_: Any) -> Any:
        return 0.5 * x * (1.0 + torch.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))

    def swish(x: Any, weight: Any, bias: Any) -> Any:
        return x * torch.sigmoid(x) * weight + bias

    torch.manual_seed(0)
    inputs = [torch.randn(*shape).requires_grad_() for shape in ((rows, columns), (columns,), (columns,))]
    slope = torch.randn(rows, columns)
    used = {"rms_norm": 2, "softmax": 1, "layer_norm": 3, "gelu": 1, "swish": 3}
    calls: Calls = {}
    for function in (rms_norm, softmax, layer_norm, gelu, swish):
        compiled: Any = torch.compile(function)
        name, leaves = function.__name__, inputs[: used[function.__name__]]

        def forward(compiled: Any = compiled) -> None:
            with torch.no_grad():
                compiled(*inputs)

        def training(compiled: Any = compiled, leaves: Any = leaves) -> None:
            torch.autograd.grad(compiled(*inputs), leaves, slope)

        calls |= {f"{name} forward": forward, f"{name} forward and backward": training}
    return calls


def paddle_side(rows: int, columns: int) -> Calls:
    """The subgraphs of projects/02-compiler, eager and by its generator."""
    sys.path.insert(0, str(ROOT / "projects" / "02-compiler"))
    import accuracy
    import measure
    import paddle
    import subgraphs

    calls: Calls = {}
    for name in NAMES:
        subgraph = subgraphs.find(name)
        inputs = accuracy.tensors(subgraph.arrays(rows, columns, 0), "float32")
        slope = paddle.randn([rows, columns])
        for way, function in measure.ways(subgraph, inputs, True).items():
            prefix = {"plain eager": "eager ", measure.GENERATED: ""}.get(way)
            if prefix is not None:
                calls[f"{prefix}{name} forward"] = measure.forward(function, inputs)
                calls[f"{prefix}{name} forward and backward"] = measure.training(function, inputs, slope)
    return calls


def work(side: str, rows: int, columns: int) -> None:
    """Time what is asked for, a line for each name that comes in."""
    calls = {"torch": torch_side, "paddle": paddle_side}[side](rows, columns)
    for call in calls.values():
        call()
    print("ready", flush=True)
    for line in sys.stdin:
        call, times = calls[line.strip()], []
        for _ in range(CALLS):
            started = time.perf_counter()
            call()
            times.append(1e3 * (time.perf_counter() - started))
        print(json.dumps(statistics.median(times[1:])), flush=True)


class Side:
    """A worker process and the question it answers."""

    def __init__(self, name: str, rows: int, columns: int, environment: dict[str, str]) -> None:
        command = [
            sys.executable,
            "-W",
            "ignore",
            __file__,
            "--side",
            name,
            "--rows",
            str(rows),
            "--columns",
            str(columns),
        ]
        self.process = subprocess.Popen(
            command,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        while self._line().strip() != "ready":
            pass

    def _line(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            sys.exit("a side has ended; run it by hand with --side to see why")
        return line

    def milliseconds(self, question: str) -> float:
        assert self.process.stdin
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return float(self._line())

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    """Start both sides, ask them in turn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--columns", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--default-allocator", action="store_true")
    parser.add_argument("--side", choices=["torch", "paddle"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        return work(given.side, given.rows, given.columns)

    tuned = yaml.safe_load((ROOT / "hardware" / "cpu" / "hardware.yaml").read_text())["environment"]
    environment = {name: value for name, value in os.environ.items() if name not in tuned}
    environment |= {} if given.default_allocator else tuned
    paddle, torch = (Side(name, given.rows, given.columns, environment) for name in ("paddle", "torch"))
    questions = [f"{name} {mode}" for name in NAMES for mode in MODES]
    times: dict[str, list[float]] = {
        f"{way}{question}": [] for question in questions for way in ("", "eager ", "torch ")
    }
    for _ in range(given.rounds):
        for question in questions:
            times[question].append(paddle.milliseconds(question))
            times[f"torch {question}"].append(torch.milliseconds(question))
            times[f"eager {question}"].append(paddle.milliseconds(f"eager {question}"))
    for side in (paddle, torch):
        side.close()
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    table = [
        (question, medians[f"eager {question}"], medians[f"torch {question}"], medians[question],
         medians[f"eager {question}"] / medians[question], medians[f"torch {question}"] / medians[question])
        for question in questions
    ]  # fmt: skip
    headers = ("ms", "Paddle eager", "torch.compile", "generated", "over eager", "over torch.compile")
    print(f"{given.rows}x{given.columns} float32, {'default' if given.default_allocator else 'tuned'} allocator, "
          f"{len(os.sched_getaffinity(0))} processors, medians of {given.rounds} rounds")  # fmt: skip
    print(tabulate(table, headers, floatfmt=("", ".2f", ".2f", ".2f", ".1f", ".2f")))


if __name__ == "__main__":
    main()
