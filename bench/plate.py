"""The plate of task 4 beside its peers at equal error: the time each takes, and the ratio.

    ./inv bench --only plate

The peers are a spectral method in thirty lines of NumPy (Ritz in Legendre polynomials, plate_spectral.py), and two
conforming finite elements of scikit-fem: Bogner, Fox and Schmit's rectangle, and Argyris' triangle. All solve the
official plate (2 m x 1 m, edges SFSF, uniform load) in one process on one thread, in turn, from the plate to its
deflections; errors are relative L2 ones against Lévy's series. For each error that is asked every side gets the
smallest size that reaches it, and a dash where none does. Medians count. Ours is also timed with its caches emptied,
as a first solve is.
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
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "projects" / "04-plate"))

import features
import levy
import numpy as np
import paddle
import plate_spectral
import polynomials
import quadrature
import skfem
from measuring import keep
from plate import Plate
from skfem.helpers import dd, ddot, eye, trace
from tabulate import tabulate

STACK = "bench-plate"  # that ./inv bench runs it in

Grid = tuple[np.ndarray, np.ndarray]  # x and y, in metres
Found = tuple[Grid, np.ndarray]  # the deflections (rows, columns), in metres
ERRORS = (1e-5, 4e-8, 2e-9)
ROUNDS = 9
OURS, PEER = "ours", "Legendre, NumPy"
SIZES = {OURS: range(4, 31, 2), PEER: range(4, 31), "BFS": (4, 8, 16, 24, 32), "Argyris": (2, 4, 8, 12)}
CACHES = (polynomials.beam, polynomials.pairs, quadrature.line, features.places)


def ours(plate: Plate, degree: int) -> Found:
    at = plate.grid(33)
    return at, features.solve(plate, degree).deflection(*at)


def spectral(plate: Plate, size: int) -> Found:
    at = plate.grid(33)
    return at, plate.scale * plate_spectral.deflection(plate.length, plate.width, plate.poisson, size, *at)


def finite_elements(element: str, plate: Plate, cells: int) -> Found:
    """Mesh, assemble and solve with `cells` along y and twice as many along x; found at the mesh's points."""
    along = np.linspace(-plate.length / 2, plate.length / 2, 2 * cells + 1)
    across = np.linspace(-plate.width / 2, plate.width / 2, cells + 1)

    @skfem.BilinearForm
    def bending(u: Any, v: Any, _: Any) -> Any:
        return ddot((1 - plate.poisson) * dd(u) + plate.poisson * eye(trace(dd(u)), 2), dd(v))

    @skfem.LinearForm
    def load(v: Any, _: Any) -> Any:
        return 1.0 * v

    mesh_of, kind, held = {
        "BFS": (skfem.MeshQuad, skfem.ElementQuadBFS, ["u", "u_y"]),
        "Argyris": (skfem.MeshTri, skfem.ElementTriArgyris, ["u", "u_y", "u_yy"]),
    }[element]
    mesh = mesh_of.init_tensor(along, across)
    basis = skfem.Basis(mesh, kind())
    edge = basis.get_dofs(lambda x: np.isclose(np.abs(x[0]), plate.length / 2)).all(held)
    found = skfem.solve(*skfem.condense(bending.assemble(basis), load.assemble(basis), D=edge))
    order = np.lexsort(mesh.p)
    deflection = plate.scale * found[basis.nodal_dofs[0]][order]
    return (along, across), deflection.reshape(len(across), len(along))


def afresh(plate: Plate, degree: int) -> Found:
    """Ours, with nothing kept from a solve before."""
    for each in CACHES:
        each.cache_clear()
    return ours(plate, degree)


SIDES: dict[str, Callable[[Plate, int], Found]] = {
    OURS: ours,
    PEER: spectral,
    **{element: partial(finite_elements, element) for element in ("BFS", "Argyris")},
}


def reached(plate: Plate, name: str) -> dict[int, float]:
    """The error of each size of this side, to the first that errs less than the least asked, or until no size helps."""
    errors: dict[int, float] = {}
    for size in SIZES[name]:
        at, found = SIDES[name](plate, size)
        exact = levy.deflection(plate, *at)
        errors[size] = float(np.linalg.norm(found - exact) / np.linalg.norm(exact))
        if errors[size] < min(ERRORS):
            break
    return errors


def timed(sides: dict[str, Callable[[], Found]]) -> dict[str, float]:
    """The median milliseconds of each of the `sides`, taken in turn after a round that is not timed."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(ROUNDS + 1):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            if number:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(taken) for name, taken in times.items()}


def main() -> None:
    """Find the sizes, time them in turn, and print the table."""
    plate, rows = Plate(), []
    numbers: dict[str, float] = {}
    errors = {name: reached(plate, name) for name in SIDES}
    for asked in ERRORS:
        sizes = {name: next((n for n, e in found.items() if e < asked), None) for name, found in errors.items()}
        sides = {name: partial(SIDES[name], plate, size) for name, size in sizes.items() if size}
        own = sizes[OURS]
        assert own is not None
        took = timed({**sides, "ours, first": partial(afresh, plate, own)})
        for name, size in sizes.items():
            error = "" if size is None else f"{errors[name][size]:.1e}"
            seconds = took.get(name)
            rows.append((f"{asked:g}", name, size, error, seconds, seconds and seconds / took[OURS]))
        rows.append((f"{asked:g}", "ours, first", own, "", took["ours, first"], None))
        best = min((name for name in sides if name != OURS), key=lambda name: took[name])
        numbers |= {f"{asked:g}_ours": took[OURS], f"{asked:g}_best": took[best]}
        print(f"error {asked:g}: the best peer is {best}, which takes {took[best] / took[OURS]:.2f} times as long")
    headers = ("error", "solver", "size", "its error", "ms", "× ours")
    print(
        "\n" + tabulate(rows, headers, floatfmt=("", "", "", "", ".2f", ".2f"), missingval="–", disable_numparse=[0, 3])
    )
    print(f"\nNumPy {np.__version__}, scikit-fem {skfem.__version__}, Paddle {paddle.__version__}, one thread")
    keep(numbers)


if __name__ == "__main__":
    main()
