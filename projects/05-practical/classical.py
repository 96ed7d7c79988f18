"""The classical solver: finite differences and regularised least squares with SciPy, without Paddle.

The conductivity is a free number at each of some twenty points, held together by Tikhonov's penalty on its
curvature, (λ × the sum of squared second differences of log k); λ is the largest that still fits the data to their
noise (Morozov's discrepancy principle). That is how the problem is solved in textbooks, and it is done well here:
the matrix of the bar is tridiagonal and symmetric, so that its eigenvalues give the temperature at any time without
steps in time.

`temperatures` also makes the synthetic measurements, on a grid seven times as fine as that of the inference: other
equations, solved otherwise. To invert a model with its own numbers would flatter it.

Sources: A. N. Tikhonov, Soviet Math. Dokl. 4 (1963) 1035; V. A. Morozov, Soviet Math. Dokl. 7 (1966) 414.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from bar import Bar, Unknowns, cubic
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import brentq, least_squares

CELLS = 60  # of the finite-difference grid that is inverted
MOST_STEPS = 30  # of a least-squares fit: readings that mean nothing would keep it going for minutes
BOUND = 12.0  # log k and log h stay within ±12: data that mean nothing must not overflow


def temperatures(
    bar: Bar, conductivity: np.ndarray, loss: float, times: np.ndarray, positions: np.ndarray
) -> np.ndarray:
    """Temperatures above the air's, (times, positions) in K, exact in time.

    `conductivity` (cells - 1,) in W/(m K) at the faces between equal cells, `loss` in W/(m² K), `times` (times,) in
    seconds, `positions` (positions,) in metres.
    """
    cells = len(conductivity) + 1
    width = bar.length / cells
    rate = conductivity / (bar.heat_capacity * width**2)
    diagonal = 4 * loss / (bar.diameter * bar.heat_capacity) + np.append(rate, 0) + np.append(0, rate)
    values, modes = eigh_tridiagonal(diagonal, -rate)  # (cells,), (cells, cells)
    observe = interpolation(cells, positions / width) @ modes  # (positions, cells)

    # Each heater is a source that is switched on, and off: the sum of two steps.
    left, right = np.array([bar.power_left, bar.power_right]) / (bar.section * bar.heat_capacity * width)
    switched = [(0.0, left * modes[0]), (bar.switch, right * modes[-1] - left * modes[0])]
    amplitudes = sum(
        -np.expm1(-np.outer(np.maximum(times - start, 0), values)) * source / values for start, source in switched
    )  # (times, cells)
    return amplitudes @ observe.T


def interpolation(cells: int, x: np.ndarray) -> np.ndarray:
    """The matrix (points, cells) from values at the middles of cells to `x` (points,), measured in cells."""
    nodes, weights = cubic(np.arange(cells) + 0.5, np.asarray(x))
    matrix = np.zeros((len(x), cells))
    np.put_along_axis(matrix, nodes.T, weights.T, axis=1)
    return matrix


@dataclass(frozen=True)
class Solution:
    """What `solve` found."""

    nodes: np.ndarray  # (nodes,), in metres
    log_conductivity: np.ndarray  # (nodes,)
    loss: float  # W/(m² K)
    penalty: float  # λ
    fits: int  # how many values of λ were tried

    def conductivity(self, x: np.ndarray) -> np.ndarray:
        """k (points,) in W/(m K) at `x` (points,), in metres."""
        return positive(np.interp(x, self.nodes, self.log_conductivity))


def at_rows(bar: Bar, conductivity: np.ndarray, loss: float, times: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """As `temperatures`, for rows of one time (rows,) and one position (rows,) each: (rows,)."""
    moments, moment = np.unique(times, return_inverse=True)
    places, place = np.unique(positions, return_inverse=True)
    return temperatures(bar, conductivity, loss, moments, places)[moment, place]


def positive(logarithm: np.ndarray) -> np.ndarray:
    return np.exp(np.clip(logarithm, -BOUND, BOUND))


def solve_constant(
    bar: Bar, times: np.ndarray, positions: np.ndarray, readings: np.ndarray, guess: tuple[float, float]
) -> tuple[float, float, float]:
    """The quick answer: one k in W/(m K) for the whole bar and h in W/(m² K), and what remains, RMS in K."""

    def misfit(theta: np.ndarray) -> np.ndarray:
        k, loss = positive(theta)
        return at_rows(bar, np.full(CELLS - 1, k), loss, times, positions) - readings

    fit = least_squares(misfit, np.log(guess), method="lm")
    k, loss = positive(fit.x)
    return float(k), float(loss), float(np.sqrt(np.mean(fit.fun**2)))


def least(misfit: Callable[[np.ndarray], np.ndarray], start: np.ndarray) -> np.ndarray:
    """θ (unknowns,) of the least squares of `misfit`, from `start`, after so many steps at most."""
    return least_squares(misfit, start, method="lm", max_nfev=MOST_STEPS * (len(start) + 1)).x


def solve_splines(
    bar: Bar,
    unknowns: Unknowns,
    times: np.ndarray,
    positions: np.ndarray,
    readings: np.ndarray,
    start: np.ndarray,
) -> np.ndarray:
    """θ (unknowns,) by least squares in the same splines as the inversion in Paddle, without a penalty.

    From `start` (unknowns,); other arguments as in `solve`. What is left of the difference is then the software alone.
    """
    basis = unknowns.basis(bar.length / CELLS * np.arange(1, CELLS))

    def misfit(theta: np.ndarray) -> np.ndarray:
        return at_rows(bar, positive(basis @ theta), positive(theta[-1]), times, positions) - readings

    return least(misfit, start)


def solve(
    bar: Bar,
    times: np.ndarray,
    positions: np.ndarray,
    readings: np.ndarray,
    noise: float,
    guess: tuple[float, float],
    nodes: int = 20,
) -> Solution:
    """Regularised least squares for `readings` (rows,), in K above the air's, at `times` and `positions` (rows,).

    `noise` in K is told, as the discrepancy principle needs it; `guess` are a first k and h.
    """
    x = np.linspace(0, bar.length, nodes)
    faces = bar.length / CELLS * np.arange(1, CELLS)
    curvature = np.diff(np.eye(nodes), 2, axis=0)  # (nodes - 2, nodes)

    def misfit(theta: np.ndarray) -> np.ndarray:
        conductivity = positive(np.interp(faces, x, theta[:-1]))
        return (at_rows(bar, conductivity, positive(theta[-1]), times, positions) - readings) / noise

    theta = np.append(np.full(nodes, np.log(guess[0])), np.log(guess[1]))
    found: dict[float, np.ndarray] = {}

    def excess(log_penalty: float) -> float:
        """How far the misfit lies above the noise, for this λ; starts from where the last λ ended."""
        nonlocal theta
        root = np.exp(log_penalty / 2)
        theta = least(lambda p: np.append(misfit(p), root * (curvature @ p[:-1])), theta)
        found[log_penalty] = theta
        return float(np.mean(misfit(theta) ** 2) - 1)

    high, low = np.log(1e8), np.log(1e-1)
    if excess(high) <= 0:
        best = high  # even a straight line fits
    elif excess(low) >= 0:
        best = np.log(100.0)  # nothing fits to the noise, by chance or since the model is wrong: smooth a little
        excess(best)
    else:
        root = brentq(excess, low, high, xtol=0.5)
        best = min(found, key=lambda tried: abs(tried - root))
    theta = found[best]
    return Solution(x, theta[:-1], float(positive(theta[-1])), float(np.exp(best)), len(found))
