"""Where to put the next thermometer: optimal design of experiments, before the experiment.

A thermometer at a new position adds its information to that which is there. Of the positions tried, the best is
the one after which the mean variance of log k along the bar is least (A-optimality, in the quantity wanted).
The derivatives of the temperature are known at every position, so that each trial costs one small inverse and no
new solution.

Source: D. Uciński, Optimal Measurement Methods for Distributed Parameter System Identification (2004), ch. 3.
"""

from dataclasses import dataclass, replace

import numpy as np
from bar import Model
from inference import deviations, information


@dataclass(frozen=True)
class Advice:
    """The positions tried for one more thermometer, and the mean deviation of log k that each would leave."""

    positions: np.ndarray  # (candidates,), m
    deviations: np.ndarray  # (candidates,), root of the mean variance of log k
    before: float  # the same without a further thermometer

    condition: float  # of the precision matrix, by which rounding is amplified
    error: float = 0.0  # of these predictions, relative, as far as they were `checked`

    @property
    def best(self) -> float:
        """The position in metres that leaves least uncertainty."""
        return float(self.positions[self.deviations.argmin()])

    @property
    def extremes(self) -> tuple[float, float]:
        """The best position and the worst one: what a thermometer in an unlucky place is worth."""
        return self.best, float(self.positions[self.deviations.argmax()])

    def checked(self, few: np.ndarray, left: np.ndarray) -> "Advice":
        """The same, its error known: at the `few` of the positions the deviations really `left` are these.

        The advice is as wrong as its worst prediction, and as the place that it names is worse than another one.
        """
        predicted = np.abs(self.deviations[few] / left - 1).max()
        named = left[few == np.abs(self.positions - self.best).argmin()][0] / left.min() - 1
        return replace(self, error=float(max(predicted, named)))


def mean_deviation(basis: np.ndarray, covariance: np.ndarray) -> float:
    """Root of the mean variance of log k at the points of `basis` (points, unknowns)."""
    return float(np.sqrt(np.mean(deviations(basis, covariance) ** 2)))


def next_sensor(
    model: Model,
    theta: np.ndarray,
    covariance: np.ndarray,
    noise: float,
    times: np.ndarray,
    candidates: np.ndarray,
    x: np.ndarray,
) -> Advice:
    """Try `candidates` (candidates,) for one more thermometer, read at `times` (times,) with `noise` in K.

    `theta` (unknowns,) and `covariance` (unknowns, unknowns) are what is known so far; uncertainty is that of
    log k at `x` (points,). Positions are in metres.
    """
    rows = [axis.ravel() for axis in np.meshgrid(times, candidates, indexing="ij")]
    J = model.predict(theta[None], *rows)[1][0].reshape(len(times), len(candidates), -1)
    after = np.linalg.inv(np.linalg.inv(covariance) + information(J.transpose(1, 0, 2), noise))
    basis = model.unknowns.basis(x)
    left = np.array([mean_deviation(basis, each) for each in after])
    return Advice(candidates, left, mean_deviation(basis, covariance), float(np.linalg.cond(covariance)))


def really_left(
    model: Model,
    theta: np.ndarray,
    covariance: np.ndarray,
    noise: float,
    rows: tuple[np.ndarray, np.ndarray],
    times: np.ndarray,
    candidates: np.ndarray,
    x: np.ndarray,
) -> np.ndarray:
    """What `next_sensor` predicts, the long way: (candidates,).

    For each candidate the whole enlarged experiment, the `rows` (times and positions) with the new readings, is
    predicted and inverted anew; `covariance` only gives the prior. Other arguments as there.
    """
    before = model.predict(theta[None], *rows)[1][0]
    prior = np.linalg.inv(covariance) - information(before, noise)
    basis = model.unknowns.basis(x)
    left = []
    for place in candidates:
        enlarged = np.append(rows[0], times), np.append(rows[1], np.full(len(times), place))
        J = model.predict(theta[None], *enlarged)[1][0]
        left.append(mean_deviation(basis, np.linalg.inv(information(J, noise) + prior)))
    return np.array(left)
