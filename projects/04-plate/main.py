"""Task 4: how far a thin rectangular plate bends under a uniform load, by a fourth-order equation.

    python projects/04-plate/main.py --part 4 --device cpu --seed 0 --out /tmp/plate --set method=all

The steps, in order: the plate (plate.py), its exact deflection for reference (levy.py), then the same by a
random-feature network whose output layer comes from one linear solve (ritz.py), or by PaddleScience's
physics-informed network (pinn.py), or by both, each held against the reference. No data are read: the points
are drawn here, and what must hold at them is the equation.
"""

import sys
import time
from pathlib import Path

import levy
import numpy as np
import plots
import ritz
from plate import Plate

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit


def errors(found: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """The relative L2 error (1) and the largest absolute error (that of the arguments, metres)."""
    difference = found - reference
    return float(np.linalg.norm(difference) / np.linalg.norm(reference)), float(np.abs(difference).max())


def main() -> None:
    program = kit.start(__file__, __doc__)
    method = program.parameters["method"]

    # 1. The plate. Its own numbers say whether the theory may be trusted, see step 5.
    plate = Plate()
    x, y = plate.grid(program.parameters["grid"])  # (grid,), (grid,)
    print(
        f"plate: {plate.length:g} m x {plate.width:g} m x {plate.thickness * 1e3:g} mm, "
        f"D = {plate.rigidity:.2f} N m, load {plate.load:g} Pa; "
        f"supported at x = ±{plate.length / 2:g} m, free at y = ±{plate.width / 2:g} m"
    )

    # 2. The reference: Lévy's series.
    reference = levy.deflection(plate, x, y)  # (grid, grid), rows are y
    print(f"reference, Lévy's series: at most {reference.max() * 1e3:.6f} mm")

    # 3. The random-feature network: hidden layer frozen, one linear solve (Ritz energy).
    deflections = {}  # by the name that the picture shows: (grid, grid) in metres
    if method in ("ritz", "all"):
        COMPUTE_DTYPE, COMPUTE_DTYPE_REASON = ritz.choose_dtype()
        print(
            f"random-feature network: features in {COMPUTE_DTYPE} ({COMPUTE_DTYPE_REASON}), "
            f"solve in float64 on the host"
        )
        started = time.perf_counter()
        solution = ritz.solve(plate, program.parameters["features"], program.seed, COMPUTE_DTYPE)
        deflection = solution.deflection(x, y)
        seconds = time.perf_counter() - started
        program.used(*solution.network.parameters)
        relative, largest = errors(deflection, reference)
        print(
            f"  {solution.output.size} features, {solution.directions} directions above the noise, "
            f"strain energy {solution.strain_energy:.9f} J"
        )
        print(f"  relative L2 error {relative:.1e}, largest error {largest:.1e} m, after {seconds:.2f} s")
        program.metric("compute_dtype", COMPUTE_DTYPE)
        program.metric("relative_l2", relative)
        program.metric("max_error", largest)
        program.metric("seconds", seconds)
        deflections["Random features, one Ritz solve"] = deflection

    # 4. The baseline: PaddleScience's physics-informed network, Adam and then L-BFGS.
    if method in ("pinn", "all"):
        import pinn  # seconds of import, and the only part that needs PaddleScience

        print("physics-informed network (PaddleScience):")
        started = time.perf_counter()
        solution = pinn.solve(
            plate,
            x,
            y,
            reference,
            program.artefact("paddlescience"),
            program.seed,
            program.parameters["adam_epochs"],
            program.parameters["lbfgs_epochs"],
        )
        deflection = solution.deflection(x, y)
        seconds = time.perf_counter() - started
        program.used(solution.model)
        relative, largest = errors(deflection, reference)
        print(f"  loss {solution.losses[0]:.3g} at first, {solution.losses[-1]:.3g} at last")
        print(f"  relative L2 error {relative:.1e}, largest error {largest:.1e} m, after {seconds:.1f} s")
        program.metric("pinn_relative_l2", relative)
        program.metric("pinn_max_error", largest)
        program.metric("pinn_seconds", seconds)
        deflections["PaddleScience PINN"] = deflection

    # 5. The answer is that of the finest method run. Then: may the equation be trusted with it?
    deflection = next(iter(deflections.values()))
    row, column = np.unravel_index(deflection.argmax(), deflection.shape)
    print(f"largest deflection: {deflection.max() * 1e3:.4f} mm at x = {x[column]:g} m, y = {y[row]:g} m")
    if deflection.max() > plate.thickness:
        print(
            f"WARNING: that is more than the plate's thickness, {plate.thickness * 1e3:g} mm, "
            "and so outside small-deflection theory.\n"
            "It is what the equation asks for; the real plate would also stretch, and bend less."
        )
    program.metric("max_deflection", deflection.max())
    program.trace(deflection=deflection)
    plots.compare(plate, x, y, deflections, reference, program.artefact("deflection.png"))
    program.finish()


if __name__ == "__main__":
    main()
