"""Ritz's method: the deflection of least energy that given functions can make, by one linear solve.

The deflection is sought as

    w = q/D Σ cₙ φᵢ₍ₙ₎(ξ) ψⱼ₍ₙ₎(η),    ξ = 2x/length,  η = 2y/width,  i + j ≤ N,

in polynomials that obey the essential conditions of all edges (polynomials.py), and where asked together with what is
singular in the corners (corners.py). c is that of least energy,

    ½ ∫ (∂²u/∂x² + ∂²u/∂y²)² - 2 (1 - μ) (∂²u/∂x² ∂²u/∂y² - (∂²u/∂x∂y)²) dx dy - ∫ q u dx dy,

whose minimum has all other edge conditions (moments, free edges) by itself. Nothing is trained.

Polynomials alone: an entry of the energy's matrix is a sum of products of an integral along x and one along y, so it is
made of matrices of N + 1 rows, and Cholesky's factorisation is accurate, since the basis is well conditioned. With what
is singular in the corners neither is so: there the energy is summed over points, and factorised without being formed.

Source: W. Ritz, J. reine angew. Math. 135 (1909) 1.
"""

from dataclasses import dataclass
from functools import cache

import corners
import numpy as np
import quadrature
from plate import Plate
from polynomials import Basis, pairs, units
from scipy import linalg

BLOCK = 4096  # points that features are evaluated at in one go: bounds the memory
SMALLEST = {"float64": 1e-8, "float32": 1e-5}  # singular value of J that is told from rounding, over the largest
UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24}
ROUNDINGS = 8  # that a feature's second derivatives are from exact: sums of Chebyshev polynomials
SUMMED = 4  # times as many where RᵀR was summed: of five products, of two integrals each


@dataclass(frozen=True)
class Solution:
    """What `solve` found: the output layers of all degrees up to the basis', for one price.

    The corner functions come first, then the products of polynomials by degree.
    """

    plate: Plate
    basis: Basis
    corners: tuple[corners.Corner, ...]
    points: int  # of the quadrature
    triangle: np.ndarray  # (columns, columns), R: the energy of columns of length 1 is ½ |R c|²
    work: np.ndarray  # (columns,), the load's work on them
    lengths: np.ndarray  # (columns,), their energy norms

    def columns(self, degree: int) -> int:
        """The number of corner functions and products up to this degree."""
        return len(self.work) - units(self.basis.degree) + units(degree)

    def inverse(self, right: np.ndarray) -> np.ndarray:
        """(RᵀR)⁻¹ `right`, of the leading columns that `right` (columns,) or (columns, layers) has.

        Without the singular values that rounding makes, where polynomials nearly do what corner functions do.
        """
        R = self.triangle[: len(right), : len(right)]
        if not self.corners:
            return np.asarray(linalg.cho_solve((R, False), right, check_finite=False))
        _, sizes, vectors = np.linalg.svd(R)
        kept = sizes > SMALLEST[self.basis.dtype] * sizes[0]
        scaled = vectors[kept] / sizes[kept, None]
        return np.asarray(scaled.T @ (scaled @ right))

    def output(self, degree: int | None = None) -> np.ndarray:
        """The output layer (columns,) of least energy, ½ |R c|² - work·c; of all features if no degree is asked."""
        n = self.columns(self.basis.degree if degree is None else degree)
        return np.pad(self.inverse(self.work[:n]) / self.lengths[:n], (0, len(self.work) - n))

    @property
    def energy(self) -> float:
        """The least energy, for the load's magnitude over D as unit, and over D: in m², as that of ritz.py."""
        return -float(self.work * self.lengths @ self.output()) / 2

    def roundings(self, samples: int) -> np.ndarray:
        """What rounding may have made of the output layer: float64 (columns, samples), each to be added to `output()`.

        To first order. c solves RᵀR c = work, and each component of that is met only to the rounding of the energy's
        columns, which are of length 1, times |R c|; where RᵀR was summed, times SUMMED · |c|. So Δc = (RᵀR)⁻¹ noise,
        the noise random with a deviation of

            ROUNDINGS · |R c| · (u of float64 + u of the features' type / √points),

        since the errors of features are independent from one point to the next, those of the factorisation are not.
        """
        c = self.inverse(self.work)
        size = np.linalg.norm(self.triangle @ c if self.corners else SUMMED * c)
        unit = UNIT_ROUNDOFF["float64"] + UNIT_ROUNDOFF[self.basis.dtype] / np.sqrt(self.points)
        noise = ROUNDINGS * size * unit * np.random.default_rng(0).standard_normal((len(c), samples))
        return self.inverse(noise) / self.lengths[:, None]

    def derivatives(
        self, x: np.ndarray, y: np.ndarray, wanted: list[tuple[int, int]], output: np.ndarray | None = None
    ) -> list[np.ndarray]:
        """∂ᵐ⁺ⁿw/∂xᵐ∂yⁿ at the points `x`, `y` (points,), in metres, for each (m, n), m + n ≤ 3: float64 (points,).

        With several output layers, `output` (columns, layers): float64 (points, layers).
        """
        output = self.output() if output is None else output
        singular, smooth = np.split(output, [len(output) - units(self.basis.degree)])
        xi, eta = 2 * np.asarray(x) / self.plate.length, 2 * np.asarray(y) / self.plate.width
        parts = []
        for start in range(0, xi.size, BLOCK):
            at = xi[start : start + BLOCK], eta[start : start + BLOCK]
            values = self.basis.sums(*at, wanted, smooth)
            if self.corners:
                found = zip(*(corner.shapes(*at, wanted) for corner in self.corners), strict=True)
                values = [v + np.concatenate(f, axis=1) @ singular for v, f in zip(values, found, strict=True)]
            parts.append(values)
        sizes = [self.plate.scale * (2 / self.plate.length) ** m * (2 / self.plate.width) ** n for m, n in wanted]
        return [size * np.concatenate(pieces) for size, pieces in zip(sizes, zip(*parts, strict=True), strict=True)]

    def deflection(self, x: np.ndarray, y: np.ndarray, output: np.ndarray | None = None) -> np.ndarray:
        """The deflection on the grid of `x` (columns,), `y` (rows,): float64 (rows, columns), in metres."""
        output = self.output() if output is None else output
        singular, smooth = np.split(output, [len(output) - units(self.basis.degree)])
        xi, eta = 2 * np.asarray(x) / self.plate.length, 2 * np.asarray(y) / self.plate.width
        first, second = self.basis.along(0, xi, 0)[0], self.basis.along(1, eta, 0)[0]
        found = second.T @ self.basis.table(smooth).T @ first
        if self.corners:
            at = [axis.ravel() for axis in np.meshgrid(xi, eta)]
            shapes = [corner.shapes(*at, [(0, 0)])[0] for corner in self.corners]
            found += (np.concatenate(shapes, axis=1) @ singular).reshape(found.shape)
        return np.asarray(self.plate.scale * found)


def solve(plate: Plate, degree: int = 20, dtype: str = "float64", in_corners: bool = False) -> Solution:
    """The deflection of least energy in the span of the features up to `degree`.

    `dtype` is that of the polynomials on the current device: "float64" or "float32". `in_corners` adds what is singular
    in the plate's corners, computed on the host.
    """
    basis = Basis.make(plate.edges, degree, dtype)
    singular = corners.corners(plate) if in_corners else ()
    if singular:
        return by_points(plate, basis, singular)
    return by_products(plate, basis)


def by_products(plate: Plate, basis: Basis) -> Solution:
    """The energy of polynomials, by integrals along x and along y."""
    t, weights = quadrature.line(basis.degree + 7)  # exact for polynomials; two less would be
    x, y, share = plate.load.quadrature(plate.length, plate.width, quadrature.over((t, weights), (t, weights)))
    side = round(np.sqrt(len(share)))  # of the load's grid of points; 1 for a point
    integrals, loaded = [], []  # ∫ φ⁽ʳ⁾ᵢ φ⁽ˢ⁾ₖ: (r, i, s, k) along x, then along y; the φᵢ where the load is
    for axis, half, at in ((0, plate.length / 2, x[:side]), (1, plate.width / 2, y[::side])):
        along = basis.along(axis, np.concatenate([t, at / half]), 2)
        scaled = along[..., : len(t)] * np.sqrt(weights * half) * half ** -np.arange(3.0)[:, None, None]
        rows = scaled.reshape(-1, len(t))
        integrals.append((rows @ rows.T).reshape(3, basis.degree + 1, 3, basis.degree + 1))
        loaded.append(along[0, :, len(t) :])
    X, Y = integrals
    mu = plate.poisson
    terms = [(1.0, (2, 2), (0, 0)), (1.0, (0, 0), (2, 2)), (mu, (2, 0), (0, 2)), (mu, (0, 2), (2, 0))]
    terms.append((2 * (1 - mu), (1, 1), (1, 1)))
    first = np.stack([share * X[r, :, s].ravel() for share, (r, s), _ in terms])
    second = np.stack([Y[r, :, s].ravel() for _, _, (r, s) in terms])
    K = (first.T @ second).ravel()[places(basis.degree)]  # (units, units)
    lengths = np.sqrt(K.diagonal())
    K /= np.outer(lengths, lengths)
    work = (loaded[0] @ share.reshape(side, side).T @ loaded[1].T)[pairs(basis.degree)]
    triangle = linalg.cholesky(K, overwrite_a=True, check_finite=False)
    return Solution(plate, basis, (), len(t), triangle, work / lengths, lengths)


@cache
def places(degree: int) -> np.ndarray:
    """Where in the product of two lists of (degree + 1)² integrals an entry of the energy's matrix stands."""
    (i, j), n = pairs(degree), degree + 1
    return (i[:, None] * n + i) * n**2 + j[:, None] * n + j


def by_points(plate: Plate, basis: Basis, singular: tuple[corners.Corner, ...]) -> Solution:
    """The energy together with what is singular in the corners, by points that lie denser there."""

    def shapes(xi: np.ndarray, eta: np.ndarray, wanted: list[tuple[int, int]]) -> list[np.ndarray]:
        blocks = [corner.shapes(xi, eta, wanted) for corner in singular] + [basis.shapes(xi, eta, wanted)]
        return [np.concatenate(each, axis=1) for each in zip(*blocks, strict=True)]

    rule = quadrature.graded(basis.degree)
    xi, eta, weights = rule
    area = weights * plate.length * plate.width / 4  # (points,)
    uxx, uyy, uxy = shapes(xi, eta, [(2, 0), (0, 2), (1, 1)])  # each (points, columns)
    uxx, uyy = uxx * (2 / plate.length) ** 2, uyy * (2 / plate.width) ** 2
    uxy = uxy * (4 / (plate.length * plate.width))

    # The energy is ½|J c|² - work·c. Its first part is a sum of squares, since
    # uxx² + uyy² + 2μ uxx uyy = ½(1 + μ) (uxx + uyy)² + ½(1 - μ) (uxx - uyy)².
    mu, root = plate.poisson, np.sqrt(area)[:, None]
    J = np.concatenate(
        [
            np.sqrt((1 + mu) / 2) * root * (uxx + uyy),
            np.sqrt((1 - mu) / 2) * root * (uxx - uyy),
            np.sqrt(2 * (1 - mu)) * root * uxy,
        ]
    )  # (3 points, columns)
    x, y, share = plate.load.quadrature(plate.length, plate.width, rule)
    work = share @ shapes(2 * x / plate.length, 2 * y / plate.width, [(0, 0)])[0]  # (columns,)

    # Jᵀ J c = work would square the condition number: J = Q R, and R's singular values are J's.
    lengths = np.linalg.norm(J, axis=0)
    lengths[lengths == 0] = 1.0
    triangle = np.linalg.qr(J / lengths, mode="r")
    return Solution(plate, basis, singular, len(area), triangle, work / lengths, lengths)
