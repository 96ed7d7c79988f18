"""How equal two sides are: relative differences by name, the first that is too large, and distributions."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Arrays = Mapping[str, np.ndarray]
ROUNDED = {"output": 1e-6, "gradient": 1e-6, "loss": 1e-5, "trained": 1e-5, "buffer": 1e-5, "evaluated": 1e-5}
# in float32, where nothing amplifies
FINER = 16 * 2.0**-29  # float64 rounds 2^29 times as finely as float32; 16 for the chance in both
NOISE = 4  # times PyTorch's own float32 error is allowed where that is more: then the model amplifies rounding
RISK = 1e-3  # that of all weights of a model one is called different though their distributions are equal


@dataclass(frozen=True)
class Difference:
    """One array of both sides: how far apart, and how far it may be."""

    name: str
    error: float
    allowed: float

    @property
    def kind(self) -> str:
        return self.name.partition("/")[0]

    @property
    def equal(self) -> bool:
        return self.error <= self.allowed  # not a number is not equal


def scale(arrays: Arrays, name: str) -> float:
    """What the differences of `name` are measured by: its greatest number, or a thousandth of its kind's.

    A bias before a batch norm has a gradient of nothing but rounding errors.
    """
    kind = name.partition("/")[0]
    greatest = max(float(np.abs(v).max(initial=0.0)) for key, v in arrays.items() if key.partition("/")[0] == kind)
    return max(float(np.abs(arrays[name]).max(initial=0.0)), 1e-3 * greatest) or 1.0


def relative(ours: np.ndarray, theirs: np.ndarray, by: float) -> float:
    """The greatest difference, over `by`; infinite if the shapes differ."""
    if ours.shape != theirs.shape:
        return float("inf")
    return float(np.abs(ours - theirs).max(initial=0.0) / by)


def differences(
    ours: Arrays, reference: Arrays, exact: bool, finer: Mapping[str, float] | None = None
) -> list[Difference]:
    """All arrays of `reference` but weights and noise, in the order in which they were computed.

    `exact`: ours is float64. A missing array is infinitely far. `finer` are the differences in float64: what agrees
    there and is as much coarser as float32 is has been rounded, and is no other formula.

    A trained weight's sum of squares is one number, on which PyTorch's three float32 runs may agree by chance (of one
    in 80 a fourth is more than NOISE times as far), and a sign that turns near zero moves any of them. So it may be as
    far in float32 as PyTorch is in the worst of them; float64, in which nothing turns, judges each by itself.
    """
    found = []
    usual = max((float(value) for key, value in reference.items() if key.startswith("noise/trained/")), default=0.0)
    for name, theirs in reference.items():
        kind = name.partition("/")[0]
        if kind not in ROUNDED:
            continue
        noise = max(float(reference[f"noise/{name}"]), usual if kind == "trained" and not exact else 0.0)
        allowed = max(ROUNDED[kind], NOISE * noise) * (FINER if exact else 1)
        allowed = max(allowed, NOISE * 2.0**29 * (finer or {}).get(name, 0.0))
        error = relative(ours[name], theirs, scale(reference, name)) if name in ours else float("inf")
        found.append(Difference(name, error, allowed))
    return found


def first(found: list[Difference]) -> Difference | None:
    """The first that is not equal: what comes after it may only follow from it."""
    return next((difference for difference in found if not difference.equal), None)


def worst(found: list[Difference], kind: str) -> float:
    return max(difference.error for difference in found if difference.kind == kind)


def alike(ours: np.ndarray, theirs: np.ndarray, again: np.ndarray | None = None, count: int = 1) -> bool:
    """Whether two random tensors may be of one distribution (Kolmogorov-Smirnov); constants have to be equal.

    `again`: ours of another start, by which a single number is a constant or is not. `count`: of how many tensors.
    """
    a, b = np.sort(ours.ravel()), np.sort(theirs.ravel())
    if len(a) == 1 and again is not None and not np.array_equal(again, ours):
        return True
    if a[0] == a[-1] or b[0] == b[-1]:
        return bool(np.array_equal(a, b))
    both = np.concatenate([a, b])
    shares = (np.searchsorted(sorted_, both, side="right") / len(sorted_) for sorted_ in (a, b))
    gap = np.abs(next(shares) - next(shares)).max()
    return bool(gap <= np.sqrt(-np.log(RISK / count / 2) / 2) * np.sqrt((len(a) + len(b)) / (len(a) * len(b))))
