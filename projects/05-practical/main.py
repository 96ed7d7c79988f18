"""Task 5: the conductivity along a bar, and its heat loss, found from a few noisy thermometers.

    python projects/05-practical/main.py --part 5 --device cpu --seed 0 --out /tmp/bar
    python projects/05-practical/main.py --part 5 --device cpu --set data=projects/05-practical/example.csv

An engineer has a bar whose conductivity changes along it: a printed heat spreader with porous zones, a brazed or
an aged one. It cannot be cut up. It is heated from the left, then from the right, with known power, and some
thermometers on it are read. What is k(x), what is the loss h to the air, and how sure is that?

Why this experiment tells: the known power and heat capacity fix the scale, for temperatures alone give ratios only;
what is lost in all fixes h; the slope of the temperature where a known heat flows fixes k; and heat from both ends
makes heat flow everywhere, where from one end little would arrive at the other.

The steps, in order: measurements (measurements.py), the inversion (bar.py, inference.py), is it right, does its
uncertainty hold over many seeds, the classical solver (classical.py), where to put the next thermometer
(design.py), PaddleScience's PINN (pinn.py), picture and report.
"""

import sys
import time
from pathlib import Path

import classical
import design
import inference
import measurements
import numpy as np
import plots
import report
from bar import Bar, Model, Unknowns

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit

TRUE_LOSS = 25.0  # W/(m² K), of the simulated bar
FINE_CELLS = 420  # of the simulation: seven times as fine as the inversion
MOST_OUTLIERS = 0.05  # share of the readings that may be left out
ADVISED = 40  # simulated experiments in which the advice is followed
SAMPLES = 60  # readings of a simulated thermometer


def true_conductivity(bar: Bar, x: np.ndarray) -> np.ndarray:
    """k (points,) in W/(m K) of the simulated bar: it falls along the bar, and has a porous zone at 60 %."""
    part = x / bar.length
    return 160 * (1 - 0.45 * np.exp(-((part - 0.6) ** 2) / (2 * (1 / 6) ** 2))) * (1 - 0.15 * part)


def simulate(bar: Bar, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times (rows,), positions (rows,) and noiseless temperatures (rows,) above the air's, of the simulated bar."""
    moments = bar.duration / SAMPLES * np.arange(1, SAMPLES + 1)
    times, places = (axis.ravel() for axis in np.meshgrid(moments, positions, indexing="ij"))
    faces = bar.length / FINE_CELLS * np.arange(1, FINE_CELLS)
    return times, places, classical.at_rows(bar, true_conductivity(bar, faces), TRUE_LOSS, times, places)


def relative_l2(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.linalg.norm(found - truth, axis=-1) / np.linalg.norm(truth)


def main() -> None:
    program = kit.start(__file__, __doc__)
    p = program.parameters
    guess = (p["guess_conductivity"], p["guess_loss"])
    numbers = np.random.default_rng(program.seed)
    findings: list[str] = []  # sentences for the report
    warnings: list[str] = []

    # 1. The bar, and the measurements. Simulated ones go through a file too, and are read as a user's would be.
    try:
        bar = Bar(
            p["length"] * 1e-3,
            p["diameter"] * 1e-3,
            p["heat_capacity"],
            p["ambient"],
            p["power_left"],
            p["power_right"],
            p["switch"],
            p["duration"],
        )
        simulated = not p["data"]
        source = Path(p["data"]) if p["data"] else program.artefact("measurements.csv")
        if simulated:
            sensors = np.linspace(0.02, 0.98, p["sensors"]) * bar.length
            times, positions, exact = simulate(bar, sensors)
            noise = p["noise"] * numbers.normal(size=(p["seeds"], len(exact)))
            everything = exact + noise  # (seeds, rows)
            comment = f"simulated: {p['sensors']} thermometers, noise {p['noise']:g} K, seed {program.seed}"
            first = measurements.Measurements(times, positions, bar.ambient + everything[0])
            measurements.write(source, first, [comment])
        measured = measurements.read(source, bar.length, bar.duration)
        if len(measured) <= p["splines"] + 1:
            raise measurements.Unusable(
                f"{source} holds {len(measured)} rows that can be used",
                f"{p['splines'] + 1} unknowns need more than that",
                "measure more, or set fewer splines",
            )
        if (typical := np.median(measured.temperatures)) < bar.ambient:
            raise measurements.Unusable(
                f"{source} holds temperatures of a bar that is not heated",
                f"half of them are below {typical:.4g} °C, and the air has {bar.ambient:g} °C",
                "see whether the unit in the first line is right, and set ambient to the air's temperature in °C",
            )
    except ValueError as error:  # Unusable is one
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None

    # 2. The inversion.
    COMPUTE_DTYPE, COMPUTE_DTYPE_REASON = kit.choose_dtype()
    print(f"temperatures in {COMPUTE_DTYPE} ({COMPUTE_DTYPE_REASON}), inference in float64 on the host")
    model = Model(bar, Unknowns(bar.length, p["splines"]), dtype=COMPUTE_DTYPE)
    model.predict(np.zeros((1, model.unknowns.count)), measured.times[:1], measured.positions[:1])  # warm up
    while True:
        readings = measured.temperatures - bar.ambient  # (rows,), K
        started = time.perf_counter()
        posterior = inference.infer(model, measured.times, measured.positions, readings[None], guess)
        seconds = time.perf_counter() - started
        wild = inference.outliers(posterior.residuals[0])
        if not 0 < wild.mean() <= MOST_OUTLIERS:
            break  # none, or so many that the model is wrong rather than they
        measured = measured.without(wild, f"further than {inference.OUTLIER:g} deviations from the fit")
    for number, problem in measured.problems:
        print(f"{source}, line {number}, left out: {problem}")
    print(f"{len(measured)} measurements used, {len(measured.problems)} rows left out")
    theta, h = posterior.theta[0], posterior.loss[0]
    print(
        f"h = {h:.4f} W/(m² K) ± {100 * posterior.loss_deviation[0]:.3f} %, noise {posterior.noise[0]:.4f} K, "
        f"{posterior.iterations} iterations, {seconds:.2f} s"
    )
    if not posterior.converged.all():
        warnings.append("The inversion did not converge: do power, geometry and heat capacity describe this bar?")

    # 3. Is it right? Derivatives against Paddle's automatic differentiation; the grid against a finer one.
    places = np.unique(measured.positions)
    gradient_error, point = model.gradient_error(theta, places, program.seed)
    finer = Model(bar, model.unknowns, 2 * model.cells, 2 * model.steps, COMPUTE_DTYPE)
    coarse, fine = (
        each.predict(theta[None], measured.times, measured.positions, derivatives=False)[0] for each in (model, finer)
    )
    discretisation = np.abs(coarse - fine).max() / posterior.noise[0]
    program.used(point)
    print(f"derivatives against automatic differentiation: {gradient_error:.1e}")
    print(f"the grid against a finer one: at most {discretisation:.2f} of the noise")
    if discretisation > 0.5:
        warnings.append(f"The grid errs by up to {discretisation:.2g} of the noise: readings just after switching?")
    memory = inference.memory(posterior.residuals[0], measured.times, measured.positions)
    if memory > 0.3:
        warnings.append(
            f"What remains is not noise: successive residuals have a correlation of {memory:.2f}. The model does not "
            "describe this bar, and the intervals are too narrow. Are power, geometry, heat capacity and air right?"
        )
    constant_k, constant_h, constant_misfit = classical.solve_constant(
        bar, measured.times, measured.positions, readings, guess
    )
    findings.append(
        f"The quick answer, one k for the whole bar: {constant_k:.4g} W/(m K), h = {constant_h:.4g} W/(m² K); "
        f"what remains is {constant_misfit / posterior.noise[0]:.3g} times the noise."
    )
    program.metric("gradient_error", gradient_error)
    program.metric("discretisation_in_noise", discretisation)
    program.metric("seconds", seconds)
    program.metric("loss", h)
    program.metric("rows_used", len(measured))
    program.metric("rows_bad", len(measured.problems))

    # 4. The classical solver. It is told the noise that was estimated.
    x = np.linspace(0.02, 0.98, 49) * bar.length  # where k is compared: between the outer thermometers
    truth = true_conductivity(bar, x) if simulated else None
    others: dict[str, np.ndarray] = {}
    classical_k, classical_seconds = [], []
    for one in everything[:5] if simulated else [readings]:
        rows = (times, positions) if simulated else (measured.times, measured.positions)
        started = time.perf_counter()
        solution = classical.solve(bar, *rows, one, float(posterior.noise[0]), guess)
        classical_seconds.append(time.perf_counter() - started)
        classical_k.append(solution.conductivity(x))
    others["SciPy, Tikhonov"] = classical_k[0]

    # 5. Do the error and its bars hold? Many noise seeds at once, against the truth and the Cramér-Rao bound.
    basis = model.unknowns.basis(x)
    if simulated:
        started = time.perf_counter()
        many = inference.infer(model, times, positions, everything, guess)
        per_seed = (time.perf_counter() - started) / p["seeds"]
        true_theta = model.unknowns.closest(true_conductivity(bar, x), x, TRUE_LOSS)
        bound = inference.cramer_rao(model, true_theta, times, positions, p["noise"])
        log_k, deviation = many.log_conductivity(x)  # (seeds, points)
        error_k, error_h = log_k - np.log(truth), np.log(many.loss / TRUE_LOSS)
        scaled = np.column_stack([error_k / inference.deviations(basis, bound), error_h / np.sqrt(bound[-1, -1])])
        coverage = np.mean(np.abs(error_k) <= inference.NORMAL_90 * deviation)
        loss_coverage = np.mean(np.abs(error_h) <= inference.NORMAL_90 * many.loss_deviation)
        relative = float(np.median(relative_l2(np.exp(log_k), truth)))
        print(
            f"{p['seeds']} seeds, {many.iterations} iterations, {per_seed:.3f} s each: "
            f"k within {100 * relative:.2f} %, "
            f"90 % intervals hold {100 * coverage:.1f} % of k and {100 * loss_coverage:.1f} % of h"
        )
        program.metric("misfit_in_noise", np.sqrt(np.mean(many.residuals[0] ** 2)) / p["noise"])
        program.metric("constant_misfit_in_noise", constant_misfit / p["noise"])
        program.metric("error_in_deviations", np.sqrt(np.mean(scaled[:10] ** 2, axis=1)).max())
        program.metric("error_over_bound", np.sqrt(np.mean(scaled**2)))
        program.metric("loss_error_in_deviations", np.sqrt(np.mean(scaled[:, -1] ** 2)))
        program.metric("largest_error_in_deviations", np.abs(scaled).max())
        program.metric("within_three_deviations", np.mean(np.abs(scaled) <= 3))
        program.metric("coverage", coverage)
        program.metric("loss_coverage", loss_coverage)
        program.metric("conductivity_relative_error", relative)
        program.metric("loss_relative_error", np.median(np.abs(np.expm1(error_h))))
        program.metric("seconds_per_seed", per_seed)
        program.metric("classical_conductivity_relative_error", np.median(relative_l2(np.array(classical_k), truth)))
        program.metric("classical_seconds", np.median(classical_seconds))
        findings.append(
            f"Over {p['seeds']} simulated experiments k is within {100 * relative:.2g} % (median relative L2), and "
            f"the 90 % intervals hold the true k in {100 * coverage:.3g} % of the cases."
        )

    # 6. Where to put the next thermometer; and, simulated, is the advice true? Really add it, and invert again.
    moments = np.unique(measured.times)
    moments = moments[:: max(len(moments) // 60, 1)]
    candidates = np.linspace(0.02, 0.98, 49) * bar.length
    advice = design.next_sensor(
        model, theta, posterior.covariance[0], float(posterior.noise[0]), moments, candidates, x
    )
    print(
        f"next thermometer: at {advice.best * 1e3:.1f} mm; "
        f"deviation of log k {advice.before:.4f} → {advice.deviations.min():.4f}"
    )
    program.metric("next_sensor", advice.best * 1e3)
    program.metric("advice_gain", advice.deviations.min() / advice.before)
    if simulated:
        gains, enough = [], min(ADVISED, p["seeds"])
        for place in (advice.best, advice.worst):
            more_times, more_positions, more = simulate(bar, np.array([place]))
            more = more + p["noise"] * numbers.normal(size=(enough, len(more)))
            again = inference.infer(
                model,
                np.append(times, more_times),
                np.append(positions, more_positions),
                np.hstack([everything[:enough], more]),
                guess,
            )
            error = again.log_conductivity(x)[0] - np.log(truth)
            gains.append(float(np.sqrt(np.mean(error**2) / np.mean(error_k[:enough] ** 2))))
            print(f"  really added at {place * 1e3:.1f} mm: RMS error of log k over {enough} seeds × {gains[-1]:.3f}")
        program.metric("advice_gain_measured", gains[0])
        program.metric("unlucky_gain_measured", gains[1])
        findings.append(
            f"The advice, really followed in {enough} simulations, multiplied the error of k by {gains[0]:.2f}; "
            f"the worst place by {gains[1]:.2f}."
        )

    # 7. PaddleScience's physics-informed networks on the same readings.
    if p["method"] == "all":
        import pinn  # seconds of import, and the only part that needs PaddleScience

        started = time.perf_counter()
        trained = pinn.solve(
            bar,
            measured.times,
            measured.positions,
            readings,
            guess,
            program.artefact("paddlescience"),
            program.seed,
            p["adam_epochs"],
            p["lbfgs_epochs"],
        )
        pinn_seconds = time.perf_counter() - started
        others["PaddleScience PINN"] = trained.conductivity(x)
        program.used(trained.models)
        print(f"PINN: h = {trained.loss:.3f} W/(m² K), misfit {trained.misfit:.3f} K, {pinn_seconds:.1f} s")
        program.metric("pinn_seconds", pinn_seconds)
        if simulated:
            program.metric("pinn_conductivity_relative_error", relative_l2(others["PaddleScience PINN"], truth))
        findings.append(
            f"PaddleScience's PINN: h = {trained.loss:.4g} W/(m² K), what remains {trained.misfit:.2g} K, "
            f"{pinn_seconds:.3g} s; no uncertainty."
        )

    # 8. Picture, report, and what other hardware is compared with.
    for warning in warnings:
        print(f"WARNING: {warning}")
    plots.draw(x, posterior, others, truth, measured, advice, program.artefact("inversion.png"))
    name = "simulated" if simulated else source.name
    report.write(program.artefact("report.md"), bar, name, measured, posterior, advice, findings, warnings)
    log_k, deviation = posterior.log_conductivity(x)
    program.trace(log_conductivity=log_k[0], deviation=deviation[0], log_loss=theta[-1])
    program.finish()


if __name__ == "__main__":
    main()
