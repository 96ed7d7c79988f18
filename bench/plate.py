"""The plate by random features, beside its peers at equal or better error: the time each takes, and the ratio.

    ./inv bench --only plate

The peers are finite elements (scikit-fem, Morley's triangle) and a physics-informed network (DeepXDE on Paddle, Adam
and then L-BFGS). All solve the official plate (2 m x 1 m, edges SFSF, uniform load) in one process, in turn; the
tables show medians of the times, and errors against Lévy's series. Each time the random features are given the degree
at which they err less than the peer. DeepXDE is given a minute at most, since it stalls before it converges.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small matrices: more threads only wait for each other
os.environ["DDE_BACKEND"] = "paddle"
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "projects" / "04-plate"))

import deepxde
import features
import levy
import numpy as np
import paddle
import skfem
from plate import Plate
from skfem.helpers import dd, ddot, eye, trace
from tabulate import tabulate

STACK = "bench-plate"  # that ./inv bench runs it in

Solver = Callable[[], Any]
ROUNDS = 5
PAIRS = [(4, 4), (6, 6), (8, 7)]  # degree of the features, halvings of Morley's mesh: the features err less
DEEPXDE_SECONDS = (20.0, 60.0)  # that it may train; once each, since every round would take as long again
COARSE = 2  # degree of the features beside it


def morley(plate: Plate, halvings: int) -> Callable[[], np.ndarray]:
    """A function that meshes, assembles and solves; it returns the deflection at the mesh's points, in metres."""
    along = np.linspace(-plate.length / 2, plate.length / 2, 2**halvings + 1)
    across = np.linspace(-plate.width / 2, plate.width / 2, 2 ** (halvings - 1) + 1)

    @skfem.BilinearForm
    def bending(u: Any, v: Any, _: Any) -> Any:
        return ddot((1 - plate.poisson) * dd(u) + plate.poisson * eye(trace(dd(u)), 2), dd(v))

    @skfem.LinearForm
    def load(v: Any, _: Any) -> Any:
        return 1.0 * v

    def solve() -> np.ndarray:
        mesh = skfem.MeshTri.init_tensor(along, across)
        basis = skfem.Basis(mesh, skfem.ElementTriMorley())
        held = basis.get_dofs(lambda x: np.isclose(np.abs(x[0]), plate.length / 2)).all("u")
        found = skfem.solve(*skfem.condense(bending.assemble(basis), load.assemble(basis), D=held))
        order = np.lexsort(mesh.p)
        deflection: np.ndarray = plate.scale * found[basis.nodal_dofs[0]][order]
        return deflection.reshape(len(across), len(along))

    return solve


def physics_informed(plate: Plate, seconds: float) -> np.ndarray:
    """DeepXDE's network after `seconds`: the deflection on the plate's grid of 33 points a side, in metres.

    Its unknown is w D/q times a factor that holds w = 0 on the supported edges; a third of the time is Adam's.
    """
    started, mu = time.perf_counter(), plate.poisson

    def second(of: Any, x: Any, i: int, j: int) -> Any:
        return deepxde.grad.hessian(of, x, i=i, j=j)

    def equation(x: Any, u: Any) -> Any:
        along, across = second(u, x, 0, 0), second(u, x, 1, 1)
        return second(along, x, 0, 0) + 2 * second(along, x, 1, 1) + second(across, x, 1, 1) - 1

    def moment_across(x: Any, u: Any, _: Any) -> Any:
        return second(u, x, 1, 1) + mu * second(u, x, 0, 0)

    def shear(x: Any, u: Any, _: Any) -> Any:
        return deepxde.grad.jacobian(second(u, x, 1, 1) + (2 - mu) * second(u, x, 0, 0), x, i=0, j=1)

    def on_free(x: Any, on_boundary: bool) -> bool:
        return on_boundary and bool(np.isclose(abs(x[1]), plate.width / 2))

    def on_supported(x: Any, on_boundary: bool) -> bool:
        return on_boundary and bool(np.isclose(abs(x[0]), plate.length / 2))

    deepxde.config.set_random_seed(0)
    deepxde.optimizers.config.LBFGS_options.update(iter_per_step=5, fun_per_step=10)  # between looks at the clock
    rectangle = deepxde.geometry.Rectangle((-plate.length / 2, -plate.width / 2), (plate.length / 2, plate.width / 2))
    conditions = [
        deepxde.icbc.OperatorBC(rectangle, lambda x, u, _: second(u, x, 0, 0), on_supported),
        deepxde.icbc.OperatorBC(rectangle, moment_across, on_free),
        deepxde.icbc.OperatorBC(rectangle, shear, on_free),
    ]
    data = deepxde.data.PDE(rectangle, equation, conditions, num_domain=300, num_boundary=120)
    network = deepxde.nn.FNN((2, 30, 30, 30, 1), "tanh", "Glorot normal")
    network.apply_output_transform(lambda x, u: u * (plate.length**2 / 4 - x[:, 0:1] * x[:, 0:1]))
    model = deepxde.Model(data, network)
    for optimizer, until, iterations in (("adam", seconds / 3, 100_000), ("L-BFGS", seconds, None)):
        left = max(until - (time.perf_counter() - started), 0.1) / 60  # minutes
        rate = {"lr": 2e-3} if optimizer == "adam" else {}
        model.compile(optimizer, loss_weights=[1, 100, 100, 100], verbose=0, **rate)
        model.train(iterations=iterations, callbacks=[deepxde.callbacks.Timer(left)], display_every=10**9, verbose=0)
    x, y = plate.grid(33)
    columns, rows = np.meshgrid(x, y)
    found = model.predict(np.stack([columns.ravel(), rows.ravel()], axis=1))
    deflection: np.ndarray = plate.scale * found.reshape(rows.shape)
    return deflection


def error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def timed(sides: list[Solver], rounds: int) -> tuple[list[float], list[Any]]:
    """The median seconds of each of the `sides`, taken in turn, and what each found at last."""
    times: list[list[float]] = [[] for _ in sides]
    found: list[Any] = [None for _ in sides]
    for _ in range(rounds):
        for number, side in enumerate(sides):
            start = time.perf_counter()
            found[number] = side()
            times[number].append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times], found


def main() -> None:
    """Time the pairs in turn and print the table."""
    plate = Plate()
    x, y = plate.grid(33)
    exact, rows = levy.deflection(plate, x, y), []
    features.solve(plate, 4)  # the first one loads libraries

    def note(peer: str, degree: int, seconds: list[float], peer_error: float, solution: features.Solution) -> None:
        own = error(solution.deflection(x, y), exact)
        own_name = f"{features.units(degree)} features"
        rows.append(
            (peer, f"{peer_error:.1e}", seconds[1], own_name, f"{own:.1e}", seconds[0], seconds[1] / seconds[0])
        )
        print(f"  {peer}: error {peer_error:.1e} in {seconds[1]:.3g} s", flush=True)

    for degree, halvings in PAIRS:
        nodes = np.linspace(-1, 1, 2**halvings + 1), np.linspace(-0.5, 0.5, 2 ** (halvings - 1) + 1)
        seconds, found = timed([partial(features.solve, plate, degree), morley(plate, halvings)], ROUNDS)
        note(
            f"Morley, 2^{halvings} cells",
            degree,
            seconds,
            error(found[1], levy.deflection(plate, *nodes, 200)),
            found[0],
        )
    for limit in DEEPXDE_SECONDS:
        sides: list[Solver] = [partial(features.solve, plate, COARSE), partial(physics_informed, plate, limit)]
        seconds, found = timed(sides, 1)
        note(f"DeepXDE, {limit:g} s", COARSE, seconds, error(found[1], exact), found[0])
    headers = ("peer", "error", "seconds", "random features", "error", "seconds", "time ratio")
    print("\n" + tabulate(rows, headers, floatfmt=("", "", ".4f", "", "", ".4f", ".0f"), disable_numparse=[1, 4]))
    print(f"\nDeepXDE {deepxde.__version__} on Paddle {paddle.__version__}, scikit-fem {skfem.__version__}")


if __name__ == "__main__":
    main()
