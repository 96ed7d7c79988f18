"""Adaptive accuracy: degrees are raised until the estimated error is below the tolerance, or no more helps.

First polynomials alone; where they do not do, together with what is singular in the corners (corners.py).

All lower degrees of a network cost nothing: the leading block of the triangle is theirs. So the error at degree N
is estimated from the differences to degrees ⅔N and ⁴⁄₉N. If these say that an error shrinks by a factor ρ from one
to the next, the error left is about the last difference / (ρ - 1); twice that is stated, never less than a tenth of
the difference (with corner functions, where rounding is nearer, 0.3 of it), and no more than the whole of it. Rounding
shows in the differences as well.
"""

from dataclasses import dataclass
from itertools import pairwise

import features
import numpy as np
from plate import Plate

# (degree, with what is singular in the corners): beyond the last, rounding takes more than the degree gives.
LADDER = {
    "float64": ((12, False), (18, False), (12, True), (24, False), (16, True), (20, True)),
    "float32": ((8, False), (12, False), (16, False)),
}
TRUST = 3.0  # the true error exceeds the estimate by at most this factor, see tests/unit/projects/test_plate.py


@dataclass(frozen=True)
class Answer:
    """The solution chosen, its estimated relative L2 error, and the way there."""

    solution: features.Solution
    estimate: float
    met: bool
    history: list[tuple[int, float]]  # (features, estimated error)
    curve: list[tuple[int, np.ndarray]]  # (features, output layer) of the lower degrees of the chosen network


def estimate(solution: features.Solution) -> float:
    """The estimated relative L2 error of the deflection over the plate."""
    top = solution.network.degree
    nodes, weights = np.polynomial.legendre.leggauss(16)
    x, y = (axis.ravel() for axis in np.meshgrid(nodes * solution.plate.length / 2, nodes * solution.plate.width / 2))
    root = np.sqrt(np.outer(weights, weights).ravel())
    xi, eta = 2 * x / solution.plate.length, 2 * y / solution.plate.width
    shapes = root[:, None] * solution.shapes(xi, eta, [(0, 0)])[0]
    found = [shapes @ solution.output(k) for k in (top, even(2 * top / 3), even(4 * top / 9))]
    size = max(np.linalg.norm(found[0]), 1e-300)
    last, before = (np.linalg.norm(a - b) / size for a, b in pairwise(found))
    ratio = before / max(last, 1e-300)
    share = 1.0 if ratio <= 3 else max(2 / (ratio - 1), 0.3 if solution.corners else 0.1)
    return float(max(last * share, np.finfo(float).eps))


def even(number: float) -> int:
    """A symmetric plate has no use for odd degrees: they would feign convergence."""
    return 2 * round(number / 2)


def solve(plate: Plate, tolerance: float, seed: int, dtype: str) -> Answer:
    """The cheapest solution whose estimated relative L2 error is at most `tolerance`, else the best one found."""
    history: list[tuple[int, float]] = []
    best: tuple[float, features.Solution] | None = None
    for degree, in_corners in LADDER[dtype]:
        solution = features.solve(plate, degree, seed, dtype, in_corners)
        error = estimate(solution)
        history.append((len(solution.work), error))
        if best is None or error < best[0]:
            best = error, solution
        if error <= tolerance:
            break
    assert best is not None
    error, solution = best
    degrees = range(4, solution.network.degree, 2)
    curve = [(solution.columns(k), solution.output(k)) for k in degrees]
    return Answer(solution, error, error <= tolerance, history, curve)
