"""From a prompt to an answer, token by token."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import llm
import numpy as np
from llm.decoder import KVCache, Llama


@dataclass
class Answer:
    """The tokens of an answer, and when each came: seconds after the prompt was given."""

    tokens: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    stopped: str = "length"  # why it ended: length, a stop token, or the context

    @property
    def tokens_per_second(self) -> float:
        """Of all tokens after the first, whose time is that of reading the prompt."""
        return (len(self.tokens) - 1) / (self.seconds[-1] - self.seconds[0]) if len(self.tokens) > 1 else 0.0


def generate(
    network: Llama,
    prompt: list[int],
    limit: int,
    sampler: llm.Sampler,
    stops: frozenset[int],
    seen: Callable[[int], None] = lambda token: None,
) -> Answer:
    """Answer `prompt` with at most `limit` tokens; `seen` is called with each as soon as it is there.

    A stop token ends the answer and is not part of it. Raises llm.ModelError for a prompt that is empty or that
    leaves no room in the context.
    """
    context = network.config.context
    if not prompt:
        raise llm.ModelError("the prompt is empty: give some text with --set prompt=...")
    if len(prompt) >= context:
        raise llm.ModelError(
            f"the prompt is {len(prompt)} tokens, the model's context {context}: an answer has no room; shorten it"
        )
    answer, cache = Answer(), KVCache()
    started = time.perf_counter()
    logits = network.step(np.array([prompt]), cache, last=True)
    while True:
        token = sampler.choose(logits[0, -1].numpy())
        if token in stops:
            answer.stopped = "stop token"
            return answer
        answer.tokens.append(token)
        answer.seconds.append(time.perf_counter() - started)
        seen(token)
        if len(answer.tokens) == limit:
            return answer
        if len(prompt) + len(answer.tokens) == context:
            answer.stopped = "context"
            return answer
        logits = network.step(np.array([[token]]), cache)
