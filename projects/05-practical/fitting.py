"""One experiment from its readings to an answer: wild readings left out, and the grid made as fine as they need.

A few readings go wrong, and least squares would follow them: those far from the fit are left out and the rest is
fitted again. The grid is good enough when a finer one would not move the answer: its error is turned into a shift of
the unknowns, and that is measured in their own standard deviations. Better thermometers, or more readings, therefore
get a finer grid.
"""

from dataclasses import dataclass

import numpy as np
from bar import Model
from inference import Posterior, infer
from measurements import Measurements

OUTLIER = 5.0  # robust deviations; one in two million readings is so far off by chance
MOST_WILD = 0.3  # share of the readings: of more the rest cannot be told
SHIFT = 0.12  # deviations; an interval that is so far off holds 89.8 % instead of 90 %
MOST_MODES = 54
VAGUE = 1.5  # deviation of a coefficient of log k: the readings do not tell it, on no grid


@dataclass(frozen=True)
class Fit:
    """The answer, with the readings and the grid that it rests on."""

    model: Model
    measured: Measurements
    readings: np.ndarray  # (rows,), K above the air's temperature
    posterior: Posterior  # of one experiment
    wild: int  # readings that were left out
    discretisation: float  # what the grid moves the answer by, in its deviations

    @property
    def theta(self) -> np.ndarray:
        """The most probable θ (unknowns,)."""
        return self.posterior.theta[0]

    @property
    def residuals(self) -> np.ndarray:
        """Prediction minus reading (rows,), in K."""
        return self.posterior.residuals[0]

    @property
    def noise(self) -> float:
        """The thermometers' noise, estimated, in K."""
        return float(self.posterior.noise[0])


def fit(model: Model, measured: Measurements, guess: tuple[float, float]) -> Fit:
    """Invert the `measured` temperatures, from a first `guess` of k in W/(m K) and h in W/(m² K)."""
    rows, start = len(measured), rough(model, measured, guess)
    while True:
        readings = measured.temperatures - model.bar.ambient
        posterior = infer(model, measured.times, measured.positions, readings[None], guess, start)
        start = posterior.theta
        wild = outliers(posterior.residuals[0])
        if wild.any() and rows - len(measured) + wild.sum() <= MOST_WILD * rows:
            measured = measured.without(wild, f"further than {OUTLIER:g} deviations from the fit")
            continue
        shift = discretisation(model, measured, posterior)
        vague = np.sqrt(posterior.covariance[0].diagonal().max()) > VAGUE
        if shift <= SHIFT or vague or model.modes >= MOST_MODES or not posterior.converged.all():
            return Fit(model, measured, readings, posterior, rows - len(measured), shift)
        model = model.finer()


def rough(model: Model, measured: Measurements, guess: tuple[float, float]) -> np.ndarray:
    """Where to begin (1, unknowns): of constant k and h from a thousandth to a thousand times the guess, the best."""
    factors = np.log(10.0) * np.arange(-3, 4)
    log_k, log_h = (axis.ravel() for axis in np.meshgrid(np.log(guess[0]) + factors, np.log(guess[1]) + factors))
    tried = np.column_stack([np.tile(log_k[:, None], model.unknowns.splines), log_h])
    few = measured.only(slice(None, None, max(len(measured) // 300, 1)))
    predicted, _ = model.predict(tried, few.times, few.positions, derivatives=False)
    misfits = np.abs(predicted - (few.temperatures - model.bar.ambient)).mean(axis=1)
    return tried[[misfits.argmin()]]


def outliers(residuals: np.ndarray) -> np.ndarray:
    """Which of the `residuals` (rows,) lie further than OUTLIER robust deviations from 0: booleans (rows,).

    The robust deviation is 1.4826 times the median size, which for a Gaussian is the standard deviation, and which
    a few wild readings do not move.
    """
    size = np.abs(residuals)
    return size > OUTLIER * 1.4826 * max(float(np.median(size)), 1e-6)


def discretisation(model: Model, measured: Measurements, posterior: Posterior) -> float:
    """How far a finer grid would move the answer, in standard deviations of whatever combination moves most."""
    rows = measured.times, measured.positions
    coarse, fine = (each.predict(posterior.theta, *rows, derivatives=False)[0][0] for each in (model, model.finer()))
    pull = posterior.J[0].T @ (coarse - fine) / posterior.noise[0] ** 2
    return float(np.sqrt(pull @ posterior.covariance[0] @ pull))
