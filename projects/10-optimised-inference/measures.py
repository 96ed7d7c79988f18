"""What is measured of serving and of the answers' quality."""

from collections.abc import Sequence

import numpy as np
from decoder import Decoder
from engine import Request


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """log softmax over the last axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def text_logits(decoder: Decoder, tokens: Sequence[int]) -> np.ndarray:
    """Logits (length, vocabulary) at every place of a text; the cache's first blocks are written over."""
    length = len(tokens)
    table = list(range(-(-length // decoder.block_size)))
    everywhere = np.arange(length)
    return decoder.step(np.array(tokens), np.zeros(length, int), everywhere, [table], everywhere)


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
