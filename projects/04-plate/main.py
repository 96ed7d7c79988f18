"""Task 4: how far a thin rectangular plate bends, and with which moments and forces, by a fourth-order equation.

    ./inv python projects/04-plate/main.py --part 4 --device cpu --seed 0 --out /tmp/plate --set method=all
    ./inv python projects/04-plate/main.py --part 4 --set edges=CFFF load=point load_x=1 magnitude=50 thickness=0.02

The steps, in order: the plate (plate.py) and its load (loads.py), its exact deflection for reference where there is
a series (levy.py), then the deflection of least energy in polynomials, by one linear solve (features.py), a trained
network (ritz.py), or PaddleScience's physics-informed network (pinn.py), each held against the reference.
What is measured on them stands in measured.py. No data are read: the points are drawn here, and what must hold at
them is the equation.
"""

import dataclasses
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import accuracy
import fields
import levy
import measured
import numpy as np
import plots
import vtu
from loads import Load
from plate import NotAPlate, Plate

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit

Deflections = dict[str, np.ndarray]  # by the name that the picture shows: (grid, grid) in metres


def plate_from(parameters: Mapping[str, Any]) -> Plate:
    """The plate that the parameters describe; exits with 2 and a reason if there is none."""
    given = {name: parameters[name] for name in ("length", "width", "thickness", "young", "poisson", "edges")}
    place = [parameters[name] for name in ("load_x", "load_y", "patch_length", "patch_width")]
    try:
        plate = Plate(**given, load=Load(parameters["load"], parameters["magnitude"], *place))
    except NotAPlate as error:
        kit.refuse(*error.lines)
    method, kind = parameters["method"], plate.load.kind
    if kind == "point" and method != "features":
        why = "Under a point a trained network bends between the points of its quadrature."
        kit.refuse(f"method={method} with load=point", why, "Take method=features.")
    if kind == "patch" and method in ("pinn", "all"):
        why = "The strong form of a PINN needs a load that is smooth."
        kit.refuse(f"method={method} with load=patch", why, "Take method=features or method=ritz.")
    return plate


def by_features(program: Any, plate: Plate, x: np.ndarray, y: np.ndarray, reference: np.ndarray | None) -> np.ndarray:
    """One linear solve, and all that is read off it. Returns the deflection (grid, grid) in metres."""
    tolerance = program.parameters["tolerance"]
    dtype, reason = kit.choose_dtype()
    print(f"one Ritz solve: features in {dtype} ({reason}), solve in float64 on the host")
    started = time.perf_counter()
    answer = accuracy.solve(plate, tolerance, dtype)
    program.metric("seconds", time.perf_counter() - started)
    program.used(*answer.solution.basis.layers)
    found = measured.features(answer, x, y, reference)
    tell(answer, found.metrics, tolerance)
    for name, value in found.metrics.items():
        program.metric(name, value)
    together = fields.stacked(found.fields)
    program.trace(**{kind: together[kind] for kind in ("slopes", "moments", "shear")})
    vtu.write(program.artefact("plate.vtu"), x, y, {name: found.fields[name] for name in fields.UNITS})
    plots.convergence(answer.history, found.true, tolerance, program.artefact("convergence.png"))
    plots.forces(x, y, found.fields, program.artefact("forces.png"))
    return found.fields["w"]


def tell(answer: accuracy.Answer, metrics: Mapping[str, Any], tolerance: float) -> None:
    """The way to an answer and what was measured on it, for a person to read."""
    for count, error in answer.history:
        print(f"  {count} features: estimated relative L2 error {error:.1e}")
    estimate, solution = answer.estimate, answer.solution
    print(f"  of which {estimate.truncation:.1e} by features that there are not, {estimate.rounding:.1e} by rounding")
    if solution.corners:
        print(f"  with what is singular in {len(solution.corners)} corners, by Williams' exponents")
    if not answer.met:
        print(
            f"  NOTE: the tolerance {tolerance:g} cannot be met, {estimate.total:.1e} is the best: rounding or a "
            "singularity of the solution, in a corner or under the load, takes what more features would give"
        )
    corners, reactions = fields.corner_forces(solution), fields.edge_reactions(solution)
    print(f"  corner forces: {', '.join(f'{force:.4g} N at {corner}' for corner, force in corners.items())}")
    print(f"  reactions on the edges: {', '.join(f'{force:.5g} N' for force in reactions)}")
    if solution.plate.clamped_beside_free:
        print("  NOTE: these are not exact: between a clamped and a free edge the shear force grows without bound")
    print(f"  energy out of balance by {metrics['energy_error']:.1e}", end="")
    print(f", forces by {metrics['equilibrium_error']:.1e} of the load" if "equilibrium_error" in metrics else "")
    if "relative_l2" in metrics:
        print(f"  relative L2 error {metrics['relative_l2']:.1e}, largest error {metrics['max_error']:.1e} m", end="")
        print(f"; moments {metrics['moments_relative_l2']:.1e}")


def by_ritz(program: Any, plate: Plate, x: np.ndarray, y: np.ndarray, reference: np.ndarray | None) -> np.ndarray:
    """The network trained on the energy. Returns the deflection (grid, grid) in metres."""
    import ritz

    print("deep Ritz network, trained by Gauss-Newton:")
    dtype, _ = kit.choose_dtype()
    started = time.perf_counter()
    solution = ritz.train(plate, program.seed, program.parameters["ritz_steps"], dtype)
    seconds = time.perf_counter() - started
    deflection = solution.deflection(x, y)
    program.used(*solution.weights)
    print(f"  {len(solution.energies) - 1} steps, energy {solution.energies[0]:.6g} to {solution.energies[-1]:.9g}")
    metrics = measured.ritz(solution, deflection, reference, dtype)
    say_errors(metrics, seconds, "ritz_")
    for name, value in {**metrics, "ritz_seconds": seconds}.items():
        program.metric(name, value)
    return deflection


def by_pinn(program: Any, plate: Plate, x: np.ndarray, y: np.ndarray, reference: np.ndarray | None) -> np.ndarray:
    """PaddleScience's network. Returns the deflection (grid, grid) in metres."""
    import pinn  # seconds of import, and the only part that needs PaddleScience

    chosen = program.parameters["pinn"]
    epochs = {name: program.parameters[name] for name in ("adam_epochs", "lbfgs_epochs") if program.parameters[name]}
    settings = dataclasses.replace(pinn.SETTINGS[chosen], **epochs)
    print(f"physics-informed network (PaddleScience), pinn={chosen}: {settings}")
    if chosen == "short" or epochs:
        print("  NOTE: a shortened training; --set pinn=biharmonic2d and pinn=guide are the official ones as published")
    started = time.perf_counter()
    solution = pinn.solve(plate, x, y, reference, program.artefact("paddlescience"), program.seed, settings)
    deflection = solution.deflection(x, y)
    seconds = time.perf_counter() - started
    program.used(solution.model)
    print(f"  loss {solution.losses[0]:.3g} at first, {solution.losses[-1]:.3g} at last, after {seconds:.1f} s")
    metrics = measured.pinn(solution, deflection, reference)
    say_errors(metrics, seconds, "pinn_")
    for name, value in {**metrics, "pinn_seconds": seconds}.items():
        program.metric(name, value)
    return deflection


def say_errors(metrics: Mapping[str, Any], seconds: float, prefix: str) -> None:
    if f"{prefix}relative_l2" in metrics:
        relative, largest = metrics[f"{prefix}relative_l2"], metrics[f"{prefix}max_error"]
        print(f"  relative L2 error {relative:.1e}, largest error {largest:.1e} m, after {seconds:.1f} s")


def main() -> None:
    program = kit.start(__file__, __doc__)
    method = program.parameters["method"]

    # 1. The plate. Its own numbers say whether the theory may be trusted, see step 4.
    plate = plate_from(program.parameters)
    x, y = plate.grid(program.parameters["grid"])  # (grid,), (grid,)
    print(f"plate: {plate}")

    # 2. The reference: Lévy's series, where two opposite edges are simply supported.
    reference = levy.deflection(plate, x, y) if levy.exists(plate) else None  # (grid, grid), rows are y
    program.metric("reference", "no series" if reference is None else "levy")
    print("reference:", "no series" if reference is None else f"Lévy's series, at most {reference.max() * 1e3:.6f} mm")

    # 3. The methods: one solve, a network trained on the energy, a network trained on the equation.
    ways = {
        "features": ("Polynomials, one Ritz solve", by_features),
        "ritz": ("Deep Ritz, trained", by_ritz),
        "pinn": ("PaddleScience PINN", by_pinn),
    }
    deflections: Deflections = {}
    for name, (title, way) in ways.items():
        if method in (name, "all"):
            deflections[title] = way(program, plate, x, y, reference)

    # 4. The answer is that of the finest method run. Then: may the equation be trusted with it?
    deflection = next(iter(deflections.values()))
    row, column = np.unravel_index(deflection.argmax(), deflection.shape)
    print(f"largest deflection: {deflection.max() * 1e3:.4f} mm at x = {x[column]:g} m, y = {y[row]:g} m")
    if deflection.max() > plate.thickness:
        print(
            f"WARNING: that is more than the plate's thickness, {plate.thickness * 1e3:g} mm, "
            "and so outside small-deflection theory.\n"
            "It is what the equation asks for; the real plate would also stretch, and bend less."
        )
    if plate.thickness > min(plate.length, plate.width) / 20:
        print("WARNING: thicker than 1/20 of its shorter side, a plate also yields to shear, which is left out here.")
    program.metric("max_deflection", deflection.max())
    program.metric("small_deflection", bool(deflection.max() <= plate.thickness))
    program.trace(deflection=deflection)
    plots.compare(plate, x, y, deflections, reference, program.artefact("deflection.png"))
    program.finish()


if __name__ == "__main__":
    main()
