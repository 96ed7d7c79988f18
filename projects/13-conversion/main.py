"""Task 13-1: convert a PyTorch project to Paddle, run both, and compare what they compute.

    ./inv python projects/13-conversion/main.py --part 13-1 --device cpu --set example=gpt
    ./inv python projects/13-conversion/main.py --part 13-1 --set source=/path/to/a/pytorch/project

What PaConvert would convert wrongly is mended before (mending.py), what is left is open, is named by the person's file
and line, and ends the program there should it be reached. Each script runs in PyTorch and in Paddle, in processes of
its own and with the same random numbers (observing.py), and what it prints, saves and returns is compared
(comparing.py).
"""

import difflib
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import conversion
import environments
import running
import sources
from conversion import Conversion
from running import Runner, Verdict

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import time

import kit

EXAMPLES = Path(__file__).resolve().parent / "examples"


def side_by_side(source: Path, target: Path, names: list[str]) -> str:
    """An HTML page for people: every file before and after."""
    before: list[str] = []
    after: list[str] = []
    for name in names:
        if (source / name).is_file() and (target / name).is_file():
            before += [f"# ==== {name} ====", *sources.read(source / name).splitlines(), ""]
            after += [f"# ==== {name} ====", *(target / name).read_text(encoding="utf-8").splitlines(), ""]
    return difflib.HtmlDiff(wrapcolumn=80).make_file(before, after, "PyTorch", "Paddle")


def run_all(found: Conversion, source: Path, target: Path, program: kit.Program) -> list[Verdict]:
    """Every script on both sides, in copies that earlier scripts may have written into."""
    p = program.parameters
    try:
        pytorch = environments.pytorch(p["pytorch"])
        with tempfile.TemporaryDirectory() as temporary:
            theirs, ours = Path(temporary) / "pytorch", Path(temporary) / "paddle"
            sources.take(source, theirs)
            shutil.copytree(target, ours)
            packages = environments.Packages(p["requires"].replace(",", " ").split())
            packages.install("paddle", sys.executable, Path(temporary) / "for-paddle")
            if pytorch.python:
                packages.install("torch", pytorch.python, Path(temporary) / "for-pytorch")
            runner = Runner(theirs, ours, found.lines, pytorch, program.device, p["seconds"], packages.folders)
            verdicts = []
            for words in running.asked(p["scripts"]) or running.commands(theirs):
                print(f"  python {' '.join(words)}")
                verdicts.append(runner.run(words))
                print(f"  {verdicts[-1]}")
            return verdicts
    except environments.NoEnvironment as error:
        kit.refuse(str(error), "", "Name packages as pip does; give pytorch= a Python that has torch.")


def report(found: Conversion, target: Path, verdicts: list[Verdict]) -> tuple[int, int]:
    """A line for each file, and the functions that were not executed; their number, and how many were."""
    executed = set().union(*(each.executed for each in verdicts)) if verdicts else set()
    names = sorted(found.lines)
    defined = running.functions(target, names)
    run = {name for name, _ in executed}
    print(f"{'file':32} {'mended':>7} {'open':>5}  functions executed")
    for name in sorted({*names, *found.open}):
        own = [place for place in defined if place[0] == name]
        count = sum(place in executed for place in own)
        state = f"{count} of {len(own)}" if own else "executed" if name in run else "-"
        print(f"{name:32} {found.mended.get(name, 0):7} {len(found.open.get(name, [])):5}  {state}")
    for name, line in sorted(set(defined) - executed):
        if name in run:
            print(f"  not executed: {name}:{found.lines[name][line - 1]} {defined[name, line]}")
    return len(defined), len(executed & set(defined))


def conclude(found: Conversion, verdicts: list[Verdict]) -> str:
    """The last line: what may be said of the project."""
    count = len(found.opened)
    lines = [f"{count} lines are open"] if count else []
    if failed := sum(not each.ran for each in verdicts):
        return f"NOT DONE: {', '.join([*lines, f'{failed} of {len(verdicts)} scripts fail'])}"
    if count and verdicts and all(each.equal for each in verdicts):
        return f"NOT DONE: {count} lines are open, none of them was reached; what ran is equal"
    if count and not any(each.equal is False for each in verdicts):
        return f"NOT DONE: {count} lines are open"
    if not verdicts:
        return "NOTHING TO RUN: no file of the project does something when it is run; name commands by scripts="
    if any(each.equal is False for each in verdicts):
        return "NOT RIGHT: the project runs, and computes something else"
    if all(each.equal for each in verdicts):
        return "converted, run and equal"
    return f"converted and run; {sum(each.equal is None for each in verdicts)} of {len(verdicts)} scripts not compared"


def main() -> None:
    program = kit.start(__file__, __doc__)
    source = Path(program.parameters["source"] or EXAMPLES / program.parameters["example"]).resolve()
    if not source.is_dir() or not sources.files(source) or source in program.out.parents or source == program.out:
        kit.refuse(f"source={source} cannot be converted.", "It is no folder with Python files, or --out lies in it.")
    started = time.perf_counter()
    target = program.artefact("converted")
    try:
        found = conversion.convert(source, target, program.artefact("paconvert.log"))
    except RuntimeError as error:
        kit.refuse(f"PaConvert failed on {source}:", str(error), exit_code=1)
    mended = sum(found.used.values())
    print(f"mended by rules: {mended} names; PaConvert: {found.converted} of {found.converted + found.left} calls")
    for name, count in found.used.most_common(12):
        print(f"  mended: {name}, {count} times")
    for line in found.opened:
        print(f"  OPEN {line}")
    program.artefact("difference.html").write_text(side_by_side(source, target, sorted(found.lines)), encoding="utf-8")
    verdicts = run_all(found, source, target, program)
    functions, executed = report(found, target, verdicts)
    print(conclude(found, verdicts))
    for each in verdicts:
        program._places += Counter(each.places)
    metrics(program, found, verdicts, functions, executed, mended)
    program.metric("seconds", time.perf_counter() - started)
    program.finish()


def metrics(
    program: kit.Program, found: Conversion, verdicts: list[Verdict], functions: int, executed: int, mended: int
) -> None:
    calls = found.converted + found.left + mended
    open_lines = len(found.opened)
    program.metric("calls", calls)
    program.metric("rate_before", found.converted / max(1, calls))
    program.metric("rate_after", min(1.0, max(0.0, (calls - max(open_lines, found.left)) / calls)) if calls else 0.0)
    program.metric("open_after", open_lines)
    for name, value in running.summary(verdicts).items():
        program.metric(name, value)
    if not program.parameters["source"]:  # of another project only those that were not executed are named, above
        program.metric("functions", functions)
        program.metric("functions_executed", executed / max(1, functions))


if __name__ == "__main__":
    main()
