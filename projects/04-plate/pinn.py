"""The baseline: a physics-informed neural network (PINN), trained with PaddleScience as its examples do it.

The network's fourth derivatives are held against the load inside the plate, its boundary conditions at points
on the edges, and the sum of the squares is reduced by Adam, then by L-BFGS, as in PaddleScience's own plate:
https://paddlescience-docs.readthedocs.io/zh-cn/latest/zh/examples/biharmonic2d/

Its relative L2 error lies between 4e-3 and 6e-2, by seed, and more training helps little: a loss ten times
smaller has left an error of 3e-3. In the corners, where a supported edge meets a free one, the fourth
derivatives of the solution have no limit that a smooth network could take. See ritz.py for what the same
plate gives without them.

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

INSIDE, EDGE = 500, 100  # collocation points inside the plate, and on each kind of edge
EDGE_WEIGHT = 100.0  # of a boundary condition in the loss, else the equation outweighs them
LBFGS_ITERATIONS = 10  # in one epoch


@dataclass(frozen=True)
class Solution:
    """What `solve` found."""

    plate: Plate
    model: ppsci.arch.Arch
    losses: np.ndarray  # (epochs,), the sum that is trained

    def deflection(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The deflection on the grid of `x` (columns,), `y` (rows,): float64 (rows, columns), in metres."""
        points = {name: paddle.to_tensor(value) for name, value in on_grid(x, y).items()}
        with paddle.no_grad():
            u = self.model(points)["u"].numpy().astype("float64")
        return self.plate.scale * u.reshape(len(y), len(x))


def solve(
    plate: Plate,
    x: np.ndarray,
    y: np.ndarray,
    reference: np.ndarray,
    out: Path,
    seed: int = 0,
    adam_epochs: int = 100,
    lbfgs_epochs: int = 20,
) -> Solution:
    """Train a network on `plate`, and validate it on the grid of `x` (columns,) and `y` (rows,), in metres.

    `reference` (rows, columns), in metres, is what it is validated against; the training does not see it.
    An epoch is one step of Adam, or ten iterations of L-BFGS, on all points. PaddleScience writes its
    checkpoints and a file for ParaView, visual/plate.vtu, into the folder `out`. Raises ValueError if there
    is no epoch at all.
    """
    if adam_epochs + lbfgs_epochs < 1:
        raise ValueError("at least one epoch")
    ppsci.utils.set_random_seed(seed)
    ppsci.utils.logger.init_logger("ppsci", None, "info")
    if not sys.stdout.isatty():
        os.environ["NO_COLOR"] = "1"  # else the log is coloured in a file too

    # The unknown is u = w D/q: of the order of 1, as a network likes it.
    model = ppsci.arch.MLP(("x", "y"), ("u",), num_layers=3, hidden_size=30, activation="tanh")
    equation = {"plate": ppsci.equation.Biharmonic(dim=2, q=1.0, D=1.0)}
    geometry = {
        "plate": ppsci.geometry.Rectangle((-plate.length / 2, -plate.width / 2), (plate.length / 2, plate.width / 2))
    }
    constraint = constraints(plate, equation["plate"], geometry["plate"])

    points = on_grid(x, y)
    everything = len(x) * len(y)
    validator = {
        "levy": ppsci.validate.SupervisedValidator(
            {
                "dataset": {
                    "name": "NamedArrayDataset",
                    "input": points,
                    "label": {"u": (reference / plate.scale).reshape(-1, 1).astype("float32")},
                },
                "batch_size": everything,
                "sampler": {"name": "BatchSampler", "drop_last": False, "shuffle": False},
            },
            ppsci.loss.MSELoss(),
            {"u": lambda output: output["u"]},
            {"L2Rel": ppsci.metric.L2Rel()},
            "levy",
        )
    }
    visualizer = {
        "plate": ppsci.visualize.VisualizerVtu(
            points, {"deflection": lambda output: output["u"] * plate.scale}, prefix="plate", batch_size=everything
        )
    }  # in one batch: this visualizer keeps the last batch only

    adam = ppsci.optimizer.Adam(learning_rate=2e-3)(model)
    lbfgs = ppsci.optimizer.LBFGS(
        learning_rate=1.0,
        max_iter=LBFGS_ITERATIONS,
        history_size=50,
        tolerance_grad=1e-12,
        tolerance_change=1e-15,
        line_search_fn="strong_wolfe",
    )(model)
    losses: list[float] = []
    for optimizer, epochs, log_every in [(adam, adam_epochs, 25), (lbfgs, lbfgs_epochs, 1)]:
        if epochs == 0:
            continue
        solver = ppsci.solver.Solver(
            model,
            constraint,
            str(out),
            optimizer,
            epochs=epochs,
            iters_per_epoch=1,
            log_freq=log_every,
            save_freq=0,
            seed=seed,
            equation=equation,
            geom=geometry,
            validator=validator,
            visualizer=visualizer,
        )
        solver.train()
        losses += solver.train_loss_info["loss"].history
    solver.eval()
    solver.visualize()
    return Solution(plate, model, np.array(losses))


def constraints(plate: Plate, equation: ppsci.equation.PDE, geometry: ppsci.geometry.Geometry) -> dict:
    """The equation inside, and two conditions on each kind of edge: by name, as a ppsci Solver takes them."""
    x, y = sympy.symbols("x y")
    u, mu = sympy.Function("u")(x, y), plate.poisson
    supported = {"deflection": u, "moment": u.diff(x, 2)}
    free = {"moment": u.diff(y, 2) + mu * u.diff(x, 2), "shear": u.diff(y, 3) + (2 - mu) * u.diff(x, 2, y)}
    loss = ppsci.loss.MSELoss("mean")

    def edge(name: str, conditions: dict, where: Callable) -> ppsci.constraint.BoundaryConstraint:
        return ppsci.constraint.BoundaryConstraint(
            conditions,
            dict.fromkeys(conditions, 0),
            geometry,
            data(EDGE),
            loss,
            criteria=where,
            weight_dict=dict.fromkeys(conditions, EDGE_WEIGHT),
            name=name,
        )

    def data(points: int) -> dict:
        return {"dataset": "IterableNamedArrayDataset", "iters_per_epoch": 1, "batch_size": points}

    found = [
        ppsci.constraint.InteriorConstraint(
            equation.equations, {"biharmonic": 0}, geometry, data(INSIDE), loss, random="Halton", name="inside"
        ),
        edge("supported", supported, lambda x, y: np.isclose(np.abs(x), plate.length / 2)),
        edge("free", free, lambda x, y: np.isclose(np.abs(y), plate.width / 2)),
    ]
    return {constraint.name: constraint for constraint in found}


def on_grid(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """The grid of `x` (columns,), `y` (rows,), as the network takes it: x and y, float32 (points, 1)."""
    x, y = np.meshgrid(x, y)
    return {"x": x.reshape(-1, 1).astype("float32"), "y": y.reshape(-1, 1).astype("float32")}
