"""Task 10's engine beside llama.cpp and transformers on torch: one model, the same weights and tokens, in turn.

    ./inv bench --only inference
    python bench/keep.py inference --position 1500      # where attention, not the weights, takes the time

Weights of 16, 8 and 4 bits, each beside every form that a peer has at these bits, in its best setting; what counts is
the best of them. Every side is a process that loads SmolLM2 once; then each is asked in turn, while the others wait,
for a step of one and of eight answers after a prompt of 128 tokens (or --position), and for a prompt of 256. llama.cpp
gets its other bits from the same file by its own llama_model_quantize, transformers the weights as it reads them from
the file. The last goals, which are of short texts, hold the weights that a step reads against what memory gives.
"""

import argparse
import functools
import gc
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

import numpy as np
from measuring import goal, keep
from tabulate import tabulate

STACK = "bench-inference"  # that ./inv bench runs it in
PROJECTS = Path(__file__).resolve().parents[1] / "projects"
WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "100000"}  # as task 10 does; the peers have their own ways
THREADS = len(os.sched_getaffinity(0))
PROMPT, LONG_PROMPT, BATCH, STEPS, ROUNDS = 128, 256, 8, 8, 5
MOST = 2048 - STEPS  # positions that SmolLM2 was trained for
GOALS = {  # over the best peer, whichever it is for one answer, eight answers, a prompt
    "int4": {"batch 1": 1.7, "batch 8": 2.5, "prompt": 1.5},
    "int8": {"batch 1": 1.4, "batch 8": 2.5, "prompt": 1.5},
    "bfloat16": {"batch 1": 1.2, "batch 8": 2.5, "prompt": 1.3},
}
BANDWIDTH_GOAL = 0.9
# What each kind of weights meets: Q4_1 is the packaged file, Q4_0 and IQ4_NL are repacked as they are loaded.
PEERS = {
    "int4": ["llama.cpp Q4_0", "llama.cpp IQ4_NL", "llama.cpp Q4_1"],
    "int8": ["llama.cpp Q8_0", "transformers"],
    "bfloat16": ["llama.cpp BF16", "transformers"],
}
HUGE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}  # llama.cpp's weights on huge pages, as ours are


class Side(Protocol):
    """One engine with its model."""

    def prompt(self, length: int, sequence: int) -> None:
        """Read a prompt of so many tokens into a sequence that was empty, and choose the next token."""

    def step(self, batch: int, position: int) -> None:
        """Add a token at `position` to each of the first `batch` sequences, and choose the next."""


def room(position: int) -> int:
    """How many positions a sequence needs."""
    return max(position, LONG_PROMPT) + STEPS


class Ours:
    """Task 10's decoder with its kernels."""

    def __init__(self, kind: str, position: int) -> None:
        sys.path[:0] = [str(PROJECTS), str(PROJECTS / "10-optimised-inference")]
        import decoder
        import llm
        import native_decoder
        import packed as packed_weights
        from native import Kernels

        model = llm.open_model("smollm2")
        self.size = decoder.BLOCK
        self.each = -(-room(position) // self.size)  # blocks of a sequence
        kernels = Kernels()
        self.isa = kernels.isa
        packed = packed_weights.pack_weights(model.config, model.weights, kind, kernels.rows)
        self.decoder = native_decoder.NativeDecoder(model.config, packed, kernels, kind, "float16", BATCH * self.each)
        self.tables = np.arange(BATCH * self.each).reshape(BATCH, self.each).tolist()

    def prompt(self, length: int, sequence: int) -> None:
        rows = np.arange(length)
        self.decoder.step(rows + 100, rows * 0, rows, [self.tables[sequence]], rows[-1:]).argmax()

    def step(self, batch: int, position: int) -> None:
        rows = np.arange(batch)
        self.decoder.step(rows + 100, rows, rows * 0 + position, self.tables[:batch], rows).argmax(1)


@functools.cache
def silent_llama_cpp() -> tuple[Any, Any]:
    """The module llama_cpp, and what takes its log, which must live as long."""
    import llama_cpp

    callback = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(callback, None)
    return llama_cpp, callback


def set_fields(structure: Any, **values: Any) -> None:
    """Set fields of llama.cpp's structure. Raises AttributeError for one that it has not: ctypes would say nothing."""
    names = {name for name, *_ in structure._fields_}
    if unknown := set(values) - names:
        raise AttributeError(f"llama.cpp's {type(structure).__name__} has no {', '.join(sorted(unknown))}")
    for name, value in values.items():
        setattr(structure, name, value)


def llama_file(form: str, folder: Path) -> Path:
    """SmolLM2 with weights of llama.cpp's form, made by it in `folder` unless the file itself is that."""
    sys.path.insert(0, str(PROJECTS))
    import llm.model

    file = llm.model.packaged_smollm2()
    if form == "Q4_1":
        return file
    llama_cpp, _ = silent_llama_cpp()
    wanted = llama_cpp.llama_model_quantize_default_params()
    set_fields(wanted, ftype=getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{form}"), allow_requantize=True)
    made = folder / "model.gguf"
    if llama_cpp.llama_model_quantize(str(file).encode(), str(made).encode(), wanted) != 0:
        raise RuntimeError(f"llama.cpp does not make {form} of the file")
    return made


class LlamaCpp:
    """llama.cpp as llama-cpp-python builds it for this CPU: weights repacked, flash attention, no mmap."""

    def __init__(self, form: str, position: int) -> None:
        self.api, _ = silent_llama_cpp()
        llama_cpp = self.api
        with tempfile.TemporaryDirectory() as folder:
            loading = llama_cpp.llama_model_default_params()
            set_fields(loading, load_mode=llama_cpp.LLAMA_LOAD_MODE_NONE, use_extra_bufts=True)
            self.model = llama_cpp.llama_model_load_from_file(str(llama_file(form, Path(folder))).encode(), loading)
        wanted = llama_cpp.llama_context_default_params()
        set_fields(wanted, n_ctx=BATCH * room(position), n_batch=max(512, position), n_ubatch=512, n_seq_max=BATCH)
        set_fields(wanted, n_threads=THREADS, n_threads_batch=THREADS)
        set_fields(wanted, flash_attn_type=llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED)
        self.context = llama_cpp.llama_init_from_model(self.model, wanted)
        self.memory = llama_cpp.llama_get_memory(self.context)

    def _decode(self, tokens: list[tuple[int, int, int]], answers: int) -> None:
        """Compute (token, position, sequence); the last `answers` of them choose a token."""
        batch = self.api.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for row, (token, position, sequence) in enumerate(tokens):
            batch.token[row], batch.pos[row], batch.n_seq_id[row], batch.seq_id[row][0] = token, position, 1, sequence
            batch.logits[row] = row >= len(tokens) - answers
        if self.api.llama_decode(self.context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        for row in range(len(tokens) - answers, len(tokens)):
            np.ctypeslib.as_array(self.api.llama_get_logits_ith(self.context, row), (49152,)).argmax()
        self.api.llama_batch_free(batch)

    def prompt(self, length: int, sequence: int) -> None:
        self.api.llama_memory_seq_rm(self.memory, sequence, 0, -1)
        self._decode([(100 + row, row, sequence) for row in range(length)], 1)

    def step(self, batch: int, position: int) -> None:
        for sequence in range(batch):
            self.api.llama_memory_seq_rm(self.memory, sequence, position, -1)
        self._decode([(100 + sequence, position, sequence) for sequence in range(batch)], batch)


class Transformers:
    """transformers on torch, bfloat16, or float32 with torch's dynamic 8-bit products."""

    def __init__(self, kind: str, position: int) -> None:
        sys.path.insert(0, str(PROJECTS))
        import llm.model
        import torch
        import transformers

        torch.set_num_threads(THREADS)
        transformers.logging.disable_progress_bar()
        self.torch: Any = torch
        path = llm.model.packaged_smollm2()
        dtype = torch.bfloat16 if kind == "bfloat16" else torch.float32
        model = transformers.AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=dtype).eval()
        if kind == "int8":
            quantise: Any = torch.ao.quantization.quantize_dynamic
            model = quantise(model, {torch.nn.Linear}, dtype=torch.qint8)
        self.model = model
        self.caches: dict[int, Any] = {}
        self.position = position

    def _forward(self, tokens: Any, cache: Any = None) -> Any:
        with self.torch.inference_mode():
            found = self.model(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
            found.logits[:, -1].argmax(-1)
        return found.past_key_values

    def prompt(self, length: int, sequence: int) -> None:
        self._forward(self.torch.arange(100, 100 + length)[None])

    def step(self, batch: int, position: int) -> None:
        if batch not in self.caches:  # by the first, which is not timed
            self.caches[batch] = self._forward(self.torch.arange(100, 100 + self.position).repeat(batch, 1))
        if too_many := self.caches[batch].get_seq_length() - position:
            self.caches[batch].crop(-too_many)
        self._forward(self.torch.arange(100, 100 + batch)[:, None], self.caches[batch])


SIDES: dict[str, Callable[[str, int], Side]] = {"ours": Ours, "transformers": Transformers}
WORK = ("batch 1", "batch 8", "prompt")


def serve(name: str, kind: str, position: int, pipe: Connection) -> None:
    """A side's process: make it, then time what it is asked for."""
    try:
        engine, _, form = name.partition(" ")
        side = LlamaCpp(form, position) if engine == "llama.cpp" else SIDES[engine](kind, position)
        for sequence in range(BATCH):
            side.prompt(position, sequence)
        for batch in (1, BATCH):
            side.step(batch, position)
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")
        return
    gc.collect()
    details = (side.isa, side.decoder.weight_bytes) if isinstance(side, Ours) else ("", 0)
    pipe.send(details)
    while work := pipe.recv():
        seconds = []
        for number in range(STEPS if work != "prompt" else 1):
            started = time.perf_counter()
            if work == "prompt":
                side.prompt(LONG_PROMPT, 0)
            else:
                side.step(1 if work == "batch 1" else BATCH, position + number)
            seconds.append(time.perf_counter() - started)
        if work == "prompt":
            side.prompt(position, 0)
        pipe.send(statistics.median(seconds))


def compare(kind: str, names: list[str], position: int) -> tuple[dict[str, dict[str, float]], float]:
    """Tokens a second of each side for each work, medians over rounds in turn.

    Returns:
        The rates, and how much of what memory gives a step of one answer of ours reads of its weights.
    """
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Any] = {}
    weight_bytes = 0
    processes = []
    for name in names:
        here, there = context.Pipe()
        processes.append(context.Process(target=serve, args=(name, kind, position, there), daemon=True))
        with mock.patch.dict(os.environ, WAITING if name == "ours" else HUGE):
            processes[-1].start()
        ready = here.recv()
        if isinstance(ready, str):
            sys.exit(f"{name} with {kind} does not start, and without it the best peer may be missing: {ready}")
        pipes[name] = here
        if name == "ours":
            weight_bytes = ready[1]
            print(f"{kind}: our kernels are {ready[0]}, {weight_bytes / 1e6:.0f} MB of weights")
    seconds: dict[str, dict[str, list[float]]] = {name: {work: [] for work in WORK} for name in pipes}
    bandwidths = []
    for _ in range(ROUNDS):
        bandwidths.append(read_bandwidth())
        for work in WORK:
            for name, pipe in pipes.items():
                pipe.send(work)
                seconds[name][work].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send("")
    for process in processes:
        process.join()
    tokens = {"batch 1": 1, "batch 8": BATCH, "prompt": LONG_PROMPT}
    rates = {
        name: {work: tokens[work] / statistics.median(each[work]) for work in WORK} for name, each in seconds.items()
    }
    bandwidth = statistics.median(bandwidths)
    print(f"memory gives {bandwidth / 1e9:.1f} GB/s meanwhile")
    return rates, rates["ours"]["batch 1"] * weight_bytes / bandwidth


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


def main() -> None:
    """Measure, and print tables and goals."""
    parser = argparse.ArgumentParser("inference.py", description="Decoding beside other engines.")
    parser.add_argument("--position", type=int, default=PROMPT, help="where answers begin [%(default)s]")
    position = parser.parse_args().position
    if not 1 <= position <= MOST:
        parser.error(f"--position must be 1 to {MOST}")
    goals, rows = [], []
    numbers: dict[str, float] = {}
    print(f"{THREADS} threads, answers from position {position} on\n")
    for kind, names in PEERS.items():
        rates, used = compare(kind, ["ours", *names], position)
        rows += [(kind, name, *(each[work] for work in WORK)) for name, each in rates.items()]
        ours = rates.pop("ours")
        for work in WORK:
            best = max(rates, key=lambda name: rates[name][work])
            over, word = ours[work] / rates[best][work], f"{kind}_{work.replace(' ', '')}"
            numbers |= {f"{word}_ours": ours[work], f"{word}_best": rates[best][work], f"{word}_over_best": over}
            goals.append(goal(f"{kind}, {work}, over {best}", over, at_least=GOALS[kind][work], unit=""))
        if position == PROMPT:
            what = f"{kind}, weights read by a step of one answer, over bandwidth"
            goals.append(goal(what, used, at_least=BANDWIDTH_GOAL, unit=""))
    headers = ("weights", "engine", "one answer", f"{BATCH} answers", f"prompt of {LONG_PROMPT}")
    print("\ntokens a second\n" + tabulate(rows, headers, floatfmt=".1f") + "\n")
    print("\n".join(goals))
    keep(numbers)


if __name__ == "__main__":
    main()
