"""Task 4, the plate: the reference solves the equation, and one Ritz solve comes as close as it says."""

import itertools

import numpy as np
import pytest
from plates import derivatives, relative_l2

pytest.importorskip("paddle")
pytest.importorskip("matplotlib")


# The plate


def test_the_plate_is_that_of_paddles_guide(plate):
    assert plate.rigidity == pytest.approx(210e9 * 0.01**3 / (12 * (1 - 0.28**2)))
    assert plate.scale == plate.load.magnitude / plate.rigidity


@pytest.mark.parametrize(
    "wrong",
    [{"length": 0.0}, {"thickness": -0.01}, {"young": 0.0}, {"poisson": 0.6}, {"edges": "SXSF"}, {"length": 20.0}],
)
def test_impossible_plates_are_refused(load, wrong):
    with pytest.raises(ValueError, match="must"):
        load("04-plate/plate.py").Plate(**wrong)


# The reference


def test_levys_series_satisfies_the_plate_equation(plate, levy):
    d = derivatives(lambda x, y: levy.deflection(plate, x, y), (-0.4, 0.5), (-0.3, 0.35))
    assert d(4, 0) + 2 * d(2, 2) + d(0, 4) == pytest.approx(plate.scale, rel=1e-4)


def test_the_free_edges_carry_neither_moment_nor_shear_force(plate, levy):
    mu, size = plate.poisson, plate.scale
    for sign in (-1, 1):
        edge = sorted([sign * 0.2, sign * 0.5])
        d = derivatives(lambda x, y: levy.deflection(plate, x, y), (-0.3, 0.4), edge)
        row = -1 if sign == 1 else 0  # of the patch, on the edge
        moment, shear = d(0, 2) + mu * d(2, 0), d(0, 3) + (2 - mu) * d(2, 1)
        assert np.abs(moment[:, row]).max() < 1e-8 * size
        assert np.abs(shear[:, row]).max() < 1e-5 * size
        assert np.abs(moment[:, 2]).max() > 1e-3 * size  # the check can fail: inside, there is a moment


def test_the_supported_edges_neither_move_nor_carry_a_moment(plate, levy):
    d = derivatives(lambda x, y: levy.deflection(plate, x, y), (0.7, 1.0), (-0.2, 0.2))
    assert np.abs(d(0, 0)[-1]).max() < 1e-14
    assert np.abs(d(2, 0)[-1]).max() < 1e-8 * plate.scale


def test_the_series_has_converged(plate, levy):
    x, y = plate.grid(21)
    fine = levy.deflection(plate, x, y, terms=4000)
    assert np.abs(levy.deflection(plate, x, y) - fine).max() < 1e-14 * fine.max()


def test_a_square_plate_bends_as_in_timoshenkos_table(load, levy):
    square = load("04-plate/plate.py").Plate(length=1.0, width=1.0, poisson=0.3)
    centre = levy.deflection(square, np.zeros(1), np.zeros(1)).item()
    assert centre / square.scale == pytest.approx(0.01309, abs=5e-6)  # w D / q a⁴


def test_a_narrow_plate_bends_like_a_beam(load, levy, monkeypatch):
    """5/384 q L⁴ / E I, for a strip free to contract sideways; only the series is asked, which knows no such limit."""
    monkeypatch.setattr(load("04-plate/plate.py"), "SLENDER", 10.0)
    strip = load("04-plate/plate.py").Plate(length=2.0, width=0.2)
    beam = 5 / 384 * strip.load.magnitude * strip.length**4 / (strip.young * strip.thickness**3 / 12)
    assert levy.deflection(strip, np.zeros(1), np.zeros(1)).item() == pytest.approx(beam, rel=1e-2)


def navier(plate, x, y):
    """The closed form of a simply supported plate under a sinusoidal load: Timoshenko, article 27."""
    waves = np.outer(np.cos(np.pi * y / plate.width), np.cos(np.pi * x / plate.length))
    return plate.scale * waves / (np.pi**2 * (plate.length**-2 + plate.width**-2)) ** 2


ALL_EDGES = ["".join(letters) for letters in itertools.product("SCF", repeat=4)]
MECHANISMS = {"FFFF", "SFFF", "FSFF", "FFSF", "FFFS"}


@pytest.mark.parametrize("edges", sorted(MECHANISMS))
def test_a_mechanism_is_refused_with_a_reason(make, edges):
    with pytest.raises(ValueError, match=r"mechanism.*it can (move|turn).*must have"):
        make(edges=edges)


def test_navier_and_levy_agree(make, levy):
    plate = make({"kind": "sinusoidal"}, length=2.0, width=3.0, young=201.88e9, poisson=0.25, edges="SSSS")
    x, y = plate.grid(11)
    assert relative_l2(levy.deflection(plate, x, y), navier(plate, x, y)) < 1e-14


@pytest.mark.parametrize("kind", ["uniform", "sinusoidal", "patch", "point"])
def test_the_series_along_x_and_along_y_agree(make, levy, kind):
    plate = make({"kind": kind, "x": 0.2, "y": -0.1}, edges="SSSS")
    x, y = plate.grid(9)
    turned = levy.deflection(levy.transposed(plate), y, x).T
    assert relative_l2(turned, levy.deflection(plate, x, y)) < 1e-6


# One Ritz solve


@pytest.mark.parametrize(("degree", "error"), [(6, 1e-5), (14, 4e-8), (22, 2e-9)])
def test_few_functions_are_enough(plate, levy, features, degree, error):
    """28, 120 and 276 functions for what bench/plate.py holds against other solvers."""
    x, y = plate.grid(31)
    assert relative_l2(features.solve(plate, degree).deflection(x, y), levy.deflection(plate, x, y)) < error


@pytest.mark.parametrize(("edges", "width"), [("SFSF", 1.0), ("CCFF", 8.0), ("CSFC", 1.0), ("FCSS", 0.5)])
def test_the_basis_is_well_conditioned(make, features, edges, width):
    """What Cholesky's factorisation may cost is the condition of RᵀR; the numbers in polynomials.py bound it."""
    assert np.linalg.cond(features.solve(make(edges=edges, width=width), 24).triangle) ** 2 < 2.1e6


@pytest.mark.parametrize(("edges", "kind"), [("SFSF", "hydrostatic"), ("CCFS", "sinusoidal"), ("CFFF", "uniform")])
def test_the_energy_by_products_is_that_by_points(make, features, polynomials, edges, kind):
    """Two ways to the same columns: integrals along x times integrals along y, and a sum over points."""
    plate, basis = make({"kind": kind}, edges=edges, width=1.3), polynomials.Basis.make(edges, 9, "float64")
    products, points = features.by_products(plate, basis), features.by_points(plate, basis, ())
    assert products.lengths == pytest.approx(points.lengths, rel=1e-12)
    assert products.work == pytest.approx(points.work, abs=1e-12 * np.abs(points.work).max())
    energies = [of.triangle.T @ of.triangle for of in (products, points)]
    assert energies[0] == pytest.approx(energies[1], abs=1e-12)


def test_the_official_plate_is_solved_to_ten_digits_when_asked(plate, levy, accuracy):
    x, y = plate.grid(31)
    answer = accuracy.solve(plate, 1e-10, "float64")
    assert answer.met
    assert relative_l2(answer.solution.deflection(x, y), levy.deflection(plate, x, y)) < 1e-10


def test_a_device_without_float64_still_reaches_one_in_a_million(plate, levy, accuracy, polynomials, monkeypatch):
    """No tensor of the device may be float64; the solve is numpy's, on the host."""
    made, to_tensor = set(), polynomials.paddle.to_tensor

    def watched(*words, **named):
        tensor = to_tensor(*words, **named)
        made.add(str(tensor.dtype).rpartition(".")[2])
        return tensor

    monkeypatch.setattr(polynomials.paddle, "to_tensor", watched)
    x, y = plate.grid(31)
    answer = accuracy.solve(plate, 1e-8, "float32")
    assert 1e-9 < relative_l2(answer.solution.deflection(x, y), levy.deflection(plate, x, y)) < 1e-6
    assert made == {"float32"} and answer.solution.triangle.dtype == "float64"


def test_the_official_biharmonic2d_is_solved_to_ten_digits(make, accuracy):
    plate = make({"kind": "sinusoidal"}, length=2.0, width=3.0, young=201.88e9, poisson=0.25, edges="SSSS")
    x, y = plate.grid(31)
    found = accuracy.solve(plate, 1e-8, "float64").solution.deflection(x, y)
    assert relative_l2(found, navier(plate, x, y)) < 1e-10


def test_a_clamped_square_bends_as_published_to_all_digits(make, accuracy, fields):
    """S. Timoshenko and S. Woinowsky-Krieger, article 44, table 35: w = 0.00126 q a⁴/D (its last digit is cut, not
    rounded), M = -0.0513 q a² at the edge and 0.0231 in the middle. R. Taylor and S. Govindjee, Solution of clamped
    rectangular plate problems, Commun. Numer. Meth. Engng 20 (2004) 757: w = 0.001265319087 and, in the middle,
    M = 0.02291 q a²: the table's 0.0231 is wrong in its third digit."""
    square = make(length=1.0, width=1.0, poisson=0.3, edges="CCCC")
    found = fields.at(accuracy.solve(square, 1e-9, "float64").solution, np.array([0.0, 0.5]), np.zeros(2))
    assert found["w"][0] / square.scale == pytest.approx(0.001265319087, abs=1e-12)
    assert found["Mx"] / square.load.magnitude == pytest.approx([0.02291, -0.0513], abs=5e-5)


@pytest.mark.parametrize("edges", [edges for edges in ALL_EDGES if edges not in MECHANISMS])
def test_every_plate_that_holds_is_solved(make, features, fields, edges):
    solution = features.solve(make(edges=edges), 10)
    assert fields.energy_error(solution) < 1e-12
    assert fields.equilibrium_error(solution) < 0.2
