"""Task 4: how far a thin rectangular plate bends, and with which moments and forces, by a fourth-order equation.

    python projects/04-plate/main.py --part 4 --device cpu --seed 0 --out /tmp/plate --set method=all
    python projects/04-plate/main.py --part 4 --set edges=CFFF load=point load_x=1 magnitude=50 thickness=0.02

The steps, in order: the plate (plate.py) and its load (loads.py), its exact deflection for reference where there is
a series (levy.py), then a random-feature network whose output layer comes from one linear solve (features.py), a
trained network (ritz.py), or PaddleScience's physics-informed network (pinn.py), each held against the reference.
No data are read: the points are drawn here, and what must hold at them is the equation.
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
import numpy as np
import plots
import vtu
from loads import Load
from plate import Plate

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit

SMOOTH_LOADS = ("uniform", "sinusoidal", "hydrostatic")  # a patch or point leaves forces that no bound can judge
SERIES_LOADS = ("uniform", "sinusoidal")  # for the others Lévy's series converges too slowly to judge by
Deflections = dict[str, np.ndarray]  # by the name that the picture shows: (grid, grid) in metres


def errors(found: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """The relative L2 error (1) and the largest absolute error (that of the arguments, metres)."""
    difference = found - reference
    return float(np.linalg.norm(difference) / np.linalg.norm(reference)), float(np.abs(difference).max())


def plate_from(parameters: Mapping[str, Any]) -> Plate:
    """The plate that the parameters describe; exits with 2 and a reason if there is none."""
    given = {name: parameters[name] for name in ("length", "width", "thickness", "young", "poisson", "edges")}
    load = Load(
        parameters["load"],
        parameters["magnitude"],
        parameters["load_x"],
        parameters["load_y"],
        parameters["patch_length"],
        parameters["patch_width"],
    )
    try:
        plate = Plate(**given, load=load)
        if parameters["method"] in ("pinn", "all") and load.kind in ("patch", "point"):
            raise ValueError(
                f"method={parameters['method']} with load={load.kind}: the strong form of a PINN needs a load that "
                "is smooth; take method=features or method=ritz"
            )
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    return plate


def by_features(program: Any, plate: Plate, x: np.ndarray, y: np.ndarray, reference: np.ndarray | None) -> np.ndarray:
    """The random-feature network, and all that is read off it. Returns the deflection (grid, grid) in metres."""
    tolerance = program.parameters["tolerance"]
    COMPUTE_DTYPE, COMPUTE_DTYPE_REASON = kit.choose_dtype()
    print(f"random-feature network: features in {COMPUTE_DTYPE} ({COMPUTE_DTYPE_REASON}), solve in float64 on the host")
    started = time.perf_counter()
    answer = accuracy.solve(plate, tolerance, program.seed, COMPUTE_DTYPE)
    seconds = time.perf_counter() - started
    program.used(*answer.solution.network.parameters)
    for count, error in answer.history:
        print(f"  {count} features: estimated relative L2 error {error:.1e}")
    if answer.solution.corners:
        print(f"  with what is singular in {len(answer.solution.corners)} corners, by Williams' exponents")
    if not answer.met:
        print(
            f"  NOTE: the tolerance {tolerance:g} cannot be met, {answer.estimate:.1e} is the best: rounding or a "
            "singularity of the solution, in a corner or under the load, takes what more features would give"
        )
    found = fields.on_grid(answer.solution, x, y)
    corners = fields.corner_forces(answer.solution)
    print(f"  corner forces: {', '.join(f'{force:.4g} N at {corner}' for corner, force in corners.items())}")
    equilibrium, energy = fields.equilibrium_error(answer.solution), fields.energy_error(answer.solution)
    print(f"  out of balance: forces {equilibrium:.1e} of the load, energy {energy:.1e}")

    program.metric("compute_dtype", COMPUTE_DTYPE)
    if plate.load.kind in SMOOTH_LOADS:
        program.metric("estimated_error", answer.estimate)
        program.metric("equilibrium_error", equilibrium)
    program.metric("tolerance_met", answer.met)
    program.metric("features", answer.history[-1][0])
    program.metric("seconds", seconds)
    program.metric("energy_error", energy)
    for name, metric in [("Mx", "max_mx"), ("My", "max_my"), ("Mxy", "max_mxy")]:
        program.metric(metric, np.abs(found[name]).max())
    program.metric("corner_force", max(corners.values(), key=abs))
    true = []
    if reference is not None:
        true = true_errors(program, answer, found, x, y, reference)
    program.trace(**{name.lower(): found[name] for name in fields.UNITS if name != "w"})
    vtu.write(program.artefact("plate.vtu"), x, y, {name: found[name] for name in fields.UNITS})
    plots.convergence(answer.history, true, tolerance, program.artefact("convergence.png"))
    plots.forces(x, y, found, program.artefact("forces.png"))
    return found["w"]


def true_errors(
    program: Any, answer: accuracy.Answer, found: Mapping[str, np.ndarray], x: np.ndarray, y: np.ndarray, reference
) -> list[tuple[int, float]]:
    """Measure deflection and moments against the series; returns (features, error) for the convergence plot."""
    plate = answer.solution.plate
    relative, largest = errors(found["w"], reference)
    exact = {(m, n): levy.derivative(plate, x, y, m, n) for m, n in [(2, 0), (0, 2), (1, 1)]}
    exact = fields.from_derivatives(plate, {order: exact.get(order, 0 * reference) for order in fields.ORDERS})
    names = ("Mx", "My", "Mxy")
    moments = errors(np.stack([found[name] for name in names]), np.stack([exact[name] for name in names]))[0]
    print(f"  relative L2 error {relative:.1e}, largest error {largest:.1e} m; moments {moments:.1e}")
    if plate.load.kind in SERIES_LOADS:
        program.metric("relative_l2", relative)
        program.metric("max_error", largest)
        program.metric("moments_relative_l2", moments)
    few = slice(None, None, max(1, len(x) // 20))
    curve = [
        (units, errors(answer.solution.deflection(x[few], y[few], output), reference[few, few])[0])
        for units, output in answer.curve
    ]
    return [*curve, (len(answer.solution.work), relative)]


def by_ritz(program: Any, plate: Plate, x: np.ndarray, y: np.ndarray, reference: np.ndarray | None) -> np.ndarray:
    """The network trained on the energy. Returns the deflection (grid, grid) in metres."""
    import ritz

    print("deep Ritz network, trained by Gauss-Newton:")
    started = time.perf_counter()
    solution = ritz.train(plate, program.seed, program.parameters["ritz_steps"], kit.choose_dtype()[0])
    seconds = time.perf_counter() - started
    deflection = solution.deflection(x, y)
    program.used(*solution.weights)
    print(f"  {len(solution.energies) - 1} steps, energy {solution.energies[0]:.6g} to {solution.energies[-1]:.9g}")
    program.metric("ritz_energy_lowered", bool(solution.energies[-1] < solution.energies[0]))
    program.metric("ritz_seconds", seconds)
    if reference is not None:
        relative, largest = errors(deflection, reference)
        print(f"  relative L2 error {relative:.1e}, largest error {largest:.1e} m, after {seconds:.1f} s")
        if plate.load.kind in SERIES_LOADS:
            program.metric("ritz_relative_l2", relative)
            program.metric("ritz_max_error", largest)
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
    program.metric("pinn_loss_ratio", solution.losses[-1] / solution.losses[0])
    program.metric("pinn_seconds", seconds)
    if reference is not None:
        relative, largest = errors(deflection, reference)
        print(f"  relative L2 error {relative:.1e}, largest error {largest:.1e} m")
        if plate.load.kind in SERIES_LOADS:
            program.metric("pinn_relative_l2", relative)
            program.metric("pinn_max_error", largest)
    return deflection


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
        "features": ("Random features, one Ritz solve", by_features),
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
