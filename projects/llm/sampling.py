"""Which token comes next: the likeliest, or one drawn by temperature, top-k and top-p."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class Sampler:
    """Chooses tokens from logits, on the host: numpy's generator gives the same numbers beside every device.

    `temperature` 0 takes the likeliest token. `top_k` keeps that many of the likeliest (0: all), then `top_p`
    the fewest that together have this probability (nucleus sampling, https://arxiv.org/abs/1904.09751).
    """

    def __init__(self, temperature: float = 0.0, top_k: int = 0, top_p: float = 1.0, seed: int = 0) -> None:
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p
        self._numbers = np.random.default_rng(seed)

    def choose(self, logits: Array) -> int:
        """The next token from `logits` (vocabulary,)."""
        if self.temperature == 0:
            return int(np.argmax(logits))
        probabilities = self.probabilities(logits)
        return int(self._numbers.choice(probabilities.size, p=probabilities))

    def probabilities(self, logits: Array) -> Array:
        """The distribution (vocabulary,) that is drawn from, in float64."""
        logits = np.asarray(logits, dtype=np.float64)
        logits = (logits - logits.max()) / self.temperature  # 0 stays 0 at any temperature, so that none is infinite
        if not self.top_k and self.top_p >= 1:  # all are kept: nothing to sort
            found: Array = np.exp(logits)
            return found / float(found.sum())
        order = np.argsort(-logits, kind="stable")
        if self.top_k:
            order = order[: self.top_k]
        likely = np.exp(logits[order])
        likely /= likely.sum()
        before = np.cumsum(likely) - likely  # the probability of all that is likelier
        kept = before < self.top_p
        kept[0] = True
        found = np.zeros(logits.size)
        found[order[kept]] = likely[kept] / likely[kept].sum()
        return found
