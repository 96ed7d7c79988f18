"""The problem: a thin rectangular plate, its edges and its load."""

from dataclasses import dataclass, field

import numpy as np
from loads import Load
from quadrature import gauss

SIDES = ("x = -length/2", "y = -width/2", "x = +length/2", "y = +width/2")  # in the order of the letters of `edges`
KINDS = {"S": "simply supported", "C": "clamped", "F": "free"}
SLENDER = 4.0  # a longer strip is nearly a beam: beyond, the bounds in project.yaml have not been measured


class NotAPlate(ValueError):
    """The numbers given make no plate that this theory can solve. Its text says what, why and what to do."""


@dataclass(frozen=True)
class Plate:
    """A plate on |x| ≤ length/2, |y| ≤ width/2. Its deflection w(x, y), in metres, satisfies

        D (∂⁴w/∂x⁴ + 2 ∂⁴w/∂x²∂y² + ∂⁴w/∂y⁴) = q                   inside (Kirchhoff and Love)
        S: w = 0, ∂²w/∂n² = 0                                      on a simply supported edge, n its normal
        C: w = 0, ∂w/∂n = 0                                        on a clamped edge
        F: ∂²w/∂n² + μ ∂²w/∂s² = 0, ∂³w/∂n³ + (2 - μ) ∂³w/∂n∂s² = 0   on a free edge, s along it

    `edges` has one letter a side, in Leissa's order: x = -length/2, y = -width/2, x = +length/2, y = +width/2.
    The numbers below are those of the example in Paddle's guide to higher-order automatic differentiation:
    https://www.paddlepaddle.org.cn/documentation/docs/zh/guides/paddle_v3_features/higher_order_ad_cn.html

    Raises NotAPlate (a ValueError) for numbers that no plate has, and for a plate that nothing holds in place.
    """

    length: float = 2.0  # m, in x
    width: float = 1.0  # m, in y
    thickness: float = 0.01  # m
    young: float = 210e9  # Pa, the modulus of elasticity E
    poisson: float = 0.28  # μ
    edges: str = "SFSF"
    load: Load = field(default_factory=Load)

    def __post_init__(self) -> None:
        if min(self.length, self.width, self.thickness, self.young) <= 0:
            raise NotAPlate(f"length, width, thickness and Young's modulus must be positive: {self}")
        if not 0 <= self.poisson <= 0.5:
            raise NotAPlate(f"Poisson's ratio must lie between 0 and 0.5: {self}")
        if max(self.length / self.width, self.width / self.length) > SLENDER:
            raise NotAPlate(f"a plate over {SLENDER:g} times as long as wide must be computed as a beam: {self}")
        if len(self.edges) != 4 or set(self.edges) - set(KINDS):
            raise NotAPlate(
                f"edges={self.edges}: must be four letters of S (simply supported), C (clamped), F (free), "
                f"for {', '.join(SIDES)}"
            )
        if "C" not in self.edges and self.edges.count("S") < 2:
            motion = "it can move as a whole" if "S" not in self.edges else "it can turn about its one supported edge"
            raise NotAPlate(
                f"edges={self.edges} is a mechanism, no plate in equilibrium: {motion}, so that no deflection is "
                "the only one; must have a clamped edge or two simply supported ones, such as edges=SFSF"
            )
        self.load.check(self.length, self.width)
        if self.load.kind == "point":
            self._check_point()

    def _check_point(self) -> None:
        """Raise NotAPlate for a point load on an edge that is held: the support would take it, nothing bends."""
        x, y = 2 * self.load.x / self.length, 2 * self.load.y / self.width
        for letter, side, distance in zip(self.edges, SIDES, (1 + x, 1 + y, 1 - x, 1 - y), strict=True):
            if letter != "F" and distance < 1e-6:
                raise NotAPlate(
                    f"the point load must not lie on {side}, which is {KINDS[letter]}: the support takes it and "
                    "nothing bends; move it by load_x and load_y"
                )

    @property
    def rigidity(self) -> float:
        """The flexural rigidity D = E h³ / 12 (1 - μ²), in N m."""
        return self.young * self.thickness**3 / (12 * (1 - self.poisson**2))

    @property
    def scale(self) -> float:
        """Magnitude of the load over D. The deflection is proportional to it, so solvers take 1 and scale."""
        return self.load.magnitude / self.rigidity

    @property
    def total_load(self) -> float:
        """The whole load, in N."""
        _, _, weights = self.load.quadrature(self.length, self.width, gauss(24))
        return float(self.load.magnitude * weights.sum())

    def grid(self, points: int) -> tuple[np.ndarray, np.ndarray]:
        """`points` equidistant x and as many y, from edge to edge: two float64 (points,), in metres."""
        return (
            np.linspace(-self.length / 2, self.length / 2, points),
            np.linspace(-self.width / 2, self.width / 2, points),
        )

    def __str__(self) -> str:
        sides = "; ".join(f"{KINDS[kind]} at {side}" for kind, side in zip(self.edges, SIDES, strict=True))
        return (
            f"{self.length:g} m x {self.width:g} m x {self.thickness * 1e3:g} mm, E = {self.young:g} Pa, "
            f"μ = {self.poisson:g}, D = {self.rigidity:.2f} N m; {sides}; {self.load}"
        )
