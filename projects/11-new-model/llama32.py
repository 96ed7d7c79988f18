"""Llama 3.2, text (https://arxiv.org/abs/2407.21783): the decoder of ../llm/decoder.py with a longer context.

What it adds to the Llama before it: rotary frequencies stretched for a long context, "llama3" scaling. `config` is the
dictionary of the checkpoint's config.json, under its names.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import llm
import numpy as np
from llm import ModelError
from llm.config import numbers
from llm.decoder import Llama
from llm.rope import Rope, rotary_frequencies
from llm.tensors import expected_shapes
from llm.unknown import refuse_rope

Config = Mapping[str, Any]
Shapes = dict[str, tuple[int, ...]]
LLAMA3 = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")


def frequencies(config: Config) -> np.ndarray:
    """Radians a position for each pair of a head, (D/2,). Raises ModelError for a scaling that is not known here."""
    # Newer files have all in rope_parameters, older ones rope_theta beside rope_scaling.
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    known = numbers(config)
    turns = rotary_frequencies(known.rope_theta, known.head_dim)
    refuse_rope(rope, LLAMA3 if kind == "llama3" else ())
    if kind == "default":
        return turns
    if kind != "llama3":
        raise ModelError(f"rope scaling {kind!r} is unknown here, there is default and llama3: take another model")
    # Fast pairs, which turn high_freq_factor times and more in the old context, stay; slow ones are stretched.
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    turned = rope["original_max_position_embeddings"] * turns / (2 * np.pi)
    kept = np.clip((turned - low) / (high - low), 0, 1)  # 1: as it was, 0: stretched by the whole factor
    return turns * (kept + (1 - kept) / rope["factor"])


def stretched(config: Config) -> llm.Config:
    """The numbers of the decoder, its pairs turned by these frequencies."""
    known = numbers(config)
    factors = rotary_frequencies(known.rope_theta, known.head_dim) / frequencies(config)
    rope = Rope(
        theta=known.rope_theta,
        pairs=factors.size,
        kind="factors",
        context=known.context,
        settings={"factors": factors},
    )
    return replace(known, ropes=(rope,))


class Llama32(Llama):
    """Llama with stretched frequencies."""

    KNOWN = ()  # keys of config.json that other models lack

    @staticmethod
    def shapes(config: Config) -> Shapes:
        """Every tensor that a checkpoint of this configuration has."""
        return expected_shapes(numbers(config))

    def __init__(self, config: Config, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__(stretched(config), weights)
