"""The problem: a thin rectangular plate, bent by a uniform load."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Plate:
    """A plate on |x| ≤ length/2, |y| ≤ width/2. Its deflection w(x, y), in metres, satisfies

        D (∂⁴w/∂x⁴ + 2 ∂⁴w/∂x²∂y² + ∂⁴w/∂y⁴) = q                     inside (Kirchhoff and Love)
        w = 0,  ∂²w/∂x² = 0                                          on x = ±length/2, simply supported
        ∂²w/∂y² + μ ∂²w/∂x² = 0,  ∂³w/∂y³ + (2 - μ) ∂³w/∂x²∂y = 0    on y = ±width/2, free

    The numbers are those of the example in Paddle's guide to higher-order automatic differentiation:
    https://www.paddlepaddle.org.cn/documentation/docs/zh/guides/paddle_v3_features/higher_order_ad_cn.html

    Raises ValueError for numbers that no plate has.
    """

    length: float = 2.0  # m, in x
    width: float = 1.0  # m, in y
    thickness: float = 0.01  # m
    young: float = 210e9  # Pa, the modulus of elasticity E
    poisson: float = 0.28  # μ
    load: float = 1000.0  # Pa, q

    def __post_init__(self) -> None:
        if min(self.length, self.width, self.thickness, self.young) <= 0:
            raise ValueError(f"length, width, thickness and Young's modulus must be positive: {self}")
        if not 0 <= self.poisson <= 0.5:
            raise ValueError(f"Poisson's ratio must lie between 0 and 0.5: {self}")

    @property
    def rigidity(self) -> float:
        """The flexural rigidity D = E h³ / 12 (1 - μ²), in N m."""
        return self.young * self.thickness**3 / (12 * (1 - self.poisson**2))

    @property
    def scale(self) -> float:
        """q / D, in 1/m³. The deflection is proportional to it, so solvers take q / D = 1 and scale."""
        return self.load / self.rigidity

    def grid(self, points: int) -> tuple[np.ndarray, np.ndarray]:
        """`points` equidistant x and as many y, from edge to edge: two float64 (points,), in metres."""
        return (
            np.linspace(-self.length / 2, self.length / 2, points),
            np.linspace(-self.width / 2, self.width / 2, points),
        )
