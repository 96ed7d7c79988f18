"""Task 13-2: the converted projects compute what PyTorch computes, layer by layer.

    ./inv python projects/13-conversion/same.py --part 13-2 --device cpu
    ./inv run --task 13-2 --set reference=/path/to/a/python/with/torch      # asks PyTorch now, in a process of its own
    ./inv run --task 13-2 --set source=/path/to/a/project --set reference=/path/to/python

Reference first: capture_torch.py saved what PyTorch does with the examples (reference.npz); of another project, whose
case.json says what is compared, it is asked. The converted projects are given its weights and its batches, and compute
the same: the output of every layer, every gradient, a hundred losses, the trained weights and the optimiser's states,
the buffers that training left, and what the model then gives in evaluation.
In float32 the goal is 1e-6, or four times what rounding alone makes of this model in PyTorch, if that is more; float64,
which rounds 2^29 times as finely, has to be that much closer. Weights that nobody sets are compared by distribution,
and what a data loader gives by content.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")
import batches
import capture_paddle
import conversion
import equality
import matplotlib.pyplot as plt
import numpy as np
from cases import EXAMPLES, Case, NoCase, read

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit

HERE = Path(__file__).resolve().parent
KINDS = ("output", "gradient", "loss", "trained")
Found = dict[str, list[equality.Difference]]  # by type of number


def read_reference(python: str, cases: list[Case]) -> dict[str, np.ndarray]:
    """The stored reference, one that capture_torch.py wrote, or what PyTorch says now under the Python named."""
    if python == "stored" or python.endswith(".npz"):
        file = HERE / "reference.npz" if python == "stored" else Path(python)
        try:
            found = dict(np.load(file))
        except (OSError, ValueError) as error:
            kit.refuse(f"reference={python} cannot be read.", f"{error}.", "Make it with capture_torch.py.")
        if absent := [case.name for case in cases if f"{case.name}/loss" not in found]:
            kit.refuse(
                f"reference={python} has no {absent[0]}.", "", "Name a Python that has torch and numpy, to ask it."
            )
        return found
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "reference.npz"
        command = [python, HERE / "capture_torch.py", target, *(case.folder for case in cases)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            kit.refuse(f"reference={python} cannot be started.", f"{error.strerror}.", "Name a Python.")
        if done.returncode != 0:
            kit.refuse(f"reference={python} failed.", *_cause(done.stderr))
        return dict(np.load(target))


def _cause(text: str) -> tuple[str, str]:
    """Why PyTorch's side failed, and what to do: the Python lacks something, or the project itself does not run."""
    lines = text.strip().splitlines() or ["no reason given"]
    if re.match(r"ModuleNotFoundError: No module named '(torch|numpy)'", lines[-1]):
        return lines[-1], "Name a Python that has torch and numpy; or take reference=stored."
    places = [line.strip() for line in lines if line.strip().startswith("File ") and str(HERE / "capture") not in line]
    where = [line for line in places if "site-packages" not in line and str(HERE / "examples") not in line][-1:]
    why = " ".join([lines[-1], *where])
    return why, "The project, or its case.json, fails in PyTorch itself: mend it there first."


def converted(case: Case, out: Path) -> tuple[Path, dict[str, list[int]]]:
    """The project, converted and mended, and where its lines stood."""
    out.mkdir(exist_ok=True)
    target = out / case.name
    found = conversion.convert(case.folder, target, out / f"{case.name}.log")
    if found.opened:
        kit.refuse(f"{case.name} is not converted: {found.opened[0]}", exit_code=1)
    return target, found.lines


def compare(case: Case, folder: Path, theirs: dict[str, np.ndarray], used: list) -> tuple[Found, list[str]]:
    """What differs by type of number, and the weights whose random start is of another distribution."""
    weights = {key.removeprefix("weight/"): value for key, value in theirs.items() if key.startswith("weight/")}
    own, again = (capture_paddle.start_arrays(capture_paddle.network(case, folder)) for _ in range(2))
    if own.keys() != weights.keys():
        names = ", ".join(sorted(own.keys() ^ weights.keys()))
        kit.refuse(f"{case.name}: other weights than in PyTorch: {names}", exit_code=1)
    ours = {kind: capture_paddle.capture(case, folder, weights, kind, used) for kind in ("float32", "float64")}
    exact = equality.differences(ours["float64"], theirs, exact=True)
    finer = {each.name: each.error for each in exact if each.equal}
    found = {"float32": equality.differences(ours["float32"], theirs, exact=False, finer=finer), "float64": exact}
    return found, [key for key in weights if not equality.alike(own[key], weights[key], again[key], len(weights))]


def report(case: Case, found: Found) -> None:
    """A line for each kind of array, and the first difference where there is one."""
    for kind in (*KINDS, *(kind for kind in ("buffer", "evaluated") if any(e.kind == kind for e in found["float64"]))):
        errors = "   ".join(f"{number} {equality.worst(found[number], kind):.1e}" for number in found)
        print(f"  {case.name:4} {kind:9} {errors}")
    for number, some in found.items():
        if bad := equality.first(some):
            print(
                f"  {case.name}, {number}: FIRST DIFFERENCE in {bad.name}: {bad.error:.1e}, allowed {bad.allowed:.1e}"
            )


def draw(found: dict[str, Found], path: Path) -> None:
    """Differences in the order of computing, one row of axes for each example."""
    figure, rows = plt.subplots(len(found), 1, figsize=(11, 3.2 * len(found)), layout="constrained", squeeze=False)
    for axes, (name, kinds) in zip(rows[:, 0], found.items(), strict=True):
        for number, some in kinds.items():
            line = axes.semilogy([max(each.error, 1e-18) for each in some], ".-", label=number)[0]
            axes.semilogy([each.allowed for each in some], "--", color=line.get_color(), linewidth=0.8)
        starts = [next(i for i, each in enumerate(some) if each.kind == kind) for kind in KINDS]
        for start, kind in zip(starts, KINDS, strict=True):
            axes.axvline(start - 0.5, color="grey", linewidth=0.5)
            axes.text(start, 0.98, kind, transform=axes.get_xaxis_transform(), va="top", fontsize=8)
        axes.set(title=f"{name}: Paddle against PyTorch, dashed: allowed", ylabel="relative difference")
        axes.legend(loc="center right")
    rows[-1, 0].set_xlabel("arrays in the order in which they are computed")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main() -> None:
    program = kit.start(__file__, __doc__)
    p = program.parameters
    examples = [folder for folder in EXAMPLES if p["example"] in ("all", folder.name)]
    cases = [read(folder) for folder in ([Path(p["source"]).resolve()] if p["source"] else examples)]
    reference = read_reference(p["reference"], cases)
    print(f"reference: {reference['versions']}, {p['reference']}")
    found: dict[str, Found] = {}
    begin_otherwise = 0
    for case in cases:
        prefix, used = f"{case.name}/", []
        theirs = {key.removeprefix(prefix): value for key, value in reference.items() if key.startswith(prefix)}
        folder, lines = converted(case, program.artefact("converted"))
        try:
            found[case.name], other = compare(case, folder, theirs, used)
        except Exception as error:  # it may be anything: another's code is run
            kit.refuse(
                f"{case.name}: the converted project fails: {conversion.failure(error, folder, lines)}", exit_code=1
            )
        report(case, found[case.name])
        for key in other:
            print(f"  {case.name}: {key} does not begin like PyTorch's")
        program.used(*used)
        begin_otherwise += len(other)
    for kind in ("float32", "float64"):
        program.metric(f"{kind}_equal", all(equality.first(each[kind]) is None for each in found.values()))
        for part in KINDS:
            program.metric(f"{kind}_{part}", max(equality.worst(each[kind], part) for each in found.values()))
    program.metric("initialised_otherwise", begin_otherwise)
    program.metric("batches_same", batches.same_batches())
    draw(found, program.artefact("differences.png"))
    program.finish()


if __name__ == "__main__":
    kit.main(main, NoCase)
