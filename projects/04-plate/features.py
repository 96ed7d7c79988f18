"""A random-feature network, its hidden layer frozen, and one linear solve (Ritz energy). Nothing is trained.

The deflection is sought as

    w = q/D · g(ξ, η) Σ cₙ Tₖ₍ₙ₎(αₙ ξ + βₙ η),    ξ = 2x/length,  η = 2y/width,  |α| + |β| = 1,

where the directions α, β are drawn once and stay, the activation Tₖ is Chebyshev's polynomial of degree k = 0 … N
with k + 1 directions each, and only the output layer c is computed. The factor g vanishes on supported edges, and
with its slope on clamped ones, so these conditions hold exactly. c is that of least energy,

    ½ ∫ (∂²u/∂x² + ∂²u/∂y²)² - 2 (1 - μ) (∂²u/∂x² ∂²u/∂y² - (∂²u/∂x∂y)²) dx dy - ∫ q u dx dy,

whose minimum has all other edge conditions (moments, free edges) by itself.

Why not tanh? Random tanh features are nearly dependent: 400 of them have a condition number beyond 1e15, which
costs half of the digits. k + 1 distinct directions per degree span every polynomial up to degree N (B. Logan and
L. Shepp, Duke Math. J. 42 (1975) 645), are evaluated by multiplications and additions alone, are integrated
exactly by Gauss points, and have a condition number of 1e6 at degree 24.

Sources: W. Ritz, J. reine angew. Math. 135 (1909) 1; W. E and B. Yu (arXiv:1710.00211); the frozen hidden layer
is the random feature method of J. Chen, X. Chi, W. E and Z. Yang (arXiv:2207.13380).
"""

from dataclasses import dataclass
from math import comb

import corners
import numpy as np
import paddle
import quadrature
from plate import Plate

BLOCK = 4096  # points that features are evaluated at in one go: bounds the memory
SMALLEST = {"float64": 1e-8, "float32": 1e-5}  # singular value of J that is told from rounding, over the largest
UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24}
ROUNDINGS = 8  # that a feature's second derivatives are from exact: recurrences, powers, Leibniz' rule


def units(degree: int) -> int:
    """The number of hidden units up to this degree."""
    return (degree + 1) * (degree + 2) // 2


def hat(edges: str, axis: int, t: np.ndarray) -> list[np.ndarray]:
    """The factor of g along ξ (`axis` 0) or η (1) at `t` (points,), and its derivatives: 4 times (points,).

    One power of (1 ± t) for a supported edge, two for a clamped one: the distance to the edge, in effect.
    """
    powers = {"F": 0, "S": 1, "C": 2}
    factor = np.polynomial.Polynomial([1, 1]) ** powers[edges[axis]]
    factor = factor * np.polynomial.Polynomial([1, -1]) ** powers[edges[axis + 2]]
    return [factor(t), *(factor.deriv(order)(t) for order in (1, 2, 3))]


@dataclass(frozen=True)
class Network:
    """The hidden layer, sorted by degree: the first `units(k)` units are those up to degree k."""

    degree: int
    edges: str
    alpha: paddle.Tensor  # (units,)
    beta: paddle.Tensor  # (units,)

    @classmethod
    def draw(cls, degree: int, edges: str, seed: int, dtype: str) -> "Network":
        """Draw the directions by numpy, so that every device is given the same ones.

        Those of one degree are evenly spread, from a random first one: on a disc they would be orthogonal.
        """
        random = np.random.default_rng(seed)
        angles = [np.pi * (np.arange(k + 1) + random.uniform()) / (k + 1) for k in range(degree + 1)]
        lines = np.stack([np.cos(np.concatenate(angles)), np.sin(np.concatenate(angles))])
        lines /= np.abs(lines).sum(axis=0)  # so that |αξ + βη| ≤ 1 on the plate
        return cls(degree, edges, *(paddle.to_tensor(row, dtype=dtype) for row in lines))

    @property
    def dtype(self) -> str:
        return str(self.alpha.dtype).rpartition(".")[2]

    @property
    def parameters(self) -> tuple[paddle.Tensor, ...]:
        return self.alpha, self.beta

    def activations(self, xi: np.ndarray, eta: np.ndarray, orders: int) -> list[np.ndarray]:
        """T, T', … up to `orders` at the points `xi`, `eta` (points,): each (units, points), float64 on the host.

        By T⁽ʳ⁾ₖ = 2t T⁽ʳ⁾ₖ₋₁ + 2r T⁽ʳ⁻¹⁾ₖ₋₁ - T⁽ʳ⁾ₖ₋₂, on the device.
        Units are rows, since leaving out the first ones copies nothing.
        """
        row = [paddle.to_tensor(axis, dtype=self.alpha.dtype) for axis in (xi, eta)]
        t = self.alpha.unsqueeze(1) * row[0] + self.beta.unsqueeze(1) * row[1]  # (units, points)
        zero, one = paddle.zeros_like(t), paddle.ones_like(t)
        before, now = [t, one, zero, zero][: orders + 1], [one, zero, zero, zero][: orders + 1]  # T₋₁ = t and T₀ = 1
        ready: list[list[paddle.Tensor]] = [[] for _ in range(orders + 1)]
        t = 2 * t
        for k in range(self.degree + 1):
            for r in range(orders + 1):
                ready[r].append(now[r][: k + 1])  # the units of degree k are done
            t, before, now = t[k + 1 :], [part[k + 1 :] for part in before], [part[k + 1 :] for part in now]
            if k < self.degree:
                following = [t * now[r] - before[r] for r in range(orders + 1)]
                for r in range(1, orders + 1):
                    following[r] += 2 * r * now[r - 1]
                before, now = now, following
        return [paddle.concat(blocks).numpy().astype("float64") for blocks in ready]

    def shapes(self, xi: np.ndarray, eta: np.ndarray, wanted: list[tuple[int, int]]) -> list[np.ndarray]:
        """∂ᵐ⁺ⁿ/∂ξᵐ∂ηⁿ of g T for each (m, n) `wanted`, m + n ≤ 3: each (points, units), float64 on the host."""
        T = self.activations(xi, eta, max(m + n for m, n in wanted))  # each (units, points)
        along_xi, along_eta = hat(self.edges, 0, xi), hat(self.edges, 1, eta)
        alpha, beta = (row.numpy().astype("float64") for row in self.parameters)
        found = []
        for m, n in wanted:
            total = np.zeros_like(T[0])
            for i in range(m + 1):
                for j in range(n + 1):
                    factor = comb(m, i) * comb(n, j) * along_xi[m - i] * along_eta[n - j]
                    if factor.any():
                        total += (alpha**i * beta**j)[:, None] * factor * T[i + j]
            found.append(total.T)
        return found


@dataclass(frozen=True)
class Solution:
    """What `solve` found: the output layers of all degrees up to the network's, for one price.

    The corner functions come first, then the hidden units by degree.
    """

    plate: Plate
    network: Network
    corners: tuple[corners.Corner, ...]
    points: int  # of the quadrature
    triangle: np.ndarray  # (columns, columns), R of the energy's QR, of columns of length 1
    work: np.ndarray  # (columns,), the load's work on them
    lengths: np.ndarray  # (columns,), their energy norms

    def columns(self, degree: int) -> int:
        """The number of corner functions and hidden units up to this degree."""
        return len(self.work) - units(self.network.degree) + units(degree)

    def spectrum(self, columns: int) -> tuple[np.ndarray, np.ndarray]:
        """The singular values (kept,) of the leading block of R, and their right vectors (kept, columns).

        Without those that rounding makes: R may be singular where polynomials nearly do what corner functions do.
        """
        _, sizes, vectors = np.linalg.svd(self.triangle[:columns, :columns])
        kept = sizes > SMALLEST[self.network.dtype] * sizes[0]
        return sizes[kept], vectors[kept]

    def output(self, degree: int | None = None) -> np.ndarray:
        """The output layer (columns,) of least energy, ½ |R c|² - work·c; the whole network's if no degree is asked."""
        n = self.columns(self.network.degree if degree is None else degree)
        sizes, vectors = self.spectrum(n)
        along = vectors @ self.work[:n] / sizes**2
        return np.pad(along @ vectors / self.lengths[:n], (0, len(self.work) - n))

    @property
    def energy(self) -> float:
        """The least energy, for the load's magnitude over D as unit, and over D: in m², as that of ritz.py."""
        return -float(self.work * self.lengths @ self.output()) / 2

    def roundings(self, samples: int) -> np.ndarray:
        """What rounding may have made of the output layer: float64 (columns, samples), each to be added to `output()`.

        To first order. c solves RᵀR c = work, and each component of that is met only to the rounding of J's columns,
        which are of length 1, times |J c|. So Δc = (RᵀR)⁻¹ noise, the noise random with a deviation of

            ROUNDINGS · |J c| · (u of float64 + u of the features' type / √points),

        since the errors of features are independent from one point to the next, those of the factorisation are not.
        """
        sizes, vectors = self.spectrum(len(self.work))
        energy = np.linalg.norm(vectors @ self.work / sizes)
        unit = UNIT_ROUNDOFF["float64"] + UNIT_ROUNDOFF[self.network.dtype] / np.sqrt(self.points)
        noise = ROUNDINGS * energy * unit * np.random.default_rng(0).standard_normal((len(self.work), samples))
        return vectors.T @ (vectors @ noise / sizes[:, None] ** 2) / self.lengths[:, None]

    def shapes(self, xi: np.ndarray, eta: np.ndarray, wanted: list[tuple[int, int]]) -> list[np.ndarray]:
        """∂ᵐ⁺ⁿ/∂ξᵐ∂ηⁿ of every feature for each (m, n) `wanted`: float64 (points, columns), on the host."""
        return shapes(self.network, self.corners, xi, eta, wanted)

    def derivatives(
        self, x: np.ndarray, y: np.ndarray, wanted: list[tuple[int, int]], output: np.ndarray | None = None
    ) -> list[np.ndarray]:
        """∂ᵐ⁺ⁿw/∂xᵐ∂yⁿ at the points `x`, `y` (points,), in metres, for each (m, n): float64 (points,).

        With several output layers, `output` (columns, layers): float64 (points, layers).
        """
        output = self.output() if output is None else output
        xi, eta = 2 * np.asarray(x) / self.plate.length, 2 * np.asarray(y) / self.plate.width
        parts = []
        for start in range(0, xi.size, BLOCK):
            block = slice(start, start + BLOCK)
            parts.append([shape @ output for shape in self.shapes(xi[block], eta[block], wanted)])
        sizes = [self.plate.scale * (2 / self.plate.length) ** m * (2 / self.plate.width) ** n for m, n in wanted]
        return [size * np.concatenate(pieces) for size, pieces in zip(sizes, zip(*parts, strict=True), strict=True)]

    def deflection(self, x: np.ndarray, y: np.ndarray, output: np.ndarray | None = None) -> np.ndarray:
        """The deflection on the grid of `x` (columns,), `y` (rows,): float64 (rows, columns), in metres."""
        columns, rows = np.meshgrid(x, y)
        return self.derivatives(columns.ravel(), rows.ravel(), [(0, 0)], output)[0].reshape(columns.shape)


def shapes(
    network: Network,
    singular: tuple[corners.Corner, ...],
    xi: np.ndarray,
    eta: np.ndarray,
    wanted: list[tuple[int, int]],
) -> list[np.ndarray]:
    """∂ᵐ⁺ⁿ/∂ξᵐ∂ηⁿ of the corner functions, then the hidden units: float64 (points, columns) for each (m, n)."""
    blocks = [corner.shapes(xi, eta, wanted) for corner in singular] + [network.shapes(xi, eta, wanted)]
    return [np.concatenate(each, axis=1) for each in zip(*blocks, strict=True)]


def solve(plate: Plate, degree: int = 20, seed: int = 0, dtype: str = "float64", in_corners: bool = False) -> Solution:
    """The deflection of least energy in the span of the random features up to `degree`.

    `dtype` is that of the features on the current device: "float64" or "float32". `in_corners` adds what is singular
    in the plate's corners, computed on the host.
    """
    network = Network.draw(degree, plate.edges, seed, dtype)
    singular = corners.corners(plate) if in_corners else ()
    rule = quadrature.graded(degree) if singular else quadrature.gauss(degree + 5)  # the latter exact for polynomials
    xi, eta, weights = rule
    area = weights * plate.length * plate.width / 4  # (points,)
    uxx, uyy, uxy = shapes(network, singular, xi, eta, [(2, 0), (0, 2), (1, 1)])  # each (points, columns)
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
    x, y, share = plate.load.quadrature(plate.length, plate.width, rule if singular else quadrature.gauss(degree + 7))
    work = share @ shapes(network, singular, 2 * x / plate.length, 2 * y / plate.width, [(0, 0)])[0]  # (columns,)

    # Jᵀ J c = work would square the condition number: J = Q R, and R's singular values are J's.
    lengths = np.linalg.norm(J, axis=0)
    lengths[lengths == 0] = 1.0
    return Solution(plate, network, singular, len(area), np.linalg.qr(J / lengths, mode="r"), work / lengths, lengths)
