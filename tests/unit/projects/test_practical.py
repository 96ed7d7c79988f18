"""Task 5, the bar: the model is the heat equation, the inversion finds what it should, and its error bars are true."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("paddle")
pytest.importorskip("scipy")

FOLDER = Path(__file__).resolve().parents[3] / "projects" / "05-practical"
NOISE, LOSS, GUESS = 0.1, 25.0, (100.0, 10.0)


@pytest.fixture(scope="module")
def program(load):
    """main.py with its neighbours: `program.classical`, `program.inference`, …, the same objects as it uses."""
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
    return program.simulate(bar, np.linspace(0.02, 0.98, 6) * bar.length)


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
    model = program.Model(bar, program.Unknowns(bar.length), cells=120, steps=100)
    x = np.linspace(0, bar.length, 9)
    m = np.sqrt(4 * h / (k * bar.diameter))
    fin = bar.power_left / bar.section * np.cosh(m * (bar.length - x)) / (k * m * np.sinh(m * bar.length))
    found, _ = model.predict(constant(model, k, h)[None], np.full(9, bar.duration), x)
    np.testing.assert_allclose(found[0], fin, rtol=2e-4)


def test_without_loss_all_of_the_heat_stays_in_the_bar(program, bar):
    model = program.Model(bar, program.Unknowns(bar.length))
    middles = (np.arange(model.cells) + 0.5) * model.width
    theta = constant(model, 120.0, 1e-12)
    u, _ = model.predict(theta[None], np.full(model.cells, bar.duration), middles)
    energy = bar.heat_capacity * bar.section * model.width * u.sum()
    assert energy == pytest.approx(bar.power_left * 300 + bar.power_right * 300, rel=1e-9)


def test_halving_the_grid_in_space_and_time_divides_the_error_by_four(program, bar):
    unknowns = program.Unknowns(bar.length)
    theta = unknowns.closest(program.true_conductivity(bar, np.linspace(0, 0.15, 200)), np.linspace(0, 0.15, 200), LOSS)
    cells = 840
    k = unknowns.conductivity(theta, bar.length / cells * np.arange(1, cells))
    times, positions = np.array([150.0, 300.0, 450.0, 600.0]), np.array([0.02, 0.05, 0.08, 0.12])
    exact = program.classical.at_rows(bar, k, LOSS, times, positions)
    errors = []
    for cells, steps in [(20, 40), (40, 80), (80, 160)]:
        found, _ = program.Model(bar, unknowns, cells, steps).predict(theta[None], times, positions, derivatives=False)
        errors.append(np.linalg.norm(found[0] - exact))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (orders > 1.7).all(), orders


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
    found = program.inference.infer(model, times, positions, exact[None], GUESS)
    assert found.converged.all()
    np.testing.assert_allclose(np.exp(found.log_conductivity(x)[0][0]), program.true_conductivity(bar, x), rtol=0.02)
    assert found.loss[0] == pytest.approx(LOSS, rel=1e-3)


@pytest.mark.parametrize("guess", [(20.0, 2.0), (500.0, 200.0)])
def test_a_guess_that_is_wrong_by_five_to_twelve_times_leads_to_the_same_answer(program, model, experiment, x, guess):
    times, positions, exact = experiment
    found = program.inference.infer(model, times, positions, exact[None], guess)
    usual = program.inference.infer(model, times, positions, exact[None], GUESS)
    np.testing.assert_allclose(found.log_conductivity(x)[0], usual.log_conductivity(x)[0], atol=1e-2)


def test_over_many_seeds_errors_reach_the_cramer_rao_bound_and_intervals_hold_what_they_say(
    program, bar, model, experiment, x
):
    inference, (times, positions, exact) = program.inference, experiment
    found = inference.infer(model, times, positions, noisy(exact, seeds=40), GUESS)
    truth = np.log(program.true_conductivity(bar, x))
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
    together = program.inference.infer(model, times, positions, readings, GUESS)
    for number in range(2):
        alone = program.inference.infer(model, times, positions, readings[number][None], GUESS)
        np.testing.assert_allclose(together.theta[number], alone.theta[0], atol=1e-4)


def test_where_no_heat_flows_nothing_is_known_so_heat_comes_from_both_ends(program, bar, experiment, x):
    times, positions, _ = experiment
    unknowns = program.Unknowns(bar.length)
    theta = unknowns.closest(program.true_conductivity(bar, x), x, LOSS)
    spread = []
    for power_right in (0.0, 5.0):
        model = program.Model(program.Bar(power_right=power_right), unknowns)
        bound = program.inference.cramer_rao(model, theta, times, positions, NOISE)
        spread.append(program.inference.deviations(unknowns.basis(x[-1:]), bound)[0])
    assert spread[1] < spread[0] / 1.5


def test_fewer_measurements_than_unknowns_are_refused(program, model):
    with pytest.raises(ValueError, match="cannot determine"):
        program.inference.infer(model, np.ones(5), np.full(5, 0.1), np.ones((1, 5)), GUESS)


def test_a_wild_reading_is_found_and_noise_has_no_memory_but_a_wrong_model_has(program, model, experiment):
    inference, (times, positions, exact) = program.inference, experiment
    residuals = NOISE * np.random.default_rng(3).normal(size=len(exact))
    assert not inference.outliers(residuals).any()
    assert abs(inference.memory(residuals, times, positions)) < 0.15
    residuals[17] = 8 * NOISE
    assert np.flatnonzero(inference.outliers(residuals)).tolist() == [17]
    wrong = inference.infer(model, times, positions, 1.3 * exact[None] + 5, GUESS, most_iterations=8).residuals[0]
    assert inference.memory(wrong, times, positions) > 0.3


# The classical solver


def test_the_classical_solver_finds_it_too_and_one_constant_does_not_fit(program, bar, experiment, x):
    times, positions, exact = experiment
    readings = noisy(exact, seeds=1)[0]
    found = program.classical.solve(bar, times, positions, readings, NOISE, GUESS)
    assert program.relative_l2(found.conductivity(x), program.true_conductivity(bar, x)) < 0.1
    assert program.classical.solve_constant(bar, times, positions, readings, GUESS)[2] > 5 * NOISE


# The advice


def test_the_advice_is_true_the_sensor_really_lowers_the_uncertainty_as_predicted(program, bar, model, experiment, x):
    inference, design, (times, positions, exact) = program.inference, program.design, experiment
    theta = model.unknowns.closest(program.true_conductivity(bar, x), x, LOSS)
    before = inference.infer(model, times, positions, noisy(exact, seeds=1), GUESS)
    candidates = np.linspace(0.02, 0.98, 33) * bar.length
    moments = np.unique(times)
    advice = design.next_sensor(model, theta, before.covariance[0], NOISE, moments, candidates, x)
    basis = model.unknowns.basis(x)
    left = {}
    for place in (advice.best, advice.worst):
        more_times, more_positions, more = program.simulate(bar, np.array([place]))
        rows = np.append(times, more_times), np.append(positions, more_positions)
        after = inference.infer(model, *rows, noisy(np.append(exact, more), seeds=1), GUESS)
        left[place] = design.mean_deviation(basis, after.covariance[0])
    assert left[advice.best] == pytest.approx(advice.deviations.min(), rel=0.15)
    assert left[advice.best] < 0.9 * advice.before
    assert left[advice.best] < left[advice.worst] <= 1.1 * advice.before


# Measurements in a file

HEADER = "time [s],x [mm],temperature [°C]"


@pytest.fixture(scope="module")
def parse(load):
    module = load("05-practical/measurements.py")
    return lambda text: module.parse(text, 0.15, 600.0)


@pytest.fixture(scope="module")
def unusable(load):
    return load("05-practical/measurements.py").Unusable


@pytest.mark.parametrize(
    "text",
    [
        "time [s],x [mm],temperature [°C]\n60,50,25",
        "temperature [K];x [cm];time [min];who\n298,15;5;1;me",
        "Time (s)\tPosition (m)\tTemperature (°F)\n60\t0.05\t77",
        '# a comment\n\n"x [mm]", "temperature [degrees]", "t [s]"'.replace("degrees", "℃") + "\n50, 25, 60\n",
    ],
)
def test_units_orders_and_separators(parse, text):
    found = parse(text)
    assert found.times == pytest.approx([60]) and found.positions == pytest.approx([0.05])
    assert found.temperatures == pytest.approx([25])


def test_bad_rows_are_reported_by_line_and_left_out(parse):
    rows = ["1,2,25", "1,2,", "1,2", "abc,2,25", "700,2,25", "1,151,25", "1,2,-300", "1,2,inf", "# note", "2,3,26"]
    found = parse("\n".join([HEADER, *rows]))
    assert len(found) == 2
    assert [number for number, _ in found.problems] == [3, 4, 5, 6, 7, 8, 9]
    words = ["missing", "missing", "not a number", "outside the experiment", "outside the bar", "not one", "finite"]
    assert all(word in problem for word, (_, problem) in zip(words, found.problems, strict=True))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("1,2,3\n4,5,6", "no column"),
        ("time [s],x [mm]\n1,2", "no column temperature"),
        ("time [s],x [mm],temperature\n1,2,3", "no unit"),
        ("time [s],x [furlong],temperature [K]\n1,2,3", "furlong"),
        ("time [s],x [mm],x [m],temperature [K]\n1,2,2,3", "two columns"),
        (HEADER, "no line after the header"),
        (HEADER + "\n1,2,nan", "line 2"),
        ("x" * 200_000, "field larger"),
    ],
)
def test_files_that_cannot_be_used_are_refused_with_what_why_and_what_to_do(parse, unusable, text, why):
    with pytest.raises(unusable) as refusal:
        parse(text)
    lines = str(refusal.value).splitlines()
    assert len(lines) == 3 and why in str(refusal.value) and "what to do" in lines[2]


@settings(deadline=None, max_examples=200)
@given(text=st.text() | st.lists(st.text(max_size=20)).map(lambda rows: "\n".join([HEADER, *rows])))
def test_whatever_the_text_there_is_a_result_or_a_refusal(parse, unusable, text):
    try:
        found = parse(text)
    except unusable:
        return
    assert len(found) > 0 and np.isfinite(found.temperatures).all()


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.floats(0, 600), st.floats(0, 150), st.floats(-270, 4000), st.booleans()), min_size=1, max_size=30
    )
)
def test_every_row_is_either_used_or_reported(parse, unusable, rows):
    lines = [f"{t!r},{x!r},{u!r}" if good else f"{t!r},oops,{u!r}" for t, x, u, good in rows]
    good = [row for row in rows if row[3]]
    if not good:
        with pytest.raises(unusable):
            parse("\n".join([HEADER, *lines]))
        return
    found = parse("\n".join([HEADER, *lines]))
    np.testing.assert_allclose(found.temperatures, [row[2] for row in good])
    assert [number for number, _ in found.problems] == [n for n, row in enumerate(rows, 2) if not row[3]]


@settings(deadline=None, max_examples=100)
@given(content=st.binary(max_size=300))
def test_whatever_the_bytes_there_is_no_traceback(load, tmp_path_factory, content):
    module = load("05-practical/measurements.py")
    path = tmp_path_factory.getbasetemp() / "wild.csv"
    path.write_bytes(content)
    with pytest.raises(module.Unusable):
        module.read(path, 0.15, 600.0)


def test_what_is_written_is_read_back(load, tmp_path):
    module = load("05-practical/measurements.py")
    path = tmp_path / "measured.csv"
    written = module.Measurements(np.array([10.0, 599.123456]), np.array([0.003, 0.1478]), np.array([20.0, 71.234]))
    module.write(path, written, ["a comment"])
    found = module.read(path, 0.15, 600.0)
    for name in ("times", "positions", "temperatures"):
        np.testing.assert_allclose(getattr(found, name), getattr(written, name), rtol=1e-12)


# The program


def test_a_file_that_is_not_there_is_refused_with_exit_code_2(program, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["main.py", "--out", str(tmp_path), "--set", "data=nowhere.csv"])
    with pytest.raises(SystemExit) as left:
        program.main()
    assert left.value.code == 2
    refusal = capsys.readouterr().err
    assert "nowhere.csv" in refusal and "why: " in refusal and "what to do: " in refusal


def test_celsius_taken_for_kelvin_is_refused_with_exit_code_2(program, tmp_path, monkeypatch, capsys):
    folder = Path(__file__).resolve().parents[3] / "projects" / "05-practical"
    example = (folder / "example.csv").read_text(encoding="utf-8")
    (tmp_path / "kelvin.csv").write_text(example.replace("[°C]", "[K]"), encoding="utf-8")
    words = ["--out", str(tmp_path), "--set", f"data={tmp_path / 'kelvin.csv'}"]
    monkeypatch.setattr(sys, "argv", ["main.py", *words])
    with pytest.raises(SystemExit) as left:
        program.main()
    assert left.value.code == 2 and "not heated" in capsys.readouterr().err


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
