"""The report: one page of Markdown, its numbers from the run."""

from pathlib import Path

import numpy as np
from bar import Bar
from design import Advice
from inference import NORMAL_90, Posterior
from measurements import Measurements

MOST_PROBLEMS = 8  # lines of the page for rows that were left out


def write(
    path: Path,
    bar: Bar,
    source: str,
    measured: Measurements,
    posterior: Posterior,
    advice: Advice,
    findings: list[str],
    warnings: list[str],
) -> None:
    """Write the page to `path`; `findings` and `warnings` are sentences, of `posterior` the first of the batch."""
    positions = np.linspace(0, bar.length, 11)
    log_k, deviation = (value[0] for value in posterior.log_conductivity(positions))
    low, high = np.exp(log_k - NORMAL_90 * deviation), np.exp(log_k + NORMAL_90 * deviation)
    spread = np.exp(NORMAL_90 * posterior.loss_deviation[0])
    h = posterior.loss[0]
    lines = [
        "# Conductivity and heat loss of a bar, from its temperatures",
        "",
        f"Bar of {bar.length * 1e3:g} mm × Ø {bar.diameter * 1e3:g} mm, {bar.heat_capacity:g} J/(m³ K), in air of "
        f"{bar.ambient:g} °C. Heated with {bar.power_left:g} W from the left until {bar.switch:g} s, then with "
        f"{bar.power_right:g} W from the right until {bar.duration:g} s.",
        "",
        f"Measurements: {source}; {len(measured)} rows of {len(np.unique(measured.positions))} thermometers used, "
        f"{len(measured.problems)} left out.",
        "",
        f"**Loss coefficient:** h = {h:.4g} W/(m² K), 90 % interval {h / spread:.4g} to {h * spread:.4g}.",
        "",
        f"**Noise** of the thermometers, estimated: {posterior.noise[0]:.3g} K.",
        "",
        "| x in mm | k in W/(m K) | 90 % interval |",
        "| ---: | ---: | ---: |",
        *(
            f"| {x * 1e3:.4g} | {np.exp(value):.4g} | {a:.4g} to {b:.4g} |"
            for x, value, a, b in zip(positions, log_k, low, high, strict=True)
        ),
        "",
        f"**Next thermometer:** at {advice.best * 1e3:.4g} mm. It would lower the mean deviation of k from "
        f"{100 * advice.before:.3g} % to {100 * advice.deviations.min():.3g} %.",
        "",
        *(f"- {finding}" for finding in findings),
    ]
    lines += ["", "**Mind:**", "", *(f"- {warning}" for warning in warnings)] if warnings else []
    if measured.problems:
        lines += ["", "**Rows left out:**", ""]
        lines += [f"- line {number}: {problem}" for number, problem in measured.problems[:MOST_PROBLEMS]]
        if len(measured.problems) > MOST_PROBLEMS:
            lines.append(f"- and {len(measured.problems) - MOST_PROBLEMS} more, all in the log")
    lines += ["", "![k(x), fits, residuals and advice](inversion.png)", ""]
    path.write_text("\n".join(lines), encoding="utf-8")
