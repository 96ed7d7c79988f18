"""Reproduction: the run that a record describes."""

from typing import Any

import pytest

from harness.catalogue import entries
from harness.comparison import reproduction
from harness.errors import HardwareError, UsageError

BOOK = entries.load()
PARAMETERS = {name: parameter.default for name, parameter in BOOK.parts["8-1"].parameters.items()}


def a_record_of(part: str = "8-1", kind: str = "cpu", engine: str = "local", **parameters: Any) -> dict[str, Any]:
    return {
        "id": "20261122T000000.000Z-000000",
        "cell": {"part": part, "hardware": kind},
        "parameters": {**PARAMETERS, **parameters},
        "seed": 3,
        "cards": 1,
        "engine": {"name": engine, "image": None},
    }


def test_part_kind_parameters_and_engine_are_the_records() -> None:
    planned = reproduction.plan(a_record_of(steps=40, residual=False, learning_rate=1e-05), BOOK)
    assert str(planned.cell) == "8-1 on cpu" and planned.engine is not None and planned.engine.name == "local"
    assert planned.request.parameters == {**PARAMETERS, "steps": 40, "residual": False, "learning_rate": 1e-05}


def test_a_parameter_that_is_new_has_its_default() -> None:
    record = a_record_of(steps=40)
    del record["parameters"]["residual"]
    assert reproduction.plan(record, BOOK).request.parameters == {**PARAMETERS, "steps": 40}


def test_where_the_records_engine_cannot_run_another_does() -> None:
    record = {**a_record_of(), "engine": None}
    assert (engine := reproduction.plan(record, BOOK).engine) is not None and engine.name in ("local", "container")


def test_what_cannot_be_run_again_is_said() -> None:
    with pytest.raises(UsageError, match="no such parameter"):
        reproduction.plan(a_record_of(depth=3), BOOK)
    with pytest.raises(UsageError, match="cannot be run again"):
        reproduction.plan(a_record_of(part="99"), BOOK)
    with pytest.raises(UsageError, match="does not run on that many"):
        reproduction.plan({**a_record_of(), "cards": 8}, BOOK)
    with pytest.raises(HardwareError):
        reproduction.plan(a_record_of(kind="ascend"), BOOK)
    with pytest.raises(HardwareError):
        reproduction.plan(a_record_of(), BOOK, kind="xpu")


def test_a_run_that_was_given_more_time_is_given_it_again() -> None:
    part = BOOK.parts["8-1"]
    planned = reproduction.plan({**a_record_of(), "timeout": part.timeout + 1}, BOOK)
    assert planned.cell.part.timeout == part.timeout + 1
    planned = reproduction.plan({**a_record_of(), "timeout": part.timeout - 1}, BOOK)
    assert planned.cell.part.timeout == part.timeout
