"""Task 4, the judge: of the program as it is, and of one with a fault."""

import dataclasses
import os
import signal
import subprocess
import sys

import pytest
from folders import PROJECTS
from plates import JUDGED, relative_l2

pytest.importorskip("paddle")
pytest.importorskip("matplotlib")


# What the judge says: of the program as it is, and of one with a fault


def test_the_program_as_it_is_passes(make, measure, judged):
    for edges, dtype in (("SFSF", "float64"), ("SCSF", "float32")):
        metrics = measure(make(edges=edges), dtype=dtype)
        assert {name: judged(name, metrics, edges=edges) for name in JUDGED} == dict.fromkeys(JUDGED, "passed")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_cantilever_passes_too_though_its_shear_force_has_no_bound(make, measure, judged, dtype):
    metrics = measure(make(edges="CFFF"), dtype=dtype)
    for name in ("estimated_error", "equilibrium_error", "energy_error"):
        assert judged(name, metrics, edges="CFFF") == "passed"


@pytest.mark.plants("4", "relative_l2", "energy_error")
def test_a_load_off_by_one_in_a_million_fails(plate, load, accuracy, measured, levy, judged, monkeypatch):
    Load = load("04-plate/loads.py").Load
    true, x_y = type(plate.load).quadrature, plate.grid(21)
    answer = None

    def wrong(self, *words):
        x, y, weights = true(self, *words)
        return x, y, weights * (1 + 1e-6)

    assert Load.__name__ == type(plate.load).__name__
    with monkeypatch.context() as patch:
        patch.setattr(type(plate.load), "quadrature", wrong)
        answer = accuracy.solve(plate, 1e-9, "float64")
    metrics = measured.features(answer, *x_y, levy.deflection(plate, *x_y)).metrics
    assert judged("relative_l2", metrics) == "failed" and judged("energy_error", metrics) == "failed"


@pytest.mark.plants("4", "relative_l2", "moments_relative_l2", "energy_error")
def test_poissons_term_of_the_wrong_sign_fails(plate, features, accuracy, measure, judged, monkeypatch):
    solve = features.solve

    class Wrong:
        def __getattr__(self, name):
            return -plate.poisson if name == "poisson" else getattr(plate, name)

    def wrong(of, *words):
        return dataclasses.replace(solve(Wrong(), *words), plate=of)

    monkeypatch.setattr(accuracy.features, "solve", wrong)
    metrics = measure(plate)
    for name in ("relative_l2", "moments_relative_l2", "energy_error"):
        assert judged(name, metrics) == "failed"


@pytest.mark.plants("4", "moments_relative_l2")
def test_a_twisting_moment_without_its_factor_fails(plate, measured, measure, judged, monkeypatch):
    true = measured.fields.from_derivatives
    monkeypatch.setattr(
        measured.fields, "from_derivatives", lambda of, d: {**(f := true(of, d)), "Mxy": f["Mxy"] / (1 - of.poisson)}
    )
    metrics = measure(plate)
    assert judged("moments_relative_l2", metrics) == "failed" and judged("relative_l2", metrics) == "passed"


@pytest.mark.plants("4", "estimated_error")
def test_a_cantilever_without_what_is_singular_in_its_corners_fails(make, accuracy, measure, judged, monkeypatch):
    monkeypatch.setattr(accuracy.features.corners, "corners", lambda plate: ())
    assert judged("estimated_error", measure(make(edges="CFFF")), edges="CFFF") == "failed"


@pytest.mark.plants("4", "equilibrium_error")
@pytest.mark.parametrize("edges", ["SFSF", "SSSS", "CFFF"])
def test_a_corner_force_that_is_left_out_fails(make, measured, measure, judged, monkeypatch, edges):
    true = measured.fields.corner_forces

    def wrong(*words):
        forces = true(*words)
        return {**forces, "+x+y": 0.0}

    monkeypatch.setattr(measured.fields, "corner_forces", wrong)
    assert judged("equilibrium_error", measure(make(edges=edges)), edges=edges) == "failed"


@pytest.mark.plants("4", "equilibrium_error")
def test_kirchhoffs_shear_force_taken_for_the_plain_one_fails(plate, measured, measure, judged, monkeypatch):
    true = measured.fields.from_derivatives
    monkeypatch.setattr(
        measured.fields, "from_derivatives", lambda of, d: {**(f := true(of, d)), "Vx": f["Qx"], "Vy": f["Qy"]}
    )
    assert judged("equilibrium_error", measure(plate)) == "failed"


KERNELS = [("Haswell", 1), ("SkylakeX", 2), ("Zen", 1), ("Nehalem", 2)]
PLATES = [("SFSF", "uniform", 1.0), ("SCSF", "sinusoidal", 0.5), ("SCSS", "sinusoidal", 1.0)]
RUNGS = [(18, False), (24, False), (16, True), (20, True)]  # at which rounding shows
PROMISE = """
import sys
sys.path.insert(0, sys.argv[1])
import accuracy, features, levy, numpy as np
from loads import Load
from plate import Plate
for edges, kind, width in PLATES:
    plate = Plate(edges=edges, width=width, load=Load(kind))
    x, y = plate.grid(21)
    exact = levy.deflection(plate, x, y)
    for degree, in_corners in RUNGS:
        solution = features.solve(plate, degree, "float64", in_corners)
        true = np.linalg.norm(solution.deflection(x, y) - exact) / np.linalg.norm(exact)
        estimate = accuracy.estimate_deflection(solution)
        print(edges, degree, in_corners, true, estimate.truncation, estimate.rounding)
"""


@pytest.mark.parametrize(("kernel", "threads"), KERNELS)
def test_the_estimate_keeps_its_promise_down_to_rounding_on_any_processor(accuracy, kernel, threads):
    """Errors lie within three times the estimate with four kernels of OpenBLAS; without its floor they do not."""
    variables = {"OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    program = PROMISE.replace("PLATES", repr(PLATES)).replace("RUNGS", repr(RUNGS))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(PROJECTS / "04-plate")],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    if done.returncode == -signal.SIGILL:
        pytest.skip(f"this processor lacks instructions of {kernel}")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert len(rows) == len(PLATES) * len(RUNGS)
    for *case, true, truncation, rounding in rows:
        assert float(true) < accuracy.TRUST * (float(truncation) + float(rounding)), case
    assert any(float(true) > accuracy.TRUST * float(truncation) for *_, true, truncation, _ in rows)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_rounding_is_that_of_the_solution(make, features, accuracy, levy, dtype):
    """Where nothing but rounding is left, the estimate is above the error and not above it by a thousand."""
    plate = make({"kind": "sinusoidal"}, edges="SCSS", width=1.5)
    x, y = plate.grid(21)
    solution = features.solve(plate, {"float64": 24, "float32": 16}[dtype], dtype)
    true = relative_l2(solution.deflection(x, y), levy.deflection(plate, x, y))
    rounding = accuracy.estimate_deflection(solution).rounding
    assert true / accuracy.TRUST < rounding < 1000 * true
