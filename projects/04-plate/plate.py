"""The problem: a thin rectangular plate, its edges and its load."""

from dataclasses import dataclass, field

import numpy as np
from loads import Load, NotAPlate
from quadrature import gauss

SIDES = ("x = -length/2", "y = -width/2", "x = +length/2", "y = +width/2")  # in the order of the letters of `edges`
KINDS = {"S": "simply supported", "C": "clamped", "F": "free"}
SLENDER = 4.0  # a longer strip is nearly a beam
THICK = 0.2  # of its shorter side: what is thicker is a block


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
            raise NotAPlate(f"{self}", "Length, width, thickness and Young's modulus must be positive.")
        if not 0 <= self.poisson <= 0.5:
            raise NotAPlate(f"poisson={self.poisson:g}", "Poisson's ratio must lie between 0 and 0.5.")
        shorter, longer = sorted((self.length, self.width))
        if longer > SLENDER * shorter:
            why = f"A plate over {SLENDER:g} times as long as wide is a beam, and must be computed as one."
            raise NotAPlate(f"length={self.length:g} width={self.width:g}", why, "Take another length or width.")
        if self.thickness > THICK * shorter:
            why = (
                f"It must be at most {THICK:g} of the shorter side: what is thicker is a block, which shear bends too."
            )
            raise NotAPlate(f"thickness={self.thickness:g}", why, f"Take at most {THICK * shorter:g} m.")
        self._check_edges()
        self.load.check(self.length, self.width)
        if self.load.kind == "point":
            self._check_point()

    def _check_edges(self) -> None:
        """Raise NotAPlate for letters that there are not, and for a plate that nothing holds in place."""
        if len(self.edges) != 4 or set(self.edges) - set(KINDS):
            why = "It must be four letters of S (simply supported), C (clamped), F (free)."
            raise NotAPlate(f"edges={self.edges}", why, f"They are those for {', '.join(SIDES)}.")
        if "C" not in self.edges and self.edges.count("S") < 2:
            motion = "it can move as a whole" if "S" not in self.edges else "it can turn about its one supported edge"
            raise NotAPlate(
                f"edges={self.edges} is a mechanism, no plate in equilibrium",
                f"Where {motion}, no deflection is the only one.",
                "It must have a clamped edge or two simply supported ones, such as edges=SFSF.",
            )

    def _check_point(self) -> None:
        """Raise NotAPlate for a point load on an edge that is held: the support would take it, nothing bends."""
        x, y = 2 * self.load.x / self.length, 2 * self.load.y / self.width
        for letter, side, distance in zip(self.edges, SIDES, (1 + x, 1 + y, 1 - x, 1 - y), strict=True):
            if letter != "F" and distance < 1e-6:
                raise NotAPlate(
                    f"load_x={self.load.x:g} load_y={self.load.y:g}: the point must not lie on {side}",
                    f"That edge is {KINDS[letter]}: the support takes the load, and nothing bends.",
                    "Move it by load_x and load_y.",
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
        return self.load_on(1.0)

    def load_on(self, part: float) -> float:
        """The load on the inner `part` of length and width, in N; less than the whole only of a load that is smooth."""
        xi, eta, weights = gauss(24)
        _, _, weights = self.load.quadrature(self.length, self.width, (part * xi, part * eta, part**2 * weights))
        return float(self.load.magnitude * weights.sum())

    @property
    def clamped_beside_free(self) -> bool:
        """Whether a clamped and a free edge meet: in that corner the shear force has no bound."""
        following = self.edges[1:] + self.edges[0]
        return any({one, other} == {"C", "F"} for one, other in zip(self.edges, following, strict=True))

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
