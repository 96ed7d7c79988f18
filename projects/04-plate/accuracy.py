"""Adaptive accuracy: degrees are raised until the estimated error is below the tolerance, or no more helps.

First polynomials alone; where they do not do, together with what is singular in the corners (corners.py).

All lower degrees of an answer cost nothing: the leading block of the triangle is theirs. So what the series of features
leaves out at degree N is estimated from the differences to degrees ⅔N and ⁴⁄₉N. If these say that an error shrinks by a
factor ρ from one to the next, the error left is about the last difference / (ρ - 1); twice that is stated, no more than
the whole difference and never less than a share of it (`least_share`).

Beside it stands what rounding leaves, which those differences do not show, for all of them share one triangle:
rounding times the condition, by a few random samples (features.Solution.roundings). The estimate is the sum, and can
be made of anything linear in the output layer: the deflection, slopes, moments, shear forces.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import features
import numpy as np
import quadrature
from plate import Plate

# (degree, with what is singular in the corners): beyond the last, rounding takes more than the degree gives.
LADDER = {
    "float64": ((12, False), (18, False), (12, True), (24, False), (16, True), (20, True)),
    "float32": ((12, False), (12, True), (16, True)),
}
TRUST = 3.0  # the true error exceeds the estimate by at most this factor, see tests/unit/projects/test_plate.py
LAYERS = 3  # output layers whose differences are looked at
SAMPLES = 4  # of the rounding


@dataclass(frozen=True)
class Estimate:
    """Of an error, relative to what it is an error of."""

    truncation: float  # by the features that there are not
    rounding: float

    @property
    def total(self) -> float:
        return self.truncation + self.rounding


@dataclass(frozen=True)
class Answer:
    """The solution chosen, its estimated relative L2 error, and the way there."""

    solution: features.Solution
    estimate: Estimate
    met: bool
    history: list[tuple[int, float]]  # (features, estimated error)
    curve: list[tuple[int, np.ndarray]]  # (features, output layer) of the lower degrees of the chosen one


def layers(solution: features.Solution) -> np.ndarray:
    """The output layer, those of two lower degrees, and samples of its rounding: (columns, LAYERS + SAMPLES)."""
    top = solution.basis.degree
    found = [solution.output(k) for k in (top, even(2 * top / 3), even(4 * top / 9))]
    return np.column_stack([*found, solution.roundings(SAMPLES)])


def least_share(solution: features.Solution) -> float:
    """How far the decrease from degree to degree is trusted: with corner functions, where it is uneven, not at all."""
    return 1.0 if solution.corners else 0.1


def estimate(
    values: np.ndarray, least_share: float, norm: Callable[[np.ndarray], float] = lambda v: float(np.linalg.norm(v))
) -> Estimate:
    """The estimated error of `values` (…, LAYERS + SAMPLES), by what they are for each of `layers`, in some norm."""
    found = [values[..., layer] for layer in range(LAYERS)]
    size = max(norm(found[0]), 1e-300)
    last, before = (norm(a - b) / size for a, b in pairwise(found))
    ratio = before / max(last, 1e-300)
    share = 1.0 if ratio <= 3 else max(2 / (ratio - 1), least_share)
    squares = [norm(values[..., LAYERS + sample]) ** 2 for sample in range(SAMPLES)]
    return Estimate(last * share, max(float(np.sqrt(np.mean(squares))) / size, float(np.finfo(float).eps)))


def estimate_deflection(solution: features.Solution) -> Estimate:
    """The estimated relative L2 error of the deflection over the plate."""
    nodes, weights = quadrature.line(16)
    x, y = (axis.ravel() for axis in np.meshgrid(nodes * solution.plate.length / 2, nodes * solution.plate.width / 2))
    root = np.sqrt(np.outer(weights, weights).ravel())
    values = solution.derivatives(x, y, [(0, 0)], layers(solution))[0]
    return estimate(root[:, None] * values, least_share(solution))


def even(number: float) -> int:
    """A symmetric plate has no use for odd degrees: they would feign convergence."""
    return 2 * round(number / 2)


def solve(plate: Plate, tolerance: float, dtype: str) -> Answer:
    """The cheapest solution whose estimated relative L2 error is at most `tolerance`, else the best one found."""
    history: list[tuple[int, float]] = []
    best: tuple[Estimate, features.Solution] | None = None
    for degree, in_corners in LADDER[dtype]:
        solution = features.solve(plate, degree, dtype, in_corners)
        error = estimate_deflection(solution)
        history.append((len(solution.work), error.total))
        if best is None or error.total < best[0].total:
            best = error, solution
        if error.total <= tolerance:
            break
    assert best is not None
    error, solution = best
    degrees = range(4, solution.basis.degree, 2)
    curve = [(solution.columns(k), solution.output(k)) for k in degrees]
    return Answer(solution, error, error.total <= tolerance, history, curve)
