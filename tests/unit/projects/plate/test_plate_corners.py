"""Task 4, the corners and what has no series: singular functions are taken along, finite elements are the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plates import LOADS, relative_l2

pytest.importorskip("paddle")
pytest.importorskip("matplotlib")


# The corners


def test_the_exponents_are_williams_ones(load):
    """Two clamped edges: λ solves sin²(λπ/2) = λ²; whole numbers where sin λπ = 0 decides, with a supported edge."""
    exponents = load("04-plate/corners.py").exponents
    (clamped,) = exponents("CC", 0.3)
    assert abs(np.sin(clamped * np.pi / 2) ** 2 - clamped**2) < 1e-8
    assert np.allclose(exponents("FS", 0.3), [2, 3]) and np.allclose(exponents("CS", 0.3), [2, 3])
    assert min(exponents("CF", 0.3), key=lambda each: each.real).real == pytest.approx(1.0687, abs=1e-4)


@pytest.mark.parametrize("edges", ["CFFF", "SFSF", "SCSF", "CCCC", "FCSS"])
def test_what_is_singular_in_a_corner_meets_the_essential_conditions(load, make, edges):
    t = np.linspace(-0.99, 0.99, 9)
    sides = [(0 * t - 1, t), (t, 0 * t - 1), (0 * t + 1, t), (t, 0 * t + 1)]
    for corner in load("04-plate/corners.py").corners(make(edges=edges)):
        for axis, (letter, (xi, eta)) in enumerate(zip(edges, sides, strict=True)):
            if letter in "SC":
                assert np.abs(corner.shapes(xi, eta, [(0, 0)])[0]).max() < 1e-12
            if letter == "C":
                slope = (1, 0) if axis % 2 == 0 else (0, 1)
                assert np.abs(corner.shapes(xi, eta, [slope])[0]).max() < 1e-12


@pytest.mark.parametrize("order", [(1, 0), (0, 1), (1, 1), (0, 2), (2, 1), (3, 0)])
@pytest.mark.parametrize("edges", ["CFFF", "SFSF"])  # complex powers; logarithms
def test_derivatives_of_what_is_singular_are_right(load, make, edges, order):
    corner = load("04-plate/corners.py").corners(make(edges=edges))[0]
    xi, eta, h = np.array([-0.7, 0.1, 0.6]), np.array([0.3, -0.8, 0.5]), 1e-5
    axis = 0 if order[0] else 1
    step, lower = h * np.eye(2)[axis], tuple(np.array(order) - np.eye(2, dtype=int)[axis])
    above, below = (corner.shapes(xi + s * step[0], eta + s * step[1], [lower])[0] for s in (1, -1))
    found = corner.shapes(xi, eta, [order])[0]
    assert found == pytest.approx((above - below) / (2 * h), abs=1e-6 * np.abs(found).max())


def test_a_clamped_edge_beside_a_free_one_no_longer_costs_the_accuracy(make, features):
    plate = make(edges="CFFF")
    x, y = plate.grid(21)
    fine = features.solve(plate, 20, in_corners=True).deflection(x, y)
    assert relative_l2(features.solve(plate, 12, in_corners=True).deflection(x, y), fine) < 1e-8
    assert relative_l2(features.solve(plate, 20).deflection(x, y), fine) > 1e-5


def test_the_graded_quadrature_is_right_where_a_corner_is_singular(load):
    """∫∫ r^(2α) over the square, r from one corner: against a rule ten times as fine."""
    quadrature = load("04-plate/quadrature.py")
    for exponent in (0.07, 0.5, 1.3):

        def integral(rule, exponent=exponent):
            return rule[2] @ ((1 - rule[0]) ** 2 + (1 - rule[1]) ** 2) ** exponent

        t, w = quadrature.interval(0, 1, 60)
        u, v = np.meshgrid(t**4, t)
        triangle = (4 * w * t**3)[None, :] * w[:, None] * u * (u**2 * (1 + v**2)) ** exponent
        exact = 2 * 2 ** (2 * exponent + 2) * triangle.sum()
        assert integral(quadrature.graded(12)) == pytest.approx(exact, rel=1e-10)


@settings(max_examples=10, deadline=None)
@given(
    edges=st.sampled_from(["SSSS", "SCSF", "SFSC", "CSFS", "SCSC", "FSFS"]),
    kind=st.sampled_from(LOADS[:2] + LOADS[3:]),
    width=st.floats(0.5, 3.0),
    poisson=st.floats(0.0, 0.45),
    place=st.tuples(st.floats(-0.6, 0.6), st.floats(-0.2, 0.2)),
)
def test_the_estimate_is_never_far_below_the_true_error(
    make, levy, accuracy, features, edges, kind, width, poisson, place
):
    size = {"patch_length": 0.4, "patch_width": 0.08, "x": place[0], "y": place[1]}
    plate = make({"kind": kind, **size}, edges=edges, width=width, poisson=poisson)
    solution = features.solve(plate, 12)
    x, y = plate.grid(31)
    true = relative_l2(solution.deflection(x, y), levy.deflection(plate, x, y))
    assert true < accuracy.TRUST * accuracy.estimate_deflection(solution).total + 1e-13


def test_a_tolerance_is_met_or_said_not_to_be(plate, make, accuracy, monkeypatch):
    monkeypatch.setattr(accuracy, "LADDER", {"float64": ((12, False), (16, False))})  # to save time
    easy = accuracy.solve(plate, 1e-4, "float64")
    assert easy.met and len(easy.history) == 1
    hard = accuracy.solve(make({"kind": "point"}, edges="CFFF"), 1e-8, "float64")
    assert not hard.met and hard.estimate.total > 1e-8


@pytest.mark.parametrize("order", [(1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3)])
def test_derivatives_of_the_polynomials_are_right(polynomials, order):
    basis = polynomials.Basis.make("CSFS", 7, "float64")
    xi, eta, h = np.array([-0.7, 0.1, 0.6]), np.array([0.3, -0.8, 0.5]), 1e-5
    axis = 0 if order[0] else 1
    step, lower = h * np.eye(2)[axis], tuple(np.array(order) - np.eye(2, dtype=int)[axis])
    above, below = (basis.shapes(xi + s * step[0], eta + s * step[1], [lower])[0] for s in (1, -1))
    found = basis.shapes(xi, eta, [order])[0]
    assert found == pytest.approx((above - below) / (2 * h), abs=1e-5 * np.abs(found).max())


def test_moments_are_those_of_the_series(plate, levy, features, fields):
    x, y = plate.grid(21)
    found = fields.on_grid(features.solve(plate, 20), x, y)
    orders = {order: levy.derivative(plate, x, y, *order) for order in fields.ORDERS}
    exact = fields.from_derivatives(plate, orders)

    def together(names):
        inside = np.s_[1:-1, 1:-1]  # on the edges the third derivatives of the series itself hardly converge
        return relative_l2(*(np.stack([of[name][inside] for name in names]) for of in (found, exact)))

    assert together(["slope_x", "slope_y"]) < 1e-7
    assert together(["Mx", "My", "Mxy"]) < 5e-6
    assert together(["Qx", "Qy"]) < 1e-3


@pytest.mark.parametrize(
    ("edges", "width", "poisson"), [("SSSS", 2.0, 0.3), ("SCSC", 0.5, 0.0), ("SCSF", 8.0, 0.45), ("SFSF", 8.0, 0.45)]
)
def test_over_the_range_of_plates_moments_and_balances_hold(make, levy, accuracy, fields, edges, width, poisson):
    """Moments to 2e-5, reactions to 1e-4 of the load, energy to 1e-10: the worst ones are those of slender plates."""
    plate = make(edges=edges, width=width, poisson=poisson)  # under a uniform load, the harder one
    solution = accuracy.solve(plate, 1e-9, "float64").solution
    x, y = plate.grid(15)
    found = fields.on_grid(solution, x, y)
    second = {order: levy.derivative(plate, x, y, *order) for order in [(2, 0), (0, 2), (1, 1)]}
    exact = fields.from_derivatives(plate, {order: second.get(order, 0 * found["w"]) for order in fields.ORDERS})
    assert relative_l2(*(np.stack([of[name] for name in ("Mx", "My", "Mxy")]) for of in (found, exact))) < 2e-5
    assert fields.equilibrium_error(solution) < 1e-4
    assert fields.energy_error(solution) < 1e-10


def test_reactions_and_corner_forces_carry_the_load(plate, features, fields):
    solution = features.solve(plate, 20)
    assert fields.equilibrium_error(solution) < 1e-5
    up = sum(fields.edge_reactions(solution)) + sum(fields.corner_forces(solution).values())
    assert up == pytest.approx(-plate.total_load, rel=1e-5)


# Against finite elements, where there is no series


@pytest.mark.parametrize(("edges", "kind"), [("CCCC", "uniform"), ("CFFF", "uniform"), ("CSCF", "hydrostatic")])
def test_finite_elements_agree(make, features, edges, kind):
    skfem = pytest.importorskip("skfem")
    from skfem.helpers import dd, ddot, eye, trace

    plate = make({"kind": kind}, edges=edges, length=1.0, width=1.0)

    @skfem.BilinearForm
    def bending(u, v, _):
        return ddot((1 - plate.poisson) * dd(u) + plate.poisson * eye(trace(dd(u)), 2), dd(v))

    @skfem.LinearForm
    def load(v, w):
        return (1.0 if kind == "uniform" else 0.5 + w.x[0]) * v

    def morley(cells):
        """The deflection on the mesh's grid (cells + 1, cells + 1), and the points x, y of it."""
        line = np.linspace(-0.5, 0.5, cells + 1)
        mesh = skfem.MeshTri.init_tensor(line, line)
        basis = skfem.Basis(mesh, skfem.ElementTriMorley())
        held = []
        for side, letter in enumerate(edges):
            place = (-0.5, -0.5, 0.5, 0.5)[side]
            dofs = basis.get_dofs(lambda x, axis=side % 2, place=place: np.isclose(x[axis], place))
            held += [] if letter == "F" else [dofs.all() if letter == "C" else dofs.all("u")]
        system = bending.assemble(basis), load.assemble(basis)
        w = skfem.solve(*skfem.condense(*system, D=np.unique(np.concatenate(held))))
        order = np.lexsort(mesh.p)
        return plate.scale * w[basis.nodal_dofs[0]][order].reshape(cells + 1, cells + 1), line

    (coarse, line), (fine, _) = morley(10), morley(20)
    extrapolated = (4 * fine[::2, ::2] - coarse) / 3  # Morley's error falls by four from one mesh to the other
    assert relative_l2(extrapolated, features.solve(plate, 14).deflection(line, line)) < 5e-3
