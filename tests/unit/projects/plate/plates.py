"""What plates are loaded by and judged by, how far two deflections are apart, and what the derivatives of one are."""

import numpy as np
from numpy.polynomial import chebyshev

LOADS = ["uniform", "sinusoidal", "hydrostatic", "patch", "point"]
JUDGED = ("relative_l2", "moments_relative_l2", "estimated_error", "equilibrium_error", "energy_error")


def relative_l2(found, reference):
    return np.linalg.norm(found - reference) / np.linalg.norm(reference)


def derivatives(deflection, x_range, y_range, degree=18):
    """The function `derivative(m, n)`: ∂ᵐ⁺ⁿw/∂xᵐ∂yⁿ on a 5 x 5 grid of the patch, its borders included.

    Of the polynomial through the deflections at Chebyshev nodes: exact to rounding for so smooth a function.
    """
    nodes = chebyshev.chebpts1(degree + 1)
    (x0, x1), (y0, y1) = x_range, y_range
    half_x, half_y = (x1 - x0) / 2, (y1 - y0) / 2
    values = deflection(x0 + half_x * (nodes + 1), y0 + half_y * (nodes + 1))  # rows are y
    to_series = np.linalg.inv(chebyshev.chebvander(nodes, degree))
    series = to_series @ values.T @ to_series.T  # [power of x, power of y]
    patch = np.linspace(-1, 1, 5)

    def derivative(m, n):
        of_x = chebyshev.chebder(series, m, scl=1 / half_x, axis=0)
        return chebyshev.chebgrid2d(patch, patch, chebyshev.chebder(of_x, n, scl=1 / half_y, axis=1))

    return derivative
