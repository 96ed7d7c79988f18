"""Task 10: one inference engine with its optimisations as choices, measured side by side on real prompts.

    python projects/10-optimised-inference/main.py --part 10 --device cpu
    python projects/10-optimised-inference/main.py --set weights=int4 option=lookup requests=32 batch=16

The rows of the table are the kinds of weights and, on int4 or the only kind asked for, what else can be chosen:
lookup, drafts looked up in the text; unshared, beginnings that texts share computed each time; single, one request at
a time; kv8, an 8-bit cache.

The steps, in order: the model (../llm), the kernels (native.py compiles kernels/), prompts from ShareGPT
(conversations.py), and for each row the weights (packing.py), the decoder (decoder.py), the engine with its paged
cache (engine.py, blocks.py), and how fast and how good it is (measures.py).
"""

import os

# The kernels' threads wait for each other some hundred times a token. One that sleeps at once is woken too late, one
# that never sleeps takes the processor from others: so they spin for about a millisecond, and the threads of
# Paddle's own operators not at all. Both are read once, when the libraries of threads are loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "100000")

import functools
import itertools
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import conversations
import kit
import llm
import measures
from decoder import BLOCK, NativeDecoder, PlainDecoder, cache_for, pack_weights
from engine import Counts, Engine, Request
from native import make_kernels
from packing import KINDS

OPTIONS = ("lookup", "unshared", "single", "kv8")
OPTIONS_ON = "int4"
PASSAGES, PASSAGE = 2, 128  # held-out text: so many pieces of so many tokens
MEGABYTE = 1e6
HEADER = (
    f"{'':14} {'tok/s':>7} {'TTFT ms':>8} {'TPOT ms':>8} {'P99 TPOT':>9} {'accepted':>9} {'shared':>7} "
    f"{'weights MB':>11} {'cache MB':>9} {'perplexity':>11} {'KL':>9}"
)


@dataclass(frozen=True)
class Variant:
    """A row of the table: weights of one kind, and perhaps one option."""

    kind: str
    option: str = ""

    @property
    def name(self) -> str:
        return f"{self.kind}+{self.option}" if self.option else self.kind


@dataclass
class Result:
    """What a variant answered, and how fast and how good that was."""

    answers: list[list[int]]
    figures: dict[str, float]
    counts: Counts
    perplexity: float
    divergence: float
    weight_bytes: int
    cache_bytes: int

    @property
    def throughput(self) -> float:
        return self.figures["Output token throughput (tok/s)"]

    @property
    def accepted_rate(self) -> float:
        return self.counts.accepted / max(self.counts.drafted, 1)

    def row(self, name: str) -> str:
        return (
            f"{name:14} {self.throughput:7.1f} {self.figures['Median TTFT (ms)']:8.0f} "
            f"{self.figures['Median TPOT (ms)']:8.1f} {self.figures['P99 TPOT (ms)']:9.1f} {self.accepted_rate:9.0%} "
            f"{self.counts.shared:7} {self.weight_bytes / MEGABYTE:11.0f} {self.cache_bytes / MEGABYTE:9.0f} "
            f"{self.perplexity:11.3f} {self.divergence:9.5f}"
        )


def variants(weights: str, option: str) -> list[Variant]:
    """The rows for what was asked."""
    kinds = list(KINDS) if weights == "all" else [weights]
    options = {"all": OPTIONS, "none": ()}.get(option, (option,))
    on = OPTIONS_ON if weights == "all" else weights
    return [Variant(kind, word) for kind in kinds for word in ("", *(options if kind == on else ()))]


def prompts_and_passages(program: Any, tokenizer: llm.Tokenizer) -> tuple[list[list[int]], list[list[int]]]:
    """The first questions that are short enough, and answers of later conversations as held-out text."""
    p = program.parameters
    path = Path(p["conversations"]) if p["conversations"] else conversations.packaged()
    chats = (tokenizer.chat(text) for text in conversations.turns(path, "human") if len(text) < 8 * p["longest"])
    prompts = list(itertools.islice((chat for chat in chats if len(chat) <= p["longest"]), p["requests"]))
    later = itertools.islice(conversations.turns(path, "gpt"), 200, None)
    texts = (tokenizer.encode(text[:4000]) for text in later)
    passages = list(itertools.islice((text[:PASSAGE] for text in texts if len(text) >= PASSAGE), PASSAGES))
    if len(prompts) < p["requests"] or len(passages) < PASSAGES:
        raise conversations.NoConversations(
            f"{path} has {len(prompts)} short enough questions and {len(passages)} long enough answers, too few: "
            "ask for fewer requests, or allow a longer question by longest="
        )
    return prompts, passages


def serve(engine: Engine, prompts: list[list[int]], limit: int) -> tuple[list[Request], float]:
    """Answer all prompts, which arrive at once; returns the requests and the seconds that it took."""
    requests = [Request(prompt, limit) for prompt in prompts]
    started = time.perf_counter()
    for request in requests:
        engine.add(request)
    engine.run()
    return requests, time.perf_counter() - started


def main() -> None:
    program = kit.start(__file__, __doc__)
    p = program.parameters
    model = llm.open_model(p["model"])
    weights = {name: model.weights[name] for name in model.weights}
    kernels = make_kernels(p["isa"])
    prompts, passages = prompts_and_passages(program, model.tokenizer)
    lengths = sorted(map(len, prompts))
    print(f"{len(prompts)} questions of {lengths[0]} to {lengths[-1]} tokens from ShareGPT\n\n{HEADER}")

    # What the others are held against: Paddle's own operators in float32, on the held-out text.
    plain = PlainDecoder(model.config, weights, "float32", "float32", -(-PASSAGE // BLOCK))
    program.used(plain.embedding, plain.norm)
    reference = [measures.text_logits(plain, passage) for passage in passages]
    program.trace(reference=reference[0][-1])
    program.metric("perplexity_float32", measures.perplexity(reference, passages))
    del plain

    @functools.lru_cache(maxsize=1)  # rows with the same weights and cache stand together
    def make_decoder(kind: str, cache: str) -> NativeDecoder | PlainDecoder:
        if kernels is None:
            return PlainDecoder(model.config, weights, kind, cache, p["blocks"])
        packed = pack_weights(model.config, weights, kind, kernels.rows)
        return NativeDecoder(model.config, packed, kernels, kind, cache, p["blocks"])

    def run(variant: Variant) -> Result:
        decoder = make_decoder(variant.kind, "int8" if variant.option == "kv8" else cache_for(variant.kind))
        batch = 1 if variant.option == "single" else p["batch"]
        sharing, lookup = variant.option != "unshared", variant.option == "lookup"
        engine = Engine(decoder, model.tokenizer.stops, batch, p["chunk"], sharing, lookup)
        requests, seconds = serve(engine, prompts, p["tokens"])
        found = [measures.text_logits(decoder, passage) for passage in passages]
        return Result(
            answers=[request.answer for request in requests],
            figures=measures.serving(requests, seconds),
            counts=engine.counts,
            perplexity=measures.perplexity(found, passages),
            divergence=float(np.mean(list(map(measures.divergence, reference, found)))),
            weight_bytes=decoder.weight_bytes,
            cache_bytes=decoder.cache_bytes,
        )

    results: dict[Variant, Result] = {}
    for variant in variants(p["weights"], p["option"]):
        results[variant] = result = run(variant)
        print(result.row(variant.name), flush=True)
        word = variant.option or variant.kind
        program.metric(f"throughput_{word}", result.throughput)
        if word not in ("lookup", "unshared", "single"):  # these do not change what is computed
            program.metric(f"divergence_{word}", result.divergence)
        if word == "lookup":
            program.metric("accepted_rate", result.accepted_rate)

    fastest = max(results, key=lambda variant: results[variant].throughput)
    print(f"\n{fastest.name}, the fastest:\n{measures.block(results[fastest].figures)}")
    question, answer = model.tokenizer.decode(prompts[0]), model.tokenizer.decode(results[fastest].answers[0])
    print(f"\nthe first question, and how {fastest.name} begins to answer:\n{question[-300:].strip()}\n{answer}\n")
    table = [HEADER, *(result.row(variant.name) for variant, result in results.items())]
    blocks = [f"{variant.name}\n{measures.block(result.figures)}" for variant, result in results.items()]
    program.artefact("benchmark.txt").write_text("\n\n".join(["\n".join(table), *blocks]) + "\n", encoding="utf-8")
    # Drafts, shared beginnings and batches change when a token is computed and not which one.
    pairs = [
        (answer, own)
        for variant, result in results.items()
        if variant.option in ("lookup", "unshared", "single")
        for answer, own in zip(results[Variant(variant.kind)].answers, result.answers, strict=True)
    ]
    program.metric("same_answers", np.mean([answer == own for answer, own in pairs]) if pairs else 1.0)
    answered = min(sum(map(bool, result.answers)) for result in results.values())
    program.metric("answered", answered / len(prompts))
    program.metric("fastest", fastest.name)
    program.metric("kernels", kernels.isa if kernels else "none")
    program.metric("peak_host_megabytes", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE)
    program.finish()


if __name__ == "__main__":
    try:
        main()
    except (llm.ModelError, conversations.NoConversations, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
