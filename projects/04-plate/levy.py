"""The reference: Lévy's series, exact up to rounding, where two opposite edges are simply supported.

Between two simply supported edges every sine of x keeps its shape, so the plate equation falls apart into one
ordinary differential equation in y for each of them:

    w(x, y) = Σ Yₘ(y) sin k(x + length/2),   k = mπ / length,   Yₘ'''' - 2k² Yₘ'' + k⁴ Yₘ = qₘ(y) / D

Yₘ is a particular solution and four exponentials, on each strip of y in which the load has no jump; the
conditions on the edges and the continuity between strips give a small linear system for each m. See
S. Timoshenko and S. Woinowsky-Krieger, Theory of Plates and Shells, 2nd edition (1959), articles 41 to 48.
"""

import dataclasses

import numpy as np
from plate import Plate

TERMS = 1000  # for a uniform load they fall like 1/m⁵: the rest is below 1e-14 of the largest deflection
BATCH = 250  # terms at a time: bounds the memory


class NoSeries(ValueError):
    """The plate has no two opposite edges that are simply supported, or its load varies along both axes."""


def exists(plate: Plate) -> bool:
    """Whether `derivative` has an answer for this plate."""
    return along_x(plate) or (plate.edges[1] + plate.edges[3] == "SS" and plate.load.kind != "hydrostatic")


def along_x(plate: Plate) -> bool:
    return plate.edges[0] + plate.edges[2] == "SS"


def deflection(plate: Plate, x: np.ndarray, y: np.ndarray, terms: int = TERMS) -> np.ndarray:
    """The deflection on the grid of `x` (columns,) and `y` (rows,): float64 (rows, columns), all in metres."""
    return derivative(plate, x, y, 0, 0, terms)


def derivative(plate: Plate, x: np.ndarray, y: np.ndarray, m: int, n: int, terms: int = TERMS) -> np.ndarray:
    """∂ᵐ⁺ⁿw / ∂xᵐ∂yⁿ on the grid of `x` (columns,) and `y` (rows,), in metres: float64 (rows, columns).

    Raises NoSeries where there is none, see `exists`.
    """
    if not exists(plate):
        raise NoSeries(f"edges={plate.edges}, {plate.load.kind} load: no Lévy series")
    if not along_x(plate):
        return derivative(transposed(plate), y, x, n, m, terms).T
    x, y = np.asarray(x, float), np.asarray(y, float)
    found = np.zeros((len(y), len(x)))
    for start in range(1, terms + 1, BATCH):
        k = np.arange(start, min(start + BATCH, terms + 1)) * np.pi / plate.length
        phase = np.outer(k, x + plate.length / 2) + m * np.pi / 2
        found += profiles(plate, k, y, n) @ (k[:, None] ** m * np.sin(phase))
    return found


def moments(plate: Plate, x: np.ndarray, y: np.ndarray, terms: int = TERMS) -> np.ndarray:
    """Mx, My, Mxy on the same grid, in N, with the signs of fields.py: float64 (3, rows, columns)."""
    xx, yy, xy = (derivative(plate, x, y, *order, terms) for order in [(2, 0), (0, 2), (1, 1)])
    mu = plate.poisson
    return -plate.rigidity * np.stack([xx + mu * yy, yy + mu * xx, (1 - mu) * xy])


def transposed(plate: Plate) -> Plate:
    """The same plate with x and y exchanged."""
    a, b, c, d = plate.edges
    return dataclasses.replace(
        plate, length=plate.width, width=plate.length, edges=b + a + d + c, load=plate.load.transposed()
    )


def profiles(plate: Plate, k: np.ndarray, y: np.ndarray, order: int) -> np.ndarray:
    """The `order`-th derivative of every Yₘ, `k` (terms,), at `y` (rows,): float64 (rows, terms)."""
    borders = strips(plate)
    coefficients = solve(plate, k, borders)  # (terms, strips, 4)
    which = np.clip(np.searchsorted(borders, y, side="right") - 1, 0, len(borders) - 2)
    found = np.empty((len(y), len(k)))
    for strip in range(len(borders) - 1):
        rows = which == strip
        inside = basis(k, y[rows, None], borders[strip], borders[strip + 1], order)  # (4, rows, terms)
        found[rows] = np.einsum("irm,mi->rm", inside, coefficients[:, strip])
        found[rows] += particular(plate, k, y[rows, None], borders, strip, order)
    return found


def strips(plate: Plate) -> np.ndarray:
    """The y, in metres, between which the load has no jump: float64 (strips + 1,)."""
    load, half = plate.load, plate.width / 2
    jumps = {"point": [load.y], "patch": [load.y - load.patch_width / 2, load.y + load.patch_width / 2]}
    inner = [y for y in jumps.get(load.kind, []) if abs(y) < half * (1 - 1e-9)]
    return np.array([-half, *inner, half])


def basis(k: np.ndarray, y: np.ndarray | float, low: float, high: float, order: int) -> np.ndarray:
    """The `order`-th derivatives of e⁻ˢ, s e⁻ˢ for s = k(y - low), and for s = k(high - y): none overflows."""
    up, down = k * (y - low), k * (high - y)
    fall, rise = (-k) ** order * np.exp(-up), k**order * np.exp(-down)
    return np.stack(np.broadcast_arrays(fall, (up - order) * fall, rise, (down - order) * rise))


def particular(
    plate: Plate, k: np.ndarray, y: np.ndarray | float, borders: np.ndarray, strip: int, order: int
) -> np.ndarray:
    """The `order`-th derivative of a solution of the equation with the load in this strip, as `k` * `y`."""
    load = plate.load
    amplitude = plate.scale * load.sines(k, plate.length)
    if load.kind == "sinusoidal":
        wave = np.pi / plate.width
        shape = wave**order * np.sin(wave * (y + plate.width / 2) + order * np.pi / 2)
        return amplitude / (k**2 + wave**2) ** 2 * shape
    middle = (borders[strip] + borders[strip + 1]) / 2
    beside = load.kind == "point" or (load.kind == "patch" and abs(middle - load.y) > load.patch_width / 2)
    return (0.0 if beside or order else 1.0) * amplitude / k**4 + 0.0 * y


def solve(plate: Plate, k: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """The coefficients of the four exponentials: float64 (terms, strips, 4)."""
    count, mu = len(borders) - 1, plate.poisson
    conditions = {  # on an edge: each a sum of factor · k^(lift) · derivative of this order
        "S": [[(0, 0, 1.0)], [(2, 0, 1.0)]],
        "C": [[(0, 0, 1.0)], [(1, 0, 1.0)]],
        "F": [[(2, 0, 1.0), (0, 2, -mu)], [(3, 0, 1.0), (1, 2, mu - 2)]],
    }
    matrix, right = np.zeros((len(k), 4 * count, 4 * count)), np.zeros((len(k), 4 * count))

    def put(row: int, strip: int, y: float, order: int, factor: np.ndarray | float) -> None:
        values = basis(k, y, borders[strip], borders[strip + 1], order)  # (4, terms)
        matrix[:, row, 4 * strip : 4 * strip + 4] += (factor * values).T
        right[:, row] -= factor * particular(plate, k, y, borders, strip, order)

    row = 0
    for letter, strip, y in [(plate.edges[1], 0, borders[0]), (plate.edges[3], count - 1, borders[-1])]:
        for terms in conditions[letter]:
            highest = terms[0][0]
            for order, lift, factor in terms:
                put(row, strip, y, order, factor * k ** (lift - highest))
            if plate.load.kind == "point" and letter == "F" and highest == 3 and abs(y - plate.load.y) < 1e-9:
                jump = plate.scale * plate.load.sines(k, plate.length) / k**3  # a force on the free edge itself
                right[:, row] += jump if strip == 0 and y < 0 else -jump
            row += 1
    for strip in range(count - 1):
        for order in range(4):
            put(row, strip + 1, borders[strip + 1], order, k**-order)
            put(row, strip, borders[strip + 1], order, -(k**-order))
            if order == 3 and plate.load.kind == "point":
                right[:, row] += plate.scale * plate.load.sines(k, plate.length) / k**3
            row += 1
    return np.linalg.solve(matrix, right[..., None])[..., 0].reshape(len(k), count, 4)
