"""What a plate does in its corners: the functions that no polynomial follows, for features.py to take along.

Near a corner, in polar coordinates r, θ with θ = 0 and θ = π/2 on its edges, every deflection is a sum of

    r^(λ+1) [a cos (λ+1)θ + b sin (λ+1)θ + c cos (λ-1)θ + d sin (λ-1)θ]

where the conditions on the two edges allow but certain λ (the exponents), and a, b, c, d for each. Whole λ give
polynomials. The others do not: where a clamped edge meets a free one λ = 1.07 ± 0.42 i, and without this function
no number of polynomials reaches four digits. A load that does not vanish in the corner brings one more, r⁴ log r with
its angles, where λ = 3 is an exponent (such as between a supported edge and a free one).

Every such function is multiplied by the polynomials of degree 0 to 2 in x and y, and by what vanishes on the two
edges that do not touch the corner, so that the conditions of all four edges hold as they do for the other features.

Source: M. Williams, Surface stress singularities resulting from various boundary conditions in angular corners of
plates under bending, Proc. 1st US National Congress of Applied Mechanics (1951) 325.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import comb

import numpy as np
from plate import Plate

ANGLE = np.pi / 2  # of every corner
HIGHEST = 3.2  # real part of the exponents that are taken along; those above are smooth enough
LOADED = 3.0  # the exponent with which a constant load is in resonance
DEGREE = 2  # of the polynomials that multiply
NEAREST = 1e-14  # r over the shorter side: what is nearer a corner than that lies in it
BESIDE = 1e-3  # r at which the third derivatives of a corner are taken, since they are infinite in it
POWERS = {"F": 0, "S": 1, "C": 2}


def angular(exponent: np.ndarray, theta: float, order: int) -> np.ndarray:
    """The four functions of θ, differentiated `order` times: complex (exponents, 4)."""
    found = []
    for q in (exponent + 1, exponent - 1):
        turned = q * theta + order * np.pi / 2  # d/dθ turns a cosine by a quarter
        found += [q**order * np.cos(turned), q**order * np.sin(turned)]
    return np.stack(found, axis=-1)


def conditions(letters: str, exponent: np.ndarray, poisson: float) -> np.ndarray:
    """What must vanish on the edges `letters` at θ = 0 and π/2: complex (exponents, 4, 4), rows of length 1."""
    rows, s = [], exponent[:, None]
    for letter, theta in zip(letters, (0.0, ANGLE), strict=True):
        f = [angular(exponent, theta, order) for order in range(4)]
        moment = (poisson * (s + 1) * s + s + 1) * f[0] + f[2]
        shear = ((s + 1) ** 2 + (1 - poisson) * s * (s - 1)) * f[1] + f[3]
        rows += {"C": [f[0], f[1]], "S": [f[0], moment], "F": [moment, shear]}[letter]
    matrix = np.stack(rows, axis=1)
    return matrix / np.linalg.norm(matrix, axis=2, keepdims=True)


@cache
def exponents(letters: str, poisson: float) -> tuple[complex, ...]:
    """The λ that the conditions allow, 0 < Re λ ≤ HIGHEST, Im λ ≥ 0, without 1: by Newton's method from a raster."""

    def determinant(s: np.ndarray) -> np.ndarray:
        return np.linalg.det(conditions(letters, s, poisson))

    s = np.array([complex(*point) for point in product(np.arange(0.13, HIGHEST, 0.2), np.arange(0.0, 1.6, 0.3))])
    h = 1e-6
    with np.errstate(all="ignore"):  # a start may run off
        for _ in range(30):
            step = determinant(s) * 2 * h / (determinant(s + h) - determinant(s - h))
            s = s - step / np.maximum(1, np.abs(step) / 0.2)
        settled = (np.abs(step) < 1e-9) & (s.real > 0.05) & (s.real <= HIGHEST) & (s.imag > -1e-9)
    found: list[complex] = []
    for value in sorted(s[settled], key=lambda each: each.real):
        value = complex(value.real, value.imag if value.imag > 1e-6 else 0.0)
        new = all(abs(value - other) > 1e-4 for other in found) and abs(value - 1) > 1e-3
        if new and np.linalg.svd(conditions(letters, np.array([value]), poisson)[0])[1][-1] < 1e-6:
            found.append(value)
    return tuple(found)


@dataclass(frozen=True)
class Function:
    """The real or imaginary part of Σ (coefficients + logarithms · ∂/∂λ) of the four functions for one λ."""

    exponent: complex
    coefficients: np.ndarray  # complex (4,)
    logarithms: np.ndarray  # complex (4,)
    imaginary: bool = False

    def derivatives(self, z: np.ndarray, order: int) -> dict[tuple[int, int], np.ndarray]:
        """∂ᵐ⁺ⁿ/∂xᵐ∂yⁿ at z = x + iy (points,), m + n ≤ `order`: float64 (points,) each.

        r^q cos qθ = ½ (z^q + z̄^q), r^q sin qθ = (z^q - z̄^q) / 2i, and r^(λ+1) cos (λ-1)θ is r² times such a one.
        """
        s, orders = self.exponent, [(m, n) for m in range(order + 1) for n in range(order + 1 - m)]
        total = {key: np.zeros(z.shape, complex) for key in orders}
        for side in (1, -1):  # z and its conjugate
            Z, i = (z, 1j) if side == 1 else (z.conj(), -1j)
            halves = np.array([0.5, side / 2j])
            for power, pair in ((s + 1, slice(0, 2)), (s - 1, slice(2, 4))):
                plain, logarithm = (halves @ values[pair] for values in (self.coefficients, self.logarithms))
                if plain == 0 and logarithm == 0:
                    continue
                F = power_derivatives(Z, power, plain, logarithm, order)
                for m, n in orders:
                    if power == s + 1:
                        total[m, n] += i**n * F[m + n]
                    else:  # times r² = x² + y², by Leibniz' rule
                        for k, outer in enumerate((z.real**2, 2 * z.real, 2)):
                            if k <= m:
                                total[m, n] += comb(m, k) * outer * i**n * F[m + n - k]
                        for k, outer in enumerate((z.imag**2, 2 * z.imag, 2)):
                            if k <= n:
                                total[m, n] += comb(n, k) * outer * i ** (n - k) * F[m + n - k]
        return {key: value.imag if self.imaginary else value.real for key, value in total.items()}


def power_derivatives(
    z: np.ndarray, power: complex, plain: complex, logarithm: complex, order: int
) -> list[np.ndarray]:
    """(plain + logarithm · log z) z^power and its derivatives up to `order`: complex (points,) each."""
    found, log = [], np.log(z)
    for k in range(order + 1):
        found.append((plain + logarithm * log) * z ** (power - k))
        plain, logarithm = (power - k) * plain + logarithm, (power - k) * logarithm
    return found


@cache
def functions(letters: str, poisson: float) -> tuple[Function, ...]:
    """What is singular in a corner between edges `letters`, at θ = 0 and π/2."""
    found = []
    for exponent in exponents("".join(sorted(letters)), poisson):  # the same from either edge
        if abs(exponent - round(exponent.real)) > 1e-4:
            null = np.linalg.svd(conditions(letters, np.array([exponent]), poisson)[0])[2][-1].conj()
            parts = (False, True) if exponent.imag else (False,)
            null = null / null[np.abs(null).argmax()]  # real where the exponent is
            found += [Function(exponent, null, np.zeros(4), part) for part in parts]
        elif abs(exponent - LOADED) < 1e-4:
            found += list(logarithmic(letters))
    return tuple(found)


def logarithmic(letters: str) -> Iterator[Function]:
    """r⁴ log r and its angles, as far as w (and its slope, if clamped) can vanish on the edges `letters`.

    The energy sees to the other conditions. The unknowns are the four logarithms, then the four coefficients.
    """
    s, rows, h = np.array([LOADED + 0j]), [], 1e-30
    for letter, theta in zip(letters, (0.0, ANGLE), strict=True):
        for order in range(POWERS[letter]):
            plain = angular(s, theta, order)[0].real
            slope = angular(s + 1j * h, theta, order)[0].imag / h  # ∂/∂λ, by a complex step
            rows += [np.concatenate([plain, 0 * plain]), np.concatenate([slope, plain])]
    null = np.eye(8)
    if rows:
        _, sizes, vectors = np.linalg.svd(np.array(rows))
        null = vectors[int((sizes > 1e-8).sum()) :]
    turn, sizes, _ = np.linalg.svd(null[:, :4].T @ null[:, :4])
    for column in turn[:, sizes > 1e-8].T:
        vector = np.linalg.pinv(null[:, :4].T, rcond=1e-8) @ column @ null
        yield Function(complex(LOADED), vector[4:].astype(complex), vector[:4].astype(complex))


@dataclass(frozen=True)
class Corner:
    """One corner of a plate, seen from itself: x and y from 0 inwards, in units of the shorter side."""

    side_x: int  # -1 or +1: at x = ∓ or ± length/2
    side_y: int
    unit: float  # m
    length: float  # of the plate, in units
    width: float
    far: tuple[int, int]  # powers of what vanishes on the two edges that do not touch the corner
    functions: tuple[Function, ...]

    def shapes(self, xi: np.ndarray, eta: np.ndarray, wanted: list[tuple[int, int]]) -> list[np.ndarray]:
        """∂ᵐ⁺ⁿ/∂ξᵐ∂ηⁿ for each (m, n) `wanted`: float64 (points, functions · 6)."""
        x, y = (1 - self.side_x * xi) * self.length / 2, (1 - self.side_y * eta) * self.width / 2
        order = max(m + n for m, n in wanted)
        singular = self._singular(x + 1j * y, order)
        along_x, along_y = (
            [polynomial(t, size, power, i, order) for i in range(DEGREE + 1)]
            for t, size, power in ((x, self.length, self.far[0]), (y, self.width, self.far[1]))
        )
        pairs = [(i, j) for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)]
        found = []
        for m, n in wanted:
            inner = (-self.side_x * self.length / 2) ** m * (-self.side_y * self.width / 2) ** n
            columns = [
                sum(
                    comb(m, a) * comb(n, b) * along_x[i][a] * along_y[j][b] * each[m - a, n - b]
                    for a in range(m + 1)
                    for b in range(n + 1)
                )
                for each in singular
                for i, j in pairs
            ]
            found.append(inner * np.stack(columns, axis=1))
        return found

    def _singular(self, z: np.ndarray, order: int) -> list[dict[tuple[int, int], np.ndarray]]:
        """The derivatives of each function up to `order`, in the corner itself those of a point beside it."""
        diagonal, inside = (1 + 1j) / np.sqrt(2), np.abs(z) < NEAREST
        found = [each.derivatives(np.where(inside, NEAREST * diagonal, z), order) for each in self.functions]
        if order == 3 and inside.any():
            for each, values in zip(self.functions, found, strict=True):
                beside = each.derivatives(np.array([BESIDE * diagonal]), order)
                for third in ((3, 0), (2, 1), (1, 2), (0, 3)):
                    values[third][inside] = beside[third]
        return found


def polynomial(t: np.ndarray, size: float, power: int, degree: int, order: int) -> list[np.ndarray]:
    """t^degree (1 - t/size)^power and its derivatives up to `order`: float64 (points,) each."""
    P = np.polynomial.Polynomial([0, 1]) ** degree * np.polynomial.Polynomial([1, -1 / size]) ** power
    return [(P if k == 0 else P.deriv(k))(t) for k in range(order + 1)]


def corners(plate: Plate) -> tuple[Corner, ...]:
    """The corners of `plate` in which something is singular."""
    unit, found = min(plate.length, plate.width), []
    for side_x, side_y in product((-1, 1), (-1, 1)):
        near_x, far_x = plate.edges[1 + side_x], plate.edges[1 - side_x]  # letters 0 and 2
        near_y, far_y = plate.edges[2 + side_y], plate.edges[2 - side_y]  # letters 1 and 3
        singular = functions(near_y + near_x, plate.poisson)  # θ = 0 is y = 0, the edge across y
        if singular:
            far = POWERS[far_x], POWERS[far_y]
            found.append(Corner(side_x, side_y, unit, plate.length / unit, plate.width / unit, far, singular))
    return tuple(found)
