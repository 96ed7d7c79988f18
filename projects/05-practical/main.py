"""Task 5: the conductivity along a bar, and its heat loss, found from a few noisy thermometers.

    ./inv python projects/05-practical/main.py --part 5 --device cpu --seed 0 --out /tmp/bar
    ./inv python projects/05-practical/main.py --part 5 --device cpu --set data=projects/05-practical/example.csv

An engineer has a bar whose conductivity changes along it: a printed heat spreader with porous zones, a brazed or
an aged one. It cannot be cut up. It is heated from the left, then from the right, with known power, and some
thermometers on it are read. What is k(x), what is the loss h to the air, and how sure is that?

Why this experiment tells: the known power and heat capacity fix the scale, for temperatures alone give ratios only;
what is lost in all fixes h; the slope of the temperature where a known heat flows fixes k; and heat from both ends
makes heat flow everywhere, where from one end little would arrive at the other.

`main` is the way through it, step by step, and each step is a module. What a step found is noted in notes.py.
"""

import sys
import time
from pathlib import Path
from typing import Any

import believable
import calibration
import classical
import design
import experiment as simulated
import fitting
import measurements
import notes
import numpy as np
import plausible
import plots
import report
from bar import Bar, Model, Unknowns
from experiment import Experiment
from fitting import Fit
from measurements import Measurements

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit

PEERS_ROWS = 1000  # readings that the other methods are given at most
BURST = 1 / 1200  # of the experiment: readings within count as one
MOMENTS = 60  # at which a further thermometer would be read
ADVISED = 40  # simulated experiments in which the advice is followed


def main() -> None:
    """From measurements to k(x), h, their uncertainty, and what speaks for them."""
    program = kit.start(__file__, __doc__)
    p = program.parameters
    bar = bar_of(p)
    x = np.linspace(0.02, 0.98, 49) * bar.length  # where k is told
    page = notes.Notes(program)

    # 1. Measurements: a file's, or simulated ones that go through a file too. Can they be of this bar?
    experiment = None if p["data"] else simulate(program, bar)
    source = Path(p["data"]) if p["data"] else program.artefact("measurements.csv")
    measured, odd = readings_of(source, bar, p["splines"])
    page.warnings += odd

    # 2. The inversion: wild readings left out, the grid as fine as the readings need.
    model, guess = model_for(bar, p["splines"], measured), (p["guess_conductivity"], p["guess_loss"])
    started = time.perf_counter()
    fit = fitting.fit(model, measured, guess)
    page.answer(source, measured, fit, time.perf_counter() - started)

    # 3. Is it right? Derivatives against Paddle's automatic differentiation; what remains against noise.
    gradient_error, point = fit.model.gradient_error(fit.theta, np.unique(fit.measured.positions), program.seed)
    belief = believable.judge(fit)
    program.used(point)
    page.belief(fit, belief, gradient_error)

    # 4. Does it hold for other noise? Simulated, many experiments against the truth.
    if experiment:
        started = time.perf_counter()
        calibrated = calibration.calibrate(fit.model, experiment, guess, fit.theta, x)
        page.calibration(calibrated, fit, time.perf_counter() - started)

    # 5. Where to put the next thermometer; and, simulated, is the advice true?
    advice = advise(fit, x)
    page.advice(advice)
    if experiment:
        numbers = np.random.default_rng([program.seed, 1])
        known = fit.model, experiment, calibrated
        gains = [calibration.with_another(*known, place, guess, x, ADVISED, numbers) for place in advice.extremes]
        page.followed(gains)

    # 6. The peers: one k for the whole bar, SciPy with Tikhonov's penalty, PaddleScience's PINN.
    truth = simulated.true_conductivity(bar, x) if experiment else None
    others = peers(page, fit, experiment, guess, x, truth)

    # 7. Picture, report, and what other hardware is compared with.
    plots.draw(x, fit.posterior, others, truth, fit.measured, advice, program.artefact("inversion.png"))
    name = "simulated" if experiment else source.name
    report.write(
        program.artefact("report.md"), bar, name, fit.measured, fit.posterior, advice, page.findings, page.warnings
    )
    page.say_warnings()
    log_k, deviation = fit.posterior.log_conductivity(x)
    program.trace(log_conductivity=log_k[0], deviation=deviation[0], log_loss=fit.theta[-1])
    program.finish()


def bar_of(p: dict[str, Any]) -> Bar:
    """The bar and the experiment that the parameters describe; millimetres become metres."""
    return Bar(
        p["length"] * 1e-3,
        p["diameter"] * 1e-3,
        p["heat_capacity"],
        p["ambient"],
        p["power_left"],
        p["power_right"],
        p["switch"],
        p["duration"],
    )


def simulate(program: kit.Program, bar: Bar) -> Experiment:
    """Simulated experiments; the first one is written as the file that a user would have."""
    p = program.parameters
    numbers = np.random.default_rng(program.seed)
    experiment = simulated.run(bar, p["sensors"], p["noise"], p["seeds"], numbers)
    lines = np.arange(len(experiment.times))
    first = Measurements(experiment.times, experiment.positions, bar.ambient + experiment.readings[0], lines)
    comment = f"simulated: {p['sensors']} thermometers, noise {p['noise']:g} K, seed {program.seed}"
    measurements.write(program.artefact("measurements.csv"), first, [comment])
    return experiment


def readings_of(source: Path, bar: Bar, splines: int) -> tuple[Measurements, list[str]]:
    """The readings in the file `source` that can be of this `bar`, and what is odd about them."""
    measured = measurements.read(source, bar.length, bar.duration)
    measured, odd = plausible.check(measured, bar, str(source))
    measured = measured.combined(bar.duration * BURST)
    if len(measured) <= splines + 1:
        raise measurements.Unusable(
            f"{source} holds {len(measured)} rows that can be used",
            f"{splines + 1} unknowns need more than that",
            "measure more, or set fewer splines",
        )
    return measured, odd


def model_for(bar: Bar, splines: int, measured: Measurements) -> Model:
    """The bar in Paddle, in the type that the device computes in; the first prediction fills its caches."""
    COMPUTE_DTYPE, COMPUTE_DTYPE_REASON = kit.choose_dtype()
    print(f"temperatures in {COMPUTE_DTYPE} ({COMPUTE_DTYPE_REASON}), inference in float64 on the host")
    model = Model(bar, Unknowns(bar.length, splines), dtype=COMPUTE_DTYPE)
    model.predict(np.zeros((1, model.unknowns.count)), measured.times[:1], measured.positions[:1])
    return model


def advise(fit: Fit, x: np.ndarray) -> design.Advice:
    """Where one more thermometer would help most, and how far the prediction is from the long way to it."""
    moments = np.unique(fit.measured.times)
    moments = moments[:: max(len(moments) // MOMENTS, 1)]
    known = fit.model, fit.theta, fit.posterior.covariance[0], fit.noise
    advice = design.next_sensor(*known, moments, np.linspace(0.02, 0.98, 49) * fit.model.bar.length, x)
    few = np.unique([0, *range(6, 49, 12), advice.deviations.argmin(), advice.deviations.argmax()])
    rows = fit.measured.times, fit.measured.positions
    left = design.really_left(*known, rows, moments, advice.positions[few], x)
    return advice.checked(few, left)


def peers(
    page: notes.Notes,
    fit: Fit,
    experiment: Experiment | None,
    guess: tuple[float, float],
    x: np.ndarray,
    truth: np.ndarray | None,
) -> dict[str, np.ndarray]:
    """k (points,) at `x` by the other methods, which see the same readings, of many every so many-th."""
    program, bar, p = page.program, fit.model.bar, page.program.parameters
    thin = slice(None, None, -(-len(fit.measured) // PEERS_ROWS))
    rows = fit.measured.times[thin], fit.measured.positions[thin]
    readings = fit.readings[thin]
    page.constant(*classical.solve_constant(bar, *rows, readings, guess), fit)

    several, where = [readings], rows
    if experiment:
        every = slice(None, None, -(-len(experiment.times) // PEERS_ROWS))
        several = list(experiment.readings[:5, every])
        where = experiment.times[every], experiment.positions[every]
    found, seconds = [], []
    for one in several:
        started = time.perf_counter()
        found.append(classical.solve(bar, *where, one, fit.noise, guess).conductivity(x))
        seconds.append(time.perf_counter() - started)
    page.classical(np.array(found), seconds, truth)
    others = {"SciPy, Tikhonov": found[0]}

    if p["method"] == "all":
        import pinn  # seconds of import, and the only part that needs PaddleScience

        started = time.perf_counter()
        folder, epochs = program.artefact("paddlescience"), (p["adam_epochs"], p["lbfgs_epochs"])
        trained = pinn.solve(bar, *rows, readings, guess, folder, program.seed, *epochs)
        others["PaddleScience PINN"] = trained.conductivity(x)
        program.used(trained.models)
        page.pinn(trained, others["PaddleScience PINN"], time.perf_counter() - started, truth)
    return others


if __name__ == "__main__":
    kit.main(main, ValueError)  # Unusable is one
