"""Pairs: the latest passing runs that are alike, of the kinds that were named."""

from pathlib import Path

import pytest
from samples import a_catalogue, a_part, a_record

from harness.comparison import pairs, references
from harness.errors import UsageError

BOOK = a_catalogue()
PART = a_part()


def choose(results: Path, hw: str = "", run: str = "", reference: bool = False) -> list[tuple[str, str]]:
    found = pairs.choose(BOOK, results, [PART], hw, run, reference)
    return [(then.name, now.name) for _, then, now in found]


def test_the_first_kind_is_what_the_others_are_held_against(results: Path) -> None:
    a_record(results, kind="cpu")
    cpu, cuda, sim = (a_record(results, kind=kind) for kind in ("cpu", "cuda", "sim"))
    assert choose(results, "cpu,sim") == [(cpu.name, sim.name)]
    assert choose(results, "sim,cpu") == [(sim.name, cpu.name)]
    assert choose(results) == [(cpu.name, cuda.name), (cpu.name, sim.name)]


def test_failed_damaged_and_unlike_runs_are_passed_over(results: Path) -> None:
    cpu, sim = a_record(results, kind="cpu"), a_record(results, kind="sim")
    a_record(results, kind="sim", error=1.0)
    a_record(results, kind="sim", seed=7)
    a_record(results, kind="sim", parameters={"method": "pinn"})
    (a_record(results, kind="sim") / "record.json").write_text("{}")
    assert choose(results, "cpu,sim") == [(cpu.name, sim.name)]


def test_runs_are_named_by_the_beginning_of_their_ids(results: Path) -> None:
    first, second = a_record(results), a_record(results, seed=7)
    assert choose(results, run=f"{first.name},latest") == [(first.name, second.name)]
    with pytest.raises(UsageError, match="different parts"):
        choose(results, run=f"{first.name},{a_record(results, part='5').name}")
    with pytest.raises(UsageError, match="One run alone"):
        choose(results, run=first.name)


def test_every_kind_is_held_against_the_reference(results: Path) -> None:
    committed = {"file": "main.py", "revision": "a" * 40, "clean": True}
    cpu, sim = a_record(results, kind="cpu", program=committed), a_record(results, kind="sim")
    latest = pairs.latest(results, PART, BOOK.hardware["cpu"])
    assert latest is not None
    references.write(results, latest)
    assert choose(results, reference=True) == [("reference/4", cpu.name), ("reference/4", sim.name)]
    assert choose(results, run=cpu.name, reference=True) == [("reference/4", cpu.name)]


def test_versions_are_held_against_the_first_passed_or_not(results: Path) -> None:
    def ran(version: str, **more: object) -> Path:
        paddle = {"package": "paddlepaddle", "version": version, "wheel": None, "wheel_sha256": None}
        return a_record(results, paddle=paddle, **more)

    old, new = ran("3.0.0"), ran("3.3.1", error=0.5)
    ran("3.1.1", seed=7)
    ran("3.3.1", passed=False, exit={"reason": "interrupted", "code": None, "signal": 2})
    found = pairs.choose(BOOK, results, [PART], "cpu", "", False, "3.0.0,3.1.1,3.3.1")
    assert [(then.name, now.name) for _, then, now in found] == [(old.name, new.name)]
    with pytest.raises(UsageError, match="One version alone"):
        pairs.choose(BOOK, results, [PART], "cpu", "", False, "3.3.1")
    with pytest.raises(UsageError, match="No part has run"):
        pairs.choose(BOOK, results, [PART], "cpu", "", False, "3.2.2,3.3.1")


def test_the_latest_is_of_the_kinds_own_version(results: Path) -> None:
    test_versions_are_held_against_the_first_passed_or_not(results)
    latest = pairs.latest(results, PART, BOOK.hardware["cpu"])
    assert latest is not None and latest.record["paddle"]["version"] == "3.0.0"


def test_nothing_to_compare_is_said(results: Path) -> None:
    a_record(results)
    with pytest.raises(UsageError, match="nothing to compare") as caught:
        choose(results, "cpu,sim")
    assert "on two of: cpu, sim." in caught.value.why and f"./inv run {PART.name} " in caught.value.remedy
    with pytest.raises(UsageError, match="One kind alone"):
        choose(results, "cpu")
    with pytest.raises(UsageError, match="nothing to compare"):
        choose(results, reference=True)
