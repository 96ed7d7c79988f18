"""--missing and --failed: which cells are wanted, by the runs that are here."""

import pytest
from samples import a_catalogue, a_kind, a_part, a_record

from harness.dispatch.dispatcher import RunRequest

PART, KIND = a_part("4"), a_kind("cpu")


def wanted(results, **options) -> bool:
    request = RunRequest(catalogue=a_catalogue(PART), parts=[PART], results=results, **options)
    return bool(request.cells([KIND]))


@pytest.mark.parametrize(
    ("errors", "missing", "failed"),
    [
        ((), True, False),
        ((0.01,), False, False),
        ((0.5,), True, True),
        ((0.5, 0.01), False, False),
        ((0.01, 0.5), False, True),
    ],
)
def test_missing_is_what_never_passed_and_failed_what_failed_last(results, errors, missing, failed):
    for error in errors:
        a_record(results, error=error)
    assert wanted(results) and wanted(results, missing=True) == missing and wanted(results, failed=True) == failed
    assert wanted(results, missing=True, failed=True) == (missing or failed)


def test_with_parameters_only_runs_with_these_count(results):
    a_record(results)
    assert wanted(results, missing=True, settings=["grid=51"])


def test_a_damaged_record_is_no_run(results):
    (a_record(results) / "record.json").write_text("{")
    assert wanted(results, missing=True)


def test_another_machine_is_asked_the_same():
    request = RunRequest(catalogue=a_catalogue(PART), parts=[PART], missing=True, failed=True, verbose=True)
    assert request.options[-3:] == ["--missing", "--failed", "--verbose"]
