"""Task 10: one inference engine with its optimisations as choices, measured side by side on real prompts.

    python projects/10-optimised-inference/main.py --part 10 --device cpu
    python projects/10-optimised-inference/main.py --set variants=int4,int4+kv8,int4+lookup requests=32 batch=16

A variant is a kind of weights (float32, bfloat16, int8, int4, float8), and after it by + what else is chosen: kv8, an
8-bit cache; lookup, drafts looked up in the text; single, one request at a time; unshared, no shared beginnings.

The steps, in order: the model (../llm), the kernels (native.py compiles kernels/), prompts from ShareGPT
(conversations.py), and for each variant the weights (packing.py), the decoder (decoder.py), the engine with its
paged cache (engine.py, blocks.py), and how fast and how good it is (measures.py).
"""

import os

# The kernels' threads wait for each other some hundred times a token. Spinning meanwhile helps on an idle machine
# and is ruinous on a busy one. It is read once, when the library of threads is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import itertools
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import conversations
import kit
import llm
import measures
from decoder import BLOCK, Decoder, NativeDecoder, PlainDecoder
from engine import Engine, Request
from native import Kernels, NoKernels
from packing import KINDS

OPTIONS = ("kv8", "lookup", "single", "unshared")
PASSAGES, PASSAGE = 2, 128  # held-out text: so many pieces of so many tokens
MEGABYTE = 1e6
THROUGHPUT = "Output token throughput (tok/s)"
HEADER = (
    f"{'variant':18} {'tok/s':>8} {'TTFT ms':>9} {'TPOT ms':>9} {'P99 TPOT':>9} {'accepted':>8} {'shared':>7} "
    f"{'weights MB':>10} {'cache MB':>9} {'perplexity':>10} {'KL':>9}"
)


def refuse(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


def variants(text: str) -> dict[str, tuple[str, list[str]]]:
    """ "int4+kv8,int8" as {"int4+kv8": ("int4", ["kv8"]), ...}; exits with 2 for an unknown word."""
    found = {}
    for variant in text.split(","):
        kind, *options = variant.strip().split("+")
        unknown = [
            word for word, known in [(kind, KINDS), *((option, OPTIONS) for option in options)] if word not in known
        ]
        if unknown:
            refuse(f"variants={text}: unknown {', '.join(unknown)}; kinds: {', '.join(KINDS)}; + {', '.join(OPTIONS)}")
        found[variant.strip()] = (kind, options)
    return found


def make_kernels(program: Any) -> Kernels | None:
    """The C++ kernels, or None with the reason printed: then Paddle's plain operators compute."""
    if not paddle.get_device().startswith("cpu"):
        print(f"the kernels are the CPU's: {paddle.get_device()} computes with Paddle's operators")
        return None
    if program.parameters["isa"] == "none":
        return None
    try:
        kernels = Kernels(program.parameters["isa"])
    except NoKernels as error:
        print(f"NOTE: no kernels, because {error}; Paddle's plain operators compute instead, slower and in float32")
        return None
    print(f"kernels: {kernels.isa}, {kernels.rows} rows in a panel")
    return kernels


def make_decoder(
    kernels: Kernels | None, model: llm.Model, weights: Mapping[str, np.ndarray], variant: tuple, blocks: int
) -> Decoder:
    kind, options = variant
    if kernels is None:
        return PlainDecoder(model.config, weights, kind, blocks)
    return NativeDecoder(model.config, weights, kernels, kind, "int8" if "kv8" in options else "float32", blocks)


def prompts_and_passages(program: Any, tokenizer: llm.Tokenizer) -> tuple[list[list[int]], list[list[int]]]:
    """The first questions that are short enough, and answers of later conversations as held-out text."""
    p = program.parameters
    path = Path(p["conversations"]) if p["conversations"] else conversations.packaged()
    if not path.is_file():
        refuse(f"conversations={path}: there is no such file")
    chats = (tokenizer.chat(text) for text in conversations.turns(path, "human") if len(text) < 8 * p["longest"])
    prompts = list(itertools.islice((chat for chat in chats if len(chat) <= p["longest"]), p["requests"]))
    later = itertools.islice(conversations.turns(path, "gpt"), 200, None)
    texts = (tokenizer.encode(text[:4000]) for text in later)
    passages = list(itertools.islice((text[:PASSAGE] for text in texts if len(text) >= PASSAGE), PASSAGES))
    if len(prompts) < p["requests"] or len(passages) < PASSAGES:
        refuse(f"{path} has {len(prompts)} short enough questions and {len(passages)} long enough answers: too few")
    return prompts, passages


def serve(program: Any, decoder: Decoder, stops: frozenset[int], prompts: list[list[int]], options: list[str]):
    """Answer all prompts, which arrive at once. Returns the requests, the engine's counts and the figures."""
    p = program.parameters
    batch = 1 if "single" in options else p["batch"]
    engine = Engine(decoder, stops, batch, p["chunk"], "unshared" not in options, "lookup" in options)
    requests = [Request(prompt, p["tokens"]) for prompt in prompts]
    started = time.perf_counter()
    for request in requests:
        engine.add(request)
    engine.run()
    return requests, engine.counts, measures.serving(requests, time.perf_counter() - started)


def table_line(
    name: str, figures: Mapping[str, float], counts: Any, decoder: Decoder, perplexity: float, divergence: float
) -> str:
    accepted = 100 * counts.accepted / counts.drafted if counts.drafted else 0
    return (
        f"{name:18} {figures[THROUGHPUT]:8.1f} {figures['Median TTFT (ms)']:9.0f} {figures['Median TPOT (ms)']:9.1f} "
        f"{figures['P99 TPOT (ms)']:9.1f} {accepted:7.0f}% {counts.shared:7} {decoder.weight_bytes / MEGABYTE:10.0f} "
        f"{decoder.cache_bytes / MEGABYTE:9.0f} {perplexity:10.3f} {divergence:9.5f}"
    )


def main() -> None:
    program = kit.start(__file__, __doc__)
    p = program.parameters
    chosen = variants(p["variants"])
    model = llm.open_model(p["model"])
    weights = {name: model.weights[name] for name in model.weights}
    kernels = make_kernels(program)
    prompts, passages = prompts_and_passages(program, model.tokenizer)
    print(f"{len(prompts)} prompts of {min(map(len, prompts))} to {max(map(len, prompts))} tokens from ShareGPT")

    # What the others are held against: Paddle's own operators in float32, on the held-out text.
    plain = PlainDecoder(model.config, weights, "float32", -(-PASSAGE // BLOCK))
    program.used(plain.embedding, plain.norm)
    reference = [measures.text_logits(plain, passage) for passage in passages]
    program.trace(reference=reference[0][-1])
    perplexity = np.exp(np.mean([measures.surprise(*pair) for pair in zip(reference, passages, strict=True)]))
    program.metric("perplexity_float32", perplexity)
    del plain

    table = [HEADER]
    reports, figures, answers, divergences = {}, {}, {}, {}
    built, decoder = None, None
    for name, (kind, options) in chosen.items():
        if built != (kind, "kv8" in options):  # weights are packed once for variants side by side
            decoder = None  # frees the last one's before the next one's are made
            built, decoder = (
                (kind, "kv8" in options),
                make_decoder(kernels, model, weights, (kind, options), p["blocks"]),
            )
        requests, counts, figures[name] = serve(program, decoder, model.tokenizer.stops, prompts, options)
        answers[name] = [request.answer for request in requests]
        found = [measures.text_logits(decoder, passage) for passage in passages]
        divergences[name] = np.mean([measures.divergence(*pair) for pair in zip(reference, found, strict=True)])
        perplexity = np.exp(np.mean([measures.surprise(*pair) for pair in zip(found, passages, strict=True)]))
        table.append(table_line(name, figures[name], counts, decoder, perplexity, divergences[name]))
        reports[name] = f"{name}\n{measures.block(figures[name])}"
        speed = figures[name][THROUGHPUT]
        print(f"  {name}: {speed:.1f} tokens a second, KL to float32 {divergences[name]:.5f}", flush=True)

    fastest = max(figures, key=lambda name: figures[name][THROUGHPUT])
    print("\n" + "\n".join(table) + f"\n\n{reports[fastest]}")
    print(f"\n> {model.tokenizer.decode(prompts[0])[-200:]}\n{model.tokenizer.decode(answers[fastest][0])}")
    written = "\n\n".join(["\n".join(table), *reports.values()])
    program.artefact("benchmark.txt").write_text(written + "\n", encoding="utf-8")
    program.metric("kernels", kernels.isa if kernels else "plain")
    program.metric("fastest", fastest)
    program.metric("throughput", figures[fastest][THROUGHPUT])
    program.metric("median_ttft", figures[fastest]["Median TTFT (ms)"])
    program.metric("median_tpot", figures[fastest]["Median TPOT (ms)"])
    program.metric("worst_divergence", max(divergences.values()))
    # Drafts, shared beginnings and batches change when a token is computed and not which one.
    same = [
        answers[name] == answers[base]
        for name, (kind, options) in chosen.items()
        for base, (base_kind, base_options) in chosen.items()
        if kind == base_kind and ("kv8" in options) == ("kv8" in base_options)
    ]
    program.metric("same_answers", all(same))
    program.metric("answered", min(sum(map(bool, found)) for found in answers.values()) / len(prompts))
    program.metric("peak_host_megabytes", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE)
    program.finish()


if __name__ == "__main__":
    try:
        main()
    except (llm.ModelError, conversations.NoConversations, ValueError) as error:
        refuse(str(error))
