"""Generated kernels beside torch.compile and JAX, on the five subgraphs of part 2-1, which all write out by hand.

    ./inv bench --only compiler
    PYTHON bench/compiler.py [--rows 1 128 4096] [--columns 1024] [--rounds 15] [--default-allocator]

the latter with a Python that has the packages of docker/locks/bench-compiler.txt. Each side lives in a process of its
own (compiler_sides.py), so that their threads do not disturb each other; they take turns, a batch of calls each, and
medians count. All have the same allocator settings, by default those of hardware/cpu/hardware.yaml. torch.compile
stands there as it is and with mode="max-autotune"; what counts is the best peer of each subgraph.

After the comparison with the most rows comes its profile beside torch.compile: how much of a call are the kernels
themselves, how much is what the framework does around them, and how fast a plain copy of the same tensor is. A sentence
for each subgraph says where a difference lies.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

import yaml
from compiler_sides import MODES, NAMES
from measuring import keep
from tabulate import tabulate

STACK = "bench-compiler"  # that ./inv bench runs it in
ROOT = Path(__file__).resolve().parents[1]
PEERS = ("torch", "torch-autotune", "jax")
QUESTIONS = [f"{name} {mode}" for mode in MODES for name in NAMES]
GRADIENTS = [f"{name} {MODES[1]}" for name in NAMES]
ASKED = {"paddle": ("call", "vjp", "engine", "nothing", "kernels", "small", "faults", "eager"), "torch": ("call", "kernels", "small", "faults")}
ASKED |= {"torch-autotune": ("call",), "jax": ("call",)}
WITHOUT = ("vjp", "engine", "nothing")  # asked of gradients alone
CALLED = ("call", *WITHOUT, "eager")  # without the profile
Medians = dict[tuple[str, str, str], float]  # by side, what was asked, and question


class Side:
    """A worker process and the question it answers."""

    def __init__(self, name: str, rows: int, columns: int, environment: dict[str, str]) -> None:
        script = Path(__file__).with_name("compiler_sides.py")
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", script, name, str(rows), str(columns)],
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
            sys.exit("a side has ended; run bench/compiler_sides.py by hand to see why")
        return line

    def answer(self, question: str) -> float:
        assert self.process.stdin
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return float(self._line())

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


def main() -> None:
    """Start both sides, ask them in turn, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 128, 4096])
    parser.add_argument("--columns", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=15)
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
        sides = {name: Side(name, rows, given.columns, environment) for name in ASKED}
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
    print(f"\nprofile; a copy of the tensor takes {medians['torch', 'copy', '']:.2f} ms")
    print(profile(medians))
    print("", *(explained(medians, question) for question in QUESTIONS), sep="\n")
    keep(numbers)


if __name__ == "__main__":
    main()
