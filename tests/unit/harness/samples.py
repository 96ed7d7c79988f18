"""Small examples that the harness's tests share: a kind, a part, a record, a tree of data files."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.catalogue.cells import CellRequest
from harness.catalogue.entries import Catalogue, Hardware, Metric, Parameter, Part, Rule
from harness.engines.choosing import engines
from harness.evidence import statements
from harness.evidence.records import LOG, Draft
from harness.evidence.verdicts import overall
from harness.machine.probe import Finding
from harness.points.scoring import Result
from harness.runs.judge import judge, read_measurements
from harness.runs.processes import Ending
from harness.runs.runner import Planned

FINISHED = Ending("finished", 0, None, 1.5, 5, 0)
GOOD_DEVICE = {"device": "cpu:0", "places": {"Place(cpu)": 3}, "kernels": {"matmul": True}}
CPU_DATA = {
    "name": "cpu",
    "title": "CPU",
    "wheels": {"packages": ["paddlepaddle"], "python": ["3.10", "3.11", "3.12"], "machines": ["x86_64", "aarch64"]},
    "lister": {"command": ["lscpu"], "card": r"^Model name: +(?P<model>\S.*)$"},
    "install": "apt-get install util-linux.",
}


def a_kind(name: str = "cpu", category: str = "cpu", aliases: tuple[str, ...] = (), **data: Any) -> Hardware:
    """A kind of hardware; `data` replaces fields of its data file."""
    return Hardware(
        name=name,
        title=name.upper(),
        aliases=aliases,
        category=category,
        device=name,
        environment={},
        data={**CPU_DATA, "name": name, **data},
    )


def a_cell_entry(finding: Finding, engine: str | None = "local") -> Planned:
    """A planned cell on what was found; without an engine it is left out."""
    chosen = engines()[engine] if engine else None
    request = CellRequest(part=a_part(), kind=finding.hardware, parameters={})
    return Planned(request, chosen, "", finding)


def a_rule(name: str = "once", value: float = 3, limit: float | None = None, **more: Any) -> Rule:
    limit = value if limit is None else limit
    return Rule(name=name, value=value, limit=limit, **{"upper": limit, **more})


def a_part(name: str = "4", **more: Any) -> Part:
    """A part with one parameter of each type and one bounded metric."""
    parameters = {
        "grid": Parameter(name="grid", default=101, help="points", at_least=11, at_most=1001),
        "method": Parameter(name="method", default="ritz", help="how", choices=("ritz", "pinn")),
        "rate": Parameter(name="rate", default=0.5, help="rate", at_least=0.0, at_most=1.0),
        "quick": Parameter(name="quick", default=False, help="short"),
    }
    fields: dict[str, Any] = {
        "slug": f"{int(name.partition('-')[0]):02}-plate",
        "title": "A plate",
        "title_zh": "薄板",
        "quote": "求解",
        "evidence": "链接",
        "reading": "any device",
        "stack": "base",
        "program": Path("main.py"),
        "timeout": 60.0,
        "parameters": parameters,
        "profiles": {"full": {"method": "pinn"}},
        "metrics": {"error": Metric(name="error", unit="1", at_most=0.1, when={})},
        "rules": (a_rule(),),
    }
    return Part(name=name, **{**fields, **more})


def a_catalogue(*parts: Part, kinds: tuple[Hardware, ...] = ()) -> Catalogue:
    kinds = kinds or (a_kind(), a_kind("cuda", "gpu", ("gpu", "nvidia")), a_kind("sim", "simulated"))
    return Catalogue({kind.name: kind for kind in kinds}, {part.name: part for part in parts or (a_part(),)})


def a_result(part: str = "4", hardware: str = "cpu", model: str = "A", **more: Any) -> Result:
    fields: dict[str, Any] = {
        "architecture": None,
        "cards": 1,
        "day": "2026-11-22",
        "verdict": "passed",
        "run": "run",
    }
    return Result(part=part, hardware=hardware, model=model, **{**fields, **more})


def remount_read_only(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)


_numbers = iter(range(10**6))


def before_run(
    part: str = "4", kind: str = "cpu", model: str = "Processor A", day: str = "2026-11-22"
) -> dict[str, Any]:
    """What a record says before its program runs. Every call has an id of its own, later ones sort behind."""
    number = next(_numbers)
    moment = f"{number // 3600 % 24:02}{number // 60 % 60:02}{number % 60:02}"
    return {
        "id": f"{day.replace('-', '')}T{moment}.000Z-{number:06x}",
        "cell": {"part": part, "hardware": kind},
        "program": {"file": "projects/04-plate/main.py", "revision": None, "clean": None},
        "parameters": {"method": "ritz"},
        "seed": 0,
        "cards": 1,
        "hardware": {
            "model": model,
            "architecture": None,
            "driver": None,
            "cards": [],
            "machine": "x86_64",
            "system": "Debian",
            "kernel": "6.1",
        },
        "times": {"started": f"{day}T{moment[:2]}:{moment[2:4]}:{moment[4:]}.000Z"},
    }


def outcome(folder: Path, part: Part, kind: Hardware, record: Mapping[str, Any]) -> dict[str, Any]:
    """What a finished run adds to its record, judged from the files in `folder`."""
    measured = read_measurements(folder)
    checks = judge(part, kind, record["parameters"], FINISHED, measured)
    started = record["times"]["started"]
    return {
        "times": {"started": started, "finished": started, "seconds": 1.5},
        "exit": {"reason": "finished", "code": 0, "signal": None},
        "log": {"bytes": 5, "left_out": 0},
        "metrics": measured.metrics,
        "device": measured.device,
        "checks": [check.as_dict() for check in checks],
        "verdict": overall(check.verdict for check in checks),
        "passed": all(check.passed for check in checks),
    }


def a_record(
    results: Path,
    part: str = "4",
    kind: str = "cpu",
    model: str = "Processor A",
    day: str = "2026-11-22",
    error: float = 0.01,
    judged_as: Part | None = None,
    files: Mapping[str, bytes] | None = None,
    **changes: Any,
) -> Path:
    """Seal a record of a run that finished with that error (over 0.1 fails) and left these files, too."""
    with Draft(results, before_run(part, kind, model, day)) as draft:
        (draft.folder / "metrics.json").write_text(json.dumps({"error": error}))
        (draft.folder / "device.json").write_text(json.dumps({"device": kind, "places": {f"Place({kind}:0)": 3}}))
        (draft.folder / LOG).write_text("hello")
        for name, content in (files or {}).items():
            (draft.folder / name).parent.mkdir(exist_ok=True)
            (draft.folder / name).write_bytes(content)
        found = outcome(draft.folder, judged_as or a_part(part), a_kind(kind), draft.record)
        draft.record.update({**found, **changes})
        statements.write(draft.folder, draft.record)
        return draft.seal().folder


LEFT_OUT = Metric(name="error", at_most="u_float32", judged_when="method == 'pinn'", otherwise="no bound", when={})
WHY_LEFT_OUT = "error (at most u_float32, when method == 'pinn'): no bound"


def a_record_not_judged(results: Path, part: str = "4", **changes: Any) -> Path:
    """Seal a record of a run that is not judged, for WHY_LEFT_OUT."""
    return a_record(results, part, judged_as=a_part(part, metrics={"error": LEFT_OUT}), **changes)


HARDWARE_FILE = r"""name: cpu
title: CPU
aliases: [processor]
vendor: any
class: cpu
device: cpu
image:
  base: python:3.10
wheels:
  packages: [paddlepaddle]
  python: ["3.10", "3.11"]
  machines: [x86_64]
environment: {FLAGS_x: "1"}
lister:
  command: [lscpu]
  card: 'Model name: +(?P<model>\S.*)$'
  driver: 'Driver (?P<driver>\S+)'
requires:
  driver: ">=1.0"
  sdks:
    - {name: SDK, version: ">=2.0", files: [/opt/version], read: 'v(?P<version>\S+)'}
install: Install lscpu.
distributed: {backend: gloo}
"""

PROJECT_FILE = """title: A plate
title_zh: 薄板
stack: base
uses: [kit]
parts:
  "4":
    quote: 求解
    evidence: 链接
    reading: any device
    program: main.py
    timeout: 10 min
    parameters:
      grid: {default: 101, at_least: 11, at_most: 1001, help: points}
      method: {default: ritz, choices: [ritz, pinn], help: how}
    profiles:
      full: {method: pinn}
    metrics:
      error: {unit: "1", at_most: 1.0e-6}
      seconds: {unit: s, when: {method: [pinn]}}
    points:
      - {rule: once, value: 3, needs: [link]}
"""


class Tree:
    """A folder with hardware/ and projects/, in which a test makes its mistakes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.hardware = root / "hardware" / "cpu" / "hardware.yaml"
        self.project = root / "projects" / "04-plate" / "project.yaml"
        for path, text in ((self.hardware, HARDWARE_FILE), (self.project, PROJECT_FILE)):
            path.parent.mkdir(parents=True)
            path.write_text(text, encoding="utf-8")
        (self.project.parent / "main.py").write_text("")
        (root / "projects" / "kit").mkdir()

    def change(self, path: Path, old: str, new: str) -> int:
        """Replace `old`, once; the line of the change is returned, from 1."""
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
        path.write_text(text.replace(old, new), encoding="utf-8")
        return text[: text.index(old)].count("\n") + 1


def unfinished(results: Path) -> list[str]:
    """The runs that a results folder has and that are not sealed."""
    folder = results / ".unfinished"
    return sorted(os.listdir(folder)) if folder.exists() else []


def failures(checks):
    """Why each of the checks that failed did, by name."""
    return {check.name: check.why for check in checks if not check.passed}
