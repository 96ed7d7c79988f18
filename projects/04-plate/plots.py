"""The pictures: deflections beside the reference, the moments and shear forces, and the convergence."""

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
    plate: Plate,
    x: np.ndarray,
    y: np.ndarray,
    deflections: Mapping[str, np.ndarray],
    reference: np.ndarray | None,
    path: Path,
) -> None:
    """Draw one row for each of `deflections`, by title, and write a PNG to `path`.

    Without a `reference`, the first deflection stands in its place. All are (rows, columns), in metres, on the
    grid of `x` (columns,) and `y` (rows,).
    """
    rows = len(deflections)
    name_of_reference = "Reference: Lévy's series" if reference is not None else "No series; the first again"
    reference = next(iter(deflections.values())) if reference is None else reference
    figure, grid = plt.subplots(
        rows, 3, figsize=(13, 0.4 + 3.5 * rows), squeeze=False, sharex=True, sharey=True, layout="constrained"
    )
    low, high = min(reference.min(), 0.0) * 1e3, reference.max() * 1e3  # mm
    colours = np.linspace(1.0001 * low, 1.0001 * high, 33)
    lines = MaxNLocator(6).tick_values(low, high)
    for (title, found), (left, middle, right) in zip(deflections.items(), grid, strict=True):
        for axes, values, name in [(left, found, title), (middle, reference, name_of_reference)]:
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
        f"Plate of {plate.length:g} m × {plate.width:g} m × {plate.thickness * 1e3:g} mm, edges {plate.edges}, "
        f"{plate.load}"
    )
    figure.savefig(path, dpi=160)
    plt.close(figure)


def convergence(
    estimated: list[tuple[int, float]], true: list[tuple[int, float]], tolerance: float, path: Path
) -> None:
    """Draw the error over the number of features: estimates and, if there are any, true ones. A PNG."""
    figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
    axes.semilogy(*zip(*estimated, strict=True), "o", label="estimated, of each degree tried")
    if true:
        axes.semilogy(*zip(*true, strict=True), "s-", label="true, of the best one's leading features", markersize=4)
    axes.axhline(tolerance, color="grey", linewidth=0.8, label="tolerance")
    axes.set(xlabel="features", ylabel="relative L2 error of the deflection", title="Convergence")
    axes.grid(True, which="major", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def forces(x: np.ndarray, y: np.ndarray, fields: Mapping[str, np.ndarray], path: Path) -> None:
    """Draw Mx, My, Mxy, Qx, Qy (rows, columns) in N and N/m on the grid of `x` (columns,), `y` (rows,). A PNG."""
    figure, grid = plt.subplots(2, 3, figsize=(13, 7), sharex=True, sharey=True, layout="constrained")
    units = {"w": "mm", "Mx": "N", "My": "N", "Mxy": "N", "Qx": "N/m", "Qy": "N/m"}
    for axes, (name, unit) in zip(grid.flat, units.items(), strict=True):
        values = fields[name] * (1e3 if unit == "mm" else 1)
        bound = max(float(np.quantile(np.abs(values), 0.995)), 1e-30)  # corners may be singular
        one_sided = name == "w" and values.min() > -0.01 * bound
        ticks = np.linspace(0 if one_sided else -bound, bound, 5)
        levels = np.linspace(ticks[0], bound, 25)
        colours = "viridis" if one_sided else "RdBu_r"
        filled = axes.contourf(x, y, np.clip(values, ticks[0], bound), levels, cmap=colours)
        figure.colorbar(filled, ax=axes, location="bottom", aspect=35, format="%.3g", ticks=ticks)
        axes.set(aspect="equal", title=f"{name} in {unit}", xlabel="x in m", ylabel="y in m")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def unit_for(length: float) -> tuple[str, float]:
    """The largest unit that `length`, in metres, is at least one of, and that unit in metres."""
    return next(((unit, size) for unit, size in UNITS.items() if length >= size), ("pm", UNITS["pm"]))
