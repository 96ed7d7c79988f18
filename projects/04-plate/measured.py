"""What is measured on an answer: every metric of project.yaml, by name. main.py writes them, and computes none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import accuracy
import features as one_solve
import fields
import levy
import numpy as np
from plate import Plate

SMOOTH_LOADS = ("uniform", "sinusoidal", "hydrostatic")  # a patch or point leaves forces that no bound can judge
SERIES_LOADS = ("uniform", "sinusoidal")  # for the others Lévy's series converges too slowly to judge by
MOMENTS = fields.TOGETHER["moments"]


@dataclass(frozen=True)
class Measured:
    """The metrics of a Ritz solve, its fields by name (rows, columns), and errors for the picture."""

    metrics: dict[str, Any]
    fields: dict[str, np.ndarray]
    true: list[tuple[int, float]]  # (features, relative L2 error), where there is a series


def errors(found: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """The relative L2 error (1) and the largest absolute error (that of the arguments, metres)."""
    difference = found - reference
    return float(np.linalg.norm(difference) / np.linalg.norm(reference)), float(np.abs(difference).max())


def against_series(plate: Plate, found: np.ndarray, reference: np.ndarray | None, prefix: str = "") -> dict[str, float]:
    """The errors of a deflection (rows, columns) against the series, where it is one to judge by."""
    if reference is None or plate.load.kind not in SERIES_LOADS:
        return {}
    relative, largest = errors(found, reference)
    return {f"{prefix}relative_l2": relative, f"{prefix}max_error": largest}


def features(answer: accuracy.Answer, x: np.ndarray, y: np.ndarray, reference: np.ndarray | None) -> Measured:
    """All that is measured on a Ritz solve, on the grid of `x` (columns,) and `y` (rows,)."""
    solution, plate = answer.solution, answer.solution.plate
    layers = fields.on_grid(solution, x, y, accuracy.layers(solution))  # (rows, columns, layers)
    found = {name: values[..., 0] for name, values in layers.items()}
    metrics: dict[str, Any] = {
        "compute_dtype": solution.basis.dtype,
        "tolerance_met": answer.met,
        "features": len(solution.work),
        "energy_error": fields.energy_error(solution),
        "energy_rounding_error": energy_rounding(solution),
        "corner_force": max(fields.corner_forces(solution).values(), key=abs),
        **{f"max_{name.lower()}": float(np.abs(found[name]).max()) for name in MOMENTS},
        **within(fields.stacked(layers), accuracy.least_share(solution)),
    }
    if plate.load.kind in SMOOTH_LOADS:
        metrics |= {
            "estimated_error": answer.estimate.total,
            "rounding_error": answer.estimate.rounding,
            "equilibrium_error": fields.equilibrium_error(solution, fields.INNER if plate.clamped_beside_free else 1.0),
        }
        stacked = fields.stacked(layers)
        for kind in ("moments", "shear"):
            metrics[f"estimated_{kind}_error"] = accuracy.estimate(stacked[kind], accuracy.least_share(solution)).total
    metrics |= against_series(plate, found["w"], reference)
    if "relative_l2" in metrics:
        metrics["series_error"] = errors(levy.deflection(plate, x, y, levy.TERMS // 2), reference)[0]
        metrics |= moments_errors(plate, found, x, y)
    return Measured(metrics, found, [] if reference is None else true_errors(answer, x, y, reference))


def energy_rounding(solution: one_solve.Solution) -> float:
    """What rounding may make of the energy, relatively."""
    return accuracy.estimate(solution.work * solution.lengths @ accuracy.layers(solution), 1.0).rounding


def ritz(solution: Any, deflection: np.ndarray, reference: np.ndarray | None, dtype: str) -> dict[str, Any]:
    """Of a trained network (ritz.Solution): how far its energy is from the least one, and its errors."""
    degree, in_corners = accuracy.LADDER[dtype][-1]
    least = one_solve.solve(solution.plate, degree, dtype, in_corners).energy
    excess = float((solution.energies[-1] - least) / abs(least))
    return {"ritz_energy_excess": excess, **against_series(solution.plate, deflection, reference, "ritz_")}


def pinn(solution: Any, deflection: np.ndarray, reference: np.ndarray | None) -> dict[str, Any]:
    """Of PaddleScience's network (pinn.Solution): how far training reduced its loss, and its errors."""
    ratio = float(solution.losses[-1] / solution.losses[0])
    return {"pinn_loss_ratio": ratio, **against_series(solution.plate, deflection, reference, "pinn_")}


def within(stacked: Mapping[str, np.ndarray], least_share: float) -> dict[str, float]:
    """The estimated largest error of one value, over its size, or over the mean size of its kind if that is larger."""
    found = {}
    for kind, values in stacked.items():
        size = np.abs(values[..., 0])
        size = np.maximum(size, size.mean())[..., None]
        found[f"{kind}_within"] = accuracy.estimate(values / size, least_share, lambda v: float(np.abs(v).max())).total
    return found


def moments_errors(plate: Plate, found: Mapping[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """The moments' relative L2 error against the series, and what half of the series' terms would change in it."""
    exact = levy.moments(plate, x, y)
    return {
        "moments_relative_l2": errors(np.stack([found[name] for name in MOMENTS]), exact)[0],
        "series_moments_error": errors(levy.moments(plate, x, y, levy.TERMS // 2), exact)[0],
    }


def true_errors(
    answer: accuracy.Answer, x: np.ndarray, y: np.ndarray, reference: np.ndarray
) -> list[tuple[int, float]]:
    """(features, relative L2 error) of the lower degrees and of the answer, on a part of the grid."""
    few = slice(None, None, max(1, len(x) // 20))
    curve = [*answer.curve, (len(answer.solution.work), answer.solution.output())]
    return [
        (units, errors(answer.solution.deflection(x[few], y[few], output), reference[few, few])[0])
        for units, output in curve
    ]
