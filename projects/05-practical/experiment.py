"""The simulated experiment, of which the truth is known.

It is made by another solver than the one that inverts it (classical.py: eigenvalues, exact in time), on a grid seven
times as fine, and its k(x) is no spline: to invert a model with its own numbers would flatter it.
"""

from dataclasses import dataclass

import classical
import numpy as np
from bar import Bar, Unknowns

TRUE_LOSS = 25.0  # W/(m² K)
FINE_CELLS = 420
SAMPLES = 60  # readings of a thermometer


@dataclass(frozen=True)
class Experiment:
    """Readings of all simulated thermometers, again and again with new noise."""

    times: np.ndarray  # (rows,), s
    positions: np.ndarray  # (rows,), m
    exact: np.ndarray  # (rows,), K above the air's temperature
    readings: np.ndarray  # (seeds, rows), K
    noise: float  # K


def true_conductivity(bar: Bar, x: np.ndarray) -> np.ndarray:
    """k (points,) in W/(m K) of the simulated bar: it falls along the bar, and has a porous zone at 60 %."""
    part = x / bar.length
    return 160 * (1 - 0.45 * np.exp(-((part - 0.6) ** 2) / (2 * (1 / 6) ** 2))) * (1 - 0.15 * part)


def simulate(bar: Bar, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times (rows,), positions (rows,) and noiseless temperatures (rows,) above the air's, of the simulated bar."""
    moments = bar.duration / SAMPLES * np.arange(1, SAMPLES + 1)
    times, places = (axis.ravel() for axis in np.meshgrid(moments, positions, indexing="ij"))
    faces = bar.length / FINE_CELLS * np.arange(1, FINE_CELLS)
    return times, places, classical.at_rows(bar, true_conductivity(bar, faces), TRUE_LOSS, times, places)


def run(bar: Bar, thermometers: int, noise: float, seeds: int, numbers: np.random.Generator) -> Experiment:
    """The experiment with so many `thermometers` and their `noise` in K, `seeds` times."""
    times, positions, exact = simulate(bar, np.linspace(0.02, 0.98, thermometers) * bar.length)
    return Experiment(times, positions, exact, exact + noise * numbers.normal(size=(seeds, len(exact))), noise)


def best_splines(bar: Bar, unknowns: Unknowns, times: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """θ (unknowns,) that splines would give without noise, by SciPy.

    Readings at `times` and `positions` (rows,) and the model of them are on one grid, so that only the splines part
    this from the truth.
    """
    faces = bar.length / classical.CELLS * np.arange(1, classical.CELLS)
    truth = true_conductivity(bar, faces)
    exact = classical.at_rows(bar, truth, TRUE_LOSS, times, positions)
    start = unknowns.closest(truth, faces, TRUE_LOSS)
    return classical.solve_splines(bar, unknowns, times, positions, exact, start)


def relative_l2(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The error of `found` (..., points) relative to the `truth` (points,)."""
    return np.linalg.norm(found - truth, axis=-1) / np.linalg.norm(truth)
