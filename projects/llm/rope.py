"""How far a head's pairs turn from one position to the next: rotary embedding and the ways to stretch it.

A head of D numbers has D/2 pairs, the pair i being (i, i + D/2) (https://arxiv.org/abs/2104.09864). Stretched are the
frequencies: "linear" by one factor; "dynamic" by the length of the text, once it is longer than the model's context;
"llama3" slow pairs alone; "yarn" slow pairs, with a ramp to the fast ones (https://arxiv.org/abs/2309.00071);
"longrope" each by its own factor (https://arxiv.org/abs/2402.13753); "factors" the same, as GGUF's `rope_freqs` has it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import ModelError
from .values import number, numbers_of

Array = np.ndarray[Any, np.dtype[Any]]
LLAMA3 = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
YARN = ("factor", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate")
LONGROPE = ("factor", "attention_factor", "short_factor", "long_factor", "original_max_position_embeddings")


@dataclass(frozen=True, kw_only=True)
class Rope:
    """One rotary embedding; `settings` under the names of config.json's `rope_scaling`."""

    theta: float
    pairs: int  # of a head that turn; the others have the frequency 0
    still: int = 0  # pairs of a head that do not
    kind: str = "default"
    context: int = 0  # positions that the model was trained for
    settings: Mapping[str, Any] = field(default_factory=dict)

    def turns(self, length: int = 0) -> tuple[Array, Array]:
        """Radians a position for each pair in a text of this `length`, and what its cos and sin are multiplied by."""
        found, magnitude = KINDS[self.kind][1](self, rotary_frequencies(self.theta, 2 * self.pairs), length)
        still = np.zeros(self.still)
        return np.concatenate([found, still]), np.concatenate([np.full(self.pairs, magnitude), still + 1])

    @property
    def longest(self) -> int:
        """The longest text whose frequencies do not change as it grows."""
        if self.kind == "longrope":
            return int(self.settings["original_max_position_embeddings"])
        return self.context


def rotary_frequencies(theta: float, head_dim: int) -> Array:
    """Radians a position for each pair of a head, (D/2,)."""
    frequencies: Array = theta ** (-np.arange(0, head_dim, 2) / head_dim)
    return frequencies


Turns = tuple[Array, float]


def _default(rope: Rope, turns: Array, length: int) -> Turns:
    return turns, 1.0


def _linear(rope: Rope, turns: Array, length: int) -> Turns:
    return turns / rope.settings["factor"], 1.0


def _dynamic(rope: Rope, turns: Array, length: int) -> Turns:
    if length <= rope.context:
        return turns, 1.0
    size, factor = 2 * rope.pairs, rope.settings["factor"]
    stretch = factor * length / rope.context - (factor - 1)
    return rotary_frequencies(rope.theta * stretch ** (size / (size - 2)), size), 1.0


def _llama3(rope: Rope, turns: Array, length: int) -> Turns:
    # Fast pairs, which turn high_freq_factor times and more in the old context, stay; slow ones are stretched.
    factor, low, high, old = (rope.settings[name] for name in LLAMA3)
    kept = np.clip((old * turns / (2 * np.pi) - low) / (high - low), 0, 1)  # 1: as it was, 0: by the whole factor
    return turns * (kept + (1 - kept) / factor), 1.0


def _yarn(rope: Rope, turns: Array, length: int) -> Turns:
    says, size = rope.settings, 2 * rope.pairs
    old = says.get("original_max_position_embeddings") or rope.context

    def pair_that_turns(times: float) -> float:
        return size * math.log(old / (times * 2 * math.pi)) / (2 * math.log(rope.theta))

    low, high = pair_that_turns(says.get("beta_fast") or 32), pair_that_turns(says.get("beta_slow") or 1)
    if says.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, size - 1)
    ramp = np.clip((np.arange(rope.pairs) - low) / ((high - low) or 0.001), 0, 1)
    return turns * (1 - ramp) + turns / says["factor"] * ramp, _yarn_magnitude(says)


def _yarn_magnitude(says: Mapping[str, Any]) -> float:
    def grown(by: float) -> float:
        return 0.1 * by * math.log(says["factor"]) + 1 if says["factor"] > 1 else 1.0

    if says.get("attention_factor") is not None:
        return float(says["attention_factor"])
    if says.get("mscale") and says.get("mscale_all_dim"):
        return grown(says["mscale"]) / grown(says["mscale_all_dim"])
    return grown(1)


def _longrope(rope: Rope, turns: Array, length: int) -> Turns:
    says = rope.settings
    old = says["original_max_position_embeddings"]
    factors = np.array(says["long_factor" if length > old else "short_factor"], float)
    magnitude = says.get("attention_factor")
    if magnitude is None:
        factor = says.get("factor") or rope.context / old
        magnitude = math.sqrt(1 + math.log(factor) / math.log(old)) if factor > 1 else 1.0
    return turns / factors, float(magnitude)


def _factors(rope: Rope, turns: Array, length: int) -> Turns:
    return turns / np.array(rope.settings["factors"], float), 1.0


# Of each kind: the names that must be there and those that may be, and what it does.
Kind = tuple[tuple[tuple[str, ...], tuple[str, ...]], Callable[[Rope, Array, int], Turns]]
OLD = "original_max_position_embeddings"
KINDS: Mapping[str, Kind] = {
    "default": (((), ()), _default),
    "linear": ((("factor",), ()), _linear),
    "dynamic": ((("factor",), ()), _dynamic),
    "llama3": ((LLAMA3, ()), _llama3),
    "yarn": ((("factor",), (*YARN, OLD)), _yarn),
    "longrope": ((("short_factor", "long_factor", OLD), LONGROPE), _longrope),
    "factors": ((("factors",), ()), _factors),
}
SAID = ("rope_type", "type", "rope_theta", "partial_rotary_factor")  # read before the kind is asked


def make_rope(says: Mapping[str, Any], theta: float, head_dim: int, context: int, part: float = 1.0) -> Rope:
    """The rotary embedding of a `rope_parameters` or `rope_scaling`, which turns this `part` of a head.

    Raises ModelError for a kind or a name that is unknown, and for a number that is missing or none.
    """
    for name in ("rope_type", "type", "rope_theta", "partial_rotary_factor", "truncate", OLD):
        if name in says and says[name] is None:
            raise ModelError(f"config.json has {name!r}: None in its rope scaling, where a value must be")
    kind = says.get("rope_type", says.get("type", "default"))
    if says.get("type") not in (None, kind):  # one version of transformers reads the first name, another the second
        raise ModelError(f"rope scaling has 'type': {says['type']!r} and 'rope_type': {kind!r}: keep one of them")
    if kind == "su":  # transformers computes it under this name no more
        raise ModelError("rope scaling 'su' is called longrope now: write that in config.json")
    if not isinstance(kind, str) or kind not in KINDS or kind == "factors":
        there = ", ".join(name for name in KINDS if name != "factors")
        raise ModelError(f"rope scaling {kind!r} is unknown here, there is {there}: take another model")
    if says.get("partial_rotary_factor") not in (None, part):
        said = says["partial_rotary_factor"]
        raise ModelError(
            f"rope's 'partial_rotary_factor': {said!r} in config.json is not computed here: take another model"
        )
    turning = int(head_dim * part)
    if turning % 2 or head_dim % 2 or not 0 < turning <= head_dim:
        raise ModelError(f"{turning} of the {head_dim} numbers of a head turn, which are no pairs: take another model")
    (needed, optional), _ = KINDS[kind]
    for name, value in says.items():
        if name not in (*SAID, *needed, *optional) and value is not None:
            raise ModelError(f"rope's {name!r}: {value!r} in config.json is not computed here: take another model")
    settings = {name: says[name] for name in (*needed, *optional) if says.get(name) is not None}
    _check(settings, needed, turning // 2)
    settings = {name: float(value) if type(value) is int else value for name, value in settings.items()}
    rope = Rope(
        theta=theta, pairs=turning // 2, still=(head_dim - turning) // 2, kind=kind, context=context, settings=settings
    )
    _compute(rope)
    return rope


def _compute(rope: Rope) -> None:
    """Raise ModelError where the numbers, each of them possible, give no frequencies together."""
    try:
        with np.errstate(all="ignore"):
            found = [rope.turns(length) for length in (0, max(rope.context, rope.longest) + 1)]
    except ArithmeticError:
        found = [(np.array([np.nan]), np.zeros(1))]
    if not all(np.isfinite(part).all() for turns in found for part in turns):
        said = {"rope_theta": rope.theta, **rope.settings}
        raise ModelError(f"rope scaling {rope.kind!r} cannot be computed with {str(said)[:200]}: copy the folder again")


def _check(settings: Mapping[str, Any], needed: tuple[str, ...], pairs: int) -> None:
    for name in needed:
        if name not in settings:
            raise ModelError(f"config.json has no {name!r} in its rope scaling: copy the model's folder again")
    for name in settings:
        if name in ("short_factor", "long_factor", "factors"):
            numbers_of(settings, name, pairs)
        elif name == "truncate":
            if not isinstance(settings[name], bool):
                raise ModelError(f"config.json has {name!r}: {settings[name]!r}, which is neither true nor false")
        else:
            number(settings, name, more_than=0)
    if "high_freq_factor" in settings and settings["high_freq_factor"] <= settings["low_freq_factor"]:
        raise ModelError("rope's high_freq_factor is not above its low_freq_factor: copy the model's folder again")
