"""Weights in 4.5 bits: w = scale (q - zero), q from 0 to 15, scale and zero for 32 weights, in 16 bits together.

    the scale   9 bits: 5 of exponent and 4 of fraction, as a float32 has them, but from 2^-20 on; up to 3968
    the zero    7 bits: eighths of a step, from 0 to 15 7/8, so that 0 lies among the sixteen steps

Rounding weights w to v changes an output by Σ (v - w) x. Errors of different weights know nothing of each other, so
the mean of its square over a text is about Σ (v - w)² E[x²], which is made small here. E[x²] is an input's importance
(calibration.py): the diagonal of what GPTQ minimises as a whole (https://arxiv.org/abs/2210.17323, equation 1).

For given numbers q the best scale and zero are the line of weighted least squares through the points (q, w); for a
given line the best numbers are the nearest ones. So one after the other (as Lloyd,
https://doi.org/10.1109/TIT.1982.1056489), from the line through the smallest and the greatest weight. A line that 16
bits hold may be worse than the one before: the best of all is kept.
"""

import numpy as np

SMALLEST, LARGEST = 2.0**-20, 2.0**12 * (1 - 2**-5)  # scales
TURNS = 3
FRACTION = 23 - 4  # bits of a float32's fraction that a scale has not
FIRST = np.float32(SMALLEST).view(np.uint32)  # the bits of the scale that is written as 0
AT_ONCE = 2**15  # weights: they stay in the processor's cache


def fit(groups: np.ndarray, importance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers (rows, groups, 32) uint8, scales and zeros (rows, groups) float32 for weights (rows, groups, 32).

    `importance` (groups, 32) is positive. Raises ValueError for weights that no scale spans.
    """
    share = (importance / importance.sum(1, keepdims=True)).astype("float32")
    step = max(AT_ONCE // groups[0].size, 1)
    pieces = [_fit(groups[first : first + step], share) for first in range(0, len(groups), step)]
    numbers, scales, zeros = (np.concatenate(each) for each in zip(*pieces, strict=True))
    return numbers, scales, zeros


def _fit(groups: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    def mean(x: np.ndarray) -> np.ndarray:
        return np.einsum("rgi,gi->rg", x, share)[..., None]

    least, most = groups.min(2, keepdims=True).clip(max=0), groups.max(2, keepdims=True).clip(min=0)
    if not (most - least).max(initial=0) <= 15 * LARGEST:  # nor what is not a number
        raise ValueError(
            f"weights are not numbers, or further from 0 and each other than the {15 * LARGEST:.0f} that 4 bits span: "
            "take --weights bfloat16"
        )
    scale, zero = representable((most - least) / 15, np.float32(0), least)
    middle, found, fewest = mean(groups), (np.zeros_like(groups), scale, zero), np.float32(np.inf)
    for _ in range(TURNS):
        q = np.rint(groups / scale + zero).clip(0, 15)
        error = mean(np.square(scale * (q - zero) - groups))
        better = error < fewest
        found = tuple(np.where(better, new, old) for new, old in zip((q, scale, zero), found, strict=True))
        fewest = np.minimum(error, fewest)
        centre = mean(q)
        off = q - centre
        scale, zero = representable(mean(off * groups) / np.maximum(mean(off * off), 1e-9), centre, middle)
    q, scale, zero = found
    return q.astype("uint8"), scale[..., 0], zero[..., 0]


def representable(scale: np.ndarray, q: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest scale that can be written, and the nearest zero with which the line goes through (q, w)."""
    bits = np.clip(scale, SMALLEST, LARGEST).astype("float32").view(np.uint32)
    scale = ((bits + (1 << FRACTION - 1)) >> FRACTION << FRACTION).view(np.float32)
    return scale, np.rint(8 * (q - w / scale)).clip(0, 127).astype("float32") / 8


def written(scales: np.ndarray, zeros: np.ndarray) -> np.ndarray:
    """Scales and zeros as uint16."""
    bits = (scales.view(np.uint32) - FIRST) >> FRACTION
    return (bits << 7 | (8 * zeros).astype("uint32")).astype("uint16")


def read(heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The scales and zeros, float32, that `written` wrote."""
    bits = heads.astype("uint32")
    return ((bits >> 7 << FRACTION) + FIRST).view(np.float32), (bits & 127).astype("float32") / 8
