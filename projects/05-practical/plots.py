"""The picture: k(x) with its band, what the thermometers read, what remains, and where to put the next one."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no screen needed
import matplotlib.pyplot as plt
import numpy as np
from design import Advice
from inference import NORMAL_90, Posterior
from matplotlib.axes import Axes
from measurements import Measurements

STYLES = {
    "SciPy, Tikhonov": {"color": "tab:orange", "ls": "--"},
    "PaddleScience PINN": {"color": "tab:purple", "ls": "-."},
}


def draw(
    x: np.ndarray,
    posterior: Posterior,
    others: dict[str, np.ndarray],
    truth: np.ndarray | None,
    measured: Measurements,
    advice: Advice,
    path: Path,
) -> None:
    """Write a PNG to `path`.

    `x` (points,) in metres; `others`, by a method of STYLES, and `truth` are k (points,) in W/(m K); of `posterior` the
    first of the batch is drawn.
    """
    figure, ((top, right), (left, bottom)) = plt.subplots(2, 2, figsize=(12, 8), layout="constrained")
    draw_conductivity(top, x, posterior, others, truth, np.unique(measured.positions))
    draw_fits(right, left, posterior, measured)
    draw_advice(bottom, advice)
    for axes in figure.axes:
        axes.grid(alpha=0.25)
    figure.savefig(path, dpi=160)
    plt.close(figure)


def draw_conductivity(
    top: Axes,
    x: np.ndarray,
    posterior: Posterior,
    others: dict[str, np.ndarray],
    truth: np.ndarray | None,
    sensors: np.ndarray,
) -> None:
    """k(x) with its band, by all methods; `sensors` (thermometers,) in metres."""
    log_k, deviation = (value[0] for value in posterior.log_conductivity(x))
    mm = x * 1e3
    band = np.exp(log_k + NORMAL_90 * deviation * np.array([[-1], [1]]))
    top.fill_between(mm, *band, color="tab:blue", alpha=0.25, lw=0, label="90 % interval")
    top.plot(mm, np.exp(log_k), color="tab:blue", label="this program")
    for name, k in others.items():
        top.plot(mm, k, lw=1.2, label=name, **STYLES[name])
    if truth is not None:
        top.plot(mm, truth, color="black", lw=1, label="truth")
    top.plot(sensors * 1e3, np.zeros(len(sensors)), "^", color="black", clip_on=False, label="thermometers")
    top.set(xlabel="position x in mm", ylabel="conductivity k in W/(m K)", ylim=(0, 1.25 * np.exp(log_k).max()))
    top.legend(ncols=2, fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 0.03))
    top.set_title("Conductivity along the bar")


def draw_fits(right: Axes, left: Axes, posterior: Posterior, measured: Measurements) -> None:
    """Readings and fits on the `right`, and what remains on the `left`."""
    sensors = np.unique(measured.positions)
    predicted = measured.temperatures + posterior.residuals[0]
    shown = sensors[np.linspace(0, len(sensors) - 1, min(len(sensors), 8)).astype(int)]
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(sensors)))
    for sensor, colour in zip(sensors, colours, strict=True):
        rows = np.flatnonzero(measured.positions == sensor)
        rows = rows[np.argsort(measured.times[rows])]
        residuals = posterior.residuals[0, rows] / posterior.noise[0]
        left.plot(measured.times[rows], residuals, ".", color=colour, ms=3)
        if sensor in shown:
            right.plot(measured.times[rows], measured.temperatures[rows], ".", color=colour, ms=3)
            right.plot(measured.times[rows], predicted[rows], color=colour, lw=1, label=f"{sensor * 1e3:.0f} mm")
    right.set(xlabel="time in s", ylabel="temperature in °C", title="Readings (dots) and fit (lines)")
    right.legend(title="x", fontsize=8, loc="upper left")
    left.axhspan(-3, 3, color="grey", alpha=0.12, lw=0)
    left.axhline(0, color="black", lw=0.8)
    left.set(
        xlabel="time in s",
        ylabel="(fit - reading) / noise",
        title=f"Residuals; noise estimated as {posterior.noise[0]:.3g} K",
    )


def draw_advice(bottom: Axes, advice: Advice) -> None:
    """What one more thermometer would do, by its place."""
    bottom.plot(advice.positions * 1e3, 100 * advice.deviations, color="tab:green", label="with one more thermometer")
    bottom.axhline(100 * advice.before, color="black", lw=1, ls="--", label="as it is")
    bottom.plot(advice.best * 1e3, 100 * advice.deviations.min(), "o", color="tab:green")
    bottom.annotate(
        f"best: {advice.best * 1e3:.0f} mm",
        (advice.best * 1e3, 100 * advice.deviations.min()),
        textcoords="offset points",
        xytext=(0, -16),
        ha="center",
    )
    bottom.set(
        xlabel="position of the next thermometer in mm",
        ylabel="mean deviation of k in %",
        title="Where the next thermometer helps most",
        ylim=(0, None),
    )
    bottom.legend(fontsize=8, loc="lower right")
