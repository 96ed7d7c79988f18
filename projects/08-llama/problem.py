"""What is learnt: text that every installation of Python has."""

import pydoc_data.topics
from collections.abc import Sequence
from typing import Any

import numpy as np

Steps = Sequence[tuple[np.ndarray, np.ndarray]]  # of each step, token numbers and the next ones, (batch, length) each


def text(p: dict[str, Any], seed: int) -> Steps:
    """Random windows of Python's documentation, a byte a token: every rank draws the same."""
    topics = pydoc_data.topics.topics
    letters = np.frombuffer("\n".join(topics[name] for name in sorted(topics)).encode(), np.uint8).astype("int64")
    numbers, steps = np.random.default_rng(seed), []
    for _ in range(p["steps"]):
        starts = numbers.integers(0, len(letters) - p["length"] - 1, p["batch"])
        windows = np.stack([letters[start : start + p["length"] + 1] for start in starts])
        steps.append((windows[:, :-1], windows[:, 1:]))
    return steps
