"""What presses on the plate: five kinds of load, each as a quadrature for energies and as sines for series."""

from dataclasses import dataclass

import numpy as np
from quadrature import Rule

KINDS = ("uniform", "sinusoidal", "hydrostatic", "patch", "point")


class NotAPlate(ValueError):
    """The numbers given make no plate that this theory can solve. Its `lines` say what, why and what to do."""

    def __init__(self, *lines: str) -> None:
        super().__init__(" ".join(lines))
        self.lines = lines


@dataclass(frozen=True)
class Load:
    """A load in the direction of positive w.

    uniform      `magnitude` Pa everywhere
    sinusoidal   half a wave each way, `magnitude` Pa in the middle
    hydrostatic  from 0 at x = -length/2 to `magnitude` Pa at x = +length/2
    patch        `magnitude` Pa on a rectangle `patch_length` x `patch_width`, its middle at `x`, `y`
    point        `magnitude` N at `x`, `y`

    The plate raises NotAPlate, by `check`, for one that does not lie on it.
    """

    kind: str = "uniform"
    magnitude: float = 1000.0  # Pa, or N for a point
    x: float = 0.0  # m
    y: float = 0.0  # m
    patch_length: float = 0.5  # m
    patch_width: float = 0.5  # m

    def check(self, length: float, width: float) -> None:
        """Raise NotAPlate unless this load presses on a plate of `length` and `width`, in metres."""
        if self.kind not in KINDS:
            raise NotAPlate(f"load={self.kind}", f"It must be one of {', '.join(KINDS)}.")
        if self.magnitude <= 0:
            raise NotAPlate(f"magnitude={self.magnitude:g}", "It must be positive: it presses towards positive w.")
        half = {"patch": (self.patch_length / 2, self.patch_width / 2), "point": (0.0, 0.0)}.get(self.kind)
        if half is None:
            return
        if self.kind == "patch" and min(half) <= 0:
            raise NotAPlate("A patch of no size", "patch_length and patch_width must be positive.")
        slack = 1e-12
        if abs(self.x) + half[0] > length / 2 + slack or abs(self.y) + half[1] > width / 2 + slack:
            raise NotAPlate(
                f"The {self.kind} load at ({self.x:g}, {self.y:g}) m lies beyond the plate",
                f"It must lie within |x| ≤ {length / 2:g} m, |y| ≤ {width / 2:g} m.",
                "Move it by load_x and load_y, or make it smaller.",
            )

    def quadrature(self, length: float, width: float, rule: Rule) -> Rule:
        """Points x, y in metres and weights, each float64 (points,): ∫ q f dx dy = magnitude · Σ weight f(x, y).

        `rule` is one over |ξ| ≤ 1, |η| ≤ 1, laid over the plate or over the patch.
        """
        if self.kind == "point":
            return np.array([self.x]), np.array([self.y]), np.ones(1)
        on_patch = self.kind == "patch"
        half_x, half_y = (self.patch_length / 2, self.patch_width / 2) if on_patch else (length / 2, width / 2)
        x, y, weights = half_x * rule[0], half_y * rule[1], half_x * half_y * rule[2]
        if self.kind == "sinusoidal":
            weights = weights * np.cos(np.pi * x / length) * np.cos(np.pi * y / width)
        if self.kind == "hydrostatic":
            weights = weights * (0.5 + x / length)
        return (x + self.x, y + self.y, weights) if on_patch else (x, y, weights)

    def sines(self, k: np.ndarray, length: float) -> np.ndarray:
        """The coefficients of sin k(x + length/2) in the load's x-part, for magnitude 1: float64, as `k`.

        k = mπ / length, m = 1, 2, …; for a point, of the delta function, in 1/m.
        """
        m = np.rint(k * length / np.pi)
        if self.kind == "uniform":
            return 2 / (m * np.pi) * (1 - (-1.0) ** m)
        if self.kind == "sinusoidal":
            return np.where(m == 1, 1.0, 0.0)
        if self.kind == "hydrostatic":
            return -2 / (m * np.pi) * (-1.0) ** m
        middle = 2 / length * np.sin(k * (self.x + length / 2))
        return middle if self.kind == "point" else middle * 2 / k * np.sin(k * self.patch_length / 2)

    def transposed(self) -> "Load":
        """The same with x and y exchanged. Not for the hydrostatic load, which rises along x."""
        return Load(self.kind, self.magnitude, self.y, self.x, self.patch_width, self.patch_length)

    def __str__(self) -> str:
        unit = "N" if self.kind == "point" else "Pa"
        place = f" at ({self.x:g}, {self.y:g}) m" if self.kind in ("patch", "point") else ""
        return f"{self.kind} load of {self.magnitude:g} {unit}{place}"
