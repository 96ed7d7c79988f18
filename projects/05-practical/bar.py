"""The bar, and its temperature in Paddle: how heat flows along it, and how that depends on what is unknown.

A round bar is heated at its ends by heaters of known power, and loses heat to the air along its side:

    C ∂u/∂t = ∂/∂x ( k(x) ∂u/∂x ) - (4 h / d) u,    -k ∂u/∂x = q_left(t) at x = 0,    k ∂u/∂x = q_right(t) at x = L,

where u is the temperature above the air's, C the heat capacity of a volume, d the diameter and q a power through
the cross-section. Unknown are the conductivity k(x) and the loss coefficient h. Both are positive, so that their
logarithms are sought: log k as a cubic spline, whose coefficients and log h together are θ.

In space it is Galerkin's method with Legendre polynomials: some 24 numbers stand for u(x), as precisely as a thousand
cells, for k(x) is smooth. In time it is the L-stable Runge-Kutta method SDIRK3 of order 3: the step of a heater that is
switched on does not ring, as it would with Crank-Nicolson. Beside the temperature u the derivatives ∂u/∂θ are carried
along: with some ten unknowns and hundreds of measurements that is cheaper than to go backwards from each measurement.
Paddle's automatic differentiation, which does go backwards, is the check (`gradient_error`).

Sources: C. Canuto et al., Spectral Methods (2006), ch. 3; R. Alexander, SIAM J. Numer. Anal. 14 (1977) 1006, for the
SDIRK3 method; C. de Boor, A Practical Guide to Splines (1978), for the basis.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import paddle
from numpy.polynomial import legendre
from scipy.interpolate import BSpline

# SDIRK3: γ is the middle root of x³ - 3x² + 3x/2 - 1/6, with which order 3 is L-stable; the last stage is the result.
GAMMA = float(np.sort(np.roots([1, -3, 1.5, -1 / 6]).real)[1])
STAGES = (
    (GAMMA,),
    ((1 - GAMMA) / 2, GAMMA),
    (-1.5 * GAMMA**2 + 4 * GAMMA - 0.25, 1.5 * GAMMA**2 - 5 * GAMMA + 1.25, GAMMA),
)
LEVELS = 6  # lengths of a step after a heater was switched on, each twice the one before


@dataclass(frozen=True)
class Bar:
    """What is known of the bar and of the experiment; lengths in metres, times in seconds.

    The left heater runs from 0 to `switch`, then the right one to `duration`. Raises ValueError for what
    cannot be.
    """

    length: float = 0.150
    diameter: float = 0.010
    heat_capacity: float = 2.4e6  # J/(m³ K), density times specific heat
    ambient: float = 20.0  # °C, the air's temperature, and the bar's at first
    power_left: float = 5.0  # W
    power_right: float = 5.0  # W
    switch: float = 300.0
    duration: float = 600.0

    def __post_init__(self) -> None:
        for name in ("length", "diameter", "heat_capacity", "duration"):
            if not getattr(self, name) > 0:
                raise ValueError(f"the bar's {name} must be above 0, not {getattr(self, name):g}")
        if not 0 <= self.switch <= self.duration:
            raise ValueError(f"the heaters switch within the {self.duration:g} s, not at {self.switch:g} s")
        if self.power_left == 0 and self.power_right == 0:
            raise ValueError("one of the heaters must have a power: without one nothing can be learnt")

    @property
    def section(self) -> float:
        """The cross-section in m²."""
        return np.pi * self.diameter**2 / 4

    def energy(self, time: float) -> float:
        """What the heaters have given until `time`, in J."""
        return self.power_left * min(time, self.switch) + self.power_right * max(time - self.switch, 0.0)

    def heating(self, times: np.ndarray) -> np.ndarray:
        """Mean heat flux (steps, 2) in W/m² of the left and the right heater between successive `times` (steps + 1,).

        A mean, so that no energy is lost where the heaters switch between two of the times.
        """
        share_left = np.diff(np.minimum(times, self.switch)) / np.diff(times)  # (steps,)
        return np.stack([share_left * self.power_left, (1 - share_left) * self.power_right], axis=1) / self.section


@dataclass(frozen=True)
class Unknowns:
    """How θ (unknowns,) stands for k(x) and h: coefficients of a cubic spline of log k, and at last log h."""

    length: float
    splines: int = 8

    def __post_init__(self) -> None:
        if self.splines < 4:
            raise ValueError(f"a cubic spline has at least 4 coefficients, not {self.splines}")

    @property
    def count(self) -> int:
        return self.splines + 1

    def basis(self, x: np.ndarray) -> np.ndarray:
        """The matrix (points, unknowns) from θ to log k at `x` (points,), in metres; the column of log h is 0."""
        inner = np.linspace(0, self.length, self.splines - 2)
        knots = np.concatenate([[0.0] * 3, inner, [self.length] * 3])
        splines = BSpline.design_matrix(np.clip(x, 0, self.length), knots, 3).toarray()
        return np.hstack([splines, np.zeros((len(x), 1))])

    def conductivity(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """k (..., points) in W/(m K) at `x` (points,) for `theta` (..., unknowns)."""
        return np.exp(theta @ self.basis(x).T)

    def closest(self, conductivity: np.ndarray, x: np.ndarray, loss: float) -> np.ndarray:
        """θ (unknowns,) that comes closest to the `conductivity` (points,) at `x` (points,), with h = `loss`."""
        theta = np.linalg.lstsq(self.basis(x), np.log(conductivity), rcond=None)[0]
        theta[-1] = np.log(loss)
        return theta


@dataclass(frozen=True)
class Model:
    """The bar in so many `modes` in space and `steps` of each length in time, computed in Paddle in `dtype`.

    When a heater is switched the temperature beside it goes as √t, so that steps are short at first and then become
    longer: for each heater `steps` of each of LEVELS lengths.
    """

    bar: Bar
    unknowns: Unknowns
    modes: int = 24
    steps: int = 10
    dtype: str = "float64"

    @cached_property
    def phases(self) -> list[np.ndarray]:
        """The ends of the steps in seconds, from a switch to the next one: a grid (steps in the phase + 1,) each."""
        ends = np.append(0, np.cumsum(np.repeat(2.0 ** np.arange(LEVELS), self.steps)))
        switches = np.unique([0.0, self.bar.switch, self.bar.duration])
        return [begin + (end - begin) * ends / ends[-1] for begin, end in pairwise(switches)]

    @cached_property
    def times(self) -> np.ndarray:
        """The ends of all steps in seconds, 0 among them: (moments,)."""
        return np.unique(np.concatenate(self.phases))

    def finer(self) -> "Model":
        """The same bar with half as many modes again, and steps half as long: an eighth of the error."""
        return replace(self, modes=self.modes * 3 // 2, steps=2 * self.steps)

    def legendre(self, x: np.ndarray, derivative: bool = False) -> np.ndarray:
        """The orthonormal Legendre polynomials of the bar, or their derivatives, at `x` (points,): (points, modes)."""
        coefficients = np.diag(np.sqrt((2 * np.arange(self.modes) + 1) / self.bar.length))
        if derivative:
            coefficients = legendre.legder(coefficients) * (2 / self.bar.length)
        return legendre.legval(2 * np.asarray(x) / self.bar.length - 1, coefficients).T

    def temperatures(
        self, theta: paddle.Tensor, positions: np.ndarray, derivatives: bool = True
    ) -> tuple[paddle.Tensor, paddle.Tensor | None]:
        """Temperatures above the air's at `positions` (positions,), in metres, at all times of the grid.

        `theta` (batch, unknowns) holds several bars at once, as many noise seeds have. Returns the temperatures
        (batch, moments, positions) in K, and their derivatives with respect to θ (batch, moments, positions,
        unknowns), or None without `derivatives`. Both are on the device of `theta`.
        """
        bar, batch = self.bar, len(theta)
        points, weights = legendre.leggauss(3 * self.modes)
        x, weights = (points + 1) * bar.length / 2, weights * bar.length / 2  # Gauss's, for the integrals over k
        gradient = self.tensor(self.legendre(x, derivative=True))  # (x, modes)
        basis = self.tensor(self.unknowns.basis(x))  # (x, unknowns)
        observe = self.tensor(self.legendre(positions))  # (positions, modes)
        ends = self.legendre(np.array([0.0, bar.length]))  # (2, modes)
        heating = self.tensor(bar.heating(self.times) @ ends / bar.heat_capacity)  # (steps, modes)

        # A u is the rate at which heat leaves the modes: by conduction along the bar, and through the side.
        conduction = paddle.exp(theta @ basis.T) * self.tensor(weights / bar.heat_capacity)  # (batch, x)
        loss = paddle.exp(theta[:, -1:]) * (4 / (bar.diameter * bar.heat_capacity))  # (batch, 1), 1/s
        eye = self.tensor(np.eye(self.modes))
        A = gradient.T @ (conduction.unsqueeze(2) * gradient) + loss.unsqueeze(2) * eye  # (batch, modes, modes)

        # (∂A/∂θ) u: each unknown changes the conduction along the bar, the last one the loss.
        slope = conduction.unsqueeze(2) * basis  # (batch, x, unknowns)
        only_loss = self.tensor(np.eye(self.unknowns.count)[-1:]) * loss.unsqueeze(2)  # (batch, 1, unknowns)

        def changed(u: paddle.Tensor) -> paddle.Tensor:
            return gradient.T @ (slope * (gradient @ u)) + u * only_loss  # (batch, modes, unknowns)

        u = paddle.zeros([batch, self.modes, 1], self.dtype)
        s = paddle.zeros([batch, self.modes, self.unknowns.count], self.dtype)  # ∂u/∂θ
        seen, seen_s = [observe @ u], [observe @ s]
        lengths = np.diff(self.times)
        same = np.isclose(lengths[1:], lengths[:-1], rtol=1e-6)
        for step, dt in enumerate(lengths):
            if step == 0 or not same[step - 1]:
                W = paddle.linalg.inv(eye + (GAMMA * dt) * A)  # a stage is k = W (heating - A u)
                WA = W @ A  # and not (1 - W) / (γ dt), which would lose digits
            W_heating = W @ heating[step].unsqueeze(1)  # (batch, modes, 1)
            k: list[paddle.Tensor] = []
            k_s: list[paddle.Tensor] = []
            for shares in STAGES:
                k.append(W_heating - WA @ after(u, dt, shares[:-1], k))
                if derivatives:
                    rest = W @ changed(after(u, dt, shares, k))
                    k_s.append(-(WA @ after(s, dt, shares[:-1], k_s)) - rest)
            u = after(u, dt, STAGES[-1], k)
            seen.append(observe @ u)
            if derivatives:
                s = after(s, dt, STAGES[-1], k_s)
                seen_s.append(observe @ s)
        return paddle.stack(seen, axis=1).squeeze(3), paddle.stack(seen_s, axis=1) if derivatives else None

    def predict(
        self, theta: np.ndarray, times: np.ndarray, positions: np.ndarray, derivatives: bool = True
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """What thermometers read above the air's temperature, row by row, and its derivatives, on the host.

        A row is a time (rows,), in seconds, and a position (rows,), in metres. `theta` is (batch, unknowns).
        Returns float64 (batch, rows) in K, and (batch, rows, unknowns) or None. Between the times of the grid it is
        a cubic. Raises ValueError for a row outside the bar or the experiment.
        """
        times, positions = np.asarray(times), np.asarray(positions)
        if times.min() < 0 or times.max() > self.bar.duration * (1 + 1e-9):
            raise ValueError(f"times go from 0 to {self.bar.duration:g} s")
        if positions.min() < 0 or positions.max() > self.bar.length * (1 + 1e-9):
            raise ValueError(f"positions go from 0 to {self.bar.length * 1e3:g} mm")
        places, place = np.unique(positions, return_inverse=True)
        nodes, weights = self.around(times)
        with paddle.no_grad():
            u, s = self.temperatures(self.tensor(theta), places, derivatives)

        def at_rows(values: np.ndarray) -> np.ndarray:
            spread = weights.reshape(4, -1, *[1] * (values.ndim - 3))
            return sum(weight * values[:, node, place] for weight, node in zip(spread, nodes, strict=True))

        return at_rows(host(u)), None if s is None else at_rows(host(s))

    def around(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For `times` (rows,) in seconds the four nearest of `self.times` and their weights: both (4, rows).

        All four are of the same heater's phase: at the switch the slope of the temperature jumps.
        """
        nodes, weights = np.zeros((4, len(times)), int), np.zeros((4, len(times)))
        first = 0
        for grid in self.phases:
            rows = (times >= grid[0]) & ((times <= grid[-1]) | (grid is self.phases[-1]))
            nodes[:, rows], weights[:, rows] = cubic(grid, times[rows])
            nodes[:, rows] += first
            first += len(grid) - 1
        return nodes, weights

    def gradient_error(self, theta: np.ndarray, positions: np.ndarray, seed: int = 0) -> tuple[float, paddle.Tensor]:
        """How far the derivatives carried along are from those of Paddle's automatic differentiation.

        For a random weighted sum of all temperatures at `positions` (positions,) in metres; `theta` is
        (unknowns,). Returns the relative L2 difference, and the tensor with its gradient, which shows where
        it was computed.
        """
        point = self.tensor(theta[None])
        point.stop_gradient = False
        weights = self.tensor(np.random.default_rng(seed).normal(size=(1, len(self.times), len(positions))))
        (self.temperatures(point, positions, derivatives=False)[0] * weights).sum().backward()
        with paddle.no_grad():
            s = self.temperatures(self.tensor(theta[None]), positions)[1]
            carried = host((s * weights.unsqueeze(3)).sum(axis=[0, 1, 2]))
        backward = host(point.grad)[0]
        return float(np.linalg.norm(carried - backward) / np.linalg.norm(backward)), point

    def tensor(self, array: np.ndarray) -> paddle.Tensor:
        return paddle.to_tensor(np.ascontiguousarray(array), dtype=self.dtype)


def cubic(grid: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lagrange's cubic from values on the ascending `grid` to `x` (points,): four nodes and weights, (4, points)."""
    first = np.clip(np.searchsorted(grid, x) - 2, 0, len(grid) - 4)
    nodes = first + np.arange(4)[:, None]  # (4, points)
    at = grid[nodes]
    others = [[n for n in range(4) if n != node] for node in range(4)]
    weights = [np.prod((x - at[o]) / (at[n] - at[o]), axis=0) for n, o in enumerate(others)]
    return nodes, np.array(weights)


def after(u: paddle.Tensor, dt: float, shares: Sequence[float], slopes: Sequence[paddle.Tensor]) -> paddle.Tensor:
    """`u` after a part of the step `dt` along the `slopes` of the stages, each with its share."""
    for share, slope in zip(shares, slopes, strict=True):
        u = u + (dt * share) * slope
    return u


def host(tensor: paddle.Tensor) -> np.ndarray:
    return tensor.numpy().astype("float64")
