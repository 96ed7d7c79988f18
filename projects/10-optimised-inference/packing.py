"""Weights in fewer bits, and the layout that the kernels read (kernels/kernels.h).

    kind       a weight is                                             bits a weight
    float32    itself                                                  32
    bfloat16   rounded to 8 bits of fraction                           16
    int8       q scale, q from -127 to 127, a scale for 32 weights     8.5
    int4       scale (q - zero), q from 0 to 15, both for 32 weights   4.5
    float8     e4m3, a scale for each row                              8

Scales of int8 are float16; how int4 chooses and writes its own is four_bits.py's. Rows and inputs that fill no whole
panel or group are filled up with zeros (layout.py). A panel is `rows` output rows; inside, what one row contributes
comes four bytes at a time:

    float32, bfloat16, float8   [input 0.. of row 0][of row 1]…, four bytes each; float8 after its row scales
    int8                        for each group of 32: scales of all rows; then bytes as above
    int4                        for each group of 32: scales with zeros; then bytes of inputs i (low) and i + 4 (high)
"""

from dataclasses import dataclass

import four_bits
import numpy as np

GROUP = 32  # inputs that share a scale
HEADS = {"int4": "int8", "float8": "int8"}  # the output layer bears fewer bits less well: it has int8 there
CALIBRATED = ("int4",)  # kinds whose rounding asks what a text gives the weights (calibration.py)
LARGEST_FLOAT8 = 448.0


@dataclass(frozen=True)
class Quantised:
    """A weight (rows, inputs) as whole numbers and what makes real ones of them."""

    numbers: np.ndarray  # (rows, inputs); the bits of bfloat16 and float8
    scales: np.ndarray | None = None  # (rows, groups), or (rows, 1) for float8
    zeros: np.ndarray | None = None  # (rows, groups)


def quantise(weight: np.ndarray, kind: str, importance: np.ndarray | None = None) -> Quantised:
    """Round weight (rows, inputs) float32 to `kind`; in 4 bits by the importance (inputs,) of its inputs.

    Raises ValueError if inputs are not whole groups of 32, or for weights that 4 bits do not span.
    """
    if weight.shape[1] % GROUP:
        raise ValueError(f"{weight.shape[1]} inputs are not whole groups of {GROUP}")
    if kind == "float32":
        return Quantised(np.ascontiguousarray(weight, np.float32))
    if kind == "bfloat16":
        bits = weight.view(np.uint32)
        return Quantised(((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16))
    if kind == "float8":
        scales = np.maximum(np.abs(weight).max(1, keepdims=True), 1e-30).astype(np.float32) / LARGEST_FLOAT8
        return Quantised(to_float8(weight / scales), scales)
    groups = weight.reshape(len(weight), -1, GROUP)
    if kind == "int8":
        scales = (np.abs(groups).max(2) / 127).astype(np.float16)
        numbers = np.rint(groups / _nonzero(scales)[..., None]).clip(-127, 127).astype(np.int8)
        return Quantised(numbers.reshape(weight.shape), scales)
    importance = np.ones(weight.shape[1]) if importance is None else importance
    numbers, scales, zeros = four_bits.fit(groups, importance.reshape(-1, GROUP))
    return Quantised(numbers.reshape(weight.shape), scales, zeros)


def dequantise(quantised: Quantised, kind: str) -> np.ndarray:
    """The weights (rows, inputs) float32 that the kernels in effect multiply with."""
    numbers = quantised.numbers
    if kind == "float32":
        return numbers
    if kind == "bfloat16":
        return (numbers.astype(np.uint32) << 16).view(np.float32)
    if kind == "float8":
        return FLOAT8[numbers] * quantised.scales
    groups = numbers.reshape(len(numbers), -1, GROUP)
    if quantised.zeros is not None:
        groups = groups - quantised.zeros[..., None]
    return (groups * quantised.scales.astype(np.float32)[..., None]).reshape(numbers.shape)


def pack(quantised: Quantised, kind: str, rows: int) -> np.ndarray:
    """The bytes (uint8,) of all panels of `rows` rows. Raises ValueError if rows do not fill whole panels."""
    total, inputs = quantised.numbers.shape
    if total % rows:
        raise ValueError(f"{total} rows do not fill panels of {rows}")
    panels = total // rows
    if kind == "int4":
        # (panel, group, four pairs of four inputs, rows, four): low nibbles from the first four of a pair.
        numbers = quantised.numbers.reshape(panels, rows, -1, 4, 2, 4).transpose(0, 2, 3, 4, 1, 5)
        data = _bytes(numbers[:, :, :, 0] | numbers[:, :, :, 1] << 4, panels, inputs // GROUP)
        heads = _heads(four_bits.written(quantised.scales, quantised.zeros), panels)
        return np.concatenate([heads, data], axis=-1).reshape(-1)
    step = 4 // quantised.numbers.itemsize  # inputs in four bytes
    numbers = quantised.numbers.reshape(panels, rows, -1, step).transpose(0, 2, 1, 3)
    if kind == "int8":
        return np.concatenate(
            [_heads(quantised.scales, panels), _bytes(numbers, panels, inputs // GROUP)], axis=-1
        ).reshape(-1)
    if kind == "float8":
        scales = np.ascontiguousarray(quantised.scales.reshape(panels, 1, rows)).view(np.uint8)
        return np.concatenate([scales, _bytes(numbers, panels, 1)], axis=-1).reshape(-1)
    return _bytes(numbers, panels, 1).reshape(-1)


def packed_size(kind: str, outputs: int, inputs: int) -> int:
    """How many bytes `pack` gives for so many rows of so many inputs."""
    bits = {"float32": 32, "bfloat16": 16, "int8": 8, "int4": 4, "float8": 8}[kind]
    heads = {"int8": 2 * inputs // GROUP, "int4": 2 * inputs // GROUP, "float8": 4}.get(kind, 0)
    return outputs * (inputs * bits // 8 + heads)


def embedding_kind(kind: str) -> str:
    return "float32" if kind == "float32" else "bfloat16"


def to_float8(x: np.ndarray) -> np.ndarray:
    """The nearest e4m3 numbers of x, as their bits; beyond 448 the largest."""
    middles = (FLOAT8[:126] + FLOAT8[1:127]) / 2
    size = np.searchsorted(middles, np.abs(x)).astype(np.uint8)
    return size | (np.signbit(x).astype(np.uint8) << 7)


def _float8_values() -> np.ndarray:
    """What each of the 256 bit patterns of e4m3 means (https://arxiv.org/abs/2209.05433); the two NaN as 480."""
    bits = np.arange(256)
    exponent, fraction = bits >> 3 & 15, bits & 7
    size = np.where(exponent > 0, (1 + fraction / 8) * 2.0 ** (exponent - 7.0), fraction / 8 * 2.0**-6)
    return np.where(bits & 128, -size, size).astype(np.float32)


FLOAT8 = _float8_values()


def _nonzero(scales: np.ndarray) -> np.ndarray:
    return np.where(scales == 0, 1, scales.astype(np.float32))


def _heads(values: np.ndarray, panels: int) -> np.ndarray:
    """What groups have in 16 bits (rows, groups) as bytes (panels, groups, rows * 2)."""
    return np.ascontiguousarray(values.reshape(panels, -1, values.shape[1]).transpose(0, 2, 1)).view(np.uint8)


def _bytes(numbers: np.ndarray, panels: int, groups: int) -> np.ndarray:
    return np.ascontiguousarray(numbers).view(np.uint8).reshape(panels, groups, -1)
