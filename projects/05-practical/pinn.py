"""The same problem by PaddleScience's physics-informed networks (PINN): one for u(x, t), one for log k(x), and log h.

All three are trained at once, to fit the readings and to satisfy the equation and its conditions at points drawn
in the bar. It needs no grid and no solver, and it is a few lines in PaddleScience. It also gives no uncertainty,
and it is far less accurate here: heat that flows through the bar is a second derivative of a trained network, and
the heaters' steps are corners that a smooth network rounds off. main.py prints both results side by side.

Source of the method: M. Raissi, P. Perdikaris and G. Karniadakis, J. Comput. Phys. 378 (2019) 686, part 2.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paddle
import ppsci
from bar import Bar
from scipy.stats import qmc

INSIDE, EDGE = 1024, 128  # points in the bar and the time, and at each end and the beginning
EDGE_WEIGHT, READING_WEIGHT = 30.0, 100.0  # in the loss, where the equation has 1
LBFGS_ITERATIONS = 20  # in one epoch
SCALE = 20.0  # K: the network's output is of the order of 1


@dataclass(frozen=True)
class Solution:
    """What `solve` found."""

    bar: Bar
    models: ppsci.arch.ModelList
    loss: float  # W/(m² K)
    misfit: float  # K, root mean square against the readings

    def conductivity(self, x: np.ndarray) -> np.ndarray:
        """k (points,) in W/(m K) at `x` (points,), in metres."""
        points = tensors(x / self.bar.length, np.zeros_like(x))
        with paddle.no_grad():
            return np.exp(self.models(points)["logk"].numpy().astype("float64").ravel())


class HeatLoss(ppsci.equation.PDE):
    """∂u/∂t = (D u')' - b u with D = D(x), in x over the length, t over the duration, u in SCALE; log h is learnt."""

    def __init__(self, bar: Bar, guess: float) -> None:
        super().__init__()
        # float32 whatever the default is, as the networks are
        self.log_loss = paddle.create_parameter(
            [], "float32", default_initializer=paddle.nn.initializer.Constant(float(np.log(guess)))
        )
        self.learnable_parameters.append(self.log_loss)
        diffusion = bar.duration / (bar.heat_capacity * bar.length**2)
        watts = SCALE * bar.section / bar.length
        loss = 4 * bar.duration / (bar.diameter * bar.heat_capacity)

        def heat(out: dict[str, paddle.Tensor]) -> paddle.Tensor:
            gradient = ppsci.autodiff.jacobian(out["u"], out["x"])
            flow = diffusion * paddle.exp(out["logk"]) * gradient
            lost = loss * paddle.exp(self.log_loss) * out["u"]
            return ppsci.autodiff.jacobian(out["u"], out["t"]) - ppsci.autodiff.jacobian(flow, out["x"]) + lost

        def outflow(out: dict[str, paddle.Tensor]) -> paddle.Tensor:
            """The power -k u' through the cross-section, in units of 5 W."""
            return -watts / 5 * paddle.exp(out["logk"]) * ppsci.autodiff.jacobian(out["u"], out["x"])

        self.add_equation("heat", heat)
        self.add_equation("outflow", outflow)


def networks(conductivity_guess: float) -> ppsci.arch.ModelList:
    """The temperature u(x, t), 0 at first, and log k(x), which begins near the log of `conductivity_guess`."""
    temperature = ppsci.arch.MLP(("x", "t"), ("u",), num_layers=3, hidden_size=32, activation="tanh")
    temperature.register_output_transform(lambda given, made: {"u": made["u"] * given["t"]})
    conductivity = ppsci.arch.MLP(("x",), ("logk",), num_layers=2, hidden_size=16, activation="tanh")
    first = float(np.log(conductivity_guess))
    conductivity.register_output_transform(lambda given, made: {"logk": made["logk"] + first})
    return ppsci.arch.ModelList((temperature, conductivity))


def solve(
    bar: Bar,
    times: np.ndarray,
    positions: np.ndarray,
    readings: np.ndarray,
    guess: tuple[float, float],
    out: Path,
    seed: int = 0,
    adam_epochs: int = 150,
    lbfgs_epochs: int = 12,
) -> Solution:
    """Train on `readings` (rows,), in K above the air's temperature, at `times` and `positions` (rows,).

    `guess` are a first k in W/(m K) and h in W/(m² K). PaddleScience writes its log and checkpoints into `out`.
    """
    ppsci.utils.set_random_seed(seed)
    ppsci.utils.logger.init_logger("ppsci", None, "info")
    if not sys.stdout.isatty():
        os.environ["NO_COLOR"] = "1"  # else the log is coloured in a file too
    models = networks(guess[0])
    equation = HeatLoss(bar, guess[1])

    constraints = conditions(bar, equation, times, positions, readings, seed)
    lbfgs = ppsci.optimizer.LBFGS(
        learning_rate=1.0,
        max_iter=LBFGS_ITERATIONS,
        history_size=50,
        tolerance_grad=1e-12,
        tolerance_change=1e-15,
        line_search_fn="strong_wolfe",
    )((models, equation))
    adam = ppsci.optimizer.Adam(5e-3)((models, equation))
    weights = [*models.parameters(), equation.log_loss]
    for optimiser, count, log_every in [(adam, adam_epochs, 50), (lbfgs, lbfgs_epochs, 4)]:
        if count == 0:
            continue
        before = [weight.numpy() for weight in weights]
        ppsci.solver.Solver(
            models,
            constraints,
            str(out),
            optimiser,
            epochs=count,
            iters_per_epoch=1,
            log_freq=log_every,
            save_freq=0,
            seed=seed,
            equation={"heat": equation},
        ).train()
        if not all(np.isfinite(weight.numpy()).all() for weight in weights):
            # L-BFGS' line search may try a step so long that exp overflows float32, and does not come back from there.
            print(f"PINN: {type(optimiser).__name__} left the numbers of float32; the weights before it are kept")
            for weight, kept in zip(weights, before, strict=True):
                paddle.assign(paddle.to_tensor(kept), weight)
    points = tensors(positions / bar.length, times / bar.duration)
    with paddle.no_grad():
        predicted = SCALE * models(points)["u"].numpy().astype("float64").ravel()
    misfit = float(np.sqrt(np.mean((predicted - readings) ** 2)))
    return Solution(bar, models, float(np.exp(equation.log_loss.item())), misfit)


def conditions(
    bar: Bar, equation: HeatLoss, times: np.ndarray, positions: np.ndarray, readings: np.ndarray, seed: int
) -> dict[str, ppsci.constraint.SupervisedConstraint]:
    """What the networks shall satisfy: the equation in the bar, the heaters at its ends, and the readings."""
    x, t = qmc.Sobol(2, seed=seed).random(INSIDE).T
    edge = (np.arange(EDGE) + 0.5) / EDGE
    left = np.where(edge * bar.duration < bar.switch, bar.power_left, 0.0)
    right = np.where(edge * bar.duration < bar.switch, 0.0, bar.power_right)
    return {
        "inside": constraint("inside", x, t, "heat", np.zeros(INSIDE), equation.equations["heat"], 1.0),
        "left": constraint("left", 0 * edge, edge, "outflow", left / 5, equation.equations["outflow"], EDGE_WEIGHT),
        "right": constraint(
            "right", 0 * edge + 1, edge, "outflow", -right / 5, equation.equations["outflow"], EDGE_WEIGHT
        ),
        "readings": constraint(
            "readings",
            positions / bar.length,
            times / bar.duration,
            "u",
            readings / SCALE,
            lambda made: made["u"],
            READING_WEIGHT,
        ),
    }


def constraint(
    name: str, x: np.ndarray, t: np.ndarray, label: str, value: np.ndarray, expression: Callable, weight: float
) -> ppsci.constraint.SupervisedConstraint:
    """`expression` shall be `value` (points,) at `x` and `t` (points,), all without units."""
    data = {
        "name": "IterableNamedArrayDataset",
        "input": {"x": column(x), "t": column(t)},
        "label": {label: column(value)},
        "weight": {label: column(np.full(len(x), weight))},
    }
    return ppsci.constraint.SupervisedConstraint(
        {"dataset": data, "batch_size": len(x)}, ppsci.loss.MSELoss(), {label: expression}, name=name
    )


def column(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, "float32").reshape(-1, 1)


def tensors(x: np.ndarray, t: np.ndarray) -> dict[str, paddle.Tensor]:
    return {"x": paddle.to_tensor(column(x)), "t": paddle.to_tensor(column(t))}
