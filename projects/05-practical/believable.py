"""Is the answer to be believed? What the residuals tell, without knowing the truth.

A fit that converged may still be of a wrong model, and its intervals are then too narrow. If all is right what
remains is noise: it has no memory, it is no larger than neighbouring readings scatter, and no other cause would explain
a part of it. Two causes are tried by name: a drift that all thermometers share, and one thermometer that reads too much
or too little. Each is put beside the unknowns, and what the residuals say of it is in standard deviations: within ±5
for noise, whatever the experiment (Rao's score test).

Source: C. R. Rao, Linear Statistical Inference and Its Applications (1973), ch. 6e.
"""

from dataclasses import dataclass

import numpy as np
from fitting import Fit
from inference import deviations

# From here on in words; project.yaml judges, by the same.
SURE = 5.26  # deviations: one in a million
UNKNOWN = 0.5  # of log k: a factor of 1.6 either way
MOST_OUTLIERS = 0.05  # share of the readings
REMEMBERS = 0.26  # a correlation; of 360 readings of noise one in a million has more


@dataclass(frozen=True)
class Belief:
    """What speaks for the answer, or against it."""

    converged: bool
    largest_deviation: float  # of log k, anywhere between the outer thermometers
    memory: float
    misfit: float  # what remains, over the scatter of neighbouring readings
    drift: tuple[float, float]  # K over the experiment, in standard deviations
    offset: tuple[float, float, float]  # m, where the worst thermometer is; K; in standard deviations


def judge(fit: Fit) -> Belief:
    """All that the residuals of `fit` tell."""
    rows, measured = (fit.residuals, fit.measured.times, fit.measured.positions), fit.measured
    x = np.linspace(measured.positions.min(), measured.positions.max(), 49)
    places = np.unique(measured.positions)
    offsets = [(float(place), *score(fit, (measured.positions == place).astype(float))) for place in places]
    return Belief(
        bool(fit.posterior.converged.all()),
        float(deviations(fit.posterior.unknowns.basis(x), fit.posterior.covariance).max()),
        memory(*rows),
        float(np.sqrt(np.mean(fit.residuals**2)) / max(scatter(*rows), 1e-6)),
        score(fit, measured.times / fit.model.bar.duration),
        max(offsets, key=lambda each: abs(each[2])),
    )


def memory(residuals: np.ndarray, times: np.ndarray, positions: np.ndarray) -> float:
    """The correlation of successive residuals of one thermometer: about 0 for noise, near 1 for a wrong model.

    It is below 0 where every other reading is stale. All arguments are (rows,). Errors that remember are not the noise that the intervals count on.
    """
    order = np.lexsort([times, positions])
    same = np.diff(positions[order]) == 0
    before, after = residuals[order][:-1][same], residuals[order][1:][same]
    return float((before * after).sum() / max((residuals**2).sum(), 1e-300))


def scatter(residuals: np.ndarray, times: np.ndarray, positions: np.ndarray) -> float:
    """The noise in K that neighbouring residuals (rows,) of one thermometer show: what is smooth is not in it."""
    order = np.lexsort([times, positions])
    same = (np.diff(positions[order])[1:] == 0) & (np.diff(positions[order])[:-1] == 0)
    second = np.diff(residuals[order], 2)[same]
    return float(np.sqrt(np.mean(second**2) / 6)) if len(second) else float(np.sqrt(np.mean(residuals**2)))


def score(fit: Fit, cause: np.ndarray) -> tuple[float, float]:
    """How much of the `cause` (rows,) is in the readings: its factor, and that in its standard deviations.

    What the unknowns could explain of it is taken out first: only the rest tells the one from the others.
    """
    J, C, noise = fit.posterior.J[0], fit.posterior.covariance[0], fit.noise
    rest = cause - J @ (C @ (J.T @ cause)) / noise**2
    size = float(rest @ cause)
    if size < 1e-9 * float(cause @ cause):
        return 0.0, 0.0  # as the unknowns themselves: it cannot be told
    factor = -float(rest @ fit.residuals) / size
    return factor, factor * np.sqrt(size) / noise


def doubts(belief: Belief, fit: Fit) -> list[str]:
    """In words what speaks against the answer."""
    said = []
    if not belief.converged:
        said.append("The inversion did not converge: do power, geometry and heat capacity describe this bar?")
    if fit.wild > MOST_OUTLIERS * (len(fit.measured) + fit.wild):
        said.append(
            f"{fit.wild} readings are outliers, far from the fit: so many are no accident. A loose thermometer?"
        )
    if belief.largest_deviation > UNKNOWN:
        said.append(
            f"The readings do not tell k everywhere: log k is uncertain by {belief.largest_deviation:.2g} somewhere "
            "between the thermometers. More of them, or heat from both ends, would tell."
        )
    if abs(belief.drift[1]) > SURE:
        said.append(
            f"Drift: a drift of {belief.drift[0]:.3g} K over the experiment, of all thermometers together, would "
            f"explain a part of what remains ({abs(belief.drift[1]):.3g} deviations). Has the air warmed up?"
        )
    where, kelvin, sure = belief.offset
    if abs(sure) > SURE:
        said.append(
            f"The thermometer at {where * 1e3:.4g} mm seems to read {abs(kelvin):.2g} K too "
            f"{'much' if kelvin > 0 else 'little'} ({abs(sure):.3g} deviations): is it calibrated, and is it there?"
        )
    if belief.memory > REMEMBERS:
        said.append(
            f"What remains is not noise: successive residuals have a correlation of {belief.memory:.2f}. The model "
            "does not describe this bar, and the intervals are too narrow. Are power, geometry, heat capacity, air and "
            "times right? If they are, more splines may follow a k that changes fast."
        )
    if belief.memory < -REMEMBERS:
        said.append(
            f"What remains jumps to and fro as no noise does: successive residuals have a correlation of "
            f"{belief.memory:.2f}. Are readings stale, or written again at a later time?"
        )
    return said
