"""What an engineer reads off a deflection: slopes, moments, shear forces, reactions, and whether they balance.

    Mx = -D (∂²w/∂x² + μ ∂²w/∂y²)    My = -D (∂²w/∂y² + μ ∂²w/∂x²)    Mxy = -D (1 - μ) ∂²w/∂x∂y      in N
    Qx = -D ∂/∂x (∂²w/∂x² + ∂²w/∂y²)    Qy = -D ∂/∂y (∂²w/∂x² + ∂²w/∂y²)                            in N/m
    Vx = Qx + ∂Mxy/∂y    Vy = Qy + ∂Mxy/∂x    what an edge really transmits (Kirchhoff)            in N/m
    R  = 2 Mxy           the force at a supported corner                                             in N

Signs are those of S. Timoshenko and S. Woinowsky-Krieger, Theory of Plates and Shells, 2nd edition (1959), articles
21 and 22, but for Mxy, which has the opposite sign there: here all moments are -D times a second derivative.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from plate import Plate
from quadrature import graded, line

ORDERS = [(0, 0), (1, 0), (0, 1), (2, 0), (0, 2), (1, 1), (3, 0), (2, 1), (1, 2), (0, 3)]
UNITS = {"w": "m", "slope_x": "1", "slope_y": "1", "Mx": "N", "My": "N", "Mxy": "N", "Qx": "N/m", "Qy": "N/m"}
TOGETHER = {
    "deflection": ("w",),
    "slopes": ("slope_x", "slope_y"),
    "moments": ("Mx", "My", "Mxy"),
    "shear": ("Qx", "Qy"),
}
EDGE_NODES = 64  # Gauss points on an edge
INNER = 0.8  # of length and width: the part that is cut free where shear forces on the edges have no bound
ENERGY_DEGREE = 36  # of the polynomials that the energy's quadrature is good for


class Bent(Protocol):
    """A solution that can be differentiated, such as features.Solution."""

    plate: Plate

    def derivatives(
        self, x: np.ndarray, y: np.ndarray, wanted: list[tuple[int, int]], output: np.ndarray | None = None
    ) -> list[np.ndarray]: ...


def at(solution: Bent, x: np.ndarray, y: np.ndarray, output: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """All fields at the points `x`, `y` (points,), in metres: by name, float64 (points,), in the units of UNITS.

    Also Vx and Vy, in N/m. With several output layers, `output` (columns, layers): (points, layers) each.
    """
    found = solution.derivatives(x, y, ORDERS, output)
    return from_derivatives(solution.plate, dict(zip(ORDERS, found, strict=True)))


def from_derivatives(plate: Plate, d: dict[tuple[int, int], np.ndarray]) -> dict[str, np.ndarray]:
    """The fields from the derivatives (m, n): ∂ᵐ⁺ⁿw/∂xᵐ∂yⁿ, m + n ≤ 3, all of one shape."""
    D, mu = plate.rigidity, plate.poisson
    return {
        "w": d[0, 0],
        "slope_x": d[1, 0],
        "slope_y": d[0, 1],
        "Mx": -D * (d[2, 0] + mu * d[0, 2]),
        "My": -D * (d[0, 2] + mu * d[2, 0]),
        "Mxy": -D * (1 - mu) * d[1, 1],
        "Qx": -D * (d[3, 0] + d[1, 2]),
        "Qy": -D * (d[2, 1] + d[0, 3]),
        "Vx": -D * (d[3, 0] + (2 - mu) * d[1, 2]),
        "Vy": -D * (d[0, 3] + (2 - mu) * d[2, 1]),
    }


def on_grid(solution: Bent, x: np.ndarray, y: np.ndarray, output: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The same on the grid of `x` (columns,) and `y` (rows,): each float64 (rows, columns), or (…, layers)."""
    columns, rows = np.meshgrid(x, y)
    found = at(solution, columns.ravel(), rows.ravel(), output)
    return {name: value.reshape(*rows.shape, *value.shape[1:]) for name, value in found.items()}


def stacked(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The fields of one kind together, by the names of TOGETHER: float64 (fields, …)."""
    return {kind: np.stack([found[name] for name in names]) for kind, names in TOGETHER.items()}


def corner_forces(solution: Bent, part: float = 1.0) -> dict[str, float]:
    """The forces on the plate at its corners, in N, positive towards positive w.

    0 where two free edges meet, and on a clamped edge, along which nothing twists. Of the inner `part` of the plate,
    cut free, all four.
    """
    plate, forces = solution.plate, {}
    for i, sign_x in ((0, -1), (2, 1)):
        for j, sign_y in ((1, -1), (3, 1)):
            corner = np.array([sign_x * part * plate.length / 2]), np.array([sign_y * part * plate.width / 2])
            pair = plate.edges[i] + plate.edges[j]
            held = part < 1 or (pair != "FF" and "C" not in pair)
            twist = at(solution, *corner)["Mxy"].item()
            forces[f"{'-+'[sign_x > 0]}x{'-+'[sign_y > 0]}y"] = -2 * sign_x * sign_y * twist if held else 0.0
    return forces


def edge_reactions(solution: Bent, part: float = 1.0) -> list[float]:
    """The forces on the plate along its four edges, in N, in the order of the letters of `edges`; 0 on free ones.

    Of the inner `part` of the plate, along its four cuts.
    """
    plate, forces = solution.plate, []
    t, weights = line(EDGE_NODES)
    half = part * plate.length / 2, part * plate.width / 2
    for side, letter in enumerate(plate.edges):
        axis, sign = side % 2, (-1, -1, 1, 1)[side]
        across, along = np.full_like(t, sign * half[axis]), t * half[1 - axis]
        x, y = (across, along) if axis == 0 else (along, across)
        shear = at(solution, x, y)[("Vx", "Vy")[axis]]
        forces.append(0.0 if letter == "F" and part == 1 else float(sign * half[1 - axis] * weights @ shear))
    return forces


def equilibrium_error(solution: Bent, part: float = 1.0) -> float:
    """|load + forces along the edges and at the corners| / load: third derivatives, the hardest to have right.

    Of the inner `part` of the plate, cut free.
    """
    load = solution.plate.load_on(part)
    return abs(load + sum(edge_reactions(solution, part)) + sum(corner_forces(solution, part).values())) / load


def energy_error(solution: Bent) -> float:
    """|strain energy - half the work of the load| / strain energy, both by a quadrature of their own (Clapeyron)."""
    plate, rule = solution.plate, graded(ENERGY_DEGREE)
    area = rule[2] * plate.length * plate.width / 4
    x, y = rule[0] * plate.length / 2, rule[1] * plate.width / 2
    xx, yy, xy = solution.derivatives(x, y, [(2, 0), (0, 2), (1, 1)])
    density = (xx + yy) ** 2 - 2 * (1 - plate.poisson) * (xx * yy - xy**2)
    strain = plate.rigidity / 2 * area @ density
    px, py, share = plate.load.quadrature(plate.length, plate.width, rule)
    work = plate.load.magnitude * share @ solution.derivatives(px, py, [(0, 0)])[0]
    return float(abs(strain - work / 2) / strain)
