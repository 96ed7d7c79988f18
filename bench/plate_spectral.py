"""A spectral method for the official plate, as one writes it in NumPy: Ritz in (1 - ξ²) Pᵢ(ξ) Pⱼ(η), i, j < size.

Nothing of task 4 is imported. Edges SFSF, a uniform load of 1 over the rigidity. Task 4 has besides: other edges and
loads, what is singular in the corners, an estimate of its own error, a device.
"""

from typing import Any

import numpy as np

legendre: Any = np.polynomial.legendre  # NumPy has no types for it


def deflection(length: float, width: float, poisson: float, size: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The deflection on the grid of `x` (columns,) and `y` (rows,), in metres: float64 (rows, columns), in m⁴."""
    t, weights = legendre.leggauss(size + 2)
    P = [legendre.legvander(t, size - 1)]
    derivative = np.pad(legendre.legder(np.eye(size)), ((0, 1), (0, 0)))
    for _ in range(2):
        P.append(P[-1] @ derivative)
    one, two, three = (1 - t * t)[:, None], -2 * t[:, None], -2.0
    supported = [one * P[0], one * P[1] + two * P[0], one * P[2] + 2 * two * P[1] + three * P[0]]

    def integrals(values: list[np.ndarray], half: float) -> list[np.ndarray]:
        scaled = [np.sqrt(half * weights)[:, None] * value / half**order for order, value in enumerate(values)]
        return [scaled[r].T @ scaled[s] for r, s in ((0, 0), (1, 1), (2, 2), (2, 0))]

    (Mx, Bx, Ax, Cx), (My, By, Ay, Cy) = integrals(supported, length / 2), integrals(P, width / 2)
    K = np.kron(Ax, My) + np.kron(Mx, Ay) + 2 * (1 - poisson) * np.kron(Bx, By)
    K += poisson * (np.kron(Cx, Cy.T) + np.kron(Cx.T, Cy))
    work = np.kron(supported[0].T @ weights * length / 2, P[0].T @ weights * width / 2)
    c = np.linalg.solve(K, work).reshape(size, size)
    xi, eta = 2 * x / length, 2 * y / width
    along = legendre.legvander(xi, size - 1) * (1 - xi**2)[:, None]
    found: np.ndarray = legendre.legvander(eta, size - 1) @ c.T @ along.T
    return found
