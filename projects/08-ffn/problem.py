"""What all routes of 8-2 train, and on what: the same numbers on every rank and every kind of hardware."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import reference
from ffn import first_weights

Weights = dict[str, np.ndarray]  # of one block
Step = tuple[np.ndarray, np.ndarray]  # batch and answers, (batch, length, hidden) each


@dataclass(frozen=True)
class Problem:
    """A chain of blocks that learns from a teacher, one more block. Nothing is kept: all is drawn when it is asked for.

    Args:
        p: the part's parameters.
    """

    p: dict[str, Any]
    seed: int

    def weights(self, block: int) -> Weights:
        """A block's first weights, rounded to float32; the teacher's stand behind the last block's, and are larger."""
        gain = 2.0 if block == self.p["blocks"] else 1.0
        drawn = first_weights(self.p["hidden"], self.p["inner"], np.random.default_rng([self.seed, block]), gain)
        return {name: value.astype("float32") for name, value in drawn.items()}

    def steps(self) -> Iterator[Step]:
        """The steps' batches, with the teacher's answers, computed in float64: the same everywhere."""
        p, numbers = self.p, np.random.default_rng([self.seed, self.p["blocks"] + 1])
        teacher = {name: value.astype(float) for name, value in self.weights(p["blocks"]).items()}
        for _ in range(p["steps"]):
            x = numbers.normal(size=(p["batch"], p["length"], p["hidden"])).astype("float32")
            answers, _ = reference.forward(teacher, x.astype(float).reshape(-1, p["hidden"]), p["activation"])
            yield x, answers.astype("float32").reshape(x.shape)
