"""The picture: the deflection found, the reference, and the difference of the two."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no screen needed
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator
from plate import Plate

UNITS = {"m": 1.0, "mm": 1e-3, "µm": 1e-6, "nm": 1e-9, "pm": 1e-12}


def compare(
    plate: Plate, x: np.ndarray, y: np.ndarray, deflections: Mapping[str, np.ndarray], reference: np.ndarray, path: Path
) -> None:
    """Draw one row for each of `deflections`, by title, and write a PNG to `path`.

    Deflections and `reference` (rows, columns) are in metres on the grid of `x` (columns,) and `y` (rows,).
    """
    rows = len(deflections)
    figure, grid = plt.subplots(
        rows, 3, figsize=(13, 0.4 + 3.5 * rows), squeeze=False, sharex=True, sharey=True, layout="constrained"
    )
    colours = np.linspace(0, 1.0001 * reference.max() * 1e3, 33)  # mm
    lines = MaxNLocator(6).tick_values(0, reference.max() * 1e3)
    for (title, found), (left, middle, right) in zip(deflections.items(), grid, strict=True):
        for axes, values, name in [(left, found, title), (middle, reference, "Reference: Lévy's series")]:
            millimetres = np.clip(values * 1e3, colours[0], colours[-1])
            filled = axes.contourf(x, y, millimetres, colours, cmap="viridis")
            contours = axes.contour(x, y, millimetres, lines[1:], colors="white", linewidths=0.7)
            axes.clabel(contours, fmt="%g", fontsize=8)
            figure.colorbar(filled, ax=axes, location="bottom", aspect=35, label="deflection w in mm", ticks=lines)
            axes.set_title(name)
        difference = found - reference
        relative = np.linalg.norm(difference) / np.linalg.norm(reference)
        unit, size = unit_for(np.abs(difference).max())
        bound = max(np.abs(difference).max() / size, 1e-9)  # not 0, or there would be no levels to draw
        filled = right.contourf(x, y, difference / size, np.linspace(-bound, bound, 34), cmap="RdBu_r")
        figure.colorbar(
            filled,
            ax=right,
            location="bottom",
            label=f"difference in {unit}",
            aspect=35,
            ticks=MaxNLocator(6),
            format="%.3g",
        )
        right.set_title(f"Difference, relative L2 = {relative:.1e}")
    for axes in grid.flat:
        axes.set(aspect="equal", xlabel="x in m")
        axes.set_xticks(np.linspace(x[0], x[-1], 5))
        axes.tick_params(labelbottom=True)
    for axes in grid[:, 0]:
        axes.set_ylabel("y in m")
    figure.suptitle(
        f"Plate of {plate.length:g} m × {plate.width:g} m × {plate.thickness * 1e3:g} mm "
        f"under {plate.load:g} Pa, "
        f"supported at x = ±{plate.length / 2:g} m, free at y = ±{plate.width / 2:g} m"
    )
    figure.savefig(path, dpi=160)
    plt.close(figure)


def unit_for(length: float) -> tuple[str, float]:
    """The largest unit that `length`, in metres, is at least one of, and that unit in metres."""
    return next(((unit, size) for unit, size in UNITS.items() if length >= size), ("pm", UNITS["pm"]))
