"""Quadratures over the square |ξ| ≤ 1, |η| ≤ 1: points and weights, each float64 (points,)."""

from functools import cache

import numpy as np

Rule = tuple[np.ndarray, np.ndarray, np.ndarray]  # ξ, η, weights
STRIP = 0.2  # width of the strips along the edges, over half the side
FINE = 22  # points in a corner, towards it and across
GRADING = 3  # towards a corner points lie like t³


@cache
def line(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """`nodes` Gauss points between -1 and 1, and weights: float64 (nodes,) each."""
    return np.polynomial.legendre.leggauss(nodes)  # type: ignore[no-any-return]


def gauss(nodes: int) -> Rule:
    """`nodes` x `nodes` Gauss points: exact for polynomials of degree 2 `nodes` - 1 in ξ and in η."""
    return over(line(nodes), line(nodes))


def graded(degree: int) -> Rule:
    """For polynomials up to `degree` times what is singular in the corners, squared.

    Gauss points in the middle and in strips along the edges; in the corners, two triangles each, with points that
    lie denser and denser towards the corner (M. Duffy, SIAM J. Numer. Anal. 19 (1982) 1260).
    """
    middle, strip = interval(-1 + STRIP, 1 - STRIP, degree + 6), interval(1 - STRIP, 1, FINE // 2 + degree // 3)
    other = (-strip[0], strip[1])
    rules = [over(middle, middle)]
    rules += [over(middle, side) for side in (strip, other)] + [over(side, middle) for side in (strip, other)]
    t, wt = interval(0, 1, FINE)
    u, wu = t**GRADING, GRADING * t ** (GRADING - 1) * wt
    along, across, weights = over((u, wu), (t, wt))
    near, far, weights = STRIP * along, STRIP * along * across, STRIP**2 * along * weights
    for x, y in ((near, far), (far, near)):
        rules += [(sx * (1 - x), sy * (1 - y), weights) for sx in (-1, 1) for sy in (-1, 1)]
    return tuple(np.concatenate(parts) for parts in zip(*rules, strict=True))  # type: ignore[return-value]


def interval(start: float, end: float, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss points and weights, float64 (nodes,) each."""
    t, w = line(nodes)
    half = (end - start) / 2
    return start + half * (t + 1), half * w


def over(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> Rule:
    """The product of two rules in one variable."""
    xi, eta = (axis.ravel() for axis in np.meshgrid(first[0], second[0]))
    return xi, eta, np.outer(second[1], first[1]).ravel()
