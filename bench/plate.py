"""The plate by random features, beside finite elements (scikit-fem, Morley's triangle) at equal or better error.

    PYTHON bench/plate.py

with a Python that has the packages of docker/locks/science.txt and scikit-fem. Both sides solve the official plate
(2 m x 1 m, edges SFSF, uniform load) in one process, in turn; the table shows medians and the ratio of times.
"""

import functools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "projects" / "04-plate"))
import features
import levy
import skfem
from plate import Plate
from skfem.helpers import dd, ddot, eye, trace

ROUNDS = 5
PAIRS = [(4, 4), (6, 6), (8, 7)]  # degree of the features, halvings of Morley's mesh: the features err less


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


def error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def main() -> None:
    """Time the pairs in turn and print them."""
    plate = Plate()
    x, y = plate.grid(33)
    print(f"{'features':>10} {'error':>8} {'s':>8} | {'Morley':>8} {'error':>8} {'s':>8} | Morley / features, time")
    for degree, halvings in PAIRS:
        finite = morley(plate, halvings)
        nodes = np.linspace(-1, 1, 2**halvings + 1), np.linspace(-0.5, 0.5, 2 ** (halvings - 1) + 1)
        errors = (
            error(features.solve(plate, degree).deflection(x, y), levy.deflection(plate, x, y)),
            error(finite(), levy.deflection(plate, *nodes, 200)),
        )
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            sides: tuple[Callable[[], Any], ...] = (functools.partial(features.solve, plate, degree), finite)
            for taken, side in zip(times, sides, strict=True):
                start = time.perf_counter()
                side()
                taken.append(time.perf_counter() - start)
        first, second = (statistics.median(taken) for taken in times)
        print(
            f"{features.units(degree):>10} {errors[0]:8.1e} {first:8.4f} | 2^{halvings:<6} {errors[1]:8.1e} "
            f"{second:8.4f} | {second / first:.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
