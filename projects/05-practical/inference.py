"""From measurements to k(x) and h, with their uncertainty: Levenberg-Marquardt, Laplace and Cramér-Rao.

The estimate θ is the most probable one: it minimises Σ (prediction - reading)² / σ² + Σ (θ - prior)² / width². The
prior is weak (a factor of e², either way), so that it speaks only where the data are silent. The noise σ is
not told but estimated, from what remains. Near its maximum the posterior is taken for a Gaussian (Laplace), whose
covariance is the inverse of JᵀJ/σ² + 1/width²; J are the derivatives of the predictions. The same without the prior,
and at the true θ, is the Cramér-Rao bound: no unbiased estimate can have less variance.

Sources: D. W. Marquardt, J. SIAM 11 (1963) 431; A. M. Stuart, Acta Numerica 19 (2010) 451, for the posterior;
S. M. Kay, Fundamentals of Statistical Signal Processing (1993), ch. 3, for the bound.
"""

from dataclasses import dataclass

import numpy as np
from bar import Model, Unknowns

PRIOR_WIDTH = 2.0  # of log k and log h: a factor of e², or 7, either way
BATCH_BYTES = 2**28  # for the matrices of experiments that are inverted together
NORMAL_90 = 1.6448536269514722  # 90 % of a Gaussian lie within so many deviations


@dataclass(frozen=True)
class Posterior:
    """What is known of θ after the measurements; `batch` noise seeds at once."""

    unknowns: Unknowns
    theta: np.ndarray  # (batch, unknowns)
    covariance: np.ndarray  # (batch, unknowns, unknowns)
    noise: np.ndarray  # (batch,), K, estimated
    residuals: np.ndarray  # (batch, rows), K: prediction minus reading
    J: np.ndarray  # (batch, rows, unknowns), derivatives of the predictions
    iterations: int
    converged: np.ndarray  # (batch,), whether the last step was small against the uncertainty

    def log_conductivity(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log k and its standard deviation at `x` (points,), in metres: both (batch, points)."""
        basis = self.unknowns.basis(x)
        return self.theta @ basis.T, deviations(basis, self.covariance)

    @property
    def loss(self) -> np.ndarray:
        """h in W/(m² K): (batch,)."""
        return np.exp(self.theta[:, -1])

    @property
    def loss_deviation(self) -> np.ndarray:
        """The standard deviation of log h, which is about the relative one of h: (batch,)."""
        return np.sqrt(self.covariance[:, -1, -1])


def infer(
    model: Model,
    times: np.ndarray,
    positions: np.ndarray,
    readings: np.ndarray,
    guess: tuple[float, float],
    start: np.ndarray | None = None,
    most_iterations: int = 40,
) -> Posterior:
    """The posterior of θ, given `readings` (batch, rows) above the air's temperature, in K.

    Rows are at `times` (rows,), in seconds, and `positions` (rows,), in metres. `guess` are a k in W/(m K) and an
    h in W/(m² K) of the right order, the middle of the prior; the search begins there, or at `start` (batch,
    unknowns). Raises ValueError for fewer rows than unknowns.
    """
    unknowns, (batch, rows) = model.unknowns, readings.shape
    if rows <= unknowns.count:
        raise ValueError(f"{rows} measurements cannot determine {unknowns.count} unknowns and their uncertainty")
    prior = np.append(np.full(unknowns.splines, np.log(guess[0])), np.log(guess[1]))
    precision = np.eye(unknowns.count) / PRIOR_WIDTH**2

    def noise_of(residuals: np.ndarray) -> np.ndarray:
        freedom = rows - unknowns.count
        return np.sqrt((residuals**2).sum(axis=1) / freedom).clip(1e-6)  # (batch,); a micro-kelvin: not 0

    def objective(residuals: np.ndarray, theta: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return ((residuals / noise[:, None]) ** 2).sum(axis=1) + (((theta - prior) / PRIOR_WIDTH) ** 2).sum(axis=1)

    theta = np.tile(prior, (batch, 1)) if start is None else start.copy()
    predicted, J = model.predict(theta, times, positions)
    residuals, damping = predicted - readings, np.full(batch, 1e-2)
    converged = np.zeros(batch, bool)
    iterations = 0
    while iterations < most_iterations and not converged.all():
        iterations += 1
        on = np.flatnonzero(~converged)  # the experiments that still move
        noise = noise_of(residuals[on])
        scaled = J[on] / noise[:, None, None]  # (on, rows, unknowns)
        H = np.swapaxes(scaled, 1, 2) @ scaled + precision
        pull = (theta[on] - prior) / PRIOR_WIDTH**2
        slope = (residuals[on] / noise[:, None])[:, None] @ scaled + pull[:, None]
        diagonal = np.einsum("bii->bi", H)[:, :, None] * np.eye(unknowns.count)
        step = -np.linalg.solve(H + damping[on, None, None] * diagonal, slope[:, 0, :, None])[:, :, 0]
        step *= np.minimum(1, 1.5 / np.abs(step).max(axis=1, keepdims=True))  # not further than the model bears

        tried = theta[on] + step
        tried_predicted, tried_J = model.predict(tried, times, positions)
        tried_residuals = tried_predicted - readings[on]
        better = objective(tried_residuals, tried, noise) <= objective(residuals[on], theta[on], noise)
        moved = on[better]
        theta[moved], residuals[moved], J[moved] = tried[better], tried_residuals[better], tried_J[better]
        damping[on] = np.where(better, np.maximum(damping[on] / 10, 1e-9), damping[on] * 10)
        # A step is small when it is a hundredth of a standard deviation; the squares add up to at most that.
        converged[on] = (step[:, None] @ H @ step[:, :, None])[:, 0, 0] < 1e-4
    noise = noise_of(residuals)
    covariance = np.linalg.inv(information(J, noise) + precision)
    return Posterior(unknowns, theta, covariance, noise, residuals, J, iterations, converged)


def infer_many(
    model: Model,
    times: np.ndarray,
    positions: np.ndarray,
    readings: np.ndarray,
    guess: tuple[float, float],
    start: np.ndarray,
) -> Posterior:
    """As `infer`, of many experiments (seeds, rows), as many at once as fit into memory.

    All begin at `start` (unknowns,), which is the answer of one of them and near to that of the others.
    """
    one = 8 * max(model.modes**2 * 8, 4 * len(model.times) * len(np.unique(positions)) * model.unknowns.count)
    batch = max(1, BATCH_BYTES // one)
    parts = []
    for begin in range(0, len(readings), batch):
        some = readings[begin : begin + batch]
        parts.append(infer(model, times, positions, some, guess, np.tile(start, (len(some), 1))))
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("theta", "covariance", "noise", "residuals", "J", "converged")
    }
    return Posterior(model.unknowns, **joined, iterations=max(part.iterations for part in parts))


def information(J: np.ndarray, noise: np.ndarray | float) -> np.ndarray:
    """Fisher's information (..., unknowns, unknowns) in measurements with derivatives `J` (..., rows, unknowns)."""
    return np.swapaxes(J, -1, -2) @ J / np.asarray(noise)[..., None, None] ** 2


def cramer_rao(model: Model, theta: np.ndarray, times: np.ndarray, positions: np.ndarray, noise: float) -> np.ndarray:
    """The least covariance (unknowns, unknowns) of an unbiased estimate of `theta` (unknowns,).

    Measurements are at `times` (rows,) and `positions` (rows,); the `noise` is in K. Where they do not determine
    θ at all the bound is huge, not an error.
    """
    J = model.predict(theta[None], times, positions)[1][0]
    return np.linalg.inv(information(J, noise) + 1e-9 * np.eye(len(theta)))


def deviations(basis: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Standard deviations (..., points) of `basis` (points, unknowns) times θ of `covariance` (..., n, n)."""
    return np.sqrt(np.einsum("pi,...ij,pj->...p", basis, covariance, basis))
