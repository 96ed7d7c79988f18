"""Task 4, the plate: the reference solves the equation, and both networks come as close to it as they say."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import chebyshev

pytest.importorskip("paddle")
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def plate(load):
    return load("04-plate/plate.py").Plate()


@pytest.fixture(scope="module")
def levy(load):
    return load("04-plate/levy.py")


@pytest.fixture(scope="module")
def ritz(load):
    return load("04-plate/ritz.py")


def relative_l2(found, reference):
    return np.linalg.norm(found - reference) / np.linalg.norm(reference)


def derivatives(deflection, x_range, y_range, degree=18):
    """The function `derivative(m, n)`: ∂ᵐ⁺ⁿw/∂xᵐ∂yⁿ on a 5 x 5 grid of the patch, its borders included.

    Of the polynomial through the deflections at Chebyshev nodes: exact to rounding for so smooth a function.
    """
    nodes = chebyshev.chebpts1(degree + 1)
    (x0, x1), (y0, y1) = x_range, y_range
    half_x, half_y = (x1 - x0) / 2, (y1 - y0) / 2
    values = deflection(x0 + half_x * (nodes + 1), y0 + half_y * (nodes + 1))  # rows are y
    to_series = np.linalg.inv(chebyshev.chebvander(nodes, degree))
    series = to_series @ values.T @ to_series.T  # [power of x, power of y]
    patch = np.linspace(-1, 1, 5)

    def derivative(m, n):
        of_x = chebyshev.chebder(series, m, scl=1 / half_x, axis=0)
        return chebyshev.chebgrid2d(patch, patch, chebyshev.chebder(of_x, n, scl=1 / half_y, axis=1))

    return derivative


# The plate


def test_the_plate_is_that_of_paddles_guide(plate):
    assert plate.rigidity == pytest.approx(210e9 * 0.01**3 / (12 * (1 - 0.28**2)))
    assert plate.scale == plate.load / plate.rigidity


@pytest.mark.parametrize("wrong", [{"length": 0.0}, {"thickness": -0.01}, {"young": 0.0}, {"poisson": 0.6}])
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


def test_a_narrow_plate_bends_like_a_beam(load, levy):
    """5/384 q L⁴ / E I, for a strip free to contract sideways."""
    strip = load("04-plate/plate.py").Plate(length=2.0, width=0.01)
    beam = 5 / 384 * strip.load * strip.length**4 / (strip.young * strip.thickness**3 / 12)
    assert levy.deflection(strip, np.zeros(1), np.zeros(1)).item() == pytest.approx(beam, rel=1e-4)


# The random-feature network


@pytest.mark.parametrize("seed", range(12))
def test_one_solve_is_accurate_for_any_seed(plate, levy, ritz, seed):
    x, y = plate.grid(101)
    found = ritz.solve(plate, seed=seed).deflection(x, y)
    assert relative_l2(found, levy.deflection(plate, x, y)) < 2e-8


@pytest.mark.parametrize("features", [400, 800])
def test_the_bound_holds_at_both_ends_of_the_range(plate, levy, ritz, features):
    x, y = plate.grid(11)
    found = ritz.solve(plate, features, seed=5).deflection(x, y)
    assert relative_l2(found, levy.deflection(plate, x, y)) < 1e-7


@pytest.mark.parametrize("seed", range(3))
def test_a_device_without_float64_still_reaches_one_in_a_million(plate, levy, ritz, seed):
    x, y = plate.grid(51)
    found = ritz.solve(plate, seed=seed, dtype="float32").deflection(x, y)
    assert 1e-8 < relative_l2(found, levy.deflection(plate, x, y)) < 1e-6


@settings(max_examples=10, deadline=None)
@given(width=st.floats(0.5, 2.0), poisson=st.floats(0.0, 0.45), thickness=st.floats(0.001, 0.1))
def test_other_plates_are_solved_as_well(load, levy, ritz, width, poisson, thickness):
    plate = load("04-plate/plate.py").Plate(width=width, poisson=poisson, thickness=thickness)
    x, y = plate.grid(21)
    found = ritz.solve(plate, features=300).deflection(x, y)
    assert relative_l2(found, levy.deflection(plate, x, y)) < 1e-6


def test_the_load_does_twice_the_work_that_is_stored(plate, levy, ritz):
    """Clapeyron: strain energy = ½ ∫ q w dx dy. And Ritz finds a plate that is too stiff, never too soft."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    exact = levy.deflection(plate, nodes * plate.length / 2, nodes * plate.width / 2)
    half_the_work = plate.load / 2 * (weights @ exact @ weights) * plate.length * plate.width / 4
    coarse, fine = (ritz.solve(plate, features).strain_energy for features in (60, 400))
    assert fine == pytest.approx(half_the_work, rel=1e-9)
    assert coarse < fine


def test_second_derivatives_of_the_features_are_right(ritz):
    network = ritz.Network.draw(7, seed=1, dtype="float64")
    xi, eta, h = np.array([-0.7, 0.1, 0.6]), np.array([0.3, -0.8, 0.5]), 1e-4

    def shape(i, j):
        return network.shapes(xi + i * h, eta + j * h)

    along_xi, along_eta, mixed = network.curvatures(xi, eta)
    assert along_xi == pytest.approx((shape(1, 0) - 2 * shape(0, 0) + shape(-1, 0)) / h**2, abs=1e-5)
    assert along_eta == pytest.approx((shape(0, 1) - 2 * shape(0, 0) + shape(0, -1)) / h**2, abs=1e-5)
    crossed = shape(1, 1) - shape(1, -1) - shape(-1, 1) + shape(-1, -1)
    assert mixed == pytest.approx(crossed / (4 * h**2), abs=1e-5)


def test_a_device_that_refuses_float64_is_given_float32(ritz, monkeypatch):
    assert ritz.choose_dtype()[0] == "float64"  # the CPU has it

    def refuse(tensor):
        raise RuntimeError("the kernel tanh is not registered for float64")

    monkeypatch.setattr(ritz.paddle, "tanh", refuse)
    dtype, reason = ritz.choose_dtype()
    assert dtype == "float32" and "refuses float64" in reason
    assert ritz.paddle.get_flags("FLAGS_enable_api_kernel_fallback")["FLAGS_enable_api_kernel_fallback"]


# The baseline


def test_the_pinn_lowers_its_loss(plate, levy, load, tmp_path):
    pytest.importorskip("ppsci")
    x, y = plate.grid(11)
    reference = levy.deflection(plate, x, y)
    pinn = load("04-plate/pinn.py")
    solution = pinn.solve(plate, x, y, reference, tmp_path, adam_epochs=12, lbfgs_epochs=1)
    assert solution.losses.shape == (13,)
    assert solution.losses[-1] < 0.5 * solution.losses[0]
    assert solution.deflection(x, y).shape == reference.shape
    assert (tmp_path / "visual" / "plate.vtu").exists()


# The program


def test_the_program_leaves_what_its_project_promises(run_program):
    out = run_program("04-plate", "--part", "4", "--set", "grid=31")
    measured = json.loads((out / "metrics.json").read_text())
    assert set(measured) == {"relative_l2", "max_error", "seconds", "compute_dtype", "max_deflection"}
    assert measured["relative_l2"] < 1e-7
    assert math.isclose(measured["max_deflection"], 12.1764e-3, rel_tol=1e-5)
    assert np.load(out / "trace.npz")["deflection"].shape == (31, 31)
    assert (out / "deflection.png").stat().st_size > 10_000
    assert "more than the plate's thickness" in (out.parent / "run.log").read_text()
