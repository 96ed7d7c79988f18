"""Programs with a fault in them: a copy of the projects in which a line was changed, run as a person would run it.

    changes = {"02-compiler/rules.py": [("is_softmax", "is_swiglu")]}
    metrics = run_mutant(tmp_path, "02-compiler/main.py", changes, "--set", "rows=64")
    assert verdicts("2-1", metrics, rows=64)["forward_error"] == "failed"

What it measures is judged as any run is: a check that passes it says nothing.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from folders import PROJECTS

from harness.catalogue import entries
from harness.runs.judge import judge_metric

Changes = Mapping[str, Sequence[tuple[str, str]]]


def run_mutant(folder: Path, program: str, changes: Changes, *words: str) -> dict[str, Any]:
    """The metrics of `program`, with each change (what stands in a file, what is put there) made in a copy.

    A change whose line is not there fails the test, and so does a program that does not end well.
    """
    copy = folder / "projects"
    needed = {"kit", Path(program).parts[0], *(Path(name).parts[0] for name in changes)}
    needed |= {"02-compiler"} if "03-decomposition" in needed else set()
    for name in needed:
        shutil.copytree(PROJECTS / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, edits in changes.items():
        text = (copy / name).read_text(encoding="utf-8")
        for old, new in edits:
            assert text.count(old) == 1, f"{name} has {text.count(old)} times: {old}"
            text = text.replace(old, new)
        (copy / name).write_text(text, encoding="utf-8")
    out = folder / "out"
    command = [sys.executable, "-W", "ignore", str(copy / program), "--out", str(out), *words]
    done = subprocess.run(command, cwd=folder, env=dict(os.environ), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads((out / "metrics.json").read_text()))


def verdicts(part: str, metrics: Mapping[str, Any], **parameters: Any) -> dict[str, str]:
    """The verdict on each judged metric of `part`, by name."""
    declared = entries.load().parts[part]
    return {
        name: judge_metric(declared, name, parameters, metrics).verdict
        for name, metric in declared.metrics.items()
        if metric.bounded
    }
