"""The baseline: a physics-informed neural network (PINN), trained with PaddleScience as its examples do it.

The network's fourth derivatives are held against the load inside the plate, its edge conditions at points
on the edges, and the sum of the squares is reduced by Adam, then by L-BFGS, as in PaddleScience's own plate,
https://paddlescience-docs.readthedocs.io/zh-cn/latest/zh/examples/biharmonic2d/ (here: --profile biharmonic2d).

SETTINGS has three ways to train it: one that is short, and the two official ones as published,

    short         ours: a small network, few points, u = w D/q, L-BFGS in epochs of ten iterations; half a minute
    biharmonic2d  PaddleScience's example (conf/biharmonic2d.yaml): five layers of 20 tanh with weight norm, w in
                  metres, 8000 points inside and 125 on an edge, Adam 1000 steps, L-BFGS up to 50,000 iterations
    guide         Paddle's guide to higher-order differentiation: layers of 32, 64, 32 SiLU, w in metres, Adam
                  1000 steps at 5e-4, no L-BFGS; it is without PaddleScience: points and weights are our own

What differs from the example in `biharmonic2d`: the origin lies in the middle of the plate, not in its corner, and an
edge is held by its own moment and by w, which is the same: along it w = 0 has no second derivative.

On the default plate the short way's relative L2 error lies between 4e-3 and 6e-2, by seed, and more training helps
little: in the corners, where a supported edge meets a free one, the fourth derivatives of the solution have no limit
that a smooth network could take. The loads are those that a strong form knows: no patch, no point.

Source of the method: M. Raissi, P. Perdikaris and G. Karniadakis, J. Comput. Phys. 378 (2019) 686.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paddle
import ppsci
import sympy
from plate import Plate

SMOOTH = ("uniform", "sinusoidal", "hydrostatic")  # the loads that the strong form can take
EDGE_WEIGHT = 100.0  # of a boundary condition in the loss, else the equation outweighs them


@dataclass(frozen=True)
class Settings:
    """A way to train; see SETTINGS."""

    layers: tuple[int, ...]  # units of the hidden layers
    activation: str
    weight_norm: bool
    in_metres: bool  # whether the network gives w, or u = w D/q, which is of the order of 1, as a network likes it
    inside: int  # collocation points
    edge: int  # collocation points on an edge, or on a pair of opposite ones that are alike where `paired`
    paired: bool
    learning_rate: float  # of Adam
    adam_epochs: int  # steps
    lbfgs_epochs: int
    lbfgs_iterations: int  # in one epoch, at most


SETTINGS = {
    "short": Settings((30, 30, 30), "tanh", False, False, 500, 100, True, 2e-3, 100, 20, 10),
    "biharmonic2d": Settings((20,) * 5, "tanh", True, True, 8000, 125, False, 1e-3, 1000, 1, 50_000),
    "guide": Settings((32, 64, 32), "silu", False, True, 500, 100, True, 5e-4, 1000, 0, 0),
}


@dataclass(frozen=True)
class Solution:
    """What `solve` found."""

    plate: Plate
    model: ppsci.arch.Arch
    unit: float  # of the network's output, in metres
    losses: np.ndarray  # (epochs,), the sum that is trained

    def deflection(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The deflection on the grid of `x` (columns,), `y` (rows,): float64 (rows, columns), in metres."""
        points = {name: paddle.to_tensor(value) for name, value in on_grid(x, y).items()}
        with paddle.no_grad():
            u = self.model(points)["u"].numpy().astype("float64")
        return self.unit * u.reshape(len(y), len(x))


def solve(
    plate: Plate,
    x: np.ndarray,
    y: np.ndarray,
    reference: np.ndarray | None,
    out: Path,
    seed: int = 0,
    settings: Settings = SETTINGS["short"],
) -> Solution:
    """Train a network on `plate`, and validate it on the grid of `x` (columns,) and `y` (rows,), in metres.

    `reference` (rows, columns), in metres, is what it is validated against, if there is one; the training does
    not see it.
    An epoch is one step of Adam, or `lbfgs_iterations` of L-BFGS, on all points. PaddleScience writes its
    checkpoints and a file for ParaView, visual/plate.vtu, into the folder `out`. Raises ValueError if there
    is no epoch at all, or for a load that is not smooth.
    """
    if plate.load.kind not in SMOOTH:
        raise ValueError(f"load={plate.load.kind}: the strong form takes {', '.join(SMOOTH)} only")
    if settings.adam_epochs + settings.lbfgs_epochs < 1:
        raise ValueError("at least one epoch")
    ppsci.utils.set_random_seed(seed)
    ppsci.utils.logger.init_logger("ppsci", None, "info")
    if not sys.stdout.isatty():
        os.environ["NO_COLOR"] = "1"  # else the log is coloured in a file too

    unit = 1.0 if settings.in_metres else plate.scale  # of u, in metres
    model = ppsci.arch.MLP(
        ("x", "y"), ("u",), None, settings.layers, settings.activation, weight_norm=settings.weight_norm
    )
    equation = ppsci.equation.Biharmonic(dim=2, q=load_shape(plate) * plate.scale / unit, D=1.0)
    geometry = ppsci.geometry.Rectangle((-plate.length / 2, -plate.width / 2), (plate.length / 2, plate.width / 2))
    points = on_grid(x, y)
    visualizer = ppsci.visualize.VisualizerVtu(
        points, {"deflection": lambda output: output["u"] * unit}, prefix="plate", batch_size=len(x) * len(y)
    )  # in one batch: this visualizer keeps the last batch only
    problem = {
        "constraint": constraints(plate, equation, geometry, settings),
        "equation": {"plate": equation},
        "geom": {"plate": geometry},
        "validator": validators(points, reference, unit),
        "visualizer": {"plate": visualizer},
    }
    return Solution(plate, model, unit, train(model, problem, out, seed, settings))


def train(model: ppsci.arch.Arch, problem: dict, out: Path, seed: int, settings: Settings) -> np.ndarray:
    """Adam, then L-BFGS, each by a ppsci Solver of `problem`; validate and draw. Returns the losses (epochs,)."""
    adam = ppsci.optimizer.Adam(learning_rate=settings.learning_rate)(model)
    lbfgs = ppsci.optimizer.LBFGS(
        learning_rate=1.0,
        max_iter=settings.lbfgs_iterations,
        history_size=50,
        tolerance_grad=1e-12,
        tolerance_change=1e-15,
        line_search_fn="strong_wolfe",
    )(model)
    losses: list[float] = []
    for optimizer, epochs, log_every in [(adam, settings.adam_epochs, 25), (lbfgs, settings.lbfgs_epochs, 1)]:
        if epochs == 0:
            continue
        solver = ppsci.solver.Solver(
            model,
            output_dir=str(out),
            optimizer=optimizer,
            epochs=epochs,
            iters_per_epoch=1,
            log_freq=log_every,
            save_freq=0,
            seed=seed,
            **problem,
        )
        solver.train()
        losses += solver.train_loss_info["loss"].history
    if problem["validator"]:
        solver.eval()
    solver.visualize()
    return np.array(losses)


def load_shape(plate: Plate) -> sympy.Expr | float:
    """The load over its magnitude, in x and y."""
    x, y = sympy.symbols("x y")
    waves = sympy.cos(np.pi * x / plate.length) * sympy.cos(np.pi * y / plate.width)
    return {"uniform": 1.0, "sinusoidal": waves, "hydrostatic": 0.5 + x / plate.length}[plate.load.kind]


def validators(points: dict, reference: np.ndarray | None, unit: float) -> dict | None:
    """The relative L2 error against `reference` (rows, columns) in metres, for a ppsci Solver; u is in `unit`."""
    if reference is None:
        return None
    dataset = {
        "name": "NamedArrayDataset",
        "input": points,
        "label": {"u": (reference / unit).reshape(-1, 1).astype("float32")},
    }
    settings = {
        "dataset": dataset,
        "batch_size": reference.size,
        "sampler": {"name": "BatchSampler", "drop_last": False, "shuffle": False},
    }
    metric = {"L2Rel": ppsci.metric.L2Rel()}
    validator = ppsci.validate.SupervisedValidator(
        settings, ppsci.loss.MSELoss(), {"u": lambda output: output["u"]}, metric, "levy"
    )
    return {"levy": validator}


def conditions(letter: str, normal: sympy.Symbol, along: sympy.Symbol, mu: float) -> dict:
    """What is 0 on an edge of this letter, by name."""
    u = sympy.Function("u")(*sympy.symbols("x y"))
    if letter == "C":
        return {"deflection": u, "slope": u.diff(normal)}
    if letter == "S":
        return {"deflection": u, "moment": u.diff(normal, 2)}
    return {
        "moment": u.diff(normal, 2) + mu * u.diff(along, 2),
        "shear": u.diff(normal, 3) + (2 - mu) * u.diff(along, 2, normal),
    }


def constraints(
    plate: Plate, equation: ppsci.equation.PDE, geometry: ppsci.geometry.Geometry, settings: Settings
) -> dict:
    """The equation inside, and two conditions on each edge: by name, as a ppsci Solver takes them."""
    x, y = sympy.symbols("x y")
    loss = ppsci.loss.MSELoss("mean")

    def data(points: int) -> dict:
        return {"dataset": "IterableNamedArrayDataset", "iters_per_epoch": 1, "batch_size": points}

    def edges(axis: int, letter: str, where: Callable, name: str) -> ppsci.constraint.BoundaryConstraint:
        zero = conditions(letter, *((x, y) if axis == 0 else (y, x)), plate.poisson)
        return ppsci.constraint.BoundaryConstraint(
            zero,
            dict.fromkeys(zero, 0),
            geometry,
            data(settings.edge),
            loss,
            criteria=where,
            weight_dict=dict.fromkeys(zero, EDGE_WEIGHT),
            name=name,
        )

    found = {
        "inside": ppsci.constraint.InteriorConstraint(
            equation.equations, {"biharmonic": 0}, geometry, data(settings.inside), loss, random="Halton", name="inside"
        )
    }
    for axis, half in enumerate((plate.length / 2, plate.width / 2)):
        low, high = plate.edges[axis], plate.edges[axis + 2]
        pairs = [(low, (-half, half))] if low == high and settings.paired else [(low, (-half,)), (high, (half,))]
        for number, (letter, places) in enumerate(pairs):

            def where(x: np.ndarray, y: np.ndarray, axis: int = axis, places: tuple = places) -> np.ndarray:
                return np.isclose((x, y)[axis][..., None], places).any(axis=-1)

            name = f"{letter}_{'xy'[axis]}_{number}"
            found[name] = edges(axis, letter, where, name)
    return found


def on_grid(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """The grid of `x` (columns,), `y` (rows,), as the network takes it: x and y, float32 (points, 1)."""
    x, y = np.meshgrid(x, y)
    return {"x": x.reshape(-1, 1).astype("float32"), "y": y.reshape(-1, 1).astype("float32")}
