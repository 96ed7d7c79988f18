"""Task 13-1: convert a PyTorch project with PaConvert, mend what it leaves, and run the Paddle project.

    ./inv python projects/13-conversion/main.py --part 13-1 --device cpu --set example=gpt
    ./inv python projects/13-conversion/main.py --part 13-1 --set source=/path/to/a/pytorch/project

PaConvert marks calls that it does not know; rules.yaml mends what is known of them (mending.py). What is still marked
is reported by file and line, and then nothing is run: the project is not converted.
"""

import difflib
import re
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import execution
import mending
import paddle

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit

EXAMPLES = Path(__file__).resolve().parent / "examples"


def convert(source: Path, target: Path, log: Path) -> tuple[int, int]:
    """Run PaConvert; returns how many calls it says that it converted, and how many not."""
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "paconvert.main", "-i", str(source), "-o", str(target), "--log_dir", str(log)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0 or not log.is_file():
        kit.refuse(f"PaConvert failed on {source}:", f"{done.stdout[-500:]}{done.stderr[-1500:]}", exit_code=1)
    text = log.read_text(encoding="utf-8")
    return len(re.findall(r"\[Success\]", text)), len(re.findall(r"\[Not Support\]", text))


def side_by_side(source: Path, target: Path) -> str:
    """An HTML page for people: every file before and after."""
    before: list[str] = []
    after: list[str] = []
    for path in sorted(source.rglob("*.py")):
        name = path.relative_to(source)
        for lines, folder in ((before, source), (after, target)):
            lines += [f"# ==== {name} ====", *(folder / name).read_text(encoding="utf-8").splitlines(), ""]
    return difflib.HtmlDiff(wrapcolumn=80).make_file(before, after, "PyTorch", "Paddle")


def failure(error: BaseException, folder: Path) -> str:
    """What ended a script, as "file:line: what", with the last line of the project that it passed through."""
    inside = [each for each in traceback.extract_tb(error.__traceback__) if Path(each.filename).is_relative_to(folder)]
    frames = [each for each in inside if Path(each.filename).name not in execution.GENERATED] or inside
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{Path(error.filename).name}:{error.lineno}"
    else:
        place = f"{Path(frames[-1].filename).relative_to(folder)}:{frames[-1].lineno}" if frames else "before its code"
    reason = (str(error).strip().splitlines() or [""])[-1]
    return f"{place}: {type(error).__name__}: {reason}"


@dataclass(frozen=True)
class Executed:
    """What came of running a project: whether every script ran to its end, its functions, and how many were run."""

    ran: bool = False
    functions: int = 0
    executed: int = 0

    @property
    def share(self) -> float:
        return self.executed / max(1, self.functions)


def run(folder: Path, note: Callable[[Any], None]) -> Executed:
    """Run a Paddle project; prints where it fails and what was not executed. `note` is given what it had in hand."""
    executed: set[execution.Place] = set()
    defined: dict[execution.Place, str] = {}
    ran = False
    try:
        defined = execution.functions(folder)
        ran = execution.execute(folder, note, executed) > 0
        if not ran:
            print("  NOTHING TO RUN: no file of the project does something when it is run")
    except (Exception, SystemExit) as error:
        print(f"  FAILED {failure(error, folder)}")
    for place in sorted(set(defined) - executed):
        print(f"  not executed: {defined[place]}")
    return Executed(ran, len(defined), len(executed))


def main() -> None:
    program = kit.start(__file__, __doc__)
    source = Path(program.parameters["source"] or EXAMPLES / program.parameters["example"]).resolve()
    if not any(source.rglob("*.py")) or source in program.out.parents:
        kit.refuse(f"source={source} cannot be converted.", "There is no Python file in it, or --out lies in it.")

    # 1. PaConvert, and what it says of itself.
    started = time.perf_counter()
    target = program.artefact("converted")
    shutil.rmtree(target, ignore_errors=True)
    converted, left = convert(source, target, program.artefact("paconvert.log"))
    marked = len(mending.open_lines(target))
    print(f"PaConvert: {converted} of {converted + left} calls, {marked} lines open")

    # 2. The mending rules, and what they do not reach.
    used = mending.mend_folder(target)
    for name, count in used.items():
        print(f"  mended: {name}, {count} times")
    still = mending.open_lines(target)
    mended = sum(used[rule.name] for rule in mending.rules() if rule.marked)
    print(f"mended: {converted + mended} of {converted + left} calls, {len(still)} lines open")
    for line in still:
        print(f"  OPEN {line}")
    program.artefact("difference.html").write_text(side_by_side(source, target), encoding="utf-8")

    # 3. The Paddle project is run, if nothing is open.
    def note(value: Any) -> None:
        tensors = value.state_dict().values() if isinstance(value, paddle.nn.Layer) else [value]
        program.used(*(each for each in tensors if isinstance(each, paddle.Tensor) and each._is_initialized()))

    outcome = Executed() if still else run(target, note)
    print("converted and run" if outcome.ran else "NOT DONE: the project is not converted")

    program.metric("calls", converted + left)
    program.metric("rate_before", converted / max(1, converted + left))
    program.metric("rate_after", (converted + mended) / max(1, converted + left))
    program.metric("open_before", marked)
    program.metric("open_after", len(still))
    program.metric("ran", outcome.ran)
    program.metric("functions", outcome.functions)
    if not program.parameters["source"]:  # of another project only those that were not executed are named, above
        program.metric("functions_executed", outcome.share)
    program.metric("seconds", time.perf_counter() - started)
    program.finish()


if __name__ == "__main__":
    main()
