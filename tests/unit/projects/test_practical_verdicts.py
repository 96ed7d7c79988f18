"""Task 5's verdicts: good readings pass, each worthless file fails by its name, and so does each planted fault."""

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.catalogue import entries
from harness.runs.judge import judge_metric

pytest.importorskip("scipy")
pytest.importorskip("paddle")

CASES = Path(__file__).resolve().parents[2] / "data" / "csv"
HEADER = "time [s],x [mm],temperature [°C]"
GUESS = (100.0, 10.0)
SEEDS = 40


@pytest.fixture(scope="module")
def program(load):
    pytest.importorskip("matplotlib")
    return load("05-practical/main.py")


@pytest.fixture(scope="module")
def part():
    return entries.load().parts["5"]


class Run:
    """Stands for the run of a program: its parameters, and the metrics that it wrote."""

    def __init__(self, **parameters):
        self.parameters = {"noise": 0.1, **parameters}
        self.metrics = {}

    def metric(self, name, value):
        assert name not in self.metrics
        self.metrics[name] = value.item() if isinstance(value, np.generic) else value


@pytest.fixture
def measure(program, part, tmp_path):
    """Run the program's steps 1, 2, 3 and 5 on a file, or on lines of one: its checks by name, and its warnings."""

    def run(source, start=None, **bar):
        if isinstance(source, list):
            path = tmp_path / "data.csv"
            path.write_text("\n".join([HEADER, *source]), encoding="utf-8")
            source = path
        taken = program.Bar(**bar)
        measured, odd = program.readings_of(source, taken, 8)
        model = start or program.Model(taken, program.Unknowns(taken.length))
        page = program.notes.Notes(Run(data=str(source)))
        fit = program.fitting.fit(model, measured, GUESS)
        page.answer(source, measured, fit, 1.0)
        gradient_error, _ = fit.model.gradient_error(fit.theta, np.unique(measured.positions))
        page.belief(fit, program.believable.judge(fit), gradient_error)
        page.advice(program.advise(fit, np.linspace(0.02, 0.98, 49) * taken.length))
        found = checks(part, page.program)
        return found, [*odd, *page.warnings]

    return run


def checks(part, run):
    """The judge's checks of what a run wrote, by name."""
    return {
        name: judge_metric(part, name, run.parameters, run.metrics)
        for name in run.metrics
        if part.metrics[name].bounded
    }


def failed(found):
    return {name for name, check in found.items() if check.verdict != "passed"}


def lines(case="good"):
    return (CASES / f"{case}.csv").read_text(encoding="utf-8").splitlines()[1:]


def changed(write):
    """The good lines, each (time, x, temperature) written anew."""
    return [write(*map(float, line.split(","))) for line in lines()]


# A user's file


def test_good_readings_pass(measure):
    found, said = measure(CASES / "good.csv")
    assert not failed(found) and not said


def test_ten_thousand_readings_pass_too(measure, tmp_path):
    path = tmp_path / "ten_thousand.csv"
    path.write_bytes(gzip.decompress((CASES / "ten_thousand.csv.gz").read_bytes()))
    found, said = measure(path)
    assert not failed(found) and not said


@pytest.mark.plants("5", "outlier_share")
def test_six_percent_outliers_are_named_and_the_rest_gives_the_answer(measure):
    found, said = measure(CASES / "outliers6pc.csv")
    assert failed(found) == {"outlier_share"}
    assert any("21 readings are outliers" in each for each in said)


@pytest.mark.plants("5", "drift_in_deviations")
def test_a_drift_is_named(measure):
    found, said = measure(CASES / "drift.csv")
    assert "drift_in_deviations" in failed(found)
    assert any("Drift: a drift of 1.9" in each for each in said)


@pytest.mark.plants("5", "repeated_share")
def test_a_file_that_holds_every_row_twice_is_named_and_counts_once(measure):
    found, said = measure(CASES / "twice.csv")
    assert failed(found) == {"repeated_share"} and found["repeated_share"].found == 0.5
    assert any("360 rows stand in the file twice" in each for each in said)


@pytest.mark.plants("5", "offset_in_deviations")
def test_a_thermometer_that_reads_too_much_is_named(measure):
    found, said = measure(changed(lambda t, x, u: f"{t},{x},{u + 0.3 * (x == 60.6)}"))
    assert "offset_in_deviations" in failed(found)
    assert any("The thermometer at 60.6 mm" in each and "too much" in each for each in said), said


@pytest.mark.plants("5", "bad_share")
def test_many_missing_readings_fail_and_a_few_are_only_told(measure):
    found, said = measure(changed(lambda t, x, u: f"{t},{x},{'nan' if t % 100 == 0 else u}"))
    assert not failed(found) and "36 readings cannot be used" in said[0]
    found, _ = measure(changed(lambda t, x, u: f"{t},{x},{'nan' if t % 40 == 0 else u}"))
    assert failed(found) == {"bad_share"}


def test_a_few_spikes_are_left_out_and_a_few_rows_twice(measure):
    found, said = measure(changed(lambda t, x, u: f"{t},{x},{u + 9 * (t in (120, 400) and x == 3)}") + lines()[:5])
    assert not failed(found) and "5 rows stand in the file twice" in said[0]


@pytest.mark.plants("5", "largest_deviation")
def test_readings_that_do_not_tell_k_fail(program, measure):
    bar = program.Bar(power_right=0.0)
    times, places, u = program.simulated.simulate(bar, np.linspace(0.02, 0.98, 6) * bar.length)
    u += 20 + 0.1 * np.random.default_rng(0).normal(size=len(u))
    rows = [f"{t},{x * 1e3},{each}" for t, x, each in zip(times, places, u, strict=True)]
    found, said = measure(rows, power_right=0.0)
    assert failed(found) == {"largest_deviation"} and "heat from both ends" in said[0]


@pytest.mark.plants("5", "residual_correlation", "misfit_in_scatter")
def test_a_wrong_model_leaves_what_is_not_noise(measure):
    found, said = measure(CASES / "good.csv", switch=290.0)
    assert {"residual_correlation", "misfit_in_scatter"} <= failed(found)
    assert any("What remains is not noise" in each for each in said)


@pytest.mark.plants("5", "residual_correlation")
def test_readings_written_again_five_seconds_later(measure):
    found, said = measure(lines() + changed(lambda t, x, u: f"{t + 5},{x},{u}" if t < 600 else "")[:-6])
    assert "residual_correlation" in failed(found)
    assert any("to and fro" in each for each in said), said


# Faults in the program


@pytest.mark.plants("5", "converged")
def test_an_inversion_that_stops_early(program, measure, monkeypatch):
    infer = program.fitting.infer
    monkeypatch.setattr(program.fitting, "infer", lambda *words: infer(*words, most_iterations=2))
    found, said = measure(CASES / "good.csv")
    assert "converged" in failed(found) and any("did not converge" in each for each in said)


@pytest.mark.plants("5", "gradient_error")
def test_one_derivative_that_is_off_by_a_millionth(program, measure, monkeypatch):
    temperatures = program.Model.temperatures

    def wrong(self, *words, **more):
        u, s = temperatures(self, *words, **more)
        return u, s if s is None else s * self.tensor(1 + 1e-6 * np.eye(self.unknowns.count)[3])

    monkeypatch.setattr(program.Model, "temperatures", wrong)
    found, _ = measure(CASES / "good.csv")
    assert failed(found) == {"gradient_error"}


@pytest.mark.plants("5", "discretisation_in_deviations")
def test_a_grid_that_is_too_coarse_and_never_refined(program, measure, monkeypatch):
    monkeypatch.setattr(program.fitting, "MOST_MODES", 0)
    bar = program.Bar()
    found, _ = measure(CASES / "good.csv", program.Model(bar, program.Unknowns(bar.length), 8, 1))
    assert "discretisation_in_deviations" in failed(found)


@pytest.mark.plants("5", "advice_error")
@pytest.mark.parametrize("fault", ["a noise too large", "the wrong end"])
def test_advice_that_is_wrong(program, measure, monkeypatch, fault):
    information, advice = program.design.information, program.design.Advice
    if fault == "a noise too large":
        monkeypatch.setattr(program.design, "information", lambda J, s: information(J, s * (1 + (J.ndim == 3) / 1e3)))
    else:
        best = property(lambda self: float(self.positions[self.deviations.argmax()]))
        monkeypatch.setattr(advice, "best", best)
    found, _ = measure(CASES / "good.csv")
    assert failed(found) == {"advice_error"}


# Simulated experiments


@pytest.fixture(scope="module")
def simulated(program):
    """The inversion's model, 40 experiments, and one fit: as the program has them."""
    bar = program.Bar()
    experiment = program.simulated.run(bar, 6, 0.1, SEEDS, np.random.default_rng(0))
    model = program.Model(bar, program.Unknowns(bar.length))
    return model, experiment, np.linspace(0.02, 0.98, 49) * bar.length


@pytest.fixture
def calibrate(program, part, simulated):
    """The checks of step 4, with another model or other experiments where the fault is in them."""

    def run(model=None, experiment=None, x=None, **parameters):
        model, experiment, x = model or simulated[0], experiment or simulated[1], simulated[2]
        rows = experiment.times, experiment.positions
        bar = model.bar
        first = program.Measurements(*rows, bar.ambient + experiment.readings[0], np.arange(len(rows[0])))
        fit = program.fitting.fit(model, first, GUESS)
        page = program.notes.Notes(Run(data="", seeds=SEEDS, **parameters))
        page.calibration(program.calibration.calibrate(model, experiment, GUESS, fit.theta, x), fit, 1.0)
        page.program.metrics["rows_used"] = len(first)
        return checks(part, page.program)

    return run


def test_errors_and_intervals_of_simulated_experiments_pass(calibrate):
    assert not failed(calibrate())


@pytest.mark.plants("5", "error_over_bound", "worst_error_over_bound", "loss_error_over_bound")
def test_a_prior_that_outweighs_the_readings(program, calibrate, monkeypatch):
    monkeypatch.setattr(program.calibration.inference, "PRIOR_WIDTH", 1e-3)
    wanted = {"error_over_bound", "worst_error_over_bound", "loss_error_over_bound"}
    assert wanted <= failed(calibrate())


@pytest.mark.plants("5", "coverage", "loss_coverage", "error_over_deviations")
@pytest.mark.parametrize(
    ("part_of", "fails"),
    [(0.5, {"error_over_deviations"}), (0.25, {"coverage", "loss_coverage", "error_over_deviations"})],
)
def test_intervals_that_are_too_narrow(program, calibrate, monkeypatch, part_of, fails):
    infer_many = program.calibration.inference.infer_many

    def sure(*words):
        many = infer_many(*words)
        return replace(many, covariance=many.covariance * part_of**2)

    monkeypatch.setattr(program.calibration.inference, "infer_many", sure)
    assert failed(calibrate()) == fails


@pytest.mark.plants("5", "error_over_bound")
def test_a_bound_that_is_too_generous(program, calibrate, monkeypatch):
    cramer_rao = program.calibration.inference.cramer_rao
    monkeypatch.setattr(program.calibration.inference, "cramer_rao", lambda *words: 4 * cramer_rao(*words))
    assert failed(calibrate()) == {"error_over_bound"}


@pytest.mark.plants("5", "misfit_in_noise")
@pytest.mark.parametrize("noise", [0.13, 0.075])
def test_a_noise_that_is_not_what_was_said(calibrate, noise):
    assert "misfit_in_noise" in failed(calibrate(noise=noise))


@pytest.mark.parametrize(
    ("splines", "noise", "sensors", "power_right"),
    [(4, 0.1, 6, 5.0), (8, 1.0, 6, 5.0), (8, 0.1, 4, 5.0), (8, 0.1, 6, 0.0)],
)
def test_an_experiment_that_cannot_tell_is_not_judged_and_no_failure(
    program, calibrate, splines, noise, sensors, power_right
):
    bar = program.Bar(power_right=power_right)
    experiment = program.simulated.run(bar, sensors, noise, SEEDS, np.random.default_rng(0))
    model = program.Model(bar, program.Unknowns(bar.length, splines))
    found = calibrate(model, experiment, noise=noise, splines=splines)
    assert {check.verdict for check in found.values()} == {"not judged"}


def test_what_the_residuals_say_is_standard_normal_for_noise(program, simulated):
    model, experiment, _ = simulated
    rows = experiment.times, experiment.positions
    many = program.calibration.inference.infer_many(
        model, *rows, experiment.readings, GUESS, np.append(np.full(8, 4.7), 3.2)
    )
    first = program.Measurements(*rows, experiment.readings[0], np.arange(len(rows[0])))
    scores = []
    for seed in range(SEEDS):
        names = ("residuals", "J", "covariance", "noise")
        one = replace(many, **{name: getattr(many, name)[seed][None] for name in names})
        fit = program.fitting.Fit(model, first, experiment.readings[seed], one, 0, 0.0)
        causes = [rows[0], *(rows[1] == place for place in np.unique(rows[1])[:3])]
        scores += [program.believable.score(fit, cause.astype(float))[1] for cause in causes]
    assert abs(np.mean(scores)) < 0.35 and 0.75 < np.std(scores) < 1.25
