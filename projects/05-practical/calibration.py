"""Do the errors, and the intervals, hold over many experiments? Against the truth and the Cramér-Rao bound.

Two things part the answer from the truth. The splines cannot follow every k(x): the answer without noise is the best
that they can do (`bias`). And noise moves it: by (θ - best), which for the best estimate there is has the Cramér-Rao
covariance C, so that (θ - best)ᵀ C⁻¹ (θ - best) of an experiment is a χ² number with one degree of freedom an
unknown. The best is found by another solver, so that an inversion which is wrong on average is seen too.

How far chance may carry a coverage depends on how many of the numbers are independent: points near each other lie
within their intervals together, correlated by no more than ρ² where the values are by ρ (both are even functions of
Gaussian variables, for which Mehler's expansion begins with the second power).

Sources: S. M. Kay, Fundamentals of Statistical Signal Processing (1993), ch. 3; B. Laurent and P. Massart, Ann. Stat.
28 (2000) 1302, and S. Bernstein's inequality for the bounds in project.yaml.
"""

from dataclasses import dataclass

import experiment as simulated
import inference
import numpy as np
from bar import Model
from experiment import TRUE_LOSS, Experiment

TELLS, FOLLOWS = (
    0.2,
    0.5,
)  # deviation of log k; bias in deviations: beyond, a Gaussian around the truth is not to be seen


@dataclass(frozen=True)
class Calibration:
    """What many experiments show."""

    many: inference.Posterior
    errors: np.ndarray  # (seeds,), RMS over the unknowns of θ - best in Cramér-Rao deviations
    own_errors: np.ndarray  # (seeds,), the same in the deviations that each experiment states itself
    loss_errors: np.ndarray  # (seeds,), the same of log h alone
    log_errors: np.ndarray  # (seeds, points), of log k against the truth
    point_errors: np.ndarray  # (seeds, points), of log k against the truth, in Cramér-Rao deviations
    covered: np.ndarray  # (seeds, points), whether the 90 % interval holds the true k
    loss_covered: np.ndarray  # (seeds,), the same for h
    relative: np.ndarray  # (seeds,), L2 error of k
    independent: float  # points of `covered` that count as independent
    bias: float  # of what splines can do at best, RMS over the points, in Cramér-Rao deviations
    possible: float  # the largest Cramér-Rao deviation of log k

    @property
    def tells(self) -> bool:
        """Whether this experiment can tell the true k, and splines can follow it."""
        return self.possible <= TELLS and self.bias <= FOLLOWS


def calibrate(
    model: Model, experiment: Experiment, guess: tuple[float, float], start: np.ndarray, x: np.ndarray
) -> Calibration:
    """Invert all seeds of the `experiment` from `start` (unknowns,); k is compared at `x` (points,), in metres."""
    rows = experiment.times, experiment.positions
    many = inference.infer_many(model, *rows, experiment.readings, guess, start)
    truth = simulated.true_conductivity(model.bar, x)
    best = simulated.best_splines(model.bar, model.unknowns, *rows)
    bound = inference.cramer_rao(model, best, *rows, experiment.noise)
    basis = model.unknowns.basis(x)
    possible = inference.deviations(basis, bound)  # (points,)

    noise = many.theta - best
    log_k, deviation = many.log_conductivity(x)
    error, loss_error = log_k - np.log(truth), np.log(many.loss / TRUE_LOSS)
    correlation = basis @ bound @ basis.T / np.outer(possible, possible)
    return Calibration(
        many,
        in_deviations(noise, bound),
        in_deviations(noise, many.covariance),
        np.abs(noise[:, -1]) / np.sqrt(bound[-1, -1]),
        error,
        error / possible,
        np.abs(error) <= inference.NORMAL_90 * deviation,
        np.abs(loss_error) <= inference.NORMAL_90 * many.loss_deviation,
        simulated.relative_l2(np.exp(log_k), truth),
        float(len(x) ** 2 / np.sum(correlation**2)),
        float(np.sqrt(np.mean(((basis @ best - np.log(truth)) / possible) ** 2))),
        float(possible.max()),
    )


def in_deviations(errors: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """RMS of `errors` (seeds, unknowns) in the deviations of a `covariance` (..., unknowns, unknowns): (seeds,)."""
    whitened = np.linalg.solve(np.broadcast_to(covariance, (len(errors), *covariance.shape[-2:])), errors[:, :, None])
    return np.sqrt((errors * whitened[:, :, 0]).mean(axis=1))


def with_another(
    model: Model,
    experiment: Experiment,
    before: Calibration,
    place: float,
    guess: tuple[float, float],
    x: np.ndarray,
    most: int,
    numbers: np.random.Generator,
) -> float:
    """What the RMS error of log k at `x` is multiplied by with one more thermometer at `place`, in metres.

    The first experiments, `most` of them, are inverted again with its readings added.
    """
    times, positions, exact = simulated.simulate(model.bar, np.array([place]))
    readings = experiment.readings[:most]
    more = exact + experiment.noise * numbers.normal(size=(len(readings), len(exact)))
    rows = np.append(experiment.times, times), np.append(experiment.positions, positions)
    again = inference.infer_many(model, *rows, np.hstack([readings, more]), guess, before.many.theta[0])
    error = again.log_conductivity(x)[0] - np.log(simulated.true_conductivity(model.bar, x))
    return float(np.sqrt(np.mean(error**2) / np.mean(before.log_errors[:most] ** 2)))
