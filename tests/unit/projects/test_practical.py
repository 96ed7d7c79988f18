"""Task 5, the bar: the model is the heat equation, the inversion finds what it should, and its error bars are true."""

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("paddle")
pytest.importorskip("scipy")

FOLDER = Path(__file__).resolve().parents[3] / "projects" / "05-practical"
NOISE, LOSS, GUESS = 0.1, 25.0, (100.0, 10.0)


@pytest.fixture(scope="module")
def program(load):
    """main.py with its neighbours: `program.classical`, `program.calibration`, …, the same objects as it uses."""
    pytest.importorskip("matplotlib")
    return load("05-practical/main.py")


@pytest.fixture(scope="module")
def bar(program):
    return program.Bar()


@pytest.fixture(scope="module")
def model(program, bar):
    return program.Model(bar, program.Unknowns(bar.length))


@pytest.fixture(scope="module")
def experiment(program, bar):
    """Times, positions and noiseless readings of the six thermometers."""
    return program.simulated.simulate(bar, np.linspace(0.02, 0.98, 6) * bar.length)


@pytest.fixture(scope="module")
def x(bar):
    return np.linspace(0.02, 0.98, 25) * bar.length


def noisy(exact, seeds, seed=1):
    return exact + NOISE * np.random.default_rng(seed).normal(size=(seeds, len(exact)))


def constant(model, k, h):
    return np.append(np.full(model.unknowns.splines, np.log(k)), np.log(h))


# The model


def test_the_steady_temperature_is_that_of_a_fin(program):
    """Heated at x = 0 for long: u = q cosh(m (L - x)) / (k m sinh(m L)), with m² = 4h / (k d)."""
    k, h = 150.0, 25.0
    bar = program.Bar(power_right=0.0, switch=20_000.0, duration=20_000.0)
    model = program.Model(bar, program.Unknowns(bar.length), steps=40)
    x = np.linspace(0, bar.length, 9)
    m = np.sqrt(4 * h / (k * bar.diameter))
    fin = bar.power_left / bar.section * np.cosh(m * (bar.length - x)) / (k * m * np.sinh(m * bar.length))
    found, _ = model.predict(constant(model, k, h)[None], np.full(9, bar.duration), x)
    np.testing.assert_allclose(found[0], fin, rtol=2e-4)


def test_without_loss_all_of_the_heat_stays_in_the_bar(program, bar, model):
    points, weights = np.polynomial.legendre.leggauss(40)
    u, _ = model.predict(constant(model, 120.0, 1e-12)[None], np.full(40, bar.duration), (points + 1) * bar.length / 2)
    energy = bar.heat_capacity * bar.section * bar.length / 2 * u @ weights
    assert energy == pytest.approx(bar.energy(bar.duration), rel=1e-9)


@pytest.fixture(scope="module")
def exactly(program, bar, model):
    """θ, times and positions, and what they give on a grid of 840 cells without steps in time."""
    x = np.linspace(0, bar.length, 200)
    theta = model.unknowns.closest(program.simulated.true_conductivity(bar, x), x, LOSS)
    k = model.unknowns.conductivity(theta, bar.length / 840 * np.arange(1, 840))
    rows = np.array([150.0, 303.0, 450.0, 600.0, 37.7]), np.array([0.02, 0.05, 0.08, 0.12, 0.001])
    return theta, rows, program.classical.at_rows(bar, k, LOSS, *rows)


def test_halving_the_steps_divides_their_error_by_eight(program, bar, model, exactly):
    theta, rows, _ = exactly
    results = [
        program.Model(bar, model.unknowns, 24, steps).predict(theta[None], *rows)[0] for steps in (5, 10, 20, 40)
    ]
    differences = np.array([np.linalg.norm(one - other) for one, other in pairwise(results)])
    orders = np.log2(differences[:-1] / differences[1:])
    assert (orders > 2.7).all(), orders


def test_few_modes_are_as_precise_as_a_fine_grid(program, bar, model, exactly):
    theta, rows, exact = exactly
    errors = [
        np.abs(program.Model(bar, model.unknowns, modes, 40).predict(theta[None], *rows)[0][0] - exact).max()
        for modes in (12, 24, 36)
    ]
    assert errors[1] < 5e-4 and errors[2] < 2e-4 and errors[0] > 5 * errors[1], errors


def test_derivatives_are_those_of_paddle_and_of_finite_differences(model, experiment):
    times, positions, _ = experiment
    theta = constant(model, 110.0, 20.0) + 0.3 * np.sin(np.arange(model.unknowns.count))
    assert model.gradient_error(theta, np.unique(positions))[0] < 1e-11
    _, J = model.predict(theta[None], times, positions)
    step = 1e-5
    ways = np.concatenate([theta + step * np.eye(len(theta)), theta - step * np.eye(len(theta))])
    u, _ = model.predict(ways, times, positions, derivatives=False)
    differences = (u[: len(theta)] - u[len(theta) :]).T / (2 * step)
    np.testing.assert_allclose(J[0], differences, atol=1e-6 * np.abs(differences).max())


def test_in_float32_the_temperatures_are_good_to_a_twentieth_of_the_noise(program, bar, model, experiment):
    times, positions, _ = experiment
    theta = constant(model, 110.0, 20.0)[None]
    single = program.Model(bar, model.unknowns, dtype="float32")
    found, exact = (each.predict(theta, times, positions, derivatives=False)[0] for each in (single, model))
    assert np.abs(found - exact).max() < NOISE / 20


@pytest.mark.parametrize(
    "wrong", [{"length": 0.0}, {"diameter": -1.0}, {"switch": 700.0}, {"power_left": 0.0, "power_right": 0.0}]
)
def test_impossible_experiments_are_refused(program, wrong):
    with pytest.raises(ValueError, match=r"must|switch"):
        program.Bar(**wrong)


def test_readings_outside_the_bar_or_the_experiment_are_refused(model):
    for time, place in [(601.0, 0.1), (-1.0, 0.1), (10.0, 0.2), (10.0, -0.01)]:
        with pytest.raises(ValueError, match="go from 0"):
            model.predict(constant(model, 100.0, 10.0)[None], np.array([time]), np.array([place]))


# The inversion


def test_without_noise_the_true_conductivity_is_recovered(program, bar, model, experiment, x):
    times, positions, exact = experiment
    found = program.calibration.inference.infer(model, times, positions, exact[None], GUESS)
    assert found.converged.all()
    np.testing.assert_allclose(
        np.exp(found.log_conductivity(x)[0][0]), program.simulated.true_conductivity(bar, x), rtol=0.02
    )
    assert found.loss[0] == pytest.approx(LOSS, rel=1e-3)


@pytest.mark.parametrize("guess", [(20.0, 2.0), (500.0, 200.0)])
def test_a_guess_that_is_wrong_by_five_to_twelve_times_leads_to_the_same_answer(program, model, experiment, x, guess):
    times, positions, exact = experiment
    found = program.calibration.inference.infer(model, times, positions, exact[None], guess)
    usual = program.calibration.inference.infer(model, times, positions, exact[None], GUESS)
    np.testing.assert_allclose(found.log_conductivity(x)[0], usual.log_conductivity(x)[0], atol=1e-2)


def test_over_many_seeds_errors_reach_the_cramer_rao_bound_and_intervals_hold_what_they_say(
    program, bar, model, experiment, x
):
    inference, (times, positions, exact) = program.calibration.inference, experiment
    found = inference.infer(model, times, positions, noisy(exact, seeds=40), GUESS)
    truth = np.log(program.simulated.true_conductivity(bar, x))
    theta = model.unknowns.closest(np.exp(truth), x, LOSS)
    bound = inference.cramer_rao(model, theta, times, positions, NOISE)
    log_k, deviation = found.log_conductivity(x)
    scaled = (log_k - truth) / inference.deviations(model.unknowns.basis(x), bound)
    assert 0.8 < np.sqrt(np.mean(scaled**2)) < 1.2  # not worse than the bound, nor too good to be true
    assert np.sqrt(np.mean(scaled**2, axis=1)).max() < 3
    assert np.abs(found.noise / NOISE - 1).max() < 0.15
    held = np.abs(log_k - truth) <= inference.NORMAL_90 * deviation
    assert 0.85 <= held.mean() <= 0.96
    held_loss = np.abs(np.log(found.loss / LOSS)) <= inference.NORMAL_90 * found.loss_deviation
    assert held_loss.mean() >= 0.75  # 40 numbers only


def test_seeds_in_a_batch_give_what_they_give_alone(program, model, experiment):
    times, positions, exact = experiment
    readings = noisy(exact, seeds=2)
    together = program.calibration.inference.infer(model, times, positions, readings, GUESS)
    for number in range(2):
        alone = program.calibration.inference.infer(model, times, positions, readings[number][None], GUESS)
        np.testing.assert_allclose(together.theta[number], alone.theta[0], atol=1e-4)


def test_where_no_heat_flows_nothing_is_known_so_heat_comes_from_both_ends(program, bar, experiment, x):
    times, positions, _ = experiment
    unknowns = program.Unknowns(bar.length)
    theta = unknowns.closest(program.simulated.true_conductivity(bar, x), x, LOSS)
    spread = []
    for power_right in (0.0, 5.0):
        model = program.Model(program.Bar(power_right=power_right), unknowns)
        bound = program.calibration.inference.cramer_rao(model, theta, times, positions, NOISE)
        spread.append(program.calibration.inference.deviations(unknowns.basis(x[-1:]), bound)[0])
    assert spread[1] < spread[0] / 1.5


def test_fewer_measurements_than_unknowns_are_refused(program, model):
    with pytest.raises(ValueError, match="cannot determine"):
        program.calibration.inference.infer(model, np.ones(5), np.full(5, 0.1), np.ones((1, 5)), GUESS)


def test_a_wild_reading_is_found_and_noise_has_no_memory_but_a_wrong_model_has(program, model, experiment):
    inference, (times, positions, exact) = program.calibration.inference, experiment
    residuals = NOISE * np.random.default_rng(3).normal(size=len(exact))
    assert not program.fitting.outliers(residuals).any()
    assert abs(program.believable.memory(residuals, times, positions)) < 0.15
    residuals[17] = 8 * NOISE
    assert np.flatnonzero(program.fitting.outliers(residuals)).tolist() == [17]
    wrong = inference.infer(model, times, positions, 1.3 * exact[None] + 5, GUESS, most_iterations=8).residuals[0]
    assert program.believable.memory(wrong, times, positions) > 0.3


# The classical solver


def test_the_classical_solver_finds_it_too_and_one_constant_does_not_fit(program, bar, experiment, x):
    times, positions, exact = experiment
    readings = noisy(exact, seeds=1)[0]
    found = program.classical.solve(bar, times, positions, readings, NOISE, GUESS)
    assert program.simulated.relative_l2(found.conductivity(x), program.simulated.true_conductivity(bar, x)) < 0.1
    assert program.classical.solve_constant(bar, times, positions, readings, GUESS)[2] > 5 * NOISE


# The advice


def test_the_advice_is_true_the_sensor_really_lowers_the_uncertainty_as_predicted(program, bar, model, experiment, x):
    inference, design, (times, positions, exact) = program.calibration.inference, program.design, experiment
    theta = model.unknowns.closest(program.simulated.true_conductivity(bar, x), x, LOSS)
    before = inference.infer(model, times, positions, noisy(exact, seeds=1), GUESS)
    candidates = np.linspace(0.02, 0.98, 33) * bar.length
    moments = np.unique(times)
    advice = design.next_sensor(model, theta, before.covariance[0], NOISE, moments, candidates, x)
    basis = model.unknowns.basis(x)
    left = {}
    worst = advice.extremes[1]
    for place in advice.extremes:
        more_times, more_positions, more = program.simulated.simulate(bar, np.array([place]))
        rows = np.append(times, more_times), np.append(positions, more_positions)
        after = inference.infer(model, *rows, noisy(np.append(exact, more), seeds=1), GUESS)
        left[place] = design.mean_deviation(basis, after.covariance[0])
    assert left[advice.best] == pytest.approx(advice.deviations.min(), rel=0.15)
    assert left[advice.best] < 0.9 * advice.before
    assert left[advice.best] < left[worst] <= 1.1 * advice.before


# The program


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["data=nowhere.csv"], "nowhere.csv cannot be read"),
        ([f"data={FOLDER / 'example.csv'}", "ambient=293.15"], "not heated"),
        (["power_left=0", "power_right=0"], "without one nothing can be learnt"),
        (["switch=700"], "switch"),
    ],
)
def test_what_cannot_be_used_is_refused_with_exit_code_2(program, tmp_path, monkeypatch, capsys, words, why):
    monkeypatch.setattr(sys, "argv", ["main.py", "--out", str(tmp_path), "--set", *words])
    with pytest.raises(SystemExit) as left:
        program.kit.main(program.main, ValueError)
    refusal = capsys.readouterr().err
    assert left.value.code == 2 and why in refusal and refusal.startswith("error: ")


@pytest.mark.slow
def test_the_example_file_is_inverted_into_a_report_and_a_picture(run_program):
    pytest.importorskip("yaml")
    out = run_program("05-practical", "--part", "5", "--set", f"data={FOLDER / 'example.csv'}", "method=solver")
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["loss"] == pytest.approx(LOSS, rel=0.01)
    assert metrics["rows_used"] == 360 and metrics["rows_bad"] == 0
    assert "coverage" not in metrics  # the truth is not known
    report = (out / "report.md").read_text()
    assert "90 % interval" in report and "Next thermometer" in report
    assert (out / "inversion.png").stat().st_size > 50_000
    assert list(json.loads((out / "device.json").read_text())["places_of_the_program"]) == ["Place(cpu)"]
