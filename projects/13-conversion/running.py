"""Each script of a project is run on both sides, in processes of its own, and what it shows is compared."""

import ast
import contextlib
import fcntl
import math
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import comparing
import sources
from environments import Pytorch

HERE = Path(__file__).resolve().parent
NUDGED = 8  # times what a change in the last bits makes of PyTorch itself
Place = tuple[str, int]


@dataclass
class Verdict:
    """What came of a script: whether it ran, and whether it computes the same."""

    script: str
    ran: bool = False
    equal: bool | None = None  # None: not compared
    why: str = ""
    executed: set[Place] = field(default_factory=set)
    places: dict[str, int] = field(default_factory=dict)
    compared: int = 0
    moved: int = 0  # values that the last bits change in PyTorch itself

    def __str__(self) -> str:
        if not self.ran:
            return f"FAILED {self.why}"
        if self.equal is None:
            return f"runs, not compared, because {self.why}"
        more = f"; {self.moved} more as far as PyTorch's own last bits let them be" if self.moved else ""
        return f"runs, equal ({self.compared} values{more})" if self.equal else f"runs, DIFFERS {self.why}"


@dataclass
class Runner:
    """Runs scripts of one project: `sides` are the folders of PyTorch's and Paddle's copies."""

    theirs: Path
    ours: Path
    lines: dict[str, list[int]]
    pytorch: Pytorch
    device: str
    seconds: int
    packages: dict[str, Path]

    def run(self, words: list[str]) -> Verdict:
        """Run one script, given as its words, on both sides."""
        verdict = Verdict(shlex.join(words))
        with tempfile.TemporaryDirectory() as temporary:
            ours, said = self._observe("paddle", words, Path(temporary), "plain")
            verdict.executed, verdict.places = ours.executed, ours.places
            if failed := self._failure(ours, said):
                verdict.why = failed
                self._explain(verdict, words, Path(temporary))
                return verdict
            verdict.ran = True
            if not self.pytorch.python:
                verdict.why = self.pytorch.why_not
                return verdict
            theirs, said = self._observe("torch", words, Path(temporary), "plain")
            if failed := self._failure(theirs, said, translate=False):
                verdict.why = f"PyTorch's own run fails: {failed}"
                return verdict
            self._judge(verdict, theirs, ours, words, Path(temporary))
        return verdict

    def _explain(self, verdict: Verdict, words: list[str], temporary: Path) -> None:
        """Say so if the project fails in PyTorch in the same way: then nothing is wrong with the conversion."""
        if self.pytorch.python:
            theirs, said = self._observe("torch", words, temporary, "plain")
            if failed := self._failure(theirs, said, translate=False):
                verdict.why += f" (so does PyTorch's own run: {failed})"

    def _judge(self, verdict: Verdict, theirs: Any, ours: Any, words: list[str], temporary: Path) -> None:
        verdict.compared = len(theirs.events)
        if not theirs.events:
            verdict.why = "it prints, saves and returns nothing"
            return
        wrong = _wrong(theirs, ours)
        if wrong and theirs.apart:
            ours.apart = theirs.apart
            wrong = _wrong(theirs.before, ours.before)
            if not wrong:
                verdict.why = theirs.apart[1]
                return
        if wrong:
            again, _ = self._observe("torch", words, temporary, "plain")
            wrong = self._steady(verdict, wrong, theirs, again)
        if wrong:
            nudged, _ = self._observe("torch", words, temporary, "nudge")
            before, wrong = wrong, _beyond(wrong, comparing.compare(theirs, nudged), nudged.drawn != theirs.drawn)
            verdict.moved = len(before) - len(wrong)
            verdict.compared -= verdict.moved
        if not wrong and verdict.compared <= 0:
            verdict.why = verdict.why or "the last bits of PyTorch's own numbers decide all that it shows"
        if verdict.why:
            return
        verdict.equal = not wrong
        if wrong:
            verdict.why = f"at {self._place(wrong[0])}: {wrong[0].what}"

    def _steady(
        self, verdict: Verdict, wrong: list[comparing.Difference], theirs: Any, again: Any
    ) -> list[comparing.Difference]:
        """Those differences where PyTorch itself gives the same from run to run."""
        unsteady = comparing.compare(theirs, again)
        places = {(each.where, each.line) for each in unsteady}
        left = [each for each in wrong if (each.where, each.line) not in places]
        if not left and len(unsteady) < len(theirs.events):
            verdict.compared = len(theirs.events) - len(unsteady)
        elif not left:
            verdict.why = f"PyTorch's own results change from run to run ({self._place(unsteady[0])})"
        return left

    @staticmethod
    def _place(difference: comparing.Difference) -> str:
        where = difference.where.replace(" ", f":{difference.line} ", 1)
        return where if " " in difference.where else f"{where}:{difference.line}" if difference.line else where

    def _observe(self, side: str, words: list[str], temporary: Path, nudge: str) -> tuple[comparing.Record, Any]:
        record = temporary / f"{side}-{nudge}"
        record.unlink(missing_ok=True)
        root = self.ours if side == "paddle" else self.theirs
        python = sys.executable if side == "paddle" else self.pytorch.python
        command = [
            python,
            "-W",
            "ignore",
            "-X",
            "faulthandler",
            str(HERE / "observing.py"),
            side,
            str(root),
            str(record),
        ]
        command += [nudge, self.device if side == "paddle" else "cpu", *words]
        environment = {**os.environ, "PYTHONHASHSEED": "0", "MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1"}
        environment["PYTHONPATH"] = str(self.packages.get(side, ""))
        folder = root / Path(words[0]).parent if words[0] != "-m" else root
        try:
            with terminal() as entered:
                done = subprocess.run(
                    command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace",
                    timeout=self.seconds, stdin=entered,
                )  # fmt: skip
        except subprocess.TimeoutExpired:
            return comparing.Record(), f"it runs longer than {self.seconds} s; give it shorter arguments by scripts="
        if side == "paddle" and nudge == "plain" and done.stdout.strip():
            print("\n".join(f"    {line}" for line in done.stdout.splitlines()[-12:]))
        found = comparing.read(record) if record.exists() else comparing.Record()
        return found, done

    def _failure(self, record: comparing.Record, said: Any, translate: bool = True) -> str:
        """What ended a script, in the person's lines; nothing if it came to its end."""
        if isinstance(said, str):
            return said
        if record.fault and "open" in record.fault:
            return f"{record.fault['open']} is open, and was reached"
        if not record.ended:
            return self._died(said, translate)
        if record.fault is None:
            return ""
        place = record.fault["place"]
        where = "before its code"
        if place:
            where = f"{place[0]}:{self._line(place[0], place[1]) if translate else place[1]}"
        return f"{where}: {record.fault['type']}: {record.fault['reason']}{hint(record.fault)}"

    def _line(self, name: str, line: int) -> int:
        lines = self.lines.get(name, [])
        return lines[line - 1] if 0 < line <= len(lines) else line

    def _died(self, said: Any, translate: bool) -> str:
        """A process that a signal ended: Python's fault handler says where."""
        root = self.ours if translate else self.theirs
        for name, line in re.findall(r'File "([^"]+)", line (\d+)', said.stderr):
            if name.startswith(f"{root}{os.sep}") and "/mended/" not in name:
                short = os.path.relpath(name, root)
                line = self._line(short, int(line)) if translate else line
                return f"{short}:{line}: the process died there (signal {-said.returncode})"
        return f"the process died (exit {said.returncode}): {(said.stderr.strip().splitlines() or [''])[-1][:200]}"


@contextlib.contextmanager
def terminal() -> Iterator[int]:
    """What a script reads from: a terminal of 80 columns, which some ask for, where nothing is typed."""
    master, entered = pty.openpty()
    try:
        fcntl.ioctl(entered, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        os.write(master, b"\x04" * 16)  # the end of what is read
        yield entered
    finally:
        os.close(master)
        os.close(entered)


def _wrong(theirs: comparing.Record, ours: comparing.Record) -> list[comparing.Difference]:
    return [each for each in comparing.compare(theirs, ours) if each.error > comparing.ROUNDING]


def _beyond(
    wrong: list[comparing.Difference], nudged: list[comparing.Difference], longer: bool = False
) -> list[comparing.Difference]:
    """Those differences that are more than what the last bits make of PyTorch itself.

    Where they decide how often something is done, or how many numbers are drawn (`longer`), what the script ends with
    is no measure if it moves at all.
    """
    moved: dict[str, float] = {}
    for each in nudged:
        moved[each.where] = max(moved.get(each.where, 0.0), each.error)
    if longer or any(each.counted for each in nudged):
        moved |= {each.where: math.inf for each in nudged if each.what.startswith("variable")}
    return [each for each in wrong if each.error > NUDGED * moved.get(each.where, 0.0)]


def summary(verdicts: list[Verdict]) -> dict[str, bool | int]:
    """How many scripts ran, and how many of them compute what PyTorch computes."""
    return {
        "ran": bool(verdicts) and all(each.ran for each in verdicts),
        "scripts": len(verdicts),
        "equal": sum(each.equal is True for each in verdicts),
        "differs": sum(each.equal is False for each in verdicts),
        "not_compared": sum(each.ran and each.equal is None for each in verdicts),
    }


HINTS = (
    (r"No module named '(\w+)'", "add it by --set requires={0}"),
    (r"the following arguments are required: (.*)", "give them by --set scripts=..."),
    (r"it ended with 2", "it wants arguments: --set scripts=\"FILE --option value\""),
    (r"read-only", "PyTorch shares the memory of an array that became a tensor, Paddle copies it"),
)  # fmt: skip


def hint(fault: dict[str, Any]) -> str:
    """What to do about an error that is understood."""
    for pattern, words in HINTS:
        if match := re.search(pattern, fault["reason"]):
            return f"   ({words.format(*match.groups())})"
    return ""


def asked(text: str) -> list[list[str]]:
    """`scripts=`: commands parted by ; each as its words, with or without `python` before. A notebook is its script."""
    found = []
    for part in text.split(";"):
        words = shlex.split(part)
        while words and Path(words[0]).name in ("python", "python3"):
            words.pop(0)
        if words:
            found.append([re.sub(r"\.ipynb$", ".py", words[0]), *words[1:]])
    return found


def commands(folder: Path) -> list[list[str]]:
    """How each script is run: as a file, or as a module if it imports relatively."""
    found = []
    for script in sources.scripts(folder):
        if _relative(sources.read(folder / script)) and len(script.parts) > 1:
            found.append(["-m", ".".join(script.with_suffix("").parts).removesuffix(".__main__")])
        else:
            found.append([str(script)])
    return found


def _relative(text: str) -> bool:
    return any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(ast.parse(text)))


def functions(folder: Path, names: list[str]) -> dict[Place, str]:
    """Every function of the person's files in `folder`, under file and first line."""
    found = {}
    for path, tree in sources.readable(folder):
        name = str(path)
        for node in ast.walk(tree) if name in names else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                line = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                found[name, line] = node.name
    return found
