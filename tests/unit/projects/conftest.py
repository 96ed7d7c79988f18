"""What the tests of programs share: loading a project's modules, and running its program.

Folders of projects ("04-plate") cannot be imported by name, and two of them may both have a `reference.py`.
So a test asks for a module by its path:

    def test_something(load):
        reference = load("04-plate/reference.py")

and, where the whole program has to be run, in a process of its own as a person would:

    def test_program(run_program):
        out = run_program("04-plate", "--part", "4", "--set", "grid=21")
        assert json.loads((out / "metrics.json").read_text())["relative_l2"] < 1e-6

A planted fault is seen by the judge itself:

    def test_a_lost_term(verdict, load, monkeypatch):
        ...
        assert verdict("4", "relative_l2", {"relative_l2": found}, grid=21) == "failed"
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from folders import PROJECTS

from harness.catalogue import entries
from harness.catalogue.entries import Metric
from harness.runs import judge
from harness.runs.judge import judge_metric

SEEN: dict[str, tuple[set[str], list[str]]] = {}  # of each function that plants faults: what failed, and its cases
sys.path.insert(0, str(PROJECTS))  # for `import kit`


@contextmanager
def _only(folder: Path) -> Iterator[None]:
    """Inside, `import reference` means the one in `folder`; afterwards that name means what it meant before."""
    names = {file.stem for file in folder.glob("*.py")}
    others = {name: sys.modules.pop(name) for name in names & sys.modules.keys()}
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in names & sys.modules.keys():
            del sys.modules[name]
        sys.modules.update(others)


@pytest.fixture(scope="session")
def load() -> Callable[[str], ModuleType]:
    """`load("08-ffn/reference.py")` gives the module, the same object for the same path in one session.

    The module may import its neighbours in the folder; a `main.py` is loaded without being run.
    """
    loaded: dict[str, ModuleType] = {}

    def by_path(path: str) -> ModuleType:
        if path not in loaded:
            file = PROJECTS / path
            name = "project_" + path.removesuffix(".py").replace("/", "_").replace("-", "_")
            spec = importlib.util.spec_from_file_location(name, file)
            assert spec and spec.loader, f"no module at {file}"
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module  # dataclasses look their module up while it is being loaded
            with _only(file.parent):
                spec.loader.exec_module(module)
            loaded[path] = module
        return loaded[path]

    return by_path


@pytest.fixture
def run_program(tmp_path: Path) -> Callable[..., Path]:
    """`run_program("04-plate", "--part", "4", …)` runs its main.py on the CPU, returns the folder it wrote.

    A word such as `"--device", "sim"` goes through as it is. A program that fails fails the test with its
    log.
    """

    def run(project: str, *words: str, **environment: str) -> Path:
        out = tmp_path / "out"
        command = [sys.executable, str(PROJECTS / project / "main.py"), "--out", str(out), *words]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, **environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
        )
        (tmp_path / "run.log").write_text(done.stdout)
        assert done.returncode == 0, done.stdout
        return out

    return run


@pytest.fixture(scope="session")
def verdict() -> Callable[..., str]:
    """`verdict("1", "matmul_error", metrics, size=64)` is the judge's word: passed, failed or not judged."""
    parts = entries.load().parts

    def judged(part: str, name: str, metrics: Mapping[str, Any], **parameters: Any) -> str:
        return judge_metric(parts[part], name, parameters, metrics).verdict

    return judged


@pytest.fixture(autouse=True)
def planted_faults_are_seen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test marked `plants(part, *metrics)` has seen each of these fail, once all its cases have run."""
    named = {name for mark in request.node.iter_markers("plants") for name in mark.args[1:]}
    if not named:
        yield
        return
    function = request.node.nodeid.partition("[")[0]
    failed, ran = SEEN.setdefault(function, (set(), []))
    judged = judge._metric

    def watched(metric: Metric, *more: Any) -> judge.Check:
        check = judged(metric, *more)
        failed.update({metric.name} if check.verdict == "failed" else ())
        return check

    monkeypatch.setattr(judge, "_metric", watched)
    yield
    ran.append(request.node.nodeid)
    if len(ran) == sum(item.nodeid.partition("[")[0] == function for item in request.session.items):
        assert named <= failed, f"its fault did not fail {', '.join(sorted(named - failed))}"
