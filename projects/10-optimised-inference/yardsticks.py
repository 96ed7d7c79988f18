"""What each kind of weights is held against: numpy's decoder (../llm/exact.py), on numbers rounded as the kind says.

The kinds are written down here once more, as formulas of their steps; nothing of packing.py, the kernels or the
decoders takes part. So a decoder is right if it is no further from the truth than its kind's steps alone are, whatever
the model's weights are and wherever it runs.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import llm
import measures
import numpy as np
from llm import exact
from packing import GROUP, HEADS

Rounding = Callable[[np.ndarray], np.ndarray]


def to_steps(x: np.ndarray, step: np.ndarray) -> np.ndarray:
    """The nearest whole multiple of `step`; 0 where that is 0."""
    return np.rint(x / np.where(step == 0, 1, step)) * step


def by_groups(rounding: Rounding) -> Rounding:
    """The rounding of each group of 32 along the last axis."""

    def rounded(x: np.ndarray) -> np.ndarray:
        size = x.shape[-1]
        whole = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -size % GROUP)])
        return rounding(whole.reshape(*x.shape[:-1], -1, GROUP)).reshape(whole.shape)[..., :size]

    return rounded


def symmetrical(levels: int) -> Rounding:
    """So many steps to each side of 0, up to the greatest of the last axis."""
    return lambda x: to_steps(x, np.abs(x).max(-1, keepdims=True) / levels)


def significant(x: np.ndarray, bits: int) -> np.ndarray:
    """So many significant bits."""
    return to_steps(x, np.exp2(np.frexp(x)[1] - bits).astype(x.dtype))


def bfloat16(x: np.ndarray) -> np.ndarray:
    return significant(x, 8)


def four_bits(x: np.ndarray) -> np.ndarray:
    """Fifteen steps of five significant bits, from the smallest of the last axis on, with 0 on an eighth of a step."""
    least, most = x.min(-1, keepdims=True).clip(max=0), x.max(-1, keepdims=True).clip(min=0)
    step = significant((most - least) / 15, 5)
    start = to_steps(least, step / 8)
    return start + to_steps((x - start).clip(0, 15 * step), step)


def float8(x: np.ndarray) -> np.ndarray:
    """Four significant bits, or steps of 2^-9 near 0, where the greatest of the last axis is 448: e4m3."""
    scale = np.abs(x).max(-1, keepdims=True) / 448
    y = x / np.where(scale == 0, 1, scale)
    return to_steps(y, np.exp2(np.maximum(np.frexp(y)[1] - 4, -9)).astype(x.dtype)) * scale


WEIGHTS: Mapping[str, Rounding] = {
    "float32": exact.unchanged,
    "bfloat16": bfloat16,
    "int8": by_groups(symmetrical(127)),
    "int4": by_groups(four_bits),
    "float8": float8,
}
FUSED: Mapping[str, Rounding] = {"int8": symmetrical(127), "int4": symmetrical(7)}  # fused.py: a scale for each output
INPUTS: Mapping[str, Rounding] = {"bfloat16": bfloat16, "int8": WEIGHTS["int8"], "int4": WEIGHTS["int8"]}
CACHED: Mapping[str, Rounding] = {
    "float32": exact.unchanged,
    "float16": lambda x: x.astype("float16"),
    "int8": symmetrical(127),
}


class Rounded(Mapping[str, np.ndarray]):
    """The weights of a model as a kind has them, each rounded when it is asked for; the output layer's are apart."""

    def __init__(self, weights: Mapping[str, np.ndarray], kind: str, fused: bool) -> None:
        self.weights, self.kind, self.roundings = weights, kind, {**WEIGHTS, **(FUSED if fused else {})}

    def __getitem__(self, name: str) -> np.ndarray:
        if name == "model.embed_tokens.weight":
            return WEIGHTS["float32" if self.kind == "float32" else "bfloat16"](self.weights[name])
        if name == "lm_head.weight":
            own = self.weights[name if name in self.weights else "model.embed_tokens.weight"]
            return self.roundings[HEADS.get(self.kind, self.kind)](own)
        weight = self.weights[name]
        return weight if weight.ndim == 1 else self.roundings[self.kind](weight)

    def __iter__(self):
        return iter(self.weights)

    def __len__(self) -> int:
        return len(self.weights)


class Yardstick:
    """Logits of texts of one length in float64, and how far the steps of a kind lead from them."""

    def __init__(self, config: llm.Config, weights: Mapping[str, np.ndarray], texts: list[list[int]]) -> None:
        self.config, self.weights, self.texts = config, weights, np.array(texts)
        self.truth = exact.logits(config, weights, self.texts)

    def divergence(self, kind: str, cache: str, by: str = "kernels") -> float:
        """KL from the truth to weights of `kind` and a `cache` of a kind, in nats; in float32 beside that.

        `by` whom it is computed: "kernels" round the inputs of products, too, "plain" operators nothing else, and
        "fused" ones have a scale for each output.
        """
        rounded = Rounded(self.weights, kind, by == "fused")
        inputs = INPUTS.get(kind, exact.unchanged) if by == "kernels" else exact.unchanged
        config = replace(self.config, tied=False)
        found = exact.logits(config, rounded, self.texts, "float32", inputs, CACHED[cache])
        return measures.divergence(self.truth, found)
