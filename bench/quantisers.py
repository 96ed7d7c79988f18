"""The quality of 4 bits beside llama.cpp's forms: KL to float32 weights on held-out text, all in one run.

    ./inv bench --only quantisers

SmolLM2 is packaged in 4 bits, and to round such weights once more says little: a form that has the same steps loses
nothing. So each of them is moved by up to half a step first, at random: no better a model, but one of full precision
with the activations of a real one. Every form rounds the weights of the layers, by llama.cpp's own ggml_quantize_chunk
or by task 10's packing; all else is numpy in float32. "Importance" is E[x²] of the inputs (llama.cpp's llama-imatrix
gathers the same), over a text or over random tokens.
"""

import ctypes
import functools
import importlib.util
import itertools
import json
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from measuring import ROOT, keep, picture
from tabulate import tabulate

sys.path.insert(0, str(ROOT / "projects"))
sys.path.insert(0, str(ROOT / "projects" / "10-optimised-inference"))
import calibration
import conversations
import llm
import measures
import packing
from llm import exact

STACK = "bench-inference"  # that ./inv bench runs it in
PASSAGES, PASSAGE, TOGETHER = 4, 128, 2  # texts, their tokens, and how many are computed at a time
LATER = 200  # conversations that are neither calibrated on nor held out
GGML = {"Q4_0": 2, "Q4_1": 3, "IQ4_NL": 20}  # ggml.h: ggml_type
Weights = Mapping[str, np.ndarray]
Form = Callable[[np.ndarray, np.ndarray | None], np.ndarray]


@functools.cache
def ggml() -> ctypes.CDLL:
    """The library of llama-cpp-python that has the forms."""
    found = importlib.util.find_spec("llama_cpp")  # not imported: nothing of it computes here
    assert found and found.submodule_search_locations
    library = ctypes.CDLL(str(Path(found.submodule_search_locations[0]) / "lib" / "libggml-base.so"))
    array, number = np.ctypeslib.ndpointer(flags="C_CONTIGUOUS"), ctypes.c_int64
    library.ggml_row_size.argtypes = [ctypes.c_int, number]
    library.ggml_row_size.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, array, array, number, number, number, ctypes.c_void_p]
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    for name in GGML:
        getattr(library, f"dequantize_row_{name.lower()}").argtypes = [array, array, number]
    return library


def bits_of_llama_cpp(name: str) -> float:
    return float(8 * ggml().ggml_row_size(GGML[name], packing.GROUP) / packing.GROUP)


def rounded_by_llama_cpp(name: str, weight: np.ndarray, importance: np.ndarray | None) -> np.ndarray:
    """The weight (rows, inputs) in a form of llama.cpp's and back."""
    weight, found = np.ascontiguousarray(weight, "float32"), np.empty(weight.shape, "float32")
    rows, inputs = weight.shape
    packed = np.empty(rows * ggml().ggml_row_size(GGML[name], inputs), "uint8")
    counting = None if importance is None else np.ascontiguousarray(importance, "float32")
    address = None if counting is None else counting.ctypes.data
    made = ggml().ggml_quantize_chunk(GGML[name], weight, packed, 0, rows, inputs, address)
    assert made == packed.size
    getattr(ggml(), f"dequantize_row_{name.lower()}")(packed, found, weight.size)
    return found


def rounded_by_us(weight: np.ndarray, importance: np.ndarray | None) -> np.ndarray:
    found: np.ndarray = packing.dequantise(packing.quantise(weight, "int4", importance), "int4")
    return found


def is_product(name: str) -> bool:
    return name.endswith("_proj.weight")


def of_full_precision(weights: Weights) -> dict[str, np.ndarray]:
    """The weights of the layers, each moved by up to half a step: the least difference between two of its group."""
    numbers, found = np.random.default_rng(0), dict(weights)
    for name in filter(is_product, weights):
        groups = weights[name].reshape(-1, packing.GROUP)
        apart = np.diff(np.sort(groups, 1), axis=1)
        steps = np.where(apart > 1e-3 * np.ptp(groups, 1)[:, None], apart, np.inf).min(1)
        moved = numbers.uniform(-0.5, 0.5, groups.shape) * np.where(np.isfinite(steps), steps, 0)[:, None]
        found[name] = (groups + moved).astype("float32").reshape(weights[name].shape)
    return found


def passages(model: Any, first: int) -> np.ndarray:
    """Texts (PASSAGES, PASSAGE): answers of conversations from the first-th on that are long enough."""
    answers = itertools.islice(conversations.turns(conversations.packaged(), "gpt"), first, None)
    tokens = (model.tokenizer.encode(text[:4000]) for text in answers)
    return np.array(list(itertools.islice((text[:PASSAGE] for text in tokens if len(text) >= PASSAGE), PASSAGES)))


def logits(config: llm.Config, weights: Weights, texts: np.ndarray) -> list[np.ndarray]:
    """(places, vocabulary) for some texts after others."""
    pieces = (texts[first : first + TOGETHER] for first in range(0, len(texts), TOGETHER))
    return [exact.logits(config, weights, piece, "float32").reshape(piece.size, -1) for piece in pieces]


def forms(by_text: Weights, by_random: Weights) -> list[tuple[str, str, float, Form, Weights]]:
    """What is compared: its name, what it knows of the inputs, bits a weight, and how it rounds."""
    ours = 8 * packing.packed_size("int4", 1, packing.GROUP) / packing.GROUP
    known: dict[str, Weights] = {"": {}, "text": by_text, "random tokens": by_random}
    return [
        *(("ours int4", what, ours, rounded_by_us, known[what]) for what in ("random tokens", "text", "")),
        *(
            (name, what, bits_of_llama_cpp(name), functools.partial(rounded_by_llama_cpp, name), known[what])
            for name, what in itertools.product(GGML, ("", "text"))
        ),
    ]


def compare(config: llm.Config, weights: Weights, calibrating: np.ndarray, held_out: np.ndarray) -> list[Any]:
    """For each form its name, what it knows of inputs, bits a weight, KL, same likeliest token, seconds."""
    truth = logits(config, weights, held_out)
    by_text, by_random = (calibration.importance(config, weights, tokens) for tokens in (calibrating, None))
    rows = []
    for name, what, bits, form, importance in forms(by_text, by_random):
        started = time.perf_counter()
        rounded = {each: form(weights[each], importance.get(each)) for each in filter(is_product, weights)}
        seconds = time.perf_counter() - started
        found = logits(config, {**weights, **rounded}, held_out)
        pairs = list(zip(truth, found, strict=True))
        same = np.mean([a.argmax(-1) == b.argmax(-1) for a, b in pairs])
        rows.append((name, what, bits, np.mean([measures.divergence(*pair) for pair in pairs]), same, seconds))
        print(*rows[-1][:3], f"{rows[-1][3]:.4f}", flush=True)
    return rows


def main() -> None:
    """Measure, and print a table and goals."""
    model = llm.open_model("smollm2")
    weights = of_full_precision({name: model.weights[name] for name in model.weights})
    calibrating, held_out = passages(model, 0), passages(model, LATER)
    rows = compare(model.config, weights, calibrating, held_out)
    headers = ("form", "importance of inputs by", "bits a weight", "KL, nat", "same likeliest token", "s to round")
    print(f"\n{held_out.size} places of held-out text\n{tabulate(rows, headers, floatfmt='.4g')}\n")
    found = {row[:2]: row[2:4] for row in rows}
    bits, ours = found["ours int4", "random tokens"]
    for what in ("", "text"):
        their_bits, theirs = found["IQ4_NL", what]
        met = "met" if ours <= theirs and bits <= their_bits else "NOT met"
        peer = f"IQ4_NL's{' by a text' * bool(what)}, {theirs:.4f}"
        print(f"goal: KL at {bits} bits: at most {peer} at {their_bits}; it is {ours:.4f}: {met}")
    keep({"int4_bits": bits, "int4_divergence": ours, "iq4_nl_divergence": found["IQ4_NL", ""][1]})
    draw(found)


def speeds() -> dict[str, float]:
    """Tokens a second of one answer with each form, as bench/inference.py last printed them; empty where it has not."""
    path = ROOT / "docs" / "benchmarks" / "inference.json"
    printed = json.loads(path.read_text())["printed"] if path.exists() else ""
    rows = re.findall(r"^int4 +(?:llama\.cpp )?(ours|\S+).*? {2,}([\d.]+)", printed, re.MULTILINE)
    return {"ours int4" if name == "ours" else name: float(speed) for name, speed in rows}


def draw(found: Mapping[tuple[str, str], tuple[float, float]]) -> None:
    """KL over bits a weight, and over the speed of one answer: what lies nearest to the axes is best."""
    place = picture()
    if place is None:
        return
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "quantisers", "font.size": 9})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True)
    known = speeds()
    for (name, what), (bits, divergence) in found.items():
        colour, label = "#3949ab" if name.startswith("ours") else "#78909c", f"{name}, {what}".rstrip(", ")
        for panel, x in zip(axes, (bits, 1000 / known[name] if name in known else None), strict=True):
            if x is not None:
                panel.plot(x, divergence, "o", color=colour)
                panel.annotate(label, (x, divergence), (5, 0), textcoords="offset points", va="center", color=colour)
    axes[0].set(xlabel="bits a weight", ylabel="KL to float32, nat", yscale="log", xlim=(4.4, 5.4))
    axes[1].set(xlabel="ms a token of one answer (bench/inference.py)")
    axes[1].set_xlim(0, 9)
    figure.savefig(place, format="svg", bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()
