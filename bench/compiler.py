"""Generated kernels beside torch.compile and JAX, on the five subgraphs of part 2-1, which all write out by hand.

    ./inv bench --only compiler
    PYTHON bench/compiler.py [--rows 1 128 4096] [--columns 1024] [--rounds 15] [--default-allocator]

the latter with a Python that has the packages of docker/locks/bench-compiler.txt. Each side lives in a process of its
own (compiler_sides.py), so that their threads do not disturb each other; they take turns, a batch of calls each, and
medians count. All have the same allocator settings, by default those of hardware/cpu/hardware.yaml. torch.compile
stands there as it is and with mode="max-autotune"; what counts is the best peer of each subgraph.

Then a whole block of a transformer, forward, and a training step with loss, backward pass and AdamW
(compiler_block.py), and of what its step consists: what is generated, and what is left to Paddle. PyTorch's sides have
their MKL unlocked there, as Paddle's is; with one thread, the default, it is the processor's time that counts, which
others disturb less.

After the comparison with the most rows comes its profile beside torch.compile: how much of a call are the kernels
themselves, how much is what the framework does around them, and how fast a plain copy of the same tensor is. A sentence
for each subgraph says where a difference lies.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import training
import yaml
from compiler_sides import MODES, NAMES
from measuring import goal, keep
from tabulate import tabulate

STACK = "bench-compiler"  # that ./inv bench runs it in
ROOT = Path(__file__).resolve().parents[1]
PEERS = ("torch", "torch-autotune", "jax")
QUESTIONS = [f"{name} {mode}" for mode in MODES for name in NAMES]
GRADIENTS = [f"{name} {MODES[1]}" for name in NAMES]
ASKED = {
    "paddle": ("call", "vjp", "engine", "nothing", "kernels", "small", "faults", "eager"),
    "torch": ("call", "kernels", "small", "faults"),
}
ASKED |= {"torch-autotune": ("call",), "jax": ("call",)}
WITHOUT = ("vjp", "engine", "nothing")  # asked of gradients alone
CALLED = ("call", *WITHOUT, "eager")  # without the profile
BLOCKS = ((16, 64, 128), (2, 256, 512))  # sequences, places, channels
BLOCK_SIDES = ("paddle", "paddle-eager", "torch", "torch-autotune")
KINDS = {  # of operators in the block's profile
    "generated kernels": r"custom_op\.generated_kernel.*",
    "AdamW (task 7's)": "AdamW",
    "left to Paddle: matrix products": r"pd_op\.matmul.*",
    "left to Paddle: turns of axes, heads apart and together": r"pd_op\.(transpose|reshape|split|concat).*",
    "left to Paddle: sums of gradients, the rest": r"(pd_op|builtin).*",
}
Medians = dict[tuple[str, str, str], float]  # by side, what was asked, and question


class Side:
    """A worker process, which runs a script of this folder with these words, and the questions it answers."""

    def __init__(self, script: str, words: Sequence[object], environment: dict[str, str]) -> None:
        self.script = script
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", Path(__file__).with_name(script), *map(str, words)],
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
            sys.exit(f"a side has ended; run bench/{self.script} by hand to see why")
        return line

    def answer(self, question: str) -> Any:
        assert self.process.stdin
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return json.loads(self._line())

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def measured(sides: dict[str, Side], rounds: int, profiled: bool) -> Medians:
    """Medians of all that is asked; in every round the sides are asked the same, one after the other."""
    asked = (
        ASKED if profiled else {name: tuple(what for what in each if what in CALLED) for name, each in ASKED.items()}
    )
    times: dict[tuple[str, str, str], list[float]] = {}
    for _ in range(rounds):
        for question in QUESTIONS:
            for what in ASKED["paddle"]:
                for name, side in sides.items():
                    if what in asked[name] and (question in GRADIENTS or what not in WITHOUT):
                        times.setdefault((name, what, question), []).append(side.answer(f"{what} {question}"))
        times.setdefault(("torch", "copy", ""), []).append(sides["torch"].answer(f"copy {QUESTIONS[0]}"))
    return {asked: statistics.median(taken) for asked, taken in times.items()}


def comparison(medians: Medians) -> tuple[str, list[float]]:
    """Milliseconds of a call on each side, and the ratio to the best peer, which the goal names; the ratios."""
    rows, ratios = [], []
    for question in QUESTIONS:
        ours = medians["paddle", "call", question]
        peers = {name: medians[name, "call", question] for name in PEERS}
        best = min(peers, key=lambda name: peers[name])
        ratios.append(peers[best] / ours)
        rows.append((question, medians["paddle", "eager", question], *peers.values(), ours, best, ratios[-1]))
    headers = ("ms", "Paddle eager", *PEERS, "generated", "best peer", "over it")
    return str(tabulate(rows, headers, floatfmt=("", *[".3f"] * 5, "", ".2f"))), ratios


def in_one_call(medians: Medians) -> tuple[str, list[float]]:
    """Gradients without a graph beside JAX, which has none either; and what Paddle's engine takes for nothing."""
    rows = []
    for question in GRADIENTS:
        engine, nothing, vjp = (medians["paddle", what, question] for what in ("engine", "nothing", "vjp"))
        jax = medians["jax", "call", question]
        rows.append((question, engine, nothing, vjp, jax, jax / vjp))
    headers = ("ms", "paddle.grad of x * 2", "of an empty PyLayer", "generated, vjp", "jax", "over it")
    return str(tabulate(rows, headers, floatfmt=("", *[".3f"] * 4, ".2f"))), [row[-1] for row in rows]


def profile(medians: Medians) -> str:
    """Of what a call is made on each side: kernels alone, a call with one row, page faults."""
    rows = [
        (question, *(medians[side, what, question] for what in ("kernels", "small", "faults")
                     for side in ("torch", "paddle")))
        for question in QUESTIONS
    ]  # fmt: skip
    headers = ("ms", "kernels: torch", "generated", "one row: torch", "generated", "faults: torch", "generated")
    return str(tabulate(rows, headers, floatfmt=("", ".2f", ".2f", ".3f", ".3f", ".0f", ".0f")))


def explained(medians: Medians, question: str) -> str:
    """Where the difference between the two sides lies, in a sentence."""
    ours, theirs = (medians[side, "call", question] for side in ("paddle", "torch"))
    kernels = medians["paddle", "kernels", question] - medians["torch", "kernels", question]
    around = ours - theirs - kernels
    framework = medians["paddle", "small", question] - medians["torch", "small", question]
    copies = medians["paddle", "kernels", question] / medians["torch", "copy", ""]
    return (
        f"{question}: {theirs / ours:.2f} of torch.compile's speed, {ours - theirs:+.2f} ms. Kernels {kernels:+.2f} ms "
        f"(ours take as long as {copies:.1f} copies of the tensor), around them {around:+.2f} ms, "
        f"of which a call with one row shows {framework:+.2f} ms."
    )


def block(size: tuple[int, int, int], rounds: int, environment: dict[str, str]) -> tuple[str, dict[str, float]]:
    """The transformer block of this size on all sides, in turn; the ratios to the best peer."""
    with tempfile.TemporaryDirectory(prefix="homework-bench-") as folder:
        unlocked = {**environment, **training.unlocked(folder)}
        sides = {
            name: Side("compiler_block.py", (name, *size), unlocked if name.startswith("torch") else environment)
            for name in BLOCK_SIDES
        }
    losses = {name: side.answer("loss") for name, side in sides.items()}
    for name, found in losses.items():
        if any(abs(a / b - 1) > training.SAME for a, b in zip(found, losses["torch"], strict=True)):
            sys.exit(f"{name}: losses {found} are not torch's {losses['torch']}; it is not the same block")
    taken: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for what in ("forward", "training"):
            for name, side in sides.items():
                taken.setdefault((name, what), []).append(side.answer(what))
    profiled, left = sides["paddle"].answer("profile"), sides["paddle"].answer("left")
    for side in sides.values():
        side.close()
    rows, ratios = [], {}
    for what in ("forward", "training"):
        times = {name: statistics.median(taken[name, what]) for name in BLOCK_SIDES}
        best = min(("torch", "torch-autotune"), key=lambda name: times[name])
        pairs = zip(taken[best, what], taken["paddle", what], strict=True)
        ratios[what] = statistics.median(theirs / ours for theirs, ours in pairs)
        rows.append((what, *times.values(), best, ratios[what]))
    table = tabulate(rows, ("ms", *BLOCK_SIDES, "best peer", "over it"), floatfmt=("", *[".2f"] * 4, "", ".2f"))
    reached = [
        goal(f"the block over the best of torch.compile, {what}", ratio, at_least=1.0, unit="")
        for what, ratio in ratios.items()
    ]
    return "\n".join([str(table), *reached, "", block_profile(profiled, left)]), ratios


def block_profile(profiled: dict[str, float], left: dict[str, int]) -> str:
    """Of what a training step of the block consists, and why some of it is left to Paddle."""
    kinds = dict.fromkeys(KINDS, 0.0)
    for name, milliseconds in profiled.items():
        kind = next((kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, name)), None)
        if kind:
            kinds[kind] += milliseconds
    kinds["around them: Python, Paddle's executor and engine"] = profiled["step"] - sum(kinds.values())
    rows = [(kind, spent, 100 * spent / profiled["step"]) for kind, spent in kinds.items()]
    shares = str(tabulate(rows, ("training step, profiled", "ms", "%"), floatfmt=("", ".2f", ".1f")))
    return "\n".join([shares, "", "left to Paddle, and why:", *(f"{number} x {why}" for why, number in left.items())])


def main() -> None:
    """Start both sides, ask them in turn, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 128, 4096])
    parser.add_argument("--columns", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--block-threads", type=int, default=1)
    parser.add_argument("--default-allocator", action="store_true")
    given = parser.parse_args()

    tuned = yaml.safe_load((ROOT / "hardware" / "cpu" / "hardware.yaml").read_text())["environment"]
    environment = {name: value for name, value in os.environ.items() if name not in tuned}
    environment |= {} if given.default_allocator else tuned
    load = os.getloadavg()[0]
    numbers: dict[str, float] = {}
    print(
        f"{given.columns} columns of float32, {'default' if given.default_allocator else 'tuned'} allocator, "
        f"{len(os.sched_getaffinity(0))} processors, load {load:.1f} before it began, medians of {given.rounds} rounds"
    )
    if load > 1:
        print("Others use the machine: torch's waiting threads spin, the generator's sleep, so that the ratios lie.")
    for rows in sorted(given.rows):
        sides = {name: Side("compiler_sides.py", (name, rows, given.columns), environment) for name in ASKED}
        medians = measured(sides, given.rounds, rows == max(given.rows))
        for side in sides.values():
            side.close()
        table, ratios = comparison(medians)
        without, over_jax = in_one_call(medians)
        print(f"\n{rows} rows\n{table}\n\n{without}", flush=True)
        numbers |= {
            f"rows{rows}_least_over_best": min(ratios),
            f"rows{rows}_median_over_best": statistics.median(ratios),
            f"rows{rows}_least_vjp_over_jax": min(over_jax),
        }
    for size in BLOCKS:
        alone = {**training.environment(given.block_threads), "OMP_WAIT_POLICY": "passive"}
        told, reached = block(size, given.rounds, alone)
        print(f"\na block of a transformer: {size[0]} sequences of {size[1]}, {size[2]} channels, "
              f"{given.block_threads} threads\n{told}", flush=True)  # fmt: skip
        numbers |= {f"block{size[2]}_{what}_over_best": ratio for what, ratio in reached.items()}
    print(f"\nprofile; a copy of the tensor takes {medians['torch', 'copy', '']:.2f} ms")
    print(profile(medians))
    print("", *(explained(medians, question) for question in QUESTIONS), sep="\n")
    keep(numbers)


if __name__ == "__main__":
    main()
