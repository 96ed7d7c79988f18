"""How much each input of a weight counts when the weight is rounded: the mean of its square over a text, E[x²].

Some inputs of a layer are a hundred times as important as others, and they are so in every text, even in one of random
tokens: which asks for no tokenizer, and is of no language. bench/quantisers.py measures what that loses.
"""

from collections.abc import Mapping
from typing import Any

import llm
import numpy as np
from layout import read_rows
from llm import exact

TOKENS = 256
LEAST = 0.01  # of the mean: what this text leaves silent another may not


class Observed(exact.Decoder):
    """numpy's decoder, which notes what its products with weights are given."""

    def __init__(self, config: llm.Config, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__(config, weights, "float32", exact.unchanged, exact.unchanged)
        self.importance: dict[str, np.ndarray] = {}

    def product(self, x: np.ndarray, *names: str) -> list[np.ndarray]:
        squares = np.square(x.reshape(-1, x.shape[-1])).mean(0)
        if squares.any():
            noted = squares + LEAST * squares.mean()
            self.importance.update((f"{name}.weight", noted) for name in names)
        return super().product(x, *names)


def importance(
    config: Any, weights: Mapping[str, np.ndarray], tokens: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """E[x²] of the inputs (inputs,) of the layers' weights, by their names; an expert that no token chose has none.

    The texts are `tokens` (texts, length), or one of random ones. Raises ValueError where a layer computes what is not
    a number.
    """
    decoder = Observed(config, weights)
    if tokens is None:
        tokens = np.random.default_rng(0).integers(0, config.vocabulary, (1, min(TOKENS, config.longest)))
    rows = [read_rows(weights, "model.embed_tokens.weight", token, token + 1) for token in tokens.ravel().tolist()]
    x = np.concatenate(rows).reshape(*tokens.shape, -1) * np.float32(config.embedding_scale)
    for number in range(config.layers):
        with np.errstate(over="ignore"):  # e^-x in an activation, whose 1 / (1 + e^-x) is 0 then
            x = decoder.layer(x, number)
        if not np.isfinite(x).all():
            raise ValueError(
                f"layer {number} computes what is not a number, so that nothing says how to round it to 4 bits: "
                "look for damaged weights, or take --weights bfloat16"
            )
    return decoder.importance
