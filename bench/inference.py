"""Task 10's engine beside llama.cpp, OpenVINO, ONNX Runtime, CTranslate2 and torch: one model, in turn.

    ./inv bench --only inference
    PYTHON bench/inference.py [--position 1500] [--size 0.5B] [--kinds int4] [--rounds 5] [--folder FOLDER]

the latter with the Python of the stack bench-inference. Weights of 16, 8 and 4 bits, each beside every form that a peer
has at these bits. A trial of every form alone says which are the best of an engine, for one answer, eight answers or a
prompt; these are measured, and what counts is the best of them all. Every side is a process that loads SmolLM2 once
(inference_sides.py, inference_peers.py); then each is asked in turn, while the others wait, for a step of one and of
eight answers after a prompt of 128 tokens, and for a prompt of 256; with --position for steps after that many tokens
and a prompt of as many. --size takes random weights of that size instead. Loading lasts from before the engine is
imported to the first token after 16; a peer's weights are converted before, ours are packed and kept before. The last
goals hold the weights that a step reads against what memory gives.
"""

import argparse
import contextlib
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from inference_sides import BATCH, LONG_PROMPT, PROJECTS, STEPS, THREADS, llama_file
from measuring import ROOT, goal, keep
from tabulate import tabulate

STACK, BESIDE = "bench-inference", "bench-peers"  # that ./inv bench runs it in, and makes first
OTHER_PYTHON = ROOT / ".stacks" / BESIDE / "bin" / "python"
WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "100000"}  # as task 10 does; the peers have their own ways
HUGE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}  # the peers' weights on huge pages, as ours are
WORK = ("batch 1", f"batch {BATCH}", "prompt")
GOALS = {  # over the best peer, whichever it is for one answer, eight answers, a prompt
    "int4": {"batch 1": 1.7, "batch 8": 2.5, "prompt": 1.5},
    "int8": {"batch 1": 1.4, "batch 8": 2.5, "prompt": 1.5},
    "bfloat16": {"batch 1": 1.2, "batch 8": 2.5, "prompt": 1.3},
}
BANDWIDTH_GOAL, LOAD_GOAL, MEMORY_GOAL = 0.9, 1.0, 1.2  # the second in seconds, the third over llama.cpp's


def openvino(forms: Sequence[str], precisions: Sequence[str]) -> list[str]:
    return [f"{form},{by},{runtime}" for form in forms for by in precisions for runtime in ("graph", "paged")]


# What each kind of weights meets. Q4_1 is the packaged file, Q4_0 and IQ4_NL are repacked as they are loaded.
PEERS: dict[str, dict[str, list[str]]] = {
    "int4": {
        "llama.cpp": ["Q4_0", "IQ4_NL", "Q4_1"],
        "OpenVINO": openvino(("int4_sym-64", "int4_asym-64", "int4_sym-rows"), ("f32", "bf16")),
        "ONNX Runtime": ["int4-32", "int4-128"],
    },
    "int8": {
        "llama.cpp": ["Q8_0"],
        "OpenVINO": openvino(("int8_asym", "int8_sym"), ("f32", "bf16")),
        "CTranslate2": ["int8"],
        "transformers": ["int8"],
    },
    "bfloat16": {
        "llama.cpp": ["BF16"],
        "OpenVINO": openvino(("float16",), ("bf16",)),
        "transformers": ["bfloat16"],
    },
}
HERE = ("ours", "llama.cpp", "transformers")  # engines of the same stack as this program
Name = tuple[str, str]  # an engine and its form


class Process:
    """A side: its answers are lines."""

    def __init__(self, name: Name, models: "Models", position: int) -> None:
        engine, form = name
        here = engine in HERE
        script = Path(__file__).with_name("inference_sides.py" if here else "inference_peers.py")
        command = [sys.executable if here else str(OTHER_PYTHON), "-W", "ignore", str(script), engine, form]
        command += [str(models.of(name)), str(position)]
        environment = {**os.environ, **(WAITING if engine == "ours" else HUGE)}
        self.name, self.said = " ".join(name), models.folder / f"{engine} {form}.log"
        with self.said.open("w") as log:
            self.running = subprocess.Popen(
                command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        self.ready: dict[str, Any] = json.loads(self._line())

    def _line(self) -> str:
        assert self.running.stdout
        line = self.running.stdout.readline()
        if not line:
            why = self.said.read_text()[-2000:]
            sys.exit(f"{self.name} does not run, and without it the best peer may be missing:\n{why}")
        return line

    def seconds(self, work: str) -> float:
        assert self.running.stdin
        self.running.stdin.write(f"{work}\n")
        self.running.stdin.flush()
        return float(self._line())

    def end(self) -> float:
        """Its MiB at the peak."""
        assert self.running.stdin
        self.running.stdin.close()
        memory = float(self._line())
        self.running.wait()
        return memory

    def kill(self) -> None:
        self.running.kill()
        self.running.wait()


class Models:
    """The weights as each engine reads them, in a folder."""

    def __init__(self, size: str, folder: Path) -> None:
        self.folder = folder
        self.file = packaged() if size == "135M" else folder / f"random-{size}.gguf"
        if not self.file.exists():
            run(OTHER_PYTHON, "inference_random.py", packaged(), self.file, size)

    def of(self, name: Name) -> Path:
        engine, form = name
        if engine == "llama.cpp":
            made: Path = llama_file(form, self.file, self.folder)
            return made
        return self.file if engine in HERE else self.folder

    def convert(self) -> None:
        run(OTHER_PYTHON, "inference_peers.py", "convert", self.file, self.folder)


def packaged() -> Path:
    sys.path.insert(0, str(PROJECTS))
    import llm.model

    return Path(llm.model.packaged_smollm2())


def run(python: Path, script: str, *words: object) -> None:
    """Have a program make files. Exits with its output where it fails."""
    command = [str(python), "-W", "ignore", str(Path(__file__).with_name(script)), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{script} {words[0]}: exit code {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")


@contextlib.contextmanager
def sides(names: Sequence[Name], models: Models, position: int) -> Iterator[dict[Name, Process]]:
    """A process of each, started one after the other."""
    found: dict[Name, Process] = {}
    try:
        for name in names:
            found[name] = Process(name, models, position)
        yield found
    finally:
        for side in found.values():
            side.kill()


def tokens_of(work: str, position: int) -> int:
    return max(position, LONG_PROMPT) if work == "prompt" else int(work.split()[1])


def trial(kind: str, models: Models, position: int) -> list[Name]:
    """The forms of each engine that are its best for some work: each alone, the better of two rounds."""
    chosen: list[Name] = []
    for engine, forms in PEERS[kind].items():
        rates: dict[str, dict[str, float]] = {}
        for form in forms if len(forms) > 1 else []:
            with sides([(engine, form)], models, position) as found:
                (side,) = found.values()
                rates[form] = {work: tokens_of(work, position) / min(map(side.seconds, [work] * 2)) for work in WORK}
            shown = " / ".join(f"{rates[form][work]:.0f}" for work in WORK)
            print(f"trial, {kind}: {engine} {form}: {shown} tokens/s", flush=True)
        best = {max(rates, key=lambda form: rates[form][work]) for work in WORK} if rates else set(forms)
        chosen += [(engine, form) for form in forms if form in best]
    return chosen


class Row(dict[str, float]):
    """Of a side: tokens a second of each work, seconds to load, MiB at the peak."""


def compare(kind: str, models: Models, position: int, rounds: int) -> tuple[dict[Name, Row], float]:
    """All sides, medians over rounds in turn.

    Returns:
        Their rows, and how much of what memory gives a step of one answer of ours reads of its weights.
    """
    ours = ("ours", kind)
    with sides([ours], models, position):
        pass  # compiles the kernels, packs the weights and keeps both
    bandwidths = []
    with sides([ours, *trial(kind, models, position)], models, position) as found:
        details = found[ours].ready
        print(f"{kind}: our kernels are {details['kernels']}, {details['weight_bytes'] / 1e6:.0f} MB of weights")
        seconds: dict[Name, dict[str, list[float]]] = {name: {work: [] for work in WORK} for name in found}
        for _ in range(rounds):
            bandwidths.append(read_bandwidth())
            for work in WORK:
                for name, side in found.items():
                    seconds[name][work].append(side.seconds(work))
        rows = {
            name: Row(
                {work: tokens_of(work, position) / statistics.median(seconds[name][work]) for work in WORK},
                load=side.ready["loading"],
                memory=side.end(),
            )
            for name, side in found.items()
        }
    bandwidth = statistics.median(bandwidths)
    print(f"memory gives {bandwidth / 1e9:.1f} GB/s meanwhile", flush=True)
    return rows, rows[ours]["batch 1"] * details["weight_bytes"] / bandwidth


@functools.cache
def large_vectors() -> list[np.ndarray]:
    """One for each core, beyond every cache."""
    return [np.ones(2**25, "float32") for _ in range(THREADS)]


def read_bandwidth() -> float:
    """Bytes a second that all cores together read: the median of several dot products of a vector with itself."""
    speeds = []
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(STEPS):
            started = time.perf_counter()
            list(pool.map(lambda part: np.dot(part, part), large_vectors()))
            speeds.append(sum(part.nbytes for part in large_vectors()) / (time.perf_counter() - started))
    return statistics.median(speeds)


def judged(kind: str, rows: Mapping[Name, Row], used: float, packaged: bool) -> tuple[list[str], dict[str, float]]:
    """Goals of one kind of weights, and the numbers that texts may quote."""
    peers = {name: row for name, row in rows.items() if name[0] != "ours"}
    ours, goals = rows["ours", kind], list[str]()
    numbers: dict[str, float] = {}
    for work in WORK:
        best = max(peers, key=lambda name: peers[name][work])
        over, word = ours[work] / peers[best][work], f"{kind}_{work.replace(' ', '')}"
        numbers |= {f"{word}_ours": ours[work], f"{word}_best": peers[best][work], f"{word}_over_best": over}
        goals.append(goal(f"{kind}, {work}, over {' '.join(best)}", over, at_least=GOALS[kind][work], unit=""))
    what = f"{kind}, weights read by a step of one answer, over bandwidth"
    goals.append(goal(what, used, at_least=BANDWIDTH_GOAL, unit=""))
    if packaged:
        goals.append(goal(f"{kind}, to load", ours["load"], at_most=LOAD_GOAL))
    least = min(row["memory"] for name, row in peers.items() if name[0] == "llama.cpp")
    memory = ours["memory"] / least
    goals.append(goal(f"{kind}, memory over llama.cpp's", memory, at_most=MEMORY_GOAL, unit=""))
    return goals, {**numbers, f"{kind}_load": ours["load"], f"{kind}_memory_over_llama_cpp": memory}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--position", type=int, default=128, help="tokens before the steps that are timed [%(default)s]"
    )
    parser.add_argument("--size", default="135M", choices=("135M", "0.5B", "1.5B", "3B"), help="[%(default)s]")
    parser.add_argument("--kinds", nargs="+", default=list(PEERS), choices=list(PEERS), help="of weights [all]")
    parser.add_argument("--rounds", type=int, default=5, help="[%(default)s]")
    parser.add_argument("--folder", type=Path, help="keeps the converted weights, of one size [a temporary one]")
    return parser.parse_args()


def main() -> None:
    """Measure, and print tables and goals."""
    given = arguments()
    goals, table = list[str](), list[tuple[str | float, ...]]()
    numbers: dict[str, float] = {}
    print(f"{THREADS} threads, {given.size} weights, load {os.getloadavg()[0]:.1f}\n")
    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="homework-bench-")))
        models = Models(given.size, folder)
        models.convert()
        for kind in given.kinds:
            rows, used = compare(kind, models, given.position, given.rounds)
            table += [(kind, " ".join(name), *row.values()) for name, row in rows.items()]
            reached, found = judged(kind, rows, used, given.size == "135M")
            goals, numbers = goals + reached, {**numbers, **found}
    asked = f"prompt of {tokens_of('prompt', given.position)}"
    headers = ("weights", "engine", "one answer", f"{BATCH} answers", asked, "load, s", "memory, MiB")
    shown = tabulate(table, headers, floatfmt=("", "", ".1f", ".1f", ".1f", ".2f", ".0f"))
    print(f"\ntokens a second after {given.position}\n{shown}\n")
    print("\n".join(goals))
    keep(numbers)


if __name__ == "__main__":
    main()
