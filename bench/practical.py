"""Task 5 against its peers: one inversion, its error and its CPU time, medians over seeds, interleaved.

    .stacks/science/bin/python bench/practical.py [seeds]

The peers are SciPy's least squares with Tikhonov's penalty on finite differences (told the true noise, which ours has
to estimate), and PaddleScience's physics-informed network. Each sees the same readings, in turn.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # small matrices: more threads only wait for each other
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "projects" / "05-practical"))  # before bench/inference.py

import classical
import experiment as simulated
import inference
import numpy as np
from bar import Bar, Model, Unknowns

STACK = "science"  # that ./inv bench runs it in

NOISE, GUESS, PINN_SEEDS = 0.1, (100.0, 10.0), 2


def main() -> None:
    """Measure and print the table."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    bar = Bar()
    model = Model(bar, Unknowns(bar.length))
    x = np.linspace(0.02, 0.98, 49) * bar.length
    inner = (x > 0.1 * bar.length) & (x < 0.9 * bar.length)
    truth = simulated.true_conductivity(bar, x)
    times, positions, exact = simulated.simulate(bar, np.linspace(0.02, 0.98, 6) * bar.length)
    everything = exact + NOISE * np.random.default_rng(0).normal(size=(seeds, len(exact)))
    rows: dict[str, list[tuple[float, float, float, float]]] = {}

    def note(name: str, k: np.ndarray, loss: float, seconds: float) -> None:
        errors = simulated.relative_l2(k, truth), simulated.relative_l2(k[inner], truth[inner])
        rows.setdefault(name, []).append((*errors, abs(loss / simulated.TRUE_LOSS - 1), seconds))

    start = np.append(np.full(model.unknowns.splines, np.log(GUESS[0])), np.log(GUESS[1]))
    model.predict(np.zeros((1, model.unknowns.count)), times[:1], positions[:1])  # fills the caches
    for one in everything:
        started = time.process_time()
        found = inference.infer(model, times, positions, one[None], GUESS)
        note(
            "this program: Paddle, splines, with uncertainty",
            np.exp(found.log_conductivity(x)[0][0]),
            found.loss[0],
            time.process_time() - started,
        )
        started = time.process_time()
        solution = classical.solve(bar, times, positions, one, NOISE, GUESS)
        note("SciPy, Tikhonov", solution.conductivity(x), solution.loss, time.process_time() - started)
        started = time.process_time()
        theta = classical.solve_splines(bar, model.unknowns, times, positions, one, start)
        k, seconds = model.unknowns.conductivity(theta, x), time.process_time() - started
        note("SciPy, the same splines, no penalty", k, np.exp(theta[-1]), seconds)
        started = time.process_time()
        k, loss, _ = classical.solve_constant(bar, times, positions, one, GUESS)
        note("SciPy, one constant k", np.full(len(x), k), loss, time.process_time() - started)
    started = time.process_time()
    many = inference.infer_many(model, times, positions, everything, GUESS, start)
    seconds = (time.process_time() - started) / seeds
    for log_k, loss in zip(many.log_conductivity(x)[0], many.loss, strict=True):
        note(f"this program, {seeds} seeds in a batch", np.exp(log_k), loss, seconds)

    import pinn  # after the others: seconds of import

    with tempfile.TemporaryDirectory() as folder:
        for seed, one in enumerate(everything[:PINN_SEEDS]):
            started = time.process_time()
            trained = pinn.solve(bar, times, positions, one, GUESS, Path(folder), seed)
            seconds = time.process_time() - started
            note(f"PaddleScience PINN, {PINN_SEEDS} seeds", trained.conductivity(x), trained.loss, seconds)

    print(f"\nmedians over {seeds} seeds, noise {NOISE:g} K\n")
    print("| method | error of k | of k, middle 80 % | error of h | CPU seconds |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, values in rows.items():
        k, middle, loss, seconds = np.median(values, axis=0)
        print(f"| {name} | {100 * k:.2g} % | {100 * middle:.2g} % | {100 * loss:.2g} % | {seconds:.2g} |")


if __name__ == "__main__":
    main()
