"""Task 7's trainer beside PyTorch at its best, and over two processes beside one.

    ./inv bench --only training
    PYTHON bench/training.py [--rounds 7] [--steps 4] [--scaling-rounds 3] [--threads 1]

the latter with a Python that has the packages of docker/locks/bench-compiler.txt. Each side of the first table lives in
a process of its own (training_sides.py); they take turns, a few steps each, and medians count. All have the allocator
settings of hardware/cpu/hardware.yaml and the same number of threads. PyTorch's sides have its MKL unlocked, as that
file unlocks Paddle's; of them the fastest counts. Before anything is timed, the losses of the
sides' first steps have to be the same, so that it is one model that is compared.

The second table is part 7 itself, started by its launcher with one process and with two, of one thread each; and as
what these processors can give at most, twice with one process at the same time, half of the batch each.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import yaml
from measuring import goal
from tabulate import tabulate
from training_sides import CONTEXT

STACK = "bench-compiler"  # that ./inv bench runs it in
ROOT = Path(__file__).resolve().parents[1]
SIDES = ("paddle", "torch", "torch, fused", "torch, compiled")
SIZES = ((64, 2, 32), (128, 4, 16))  # channels, layers, sequences in a batch; the first are those of part 7
STEPS = {32: 40, 256: 10}  # by the batch that the processes share; the first is that of part 7
SAME = 1e-4  # relative difference of losses
OPERATORS = {  # what the two profilers call them: matmul and Global_MatmulGradNode, aten::mm; and kernels: gelu
    "matrix products": r"matmul|Global_Matmul.*|aten::(mm|addmm|bmm|baddbmm)",
    "softmax, with the mask where it is a kernel": r"shares(_gradient)?|softmax|Global_Softmax.*|aten::_softmax.*",
    "layer norm, with the sum before it where it is a kernel": r"(norm|added)(_gradient)?|aten::native_layer_norm.*",
    "gelu": r"gelu(_gradient)?|Global_Gelu.*|aten::gelu.*",
    "sums: biases, residuals, mask": r"add|Global_Add.*|aten::(add|sum)",
    "turns, copies": r"(transpose|stack|unbind|reshape)_?|Global_(Transpose|Unbind|Reshape).*|aten::(copy_|cat)",
}
Size = tuple[int, int, int]


class Times(NamedTuple):
    """Median seconds of a step and of its pieces, and milliseconds in a step of each kind of operator."""

    step: float
    forward: float
    backward: float
    optimiser: float
    operators: dict[str, float]


class Side:
    """A worker process that trains."""

    def __init__(self, name: str, size: Size, environment: dict[str, str]) -> None:
        script = Path(__file__).with_name("training_sides.py")
        self.steps: list[list[float]] = []
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", script, name, *map(str, size)],
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
            sys.exit("a side has ended; run bench/training_sides.py by hand to see why")
        return line

    def train(self, steps: int) -> list[list[float]]:
        """Take steps; seconds of forward, backward and optimiser, and the loss, of each."""
        assert self.process.stdin
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        taken: list[list[float]] = json.loads(self._line())
        return taken

    def operators(self, steps: int) -> dict[str, float]:
        """Milliseconds that each kind of operator takes in a step, by the profiler."""
        assert self.process.stdin
        self.process.stdin.write(f"profile {steps}\n")
        self.process.stdin.flush()
        taken = json.loads(self._line())
        kinds = dict.fromkeys(OPERATORS, 0.0)
        for name, milliseconds in taken.items():
            for kind, pattern in OPERATORS.items():
                if re.fullmatch(pattern, name):
                    kinds[kind] += milliseconds
        return kinds

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def unlocked(folder: str) -> dict[str, str]:
    """What makes PyTorch's MKL take its fast code on processors that are not Intel's: the function that it asks."""
    source, library = Path(folder, "intel.c"), Path(folder, "intel.so")
    source.write_text("int mkl_serv_intel_cpu_true(void) { return 1; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return {"LD_PRELOAD": str(library)}


def compared(size: Size, threads: int, rounds: int, steps: int, preload: dict[str, str]) -> dict[str, Times]:
    """Times of every side; each takes `steps` steps in a round, one side after the other."""
    shared = environment(threads)
    sides = {name: Side(name, size, shared if name == "paddle" else {**shared, **preload}) for name in SIDES}
    losses = {name: [step[-1] for step in side.train(steps)] for name, side in sides.items()}
    for name in SIDES[1:]:
        worst = max(abs(a / b - 1) for a, b in zip(losses[name], losses["paddle"], strict=True))
        if worst > SAME:
            sys.exit(f"{name}: losses differ by {worst:.1e} from Paddle's; it is not the same model")
    taken: dict[str, list[list[float]]] = {name: [] for name in SIDES}
    for _ in range(rounds):
        for name, side in sides.items():
            taken[name] += side.train(steps)
    operators = {name: side.operators(steps) for name, side in sides.items()}
    for side in sides.values():
        side.close()
    return {name: times(these, operators[name]) for name, these in taken.items()}


def times(steps: list[list[float]], operators: dict[str, float]) -> Times:
    """Medians over steps, each of which is the seconds of its pieces and its loss."""
    forward, backward, optimiser = (statistics.median(step[piece] for step in steps) for piece in range(3))
    return Times(statistics.median(sum(step[:3]) for step in steps), forward, backward, optimiser, operators)


def environment(threads: int) -> dict[str, str]:
    """What all sides have: the settings that ./inv run gives on this machine, and so many threads."""
    kind = yaml.safe_load((ROOT / "hardware" / "cpu" / "hardware.yaml").read_text())
    tuned = dict(kind["environment"])
    for case in kind["environment_where"]:
        if Path(case["file"]).is_file() and re.search(case["pattern"], Path(case["file"]).read_text()):
            tuned |= case["environment"]
    return {**os.environ, **tuned, "OMP_NUM_THREADS": str(threads)}


def comparison(size: Size, threads: int, rounds: int, steps: int, preload: dict[str, str]) -> str:
    """Tokens a second of each side, Paddle's ratio to it, and of what its steps are made."""
    channels, layers, batch = size
    found = compared(size, threads, rounds, steps, preload)
    rows = [
        (name, batch * CONTEXT / time.step, time.step / found["paddle"].step, *(1e3 * seconds for seconds in time[1:4]))
        for name, time in found.items()
    ]
    model = f"{channels} x {layers}, batch {batch}"
    headers = (model, "tokens/s", "Paddle over it", "forward ms", "backward ms", "optimiser ms")
    speeds = tabulate(rows, headers, floatfmt=("", ".0f", ".2f", ".1f", ".1f", ".1f"), tablefmt="github")
    ours, best = found["paddle"], min(SIDES[1:], key=lambda name: found[name].step)
    reached = goal(f"tokens/s over the best of PyTorch, {best}", found[best].step / ours.step, at_least=1.0, unit="")
    return f"{speeds}\n{reached}\n\n{by_operator(ours, found['torch'])}"


def by_operator(ours: Times, theirs: Times) -> str:
    """Where the difference is: milliseconds of a step in each kind of operator, and its share of Paddle's step."""
    rows = [
        (kind, mine, theirs.operators[kind], mine - theirs.operators[kind], 100 * mine / (1e3 * ours.step))
        for kind, mine in sorted(ours.operators.items(), key=lambda item: -item[1])
    ]
    headers = ("profiled", "Paddle ms", "torch ms", "difference", "% of Paddle's step")
    return str(tabulate(rows, headers, floatfmt=("", ".1f", ".1f", "+.1f", ".0f"), tablefmt="github"))


def letters_per_second(batch: int, processes: int, steps: int) -> float:
    """What part 7 says of its GPT, run with so many processes of one thread."""
    programs = ROOT / "projects"
    with tempfile.TemporaryDirectory(prefix="homework-bench-") as folder:
        words = [str(programs / "07-new-accelerator" / "main.py"), "--part", "7", "--cards", str(processes)]
        words += ["--out", folder, "--set", "subject=text", f"text_batch={batch}", f"text_steps={steps}"]
        launcher = [str(programs / "kit" / "launch.py")] if processes > 1 else []
        done = subprocess.run(
            [sys.executable, "-W", "ignore", *launcher, *words], env=environment(1), capture_output=True, text=True
        )
        if done.returncode:
            said = (done.stdout + done.stderr)[-2000:]
            sys.exit(f"part 7 on {processes} processes: exit code {done.returncode}\n{said}")
        return float(json.loads(Path(folder, "metrics.json").read_text())["text_per_second"])


def side_by_side(batch: int) -> float:
    """Letters a second of two runs that know nothing of each other."""
    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(letters_per_second, [batch // 2] * 2, [1] * 2, [STEPS[batch]] * 2))


def scaling(rounds: int) -> str:
    """Letters a second with one process, with two that share the same batch, and with two that share nothing."""
    rows = []
    for batch, steps in STEPS.items():
        speeds: list[tuple[float, ...]] = []
        for _ in range(rounds):
            one, two = (letters_per_second(batch, processes, steps) for processes in (1, 2))
            speeds.append((one, two, side_by_side(batch)))
        one, two, apart = map(statistics.median, zip(*speeds, strict=True))
        rows.append((batch, one, two, apart, apart / one, two / one))
    headers = ("batch, shared", "one process, letters/s", "two", "two apart", "apart over one", "two over one")
    measured = str(tabulate(rows, headers, floatfmt=("", ".0f", ".0f", ".0f", ".2f", ".2f"), tablefmt="github"))
    reached = [
        goal(f"two processes over one, batch {batch}", ratio, at_least=1.6, unit="") for batch, *_, ratio in rows
    ]
    return "\n".join([measured, *reached])


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--scaling-rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of each side, default: Paddle's own, %(default)s")
    given = parser.parse_args()
    print(f"float32, {given.threads} threads, medians of {given.rounds} rounds of {given.steps} steps, "
          f"{len(os.sched_getaffinity(0))} processors")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="homework-bench-") as folder:
        preload = unlocked(folder)
        for size in SIZES:
            print("\n" + comparison(size, given.threads, given.rounds, given.steps, preload), flush=True)
    print(f"\npart 7 over two processes of one thread each, medians of {given.scaling_rounds} runs")
    print(scaling(given.scaling_rounds))


if __name__ == "__main__":
    main()
