"""What each step found, noted: as metrics, as lines of the log, and as sentences of the report."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import believable
import numpy as np
from believable import Belief
from calibration import Calibration
from design import Advice
from experiment import TRUE_LOSS, relative_l2
from fitting import Fit
from measurements import Measurements

if TYPE_CHECKING:
    import pinn

SHOWN = 20  # rows left out that the log names one by one


class Notes:
    """The log, the metrics, and the findings and warnings of the report."""

    def __init__(self, program: Any) -> None:
        self.program = program
        self.findings: list[str] = []
        self.warnings: list[str] = []

    def metrics(self, **values: Any) -> None:
        for name, value in values.items():
            self.program.metric(name, value)

    def answer(self, source: Path, measured: Measurements, fit: Fit, seconds: float) -> None:
        """Of the inversion: the readings that were used, h, and what the grid does."""
        problems, used = fit.measured.problems, len(fit.measured)
        for number, problem in problems[:SHOWN]:
            print(f"{source}, line {number}, left out: {problem}")
        if len(problems) > SHOWN:
            print(f"{source}: and {len(problems) - SHOWN} more")
        print(f"{used} measurements used, {len(problems)} rows left out")
        h, posterior = float(fit.posterior.loss[0]), fit.posterior
        print(
            f"h = {h:.4f} W/(m² K) ± {100 * posterior.loss_deviation[0]:.3f} %, noise {fit.noise:.4f} K, "
            f"{posterior.iterations} iterations, {seconds:.2f} s"
        )
        print(
            f"the grid, {fit.model.modes} modes and {len(fit.model.times) - 1} steps, moves the answer by "
            f"{fit.discretisation:.2f} deviations"
        )
        if measured.repeated:
            self.warnings.append(
                f"{measured.repeated} rows stand in the file twice, and count once: a reading that was copied tells "
                "nothing new."
            )
        if bad := measured.bad:
            self.warnings.append(f"{bad} readings cannot be used, such as line {problems[0][0]}: {problems[0][1]}.")
        self.metrics(
            seconds=seconds,
            loss=h,
            rows_used=used,
            rows_bad=len(problems),
            bad_share=measured.bad / (len(measured) + measured.bad),
            repeated_share=measured.repeated / (len(measured) + measured.repeated),
            outlier_share=fit.wild / len(measured),
            discretisation_in_deviations=fit.discretisation,
            compute_dtype=fit.model.dtype,
            modes=fit.model.modes,
            steps=len(fit.model.times) - 1,
        )

    def belief(self, fit: Fit, belief: Belief, gradient_error: float) -> None:
        """What speaks for the answer, and against it."""
        print(f"derivatives against automatic differentiation: {gradient_error:.1e}")
        print(
            f"what remains: {belief.misfit:.2f} times the scatter, correlation {belief.memory:.2f}, drift "
            f"{belief.drift[1]:.1f} deviations, a thermometer that is off {abs(belief.offset[2]):.1f}"
        )
        self.warnings += believable.doubts(belief, fit)
        self.metrics(
            gradient_error=gradient_error,
            converged=belief.converged,
            largest_deviation=belief.largest_deviation,
            residual_correlation=belief.memory,
            misfit_in_scatter=belief.misfit,
            drift_in_deviations=abs(belief.drift[1]),
            offset_in_deviations=abs(belief.offset[2]),
            thermometers=len(np.unique(fit.measured.positions)),
        )

    def calibration(self, found: Calibration, fit: Fit, seconds: float) -> None:
        """Errors and intervals over the seeds."""
        seeds = len(found.errors)
        relative, coverage = float(np.median(found.relative)), found.covered.mean()
        print(
            f"{seeds} seeds, {found.many.iterations} iterations, {seconds / seeds:.3f} s each: k within "
            f"{100 * relative:.2f} %, 90 % intervals hold {100 * coverage:.1f} % of k and "
            f"{100 * found.loss_covered.mean():.1f} % of h"
        )
        noise = self.program.parameters["noise"]
        self.metrics(
            tells=found.tells,
            possible_deviation=found.possible,
            spline_bias=found.bias,
            independent_points=found.independent,
            misfit_in_noise=np.sqrt(np.mean(fit.residuals**2)) / noise,
            error_over_bound=np.sqrt(np.mean(found.errors**2)),
            error_over_deviations=np.sqrt(np.mean(found.own_errors**2)),
            worst_error_over_bound=found.errors.max(),
            loss_error_over_bound=np.sqrt(np.mean(found.loss_errors**2)),
            largest_error_in_deviations=np.abs(found.point_errors).max(),
            coverage=coverage,
            loss_coverage=found.loss_covered.mean(),
            conductivity_relative_error=relative,
            loss_relative_error=np.median(np.abs(found.many.loss / TRUE_LOSS - 1)),
            seconds_per_seed=seconds / seeds,
        )
        self.findings.append(
            f"Over {seeds} simulated experiments k is within {100 * relative:.2g} % (median relative L2), and "
            f"the 90 % intervals hold the true k in {100 * coverage:.3g} % of the cases."
        )

    def advice(self, advice: Advice) -> None:
        """The next thermometer."""
        print(
            f"next thermometer: at {advice.best * 1e3:.1f} mm; "
            f"deviation of log k {advice.before:.4f} → {advice.deviations.min():.4f}"
        )
        self.metrics(
            next_sensor=advice.best * 1e3,
            advice_gain=advice.deviations.min() / advice.before,
            advice_error=advice.error,
            condition=advice.condition,
        )

    def followed(self, gains: list[float]) -> None:
        """The advice taken, in simulations."""
        print(f"  really added there: RMS error of log k × {gains[0]:.3f}; at the worst place × {gains[1]:.3f}")
        self.metrics(advice_gain_measured=gains[0], unlucky_gain_measured=gains[1])
        self.findings.append(
            f"The advice, really followed in simulations, multiplied the error of k by {gains[0]:.2f}; "
            f"the worst place by {gains[1]:.2f}."
        )

    def constant(self, k: float, h: float, misfit: float, fit: Fit) -> None:
        """The quick answer."""
        self.findings.append(
            f"The quick answer, one k for the whole bar: {k:.4g} W/(m K), h = {h:.4g} W/(m² K); "
            f"what remains is {misfit / fit.noise:.3g} times the noise."
        )
        self.metrics(constant_misfit_in_noise=misfit / fit.noise)

    def classical(self, k: np.ndarray, seconds: list[float], truth: np.ndarray | None) -> None:
        """SciPy with Tikhonov's penalty, `k` (experiments, points)."""
        self.metrics(classical_seconds=np.median(seconds))
        if truth is not None:
            self.metrics(classical_conductivity_relative_error=np.median(relative_l2(k, truth)))

    def pinn(self, trained: "pinn.Solution", k: np.ndarray, seconds: float, truth: np.ndarray | None) -> None:
        """PaddleScience's networks."""
        print(f"PINN: h = {trained.loss:.3f} W/(m² K), misfit {trained.misfit:.3f} K, {seconds:.1f} s")
        self.metrics(pinn_seconds=seconds)
        if truth is not None:
            self.metrics(pinn_conductivity_relative_error=relative_l2(k, truth))
        self.findings.append(
            f"PaddleScience's PINN: h = {trained.loss:.4g} W/(m² K), what remains {trained.misfit:.2g} K, "
            f"{seconds:.3g} s; no uncertainty."
        )

    def say_warnings(self) -> None:
        for warning in self.warnings:
            print(f"WARNING: {warning}")
