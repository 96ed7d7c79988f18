"""A network that is really trained: the deep Ritz method, minimised by Gauss and Newton instead of Adam.

The deflection is w = q/D g(ξ, η) N(ξ, η): N a network of two hidden layers of tanh, g as in polynomials.py, so that
the essential edge conditions hold exactly. Its energy, strain energy minus work, is a sum of squares minus a
linear term; the network is linearised, J its derivatives with respect to all weights, and each step solves

    (JᵀJ + λ I) step = -gradient

with Levenberg's and Marquardt's λ: smaller after a step that lowers the energy, greater until one does.

Sources: W. E and B. Yu, the deep Ritz method (arXiv:1710.00211); J. Müller and M. Zeinhofer, energy natural
gradient descent (arXiv:2302.13163), of which this is the quadratic case.
"""

from dataclasses import dataclass

import numpy as np
import paddle
from plate import Plate
from polynomials import hat
from quadrature import gauss
from scipy import linalg

WIDTH = 16  # units of each of the two hidden layers
NODES = (26, 22)  # Gauss points in x and y; with fewer, the network finds room to bend between them
ATTEMPTS = 14  # values of λ in one step
Weights = list[paddle.Tensor]


@dataclass(frozen=True)
class Solution:
    """What `train` found."""

    plate: Plate
    weights: Weights  # of the layers: W, b, W, b, W
    energies: np.ndarray  # (steps + 1,), J, for u = w D/q without its unit

    def deflection(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The deflection on the grid of `x` (columns,), `y` (rows,): float64 (rows, columns), in metres."""
        columns, rows = np.meshgrid(2 * np.asarray(x) / self.plate.length, 2 * np.asarray(y) / self.plate.width)
        xi, eta = columns.ravel(), rows.ravel()
        with paddle.no_grad():
            N = values(self.weights, tensor(np.stack([xi, eta], axis=1), self.weights[0].dtype))
        g = hat(self.plate.edges, 0, xi)[0] * hat(self.plate.edges, 1, eta)[0]
        return self.plate.scale * (g * N[:, 0].numpy()).reshape(rows.shape)


def tensor(array: np.ndarray, dtype: str) -> paddle.Tensor:
    return paddle.to_tensor(np.ascontiguousarray(array), dtype=dtype)


def draw(seed: int, dtype: str) -> Weights:
    """The weights before training, by numpy, so that every device is given the same ones."""
    random = np.random.default_rng(seed)
    shapes = [(2, WIDTH), (WIDTH, WIDTH), (WIDTH, 1)]
    weights = []
    for number, (rows, columns) in enumerate(shapes):
        size = np.sqrt(2 / (rows + columns)) * (1.5 if number == 0 else 1.0)
        weights.append(tensor(size * random.standard_normal((rows, columns)), dtype))
        if number < 2:
            weights.append(tensor((0.5 if number == 0 else 0.1) * random.standard_normal(columns), dtype))
    return weights


def values(weights: Weights, points: paddle.Tensor) -> paddle.Tensor:
    """N at `points` (n, 2): (n, 1), and no derivatives: a sixth of the work of `jets`."""
    a = points
    for layer in range(2):
        a = paddle.tanh(paddle.matmul(a, weights[2 * layer]) + weights[2 * layer + 1])
    return paddle.matmul(a, weights[4])


def jets(weights: Weights, points: paddle.Tensor) -> tuple[paddle.Tensor, Weights, Weights]:
    """N and its derivatives by ξ, η, ξξ, ηη, ξη at `points` (n, 2): (6, n, 1), and each layer's input and output."""
    n = points.shape[0]
    unit = paddle.eye(2, dtype=points.dtype).unsqueeze(1).expand([2, n, 2])
    a = paddle.concat([points.unsqueeze(0), unit, paddle.zeros([3, n, 2], dtype=points.dtype)], 0)
    inputs, outputs = [], []
    for layer in range(3):
        z = paddle.matmul(a, weights[2 * layer])  # (6, n, units)
        if layer < 2:
            z = paddle.concat([z[:1] + weights[2 * layer + 1], z[1:]], 0)
        inputs.append(a)
        outputs.append(z)
        if layer < 2:
            value = paddle.tanh(z[:1])
            first = 1 - value * value
            second = -2 * value * first
            slopes = z[1:3]
            products = paddle.concat([slopes * slopes, z[1:2] * z[2:3]], 0)
            a = paddle.concat([value, first * slopes, second * products + first * z[3:6]], 0)
    return z, inputs, outputs


class Energy:
    """The energy of a plate as a sum of squares and a linear term in N and its derivatives at Gauss points."""

    def __init__(self, plate: Plate, dtype: str) -> None:
        (t, wt), (s, ws) = (np.polynomial.legendre.leggauss(nodes) for nodes in NODES)
        xi, eta = (axis.ravel() for axis in np.meshgrid(t, s, indexing="ij"))
        area = np.outer(wt, ws).ravel() * plate.length * plate.width / 4
        x, y, share = plate.load.quadrature(plate.length, plate.width, gauss(NODES[0]))
        loaded = np.stack([2 * x / plate.length, 2 * y / plate.width], axis=1)
        self.points, self.loaded = tensor(np.stack([xi, eta], axis=1), dtype), tensor(loaded, dtype)

        a, b = hat(plate.edges, 0, xi), hat(plate.edges, 1, eta)
        zero = 0 * xi
        u_xx = np.stack([a[2] * b[0], 2 * a[1] * b[0], zero, a[0] * b[0], zero, zero]) * (2 / plate.length) ** 2
        u_yy = np.stack([a[0] * b[2], zero, 2 * a[0] * b[1], zero, a[0] * b[0], zero]) * (2 / plate.width) ** 2
        u_xy = np.stack([a[1] * b[1], a[0] * b[1], a[1] * b[0], zero, zero, a[0] * b[0]])
        u_xy = u_xy * 4 / (plate.length * plate.width)
        mu, root = plate.poisson, np.sqrt(area)
        squares = [(1 + mu) / 2, (1 - mu) / 2, 2 * (1 - mu)]
        sums = [u_xx + u_yy, u_xx - u_yy, u_xy]
        self.strain = tensor(np.stack([np.sqrt(f) * root * s for f, s in zip(squares, sums, strict=True)]), dtype)
        self.work = tensor(share * hat(plate.edges, 0, loaded[:, 0])[0] * hat(plate.edges, 1, loaded[:, 1])[0], dtype)

    def strains(self, jet: paddle.Tensor) -> list[paddle.Tensor]:
        """The three parts of the strain, (points,) each."""
        return [(part * jet[:, :, 0]).sum(0) for part in self.strain]

    def works(self, weights: Weights) -> paddle.Tensor:
        """The load's work, (loaded points,)."""
        return self.work * values(weights, self.loaded)[:, 0]

    def __call__(self, weights: Weights) -> float:
        with paddle.no_grad():
            strains, work = self.strains(jets(weights, self.points)[0]), self.works(weights)
        return float(sum((host(part) ** 2).sum() for part in strains) / 2 - host(work).sum())

    def linearised(self, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
        """JᵀJ (weights, weights) and the gradient (weights,), in float64 on the host."""
        leaves = [weight.detach() for weight in weights]
        for leaf in leaves:
            leaf.stop_gradient = False
        jet, inputs, outputs = jets(leaves, self.points)
        strains, rows = self.strains(jet), []
        for strain in strains:
            slopes = paddle.grad(strain.sum(), outputs, retain_graph=True)  # a point's own: no other depends on it
            blocks = []
            for layer, (a, slope) in enumerate(zip(inputs, slopes, strict=True)):
                outer = paddle.matmul(a.detach().transpose([1, 2, 0]), slope.transpose([1, 0, 2]))
                blocks.append(outer.reshape([outer.shape[0], -1]))
                if layer < 2:
                    blocks.append(slope[0])
            rows.append(paddle.concat(blocks, 1).numpy().astype("float64"))
        J, strain = np.concatenate(rows), np.concatenate([host(part) for part in strains])
        work = np.concatenate([host(slope).ravel() for slope in paddle.grad(self.works(leaves).sum(), leaves)])
        return J.T @ J, J.T @ strain - work


def host(tensor: paddle.Tensor) -> np.ndarray:
    return tensor.detach().numpy().astype("float64")


def moved(weights: Weights, step: np.ndarray) -> Weights:
    """The weights after a step (weights,)."""
    found, start = [], 0
    for weight in weights:
        size = int(np.prod(weight.shape))
        part = step[start : start + size].reshape(weight.shape)
        found.append(tensor(weight.numpy() + part, weight.dtype))
        start += size
    return found


def train(plate: Plate, seed: int = 0, steps: int = 130, dtype: str = "float64") -> Solution:
    """Train a network on the energy of `plate` for at most `steps` steps; each lowers the energy."""
    energy, weights, damping = Energy(plate, dtype), draw(seed, dtype), 1e-2
    energies = [energy(weights)]
    for _ in range(steps):
        matrix, gradient = energy.linearised(weights)
        scale = np.trace(matrix) / len(matrix)
        for _ in range(ATTEMPTS):
            step = -linalg.solve(matrix + damping * scale * np.eye(len(matrix)), gradient, assume_a="pos")
            trial = moved(weights, step)
            found = energy(trial)
            if found < energies[-1]:
                break
            damping *= 4
        else:
            break  # no step lowers the energy: rounding
        weights, damping = trial, max(damping / 4, 1e-14)
        energies.append(found)
    return Solution(plate, weights, np.array(energies))
