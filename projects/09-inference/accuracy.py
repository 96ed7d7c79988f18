"""How right the decoder is: its logits against numpy's in float64, its greedy answers against transformers'."""

import json
from dataclasses import dataclass
from pathlib import Path

import llm
import numpy as np
from generation import generate
from llm import exact
from llm.decoder import KVCache, Llama

REFERENCE = Path(__file__).resolve().parent / "reference.json"
SINGLE = 4  # tokens at the end of the text that are read one at a time, from the cache


@dataclass(frozen=True)
class Accuracy:
    """What the device's rounding does to the logits of a text, and what numpy's float32 does to them."""

    error: float  # of the network, against float64: relative, root mean square of all places
    rounding: float  # of numpy in float32, the same
    difference: float  # the greatest of any logit of the network, absolute
    logits: np.ndarray  # (T, V), the network's


def accuracy(network: Llama, model: llm.Model, text: list[int]) -> Accuracy:
    """Read the text as prompts and answers are read, a piece and then single tokens, and compare all its logits."""
    tokens, cache = np.array([text]), KVCache()
    pieces = np.split(tokens, range(max(len(text) - SINGLE, 1), len(text)), axis=1)
    found = np.concatenate([network.step(piece, cache).numpy() for piece in pieces], axis=1)
    truth, float32 = (exact.logits(model.config, model.weights, tokens, dtype) for dtype in ("float64", "float32"))
    difference = float(np.abs(found - truth).max())
    return Accuracy(exact.error(found, truth), exact.error(float32, truth), difference, found[0])


def reference() -> tuple[list[dict], float]:
    """What transformers answered, and how close its two likeliest tokens ever came, in logits."""
    answers = json.loads(REFERENCE.read_text(encoding="utf-8"))["answers"]
    return answers, min(answer["margin"] for answer in answers)


def agreement(network: Llama, tokenizer: llm.Tokenizer, answers: list[dict]) -> tuple[float, list[str]]:
    """The share of greedy tokens that are those of the `answers`, and our answers in words."""
    equal, total, texts = 0, 0, []
    for entry in answers:
        prompt, expected = tokenizer.chat(entry["prompt"]), entry["tokens"]
        if prompt != entry["prompt_tokens"]:
            print(f"  the tokenizer reads {entry['prompt']!r} otherwise than transformers' does")
        # A token that ends the answer is not part of it, so the limit is what the reference has.
        found = generate(network, prompt, len(expected), llm.Sampler(), tokenizer.stops).tokens
        same = sum(a == b for a, b in zip(found, expected, strict=False)) if prompt == entry["prompt_tokens"] else 0
        equal, total = equal + same, total + len(expected)
        texts.append(tokenizer.decode(found))
        print(f"  {same}/{len(expected)} tokens equal: {entry['prompt']} → {texts[-1]!r}")
    return equal / total, texts
