"""What the simulated cards need of the harness: {root}, prepare, and that nobody runs on them unasked."""

import dataclasses
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from harness.catalogue import entries
from harness.catalogue.cells import Cell
from harness.checkout import ROOT
from harness.engines.local import LocalEngine
from harness.environments import stacks
from harness.errors import BuildError
from harness.machine import probe
from harness.runs import runner

BOOK = entries.load()
SIM = BOOK.hardware["sim"]


def test_the_lister_of_the_checkout_lists_as_many_cards_as_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIM_CARDS", "3")
    monkeypatch.setenv("SIM_MEMORY", "2G")
    cards = probe.probe(SIM).cards
    assert [(card.index, card.model, card.memory) for card in cards] == [
        (str(number), "simulated card", "2048 MiB") for number in range(3)
    ]


def test_auto_leaves_simulated_cards_out() -> None:
    findings = [probe.probe(SIM), probe.probe(BOOK.hardware["cpu"])]
    assert [finding.hardware.name for finding in runner.hardware_here(findings)] == ["cpu"]


@pytest.mark.parametrize("code", [0, 5])
def test_prepare_runs_with_the_stacks_python(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    called = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        called.append(command)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr("harness.engines.local.subprocess.run", run)
    monkeypatch.setattr(stacks, "prepare", lambda stack: dataclasses.replace(stack, folder=Path(sys.prefix)))
    cell = Cell(BOOK.parts["8-1"], SIM)
    if code:
        with pytest.raises(BuildError):
            LocalEngine().prepare(cell)
    else:
        LocalEngine().prepare(cell)
    assert [str(word) for word in called[0]] == [
        str(Path(sys.prefix) / "bin" / "python"),
        str(ROOT / "hardware" / "sim" / "build.py"),
    ]


@pytest.fixture
def build() -> ModuleType:
    path = ROOT / "hardware" / "sim" / "build.py"
    specification = importlib.util.spec_from_file_location("sim_build", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("processors", [1, 2, 64])
def test_every_file_of_the_plugin_is_compiled_once(
    monkeypatch: pytest.MonkeyPatch, build: ModuleType, processors: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(processors)))
    units = build.units()
    files = [path for unit in units for path in unit]
    assert sorted(files) == sorted(build.PLUGIN.rglob("*.cc"))
    kernels = [unit for unit in units if unit[0].parent.name == "kernels"]
    assert len(kernels) == min(processors, len(list((build.PLUGIN / "kernels").glob("*.cc"))))


def test_a_file_depends_on_the_headers_that_it_includes_and_those_include(build: ModuleType) -> None:
    names = {path.name for path in build._with_headers(build.PLUGIN / "collectives.cc")}
    assert {"collectives.cc", "communicator.h", "arena.h", "transfers.h"} <= names
    assert not names & {"kernels.h", "memory.h"}
