"""What is measured of serving and of the answers' quality."""

import itertools
from collections.abc import Sequence

import numpy as np
from decoder import Decoder
from engine import Request

LEFT = (64, 27, 16, 8, 5, 3, 2, 1)  # tokens that a text still has at the ends of its pieces


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """log softmax over the last axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def text_logits(decoder: Decoder, tokens: Sequence[int], ends: Sequence[int] = ()) -> np.ndarray:
    """Logits (length, vocabulary) at every place of a text, in one step or in pieces with these ends.

    The cache's first blocks are written over.
    """
    table = list(range(-(-len(tokens) // decoder.block_size)))
    found = []
    for start, end in itertools.pairwise([0, *ends, len(tokens)]):
        places = np.arange(start, end)
        found.append(decoder.step(np.array(tokens)[places], places * 0, places, [table], places - start))
    return np.concatenate(found)


def order_error(decoder: Decoder, text: Sequence[int]) -> tuple[np.ndarray, float]:
    """Logits of a text read in pieces of ever fewer tokens, and how far those of one step are from them at most.

    The numbers that are added up are the same, their order need not be.
    """
    ends = [len(text) - left for left in LEFT if left < len(text)]
    found = text_logits(decoder, text, ends)
    return found, float(np.abs(found - text_logits(decoder, text)).max())


def answer_gap(decoder: Decoder, prompt: Sequence[int], answer: Sequence[int]) -> float:
    """How far a token of the answer lies below the likeliest in logits, at most, when the whole text is one step.

    That step has no drafts, no other texts beside it and no beginning that was computed before.
    """
    if not answer:
        return 0.0
    logits = text_logits(decoder, [*prompt, *answer])[len(prompt) - 1 : -1]
    return float((logits.max(-1) - logits[np.arange(len(logits)), answer]).max())


def in_multiples(gap: float, unit: float) -> float:
    """gap / unit; 0 for no gap, and infinite for one where the unit is 0: then there is nothing to excuse it."""
    return 0.0 if gap == 0 else gap / unit if unit else float("inf")


def divergence(reference: np.ndarray, found: np.ndarray) -> float:
    """The mean over places of KL(reference || found) in nats, of logits (places, vocabulary)."""
    p, q = log_probabilities(reference), log_probabilities(found)
    return float((np.exp(p) * (p - q)).sum(-1).mean())


def surprise(logits: np.ndarray, tokens: Sequence[int]) -> float:
    """Mean negative log probability of each next token, in nats; e to its power is the perplexity."""
    following = np.array(tokens[1:])
    return float(-log_probabilities(logits[:-1])[np.arange(len(following)), following].mean())


def perplexity(logits: Sequence[np.ndarray], passages: Sequence[Sequence[int]]) -> float:
    """How many tokens the model in effect wavers between, over texts of the same length."""
    return float(np.exp(np.mean(list(map(surprise, logits, passages)))))


def serving(requests: Sequence[Request], seconds: float) -> dict[str, float]:
    """The figures of vLLM's serving benchmark, times in milliseconds, by the names that it prints."""
    answered = [request for request in requests if request.answer]
    first = [request.times[0] - request.arrived for request in answered]
    per_token = [
        (request.times[-1] - request.times[0]) / (len(request.times) - 1)
        for request in answered
        if len(request.times) > 1
    ]
    between = [gap for request in answered for gap in np.diff(request.times)]
    given, made = sum(len(r.prompt) for r in requests), sum(len(r.answer) for r in requests)
    figures = {
        "Successful requests": len(answered),
        "Benchmark duration (s)": seconds,
        "Total input tokens": given,
        "Total generated tokens": made,
        "Request throughput (req/s)": len(answered) / seconds,
        "Output token throughput (tok/s)": made / seconds,
        "Total Token throughput (tok/s)": (given + made) / seconds,
    }
    for name, values in [("TTFT", first), ("TPOT", per_token), ("ITL", between)]:
        milliseconds = 1000 * np.array(values or [0.0])
        figures[f"Mean {name} (ms)"] = float(milliseconds.mean())
        figures[f"Median {name} (ms)"] = float(np.median(milliseconds))
        figures[f"P99 {name} (ms)"] = float(np.percentile(milliseconds, 99))
    return figures


TITLES = {
    "TTFT": "Time to First Token",
    "TPOT": "Time per Output Token (excl. 1st token)",
    "ITL": "Inter-token Latency",
}


def block(figures: dict[str, float]) -> str:
    """The figures as vLLM's benchmark_serving.py prints them."""
    lines = [" Serving Benchmark Result ".center(50, "=")]
    for name, value in figures.items():
        kind = name.split()[1]
        if name.startswith("Mean ") and kind in TITLES:
            lines.append(TITLES[kind].center(50, "-"))
        lines.append(
            f"{name + ':':<40} {value:<10.2f}" if isinstance(value, float) else f"{name + ':':<40} {value:<10}"
        )
    return "\n".join([*lines, "=" * 50])
