"""The registry: what takes cells where, and that a new scheduler is one entry."""

from pathlib import Path
from typing import Any

import invoke
import pytest
from samples import a_catalogue, a_part, a_record

import tasks
from harness.catalogue import entries
from harness.cli.completion import candidates
from harness.dispatch import registry
from harness.dispatch.dispatcher import Outcome, RunRequest
from harness.errors import HomeworkError, UsageError
from harness.evidence.record import Record

BOOK = entries.load()


@pytest.mark.parametrize(
    ("on", "host", "name"),
    [
        ("auto", "", "Here"),
        ("container", "", "Here"),
        ("cloud", "", "Here"),  # which then says that it knows no such engine
        ("slurm", "", "Slurm"),
        ("slurm:container", "", "Slurm"),
        ("kubernetes", "", "Kubernetes"),
        ("auto", "ssh://box", "Ssh"),
        ("slurm", "ssh://box", "Ssh"),
    ],
)
def test_the_dispatcher_is_chosen_by_host_and_on(on: str, host: str, name: str) -> None:
    found = registry.dispatcher(on, host)
    assert type(found).__name__ == name
    assert all(callable(getattr(found, each)) for each in ("plan", "show", "run"))


class Cloud:
    """A scheduler that runs everything at once, and keeps what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []

    def plan(self, request: RunRequest) -> list[str]:
        return [str(cell) for cell in request.cells_elsewhere("the cloud")]

    def show(self, plan: list[str]) -> None:
        print(*plan)

    def run(self, plan: list[str], results: Path) -> Outcome:
        self.said += plan
        return Outcome([Record.read(self.folder)])


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, results: Path) -> Cloud:
    found = Cloud(a_record(results, "4", "cpu"))
    monkeypatch.setattr(tasks, "RESULTS", results)
    monkeypatch.setitem(registry.DISPATCHERS, "cloud", lambda: found)  # type: ignore[call-overload]
    return found


def run(**options: Any) -> None:
    tasks.run.body(invoke.Context(), **{"task": "4", "hw": "cpu", "on": "cloud:eu", **options})


def test_a_new_scheduler_is_one_entry(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    run(dry_run=True)
    assert capsys.readouterr().out == "4 on cpu\n" and cloud.said == []
    run(format="json")
    assert cloud.said == ["4 on cpu"] and str(cloud.folder / "record.json") in capsys.readouterr().out
    with pytest.raises(UsageError, match="which hardware"):
        run(hw="auto")
    assert "cloud" in candidates("run --on ", invoke.Collection.from_module(tasks))


def test_the_options_for_another_machine_are_those_that_were_given() -> None:
    request = RunRequest(catalogue=BOOK, parts=[BOOK.parts["4"]], task="4", settings=["grid=33", "method=pinn"], seed=7)
    assert request.options == (
        ["--task", "4", "--hw", "auto", "--on", "auto", "--seed", "7", "--set", "grid=33", "--set", "method=pinn"]
    )


def test_a_cell_is_asked_for_with_every_value_that_it_has() -> None:
    request = RunRequest(catalogue=a_catalogue(), parts=[a_part(timeout=7200.0, raised=True)], hw="cpu", on="x", seed=3)
    (cell,) = request.cells_elsewhere("x")
    assert cell.options[:8] == ["--task", "4", "--hw", "cpu", "--cards", "1", "--seed", "3"]
    assert "quick=false" in cell.options and cell.options[-2:] == ["--timeout", "7200s"]


def test_an_outcome_raises_what_went_wrong_else_what_failed(results: Path) -> None:
    good = Record.read(a_record(results))
    bad = Record.read(a_record(results, passed=False, verdict="failed"))
    assert good and not bad and bad.failed
    Outcome([good]).require_passed()
    with pytest.raises(HomeworkError, match="1 of 2 cells failed"):
        Outcome([good, bad]).require_passed()
    with pytest.raises(UsageError):
        Outcome([good], UsageError("no")).require_passed()


def test_what_programs_refuse_is_a_usage_error_as_long_as_nothing_else_failed(results: Path) -> None:
    def ended(code: int) -> Record:
        exit_ = {"reason": "finished", "code": code, "signal": None}
        return Record.read(a_record(results, passed=False, verdict="failed", exit=exit_))

    with pytest.raises(UsageError, match="1 of 1 cells failed"):
        Outcome([ended(2)]).require_passed()
    with pytest.raises(HomeworkError) as one:
        Outcome([ended(2), ended(1)]).require_passed()
    assert one.value.code == 1
