"""Task 10: one inference engine with its optimisations as choices, measured side by side on real prompts.

    ./inv python projects/10-optimised-inference/main.py --part 10 --device cpu
    ./inv python projects/10-optimised-inference/main.py --set weights=int4 option=lookup requests=32 batch=16

The rows of the table are the kinds of weights and, on int4 or the only kind asked for, what else can be chosen:
lookup, drafts looked up in the text; unshared, beginnings that texts share computed each time; single, one request at
a time; kv8, an 8-bit cache.

The steps, in order: the model (../llm), the kernels (native.py compiles kernels/), prompts from ShareGPT
(conversations.py), what quality is held against (yardsticks.py), and for each row (variants.py) the weights
(packing.py), the decoder (native_decoder.py or plain_decoder.py), the engine with its paged cache (engine.py,
blocks.py), and how fast and how good it is (measures.py).
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
from pathlib import Path
from typing import Any

import numpy as np
import paddle

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import conversations
import fused
import kit
import llm
import measures
from engine import Engine, Request
from native import Kernels, NoKernels, make_kernels
from native_decoder import NativeDecoder
from packed import pack_weights
from plain_decoder import PlainDecoder
from variants import HEADER, MEGABYTE, Quality, Result, Variant, variants
from yardsticks import Yardstick

PASSAGES, PASSAGE = 2, 128  # held-out text: so many pieces of so many tokens


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


class Bench:
    """Runs a variant: builds its decoder, lets it answer the prompts, and reads the held-out passages with it."""

    def __init__(self, program: Any, model: llm.Model, kernels: Kernels | None) -> None:
        self.p, self.model, self.kernels = program.parameters, model, kernels
        self.weights = {name: model.weights[name] for name in model.weights}
        self.prompts, self.passages = prompts_and_passages(program, model.tokenizer)
        self.yardstick = Yardstick(model.config, self.weights, self.passages)
        self.decoder = functools.lru_cache(maxsize=1)(self._decoder)  # rows with one kind and cache stand together
        self.quality = functools.cache(self._quality)
        self.gap = functools.cache(self._gap)
        self.pages = "none: plain operators"

    def _decoder(self, kind: str, cache: str) -> NativeDecoder | PlainDecoder:
        if self.kernels is None:
            return PlainDecoder(self.model.config, self.weights, kind, cache, self.p["blocks"])
        packed = pack_weights(self.model.config, self.weights, kind, self.kernels.rows)
        self.pages = packed.pages()
        print(f"{kind}: weights {self.pages}")
        return NativeDecoder(self.model.config, packed, self.kernels, kind, cache, self.p["blocks"])

    def _quality(self, kind: str, cache: str) -> Quality:
        """How the decoder of these kinds reads the passages."""
        read = [measures.order_error(self.decoder(kind, cache), passage) for passage in self.passages]
        found = [logits for logits, _ in read]
        by = "kernels" if self.kernels else "fused" if fused.is_fused(kind, paddle.get_device()) else "plain"
        return Quality(
            perplexity=measures.perplexity(found, self.passages),
            divergence=measures.divergence(self.yardstick.truth, np.stack(found)),
            expected=self.yardstick.divergence(kind, cache, by),
            order_error=max(error for _, error in read),
        )

    def _gap(self, kind: str, cache: str, prompt: tuple[int, ...], answer: tuple[int, ...]) -> float:
        return measures.answer_gap(self.decoder(kind, cache), prompt, answer)

    def run(self, variant: Variant) -> Result:
        decoder = self.decoder(variant.kind, variant.cache)
        batch = 1 if variant.option == "single" else self.p["batch"]
        sharing, lookup = variant.option != "unshared", variant.option == "lookup"
        engine = Engine(decoder, self.model.tokenizer.stops, batch, self.p["chunk"], sharing, lookup)
        requests, seconds = serve(engine, self.prompts, self.p["tokens"])
        gaps = [self.gap(variant.kind, variant.cache, tuple(r.prompt), tuple(r.answer)) for r in requests]
        return Result(
            requests=requests,
            figures=measures.serving(requests, seconds),
            counts=engine.counts,
            quality=self.quality(variant.kind, variant.cache),
            answer_gap=max(gaps),
            weight_bytes=decoder.weight_bytes,
            cache_bytes=decoder.cache_bytes,
        )


def note(program: Any, variant: Variant, result: Result) -> None:
    """The metrics of one row."""
    program.metric(f"throughput_{variant.word}", result.throughput)
    if variant.computes_otherwise:
        program.metric(f"divergence_{variant.word}", result.quality.divergence)
        program.metric(f"expected_{variant.word}", result.quality.expected)
    if variant.option == "lookup":
        program.metric("accepted_rate", result.accepted_rate)


def note_answers(program: Any, results: dict[Variant, Result]) -> None:
    """Whether the answers are those of the decoders, and what drafts, batches and shared beginnings changed."""
    gaps = [measures.in_multiples(result.answer_gap, result.quality.order_error) for result in results.values()]
    program.metric("answer_gap", max(gaps))
    pairs = [
        (answer, own)
        for variant, result in results.items()
        if not variant.computes_otherwise
        for answer, own in zip(results[Variant(variant.kind)].answers, result.answers, strict=True)
    ]
    if pairs:
        program.metric("same_answers", np.mean([answer == own for answer, own in pairs]))
    shares = [np.mean([bool(answer) for answer in result.answers]) for result in results.values()]
    program.metric("answered", min(shares))


def show(program: Any, results: dict[Variant, Result], bench: Bench) -> Variant:
    """Print the fastest row's figures and an answer, keep all rows in benchmark.txt; returns the fastest."""
    fastest = max(results, key=lambda variant: results[variant].throughput)
    print(f"\n{fastest.name}, the fastest:\n{measures.block(results[fastest].figures)}")
    decode = bench.model.tokenizer.decode
    question, answer = decode(bench.prompts[0]), decode(results[fastest].answers[0])
    print(f"\nthe first question, and how {fastest.name} begins to answer:\n{question[-300:].strip()}\n{answer}\n")
    table = [HEADER, *(result.row(variant.name) for variant, result in results.items())]
    blocks = [f"{variant.name}\n{measures.block(result.figures)}" for variant, result in results.items()]
    program.artefact("benchmark.txt").write_text("\n\n".join(["\n".join(table), *blocks]) + "\n", encoding="utf-8")
    return fastest


def main() -> None:
    program = kit.start(__file__, __doc__)
    p = program.parameters
    model, kernels = llm.open_model(p["model"]), make_kernels(p["isa"])
    bench = Bench(program, model, kernels)
    lengths = sorted(map(len, bench.prompts))
    print(f"{len(bench.prompts)} questions of {lengths[0]} to {lengths[-1]} tokens from ShareGPT\n\n{HEADER}")

    results: dict[Variant, Result] = {}
    for variant in variants(p["weights"], p["option"]):
        results[variant] = result = bench.run(variant)
        print(result.row(variant.name), flush=True)
        note(program, variant, result)
    note_answers(program, results)
    fastest = show(program, results, bench)

    # The proof of the device: one of Paddle's own decoders reads a passage on it.
    plain = PlainDecoder(model.config, bench.weights, "float32", "float32", -(-PASSAGE // PlainDecoder.block_size))
    program.used(plain.network)
    program.trace(reference=measures.text_logits(plain, bench.passages[0])[-1])
    program.metric("perplexity_float32", measures.perplexity(bench.yardstick.truth, bench.passages))
    program.metric("fastest", fastest.name)
    program.metric("kernels", kernels.isa if kernels else "none")
    program.metric("pages", bench.pages)
    program.metric("peak_host_megabytes", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE)
    program.finish()


if __name__ == "__main__":
    kit.main(main, llm.ModelError, conversations.NoConversations, NoKernels, ValueError)
