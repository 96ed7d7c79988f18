"""Sides of bench/inference.py: each is a process that loads a model and says how long it takes for what it is asked.

    PYTHON bench/inference_sides.py ours int4 FILE 128
    PYTHON bench/inference_sides.py llama.cpp - FILE 128

The words: the engine, the form of its weights, the model (a GGUF file; of llama.cpp in the form that is meant), and how
many tokens sequences have when steps are timed. Those of the stack bench-peers are in inference_peers.py, which answers
in the same way: first one JSON object with what loading took, then one number of seconds for each line with a work.
Whatever else a library prints goes to stderr.
"""

import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from measuring import most_memory

PROJECTS = Path(__file__).resolve().parents[1] / "projects"
THREADS = len(os.sched_getaffinity(0))
BATCH, STEPS, LONG_PROMPT = 8, 8, 256
FIRST = 16  # tokens of the prompt whose answer ends loading


def room(position: int) -> int:
    """Positions of a sequence."""
    return max(position, LONG_PROMPT) + 2 * STEPS


class Side(Protocol):
    """One engine with its model."""

    details: dict[str, Any]

    def prompt(self, length: int) -> None:
        """Read a prompt of so many tokens into a sequence that was empty, and choose the next token."""

    def begin(self, batch: int, length: int) -> None:
        """Have prompts of this length in the first `batch` sequences, whatever was there."""

    def step(self, batch: int) -> None:
        """Add a token to each of these sequences, and choose the next."""


class Ours:
    """Task 10's decoder with its kernels."""

    def __init__(self, form: str, model: str, position: int) -> None:
        sys.path[:0] = [str(PROJECTS), str(PROJECTS / "10-optimised-inference")]
        import decoder
        import kept
        import llm
        import native_decoder
        import server_options
        from native import Kernels

        each = -(-room(position) // decoder.BLOCK)  # blocks of a sequence
        kernels, found = Kernels(), llm.open_model(model)
        packed = kept.packed_weights(found, form, kernels.rows)
        self.decoder = native_decoder.NativeDecoder(found.config, packed, kernels, form, "float16", BATCH * each)
        self.tables = np.arange(BATCH * each).reshape(BATCH, each).tolist()
        self.piece = server_options.arguments([]).chunk  # tokens that the engine reads of a prompt in a step
        self.details = {"kernels": kernels.isa, "weight_bytes": self.decoder.weight_bytes}

    def prompt(self, length: int, sequence: int = 0) -> None:
        for first in range(0, length, self.piece):
            rows = np.arange(first, min(first + self.piece, length))
            self.decoder.step(rows + 100, rows * 0, rows, [self.tables[sequence]], np.array([len(rows) - 1])).argmax()

    def begin(self, batch: int, length: int) -> None:
        for sequence in range(batch):
            self.prompt(length, sequence)
        self.position = length

    def step(self, batch: int) -> None:
        rows = np.arange(batch)
        self.decoder.step(rows + 100, rows, rows * 0 + self.position, self.tables[:batch], rows).argmax(1)
        self.position += 1


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


def llama_file(form: str, model: Path, folder: Path) -> Path:
    """The model with weights of llama.cpp's form, made by it in `folder`; SmolLM2 is packaged as Q4_1."""
    if form == "Q4_1" and "q4_1" in model.name.lower():
        return model
    llama_cpp, _callback = silent_llama_cpp()
    wanted = llama_cpp.llama_model_quantize_default_params()
    set_fields(wanted, ftype=getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{form}"), allow_requantize=True)
    made = folder / f"{form}.gguf"
    if not made.exists() and llama_cpp.llama_model_quantize(str(model).encode(), str(made).encode(), wanted) != 0:
        raise RuntimeError(f"llama.cpp does not make {form} of the file")
    return made


class LlamaCpp:
    """llama.cpp as llama-cpp-python builds it for this CPU: weights repacked, flash attention, no mmap."""

    def __init__(self, form: str, model: str, position: int) -> None:
        self.api, self.callback = silent_llama_cpp()
        llama_cpp = self.api
        loading = llama_cpp.llama_model_default_params()
        set_fields(loading, load_mode=llama_cpp.LLAMA_LOAD_MODE_NONE, use_extra_bufts=True)
        self.model = llama_cpp.llama_model_load_from_file(model.encode(), loading)
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        wanted = llama_cpp.llama_context_default_params()
        set_fields(wanted, n_ctx=BATCH * room(position), n_batch=room(position), n_ubatch=512, n_seq_max=BATCH)
        set_fields(wanted, n_threads=THREADS, n_threads_batch=THREADS)
        set_fields(wanted, flash_attn_type=llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED)
        self.context = llama_cpp.llama_init_from_model(self.model, wanted)
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.details: dict[str, Any] = {}

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
            np.ctypeslib.as_array(self.api.llama_get_logits_ith(self.context, row), (self.vocabulary,)).argmax()
        self.api.llama_batch_free(batch)

    def prompt(self, length: int, sequence: int = 0) -> None:
        self.api.llama_memory_seq_rm(self.memory, sequence, 0, -1)
        self._decode([(100 + row, row, sequence) for row in range(length)], 1)

    def begin(self, batch: int, length: int) -> None:
        for sequence in range(batch):
            self.prompt(length, sequence)
        self.position = length

    def step(self, batch: int) -> None:
        self._decode([(100 + sequence, self.position, sequence) for sequence in range(batch)], batch)
        self.position += 1


class Transformers:
    """transformers on torch, bfloat16, or float32 with torch's dynamic 8-bit products."""

    def __init__(self, form: str, model: str, position: int) -> None:
        import torch
        import transformers

        torch.set_num_threads(THREADS)
        self.torch: Any = torch
        path = Path(model)
        dtype = torch.bfloat16 if form == "bfloat16" else torch.float32
        found = transformers.AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=dtype).eval()
        if form == "int8":
            quantise: Any = torch.ao.quantization.quantize_dynamic
            found = quantise(found, {torch.nn.Linear}, dtype=torch.qint8)
        self.model = found
        self.cache: Any = None
        self.details: dict[str, Any] = {}

    def _forward(self, tokens: Any, cache: Any = None) -> Any:
        with self.torch.inference_mode():
            found = self.model(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
            found.logits[:, -1].argmax(-1)
        return found.past_key_values

    def prompt(self, length: int) -> None:
        self._forward(self.torch.arange(100, 100 + length)[None])

    def begin(self, batch: int, length: int) -> None:
        self.cache = self._forward(self.torch.arange(100, 100 + length).repeat(batch, 1))

    def step(self, batch: int) -> None:
        self._forward(self.torch.arange(100, 100 + batch)[:, None], self.cache)


def serve(make: Callable[[], Side], position: int, length: int) -> None:
    """Load, say what that took, then time what is asked for: a line each on stdin, until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    started = time.perf_counter()
    side = make()
    side.prompt(FIRST)
    loading = time.perf_counter() - started
    for batch in (1, BATCH):
        side.begin(batch, position)
        side.step(batch)
    gc.collect()
    print(json.dumps({"loading": loading, **side.details}), file=answers, flush=True)
    for line in sys.stdin:
        print(seconds(side, line.strip(), position, length), file=answers, flush=True)
    print(most_memory(), file=answers, flush=True)


def seconds(side: Side, work: str, position: int, length: int) -> float:
    """The median over some steps, or one prompt."""
    batch = {"batch 1": 1, f"batch {BATCH}": BATCH}.get(work)
    if batch:
        side.begin(batch, position)
    found = []
    for _ in range(STEPS if batch else 1):
        started = time.perf_counter()
        if batch:
            side.step(batch)
        else:
            side.prompt(length)
        found.append(time.perf_counter() - started)
    return statistics.median(found)


ENGINES: dict[str, Callable[[str, str, int], Side]] = {
    "ours": Ours,
    "llama.cpp": LlamaCpp,
    "transformers": Transformers,
}


def main(engines: dict[str, Callable[[str, str, int], Side]]) -> None:
    """Be the side that the command names."""
    engine, form, model, position = sys.argv[1:]
    place = int(position)
    serve(lambda: engines[engine](form, model, place), place, max(place, LONG_PROMPT))


if __name__ == "__main__":
    main(ENGINES)
