"""A random-feature network, its hidden layer frozen, and one linear solve (Ritz energy). Nothing is trained.

The deflection is sought as

    w = q/D (1 - ξ²) Σ cₘ tanh(αₘ ξ + βₘ η + γₘ),    ξ = 2x/length,  η = 2y/width,

where α, β, γ are drawn once and stay, and only the output layer c is computed: it is that of least energy,
strain energy minus work of the load, which for u = w D/q is, up to a factor,

    ½ ∫ (∂²u/∂x² + ∂²u/∂y²)² - 2 (1 - μ) (∂²u/∂x² ∂²u/∂y² - (∂²u/∂x∂y)²) dx dy - ∫ u dx dy.

This has three advantages over the residual of the differential equation, which most physics-informed networks
reduce. It needs second derivatives instead of fourth. The conditions on the free edges, and the moment on the
supported ones, come by themselves, for the minimum has them; only w = 0 must be built in, by 1 - ξ². And it
is quadratic in c, so that a linear system is solved instead of a network trained.

Sources: W. Ritz, J. reine angew. Math. 135 (1909) 1; the energy as a network's loss is the deep Ritz method
of W. E and B. Yu (arXiv:1710.00211), the frozen hidden layer the random feature method of J. Chen, X. Chi,
W. E and Z. Yang (arXiv:2207.13380).
"""

from dataclasses import dataclass

import numpy as np
import paddle
from plate import Plate

SLOPE = 3.0  # α and β are drawn from ±3: flatter features resemble each other, steeper ones need more company
NODES = 40  # Gauss points per side: with 28 of them, 800 features bend unseen between the points
BLOCK = 8192  # points that features are evaluated at in one go: bounds the memory

# A direction in the space of features that hardly bends the plate is lost in the rounding of the features:
# leave it out. Relative to the direction that bends it most, and where the measured error is least.
NOISE = {"float64": 1e-10, "float32": 1e-5}


def choose_dtype() -> tuple[str, str]:
    """The type that the features are computed in on the current device, and the reason for it.

    The solve that follows is always in float64, on the host.
    """
    fallback = "FLAGS_enable_api_kernel_fallback"  # else Paddle computes on the host what the device cannot
    before = paddle.get_flags(fallback)
    paddle.set_flags({fallback: False})
    points = np.linspace(-3, 3, 101)
    try:
        x = paddle.to_tensor(points, dtype="float64")
        error = np.abs(paddle.tanh(x * x + x).numpy() - np.tanh(points * points + points)).max()
    except Exception as refusal:  # what a device raises for a type that it lacks differs from one to the next
        return "float32", f"{paddle.get_device()} refuses float64 ({type(refusal).__name__})"
    finally:
        paddle.set_flags(before)
    if not error < 1e-14:
        return "float32", f"{paddle.get_device()} takes float64, but is wrong by {error:.0e}"
    return "float64", f"{paddle.get_device()} computes in float64"


@dataclass(frozen=True)
class Network:
    """The hidden layer: `features` times tanh of a line in the square |ξ| ≤ 1, |η| ≤ 1."""

    alpha: paddle.Tensor  # (features,)
    beta: paddle.Tensor  # (features,)
    gamma: paddle.Tensor  # (features,)

    @classmethod
    def draw(cls, features: int, seed: int, dtype: str) -> "Network":
        """Draw the layer by numpy, so that every device is given the same one."""
        random = np.random.default_rng(seed)
        slopes = random.uniform(-SLOPE, SLOPE, (2, features))
        centres = random.uniform(-1, 1, (2, features))  # each tanh changes sign at a point inside the plate
        rows = [*slopes, -(slopes * centres).sum(axis=0)]
        return cls(*(paddle.to_tensor(row, dtype=dtype) for row in rows))

    @property
    def parameters(self) -> tuple[paddle.Tensor, ...]:
        return self.alpha, self.beta, self.gamma

    def features(self, xi: paddle.Tensor, eta: paddle.Tensor) -> paddle.Tensor:
        """tanh at the points `xi`, `eta`, both (points, 1): (points, features).

        Two multiplications, not a matmul of two columns: accelerators like to round a matmul's inputs.
        """
        return paddle.tanh(xi * self.alpha + eta * self.beta + self.gamma)

    def shapes(self, xi: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """(1 - ξ²) tanh, which is 0 on the supported edges, at the points `xi`, `eta`, both (points,).

        Returns (points, features), in float64 on the host.
        """
        xi, eta = self.column(xi), self.column(eta)
        return host((1 - xi * xi) * self.features(xi, eta))

    def curvatures(self, xi: np.ndarray, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """∂²/∂ξ², ∂²/∂η² and ∂²/∂ξ∂η of `shapes`: each (points, features), in float64 on the host."""
        xi, eta = self.column(xi), self.column(eta)
        hat = 1 - xi * xi
        value = self.features(xi, eta)  # of tanh, and its derivatives are polynomials of it
        first = 1 - value * value
        second = -2 * value * first
        along_xi = hat * second * self.alpha * self.alpha - 4 * xi * first * self.alpha - 2 * value
        along_eta = hat * second * self.beta * self.beta
        mixed = hat * second * self.alpha * self.beta - 2 * xi * first * self.beta
        return host(along_xi), host(along_eta), host(mixed)

    def column(self, coordinate: np.ndarray) -> paddle.Tensor:
        return paddle.to_tensor(coordinate, dtype=self.alpha.dtype).unsqueeze(1)  # (points, 1)


@dataclass(frozen=True)
class Solution:
    """What `solve` found."""

    plate: Plate
    network: Network
    output: np.ndarray  # (features,), the output layer c
    directions: int  # how many directions in the space of features stood above the noise
    strain_energy: float  # J

    def deflection(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The deflection on the grid of `x` (columns,), `y` (rows,): float64 (rows, columns), in metres."""
        xi, eta = np.meshgrid(2 * np.asarray(x) / self.plate.length, 2 * np.asarray(y) / self.plate.width)
        blocks = [slice(start, start + BLOCK) for start in range(0, xi.size, BLOCK)]
        u = [self.network.shapes(xi.flat[block], eta.flat[block]) @ self.output for block in blocks]
        return self.plate.scale * np.concatenate(u).reshape(xi.shape)


def solve(plate: Plate, features: int = 400, seed: int = 0, dtype: str = "float64") -> Solution:
    """The deflection of least energy in the span of `features` random features.

    `dtype` is that of the features on the current device: "float64" gives a relative error of about 4e-9,
    "float32" about 7e-7. Raises KeyError for another one.
    """
    network = Network.draw(features, seed, dtype)

    # Gauss-Legendre quadrature over the square, and the factors from the square to the plate.
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    xi, eta = (axis.ravel() for axis in np.meshgrid(nodes, nodes))  # (points,)
    area = np.outer(weights, weights).ravel() * plate.length * plate.width / 4  # (points,)
    along_xi, along_eta, mixed = network.curvatures(xi, eta)
    uxx = along_xi * (2 / plate.length) ** 2  # (points, features)
    uyy = along_eta * (2 / plate.width) ** 2
    uxy = mixed * (4 / (plate.length * plate.width))

    # The energy is ½|J c|² - work·c. Its first part is a sum of squares, since
    # uxx² + uyy² + 2μ uxx uyy = ½(1 + μ) (uxx + uyy)² + ½(1 - μ) (uxx - uyy)².
    mu, root = plate.poisson, np.sqrt(area)[:, None]
    J = np.concatenate(
        [
            np.sqrt((1 + mu) / 2) * root * (uxx + uyy),
            np.sqrt((1 - mu) / 2) * root * (uxx - uyy),
            np.sqrt(2 * (1 - mu)) * root * uxy,
        ]
    )  # (3 points, features)
    work = area @ network.shapes(xi, eta)  # (features,)

    # Jᵀ J c = work. Random features are nearly dependent, and Jᵀ J would square that: decompose J itself.
    _, stretch, directions = np.linalg.svd(np.linalg.qr(J, mode="r"))  # (features,), (features, features)
    above = stretch > NOISE[dtype] * stretch[0]
    stretch, directions = stretch[above], directions[above]
    output = directions.T @ (directions @ work / stretch**2)
    return Solution(
        plate, network, output, int(above.sum()), strain_energy=plate.load * plate.scale * float(work @ output) / 2
    )


def host(tensor: paddle.Tensor) -> np.ndarray:
    return tensor.numpy().astype("float64")
