"""What the simulated cards need of the harness: {root}, prepare, and that nobody runs on them unasked."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from harness import catalogue, probe, runs, stacks
from harness.cells import Cell
from harness.engines.local import LocalEngine
from harness.errors import BuildError

BOOK = catalogue.load()
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
    assert [finding.hardware.name for finding in runs.hardware_here(findings)] == ["cpu"]


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
        str(catalogue.ROOT / "hardware" / "sim" / "build.py"),
    ]
