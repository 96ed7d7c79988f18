"""Which token comes next: the likeliest, or one drawn by temperature, top-k, top-p and min-p."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
NEVER = -40.0  # a logit so far below the best is drawn once in 10**17 tokens: it need not take part


class SamplingError(ValueError):
    """No token can be chosen; the text says why."""


class Guide(Protocol):
    """What says which tokens may come next, as a grammar does."""

    finished: bool  # nothing may follow any more

    def allowed(self) -> Array:
        """(vocabulary,) of bool."""
        ...

    def accept(self, token: int) -> None:
        """The token came."""
        ...


@dataclass(frozen=True)
class Changes:
    """What a request changes in the logits, with OpenAI's and vLLM's meaning of each."""

    presence: float = 0.0
    frequency: float = 0.0
    repetition: float = 1.0
    bias: Mapping[int, float] = field(default_factory=dict)
    prompt: Collection[int] = ()  # counted by `repetition` beside the answer
    barred: Collection[int] = ()  # tokens that may not come among the first
    barred_for: int = 0  # so many


class Sampler:
    """Chooses tokens from logits, on the host: numpy's generator gives the same numbers beside every device.

    `temperature` 0 takes the likeliest token. `top_k` keeps that many of the likeliest (0: all), then `top_p`
    the fewest that together have this probability (nucleus sampling, https://arxiv.org/abs/1904.09751), and `min_p`
    those that have at least this part of the likeliest one's (https://arxiv.org/abs/2407.01082).

    A token is drawn by a race: each runs for an exponential time over its probability, and the first wins. The times
    come from the seed and how many tokens were chosen before, one for each token of the vocabulary, so that logits
    which differ in their last bits, as in another batch, draw another token only where two arrive at the same time.
    """

    def __init__(
        self,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        min_p: float = 0.0,
        changes: Changes | None = None,
        guide: Guide | None = None,
    ) -> None:
        self.temperature, self.top_k, self.top_p, self.min_p = temperature, top_k, top_p, min_p
        self.seed, self.changes, self.guide = seed % 2**128, changes, guide
        self._count = 0  # tokens that were chosen
        self._answer: Counter[int] = Counter()

    @property
    def finished(self) -> bool:
        """Whether nothing may follow."""
        return self.guide is not None and self.guide.finished

    def choose(self, logits: Array) -> int:
        """The next token from `logits` (vocabulary,). Raises SamplingError where there is none."""
        logits = self._changed(logits)
        best = float(logits.max())  # NaN, if one is
        if not np.isfinite(best):
            raise SamplingError("no token may come next" if best == -np.inf else "the model's logits are not numbers")
        token = int(np.argmax(logits)) if self.temperature == 0 else self._draw(logits)
        self._count += 1
        if self.changes:
            self._answer[token] += 1
        if self.guide:
            self.guide.accept(token)
        return token

    def _changed(self, logits: Array) -> Array:
        c = self.changes
        if c is not None:
            logits = np.array(logits, dtype=np.float64)
            if c.repetition != 1:
                seen = np.array(sorted({*c.prompt, *self._answer}), dtype=np.int64)
                logits[seen] *= np.where(logits[seen] > 0, 1 / c.repetition, c.repetition)
            for token, times in self._answer.items():
                logits[token] -= c.presence + c.frequency * times
            for token, value in c.bias.items():
                logits[token] += value
            if self._count < c.barred_for:
                logits[list(c.barred)] = -np.inf
        return logits if self.guide is None else np.where(self.guide.allowed(), logits, -np.inf)

    def _draw(self, logits: Array) -> int:
        tokens, scaled = self._kept(logits)
        times = np.random.Generator(np.random.Philox(key=self.seed, counter=self._count)).standard_exponential(
            logits.size
        )
        running = scaled > NEVER
        tokens = tokens[running]
        return int(tokens[np.argmax(scaled[running] - np.log(times[tokens]))])

    def probabilities(self, logits: Array) -> Array:
        """The distribution (vocabulary,) that is drawn from, in float64."""
        tokens, scaled = self._kept(logits)
        found = np.zeros(logits.size)
        found[tokens] = np.exp(scaled)
        return found / float(found.sum())

    def _kept(self, logits: Array) -> tuple[Array, Array]:
        """The tokens that may be drawn, and their logits by temperature, of which the likeliest's is 0."""
        logits = np.asarray(logits, dtype=np.float64)
        with np.errstate(over="ignore"):  # at a temperature of nearly 0 all others are infinitely far
            scaled = (logits - logits.max()) / self.temperature
        tokens = np.arange(logits.size)
        if self.top_k:
            tokens = likeliest(scaled, self.top_k)
        if self.top_p < 1:
            tokens = self._nucleus(scaled, tokens)
        if self.min_p:
            tokens = tokens[scaled[tokens] >= np.log(self.min_p)]
        return tokens, scaled[tokens]

    def _nucleus(self, scaled: Array, tokens: Array) -> Array:
        """Of `tokens`, the fewest that have the probability top_p, the likeliest first."""
        whole = np.exp(scaled[tokens]).sum()
        some = 1024  # nearly always enough, and sorted in no time
        while True:
            first = tokens[likeliest(scaled[tokens], some)]
            likely = np.exp(scaled[first]) / whole
            before = np.cumsum(likely) - likely  # the probability of all that is likelier
            if first.size == tokens.size or before[-1] >= self.top_p:
                kept = before < self.top_p
                kept[0] = True
                return np.asarray(first[kept])
            some *= 16


def likeliest(logits: Array, count: int) -> Array:
    """The places of the `count` largest, in order; of equal ones the first."""
    if count < logits.size:
        least = np.partition(logits, logits.size - count)[logits.size - count]
        places = np.flatnonzero(logits >= least)
    else:
        places = np.arange(logits.size)
    return np.asarray(places[np.argsort(-logits[places], kind="stable")][:count])


def log_probabilities(logits: Array) -> Array:
    """log softmax (vocabulary,) in float64."""
    logits = np.asarray(logits, dtype=np.float64)
    logits = logits - logits.max()
    return np.asarray(logits - np.log(np.exp(logits).sum()))
