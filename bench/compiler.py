"""Generated kernels beside torch.compile, on the five subgraphs of part 2-1 that both sides write out by hand.

    ./inv bench --only compiler
    PYTHON bench/compiler.py [--rows 4096] [--columns 1024] [--rounds 15] [--default-allocator]

the latter with a Python that has the packages of docker/locks/bench-compiler.txt. Each side lives in a process of its
own (compiler_sides.py), so that their threads do not disturb each other; they take turns, a batch of calls each, and
medians count. Both have the same allocator settings, by default those of hardware/cpu/hardware.yaml.

After the comparison comes its profile: how much of a call are the kernels themselves, how much is what the framework
does around them, and how fast a plain copy of the same tensor is. A sentence for each subgraph says where a difference
lies.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

import yaml
from compiler_sides import MODES, NAMES
from tabulate import tabulate

STACK = "bench-compiler"  # that ./inv bench runs it in
ROOT = Path(__file__).resolve().parents[1]
QUESTIONS = [f"{name} {mode}" for mode in MODES for name in NAMES]
ASKED = {"paddle": ("call", "kernels", "small", "faults", "eager"), "torch": ("call", "kernels", "small", "faults")}
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


def measured(sides: dict[str, Side], rounds: int) -> Medians:
    """Medians of all that is asked; in every round the sides are asked the same, one after the other."""
    times: dict[tuple[str, str, str], list[float]] = {}
    for _ in range(rounds):
        for question in QUESTIONS:
            for what in ASKED["paddle"]:
                for name, side in sides.items():
                    if what in ASKED[name]:
                        times.setdefault((name, what, question), []).append(side.answer(f"{what} {question}"))
        times.setdefault(("torch", "copy", ""), []).append(sides["torch"].answer(f"copy {QUESTIONS[0]}"))
    return {asked: statistics.median(taken) for asked, taken in times.items()}


def comparison(medians: Medians) -> str:
    """Milliseconds of a call on each side, and the ratios that the goals name."""
    rows = []
    for question in QUESTIONS:
        ours, theirs, eager = (medians[side, what, question] for side, what in (
            ("paddle", "call"), ("torch", "call"), ("paddle", "eager")))  # fmt: skip
        rows.append((question, eager, theirs, ours, eager / ours, theirs / ours))
    headers = ("ms", "Paddle eager", "torch.compile", "generated", "over eager", "over torch.compile")
    return str(tabulate(rows, headers, floatfmt=("", ".2f", ".2f", ".2f", ".1f", ".2f")))


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
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--columns", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--default-allocator", action="store_true")
    given = parser.parse_args()

    tuned = yaml.safe_load((ROOT / "hardware" / "cpu" / "hardware.yaml").read_text())["environment"]
    environment = {name: value for name, value in os.environ.items() if name not in tuned}
    environment |= {} if given.default_allocator else tuned
    load = os.getloadavg()[0]
    sides = {name: Side(name, given.rows, given.columns, environment) for name in ("paddle", "torch")}
    medians = measured(sides, given.rounds)
    for side in sides.values():
        side.close()
    print(
        f"{given.rows}x{given.columns} float32, {'default' if given.default_allocator else 'tuned'} allocator, "
        f"{len(os.sched_getaffinity(0))} processors, load {load:.1f} before it began, medians of {given.rounds} rounds"
    )
    if load > 1:
        print("Others use the machine: torch's waiting threads spin, the generator's sleep, so that the ratios lie.")
    print(comparison(medians))
    print(f"\nprofile; a copy of the tensor takes {medians['torch', 'copy', '']:.2f} ms")
    print(profile(medians))
    print("", *(explained(medians, question) for question in QUESTIONS), sep="\n")


if __name__ == "__main__":
    main()
