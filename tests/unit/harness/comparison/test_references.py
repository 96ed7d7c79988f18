"""References: what is kept of a run, and that a run is held against it as against the run itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from samples import a_part
from test_comparing import RECORD

from harness.comparison import comparing, references
from harness.comparison.comparing import Outcome
from harness.errors import DataFileError, UsageError
from harness.evidence import sealed
from harness.evidence.traces import Tensor, hold

TYPES = ["float16", "float32", "float64", "complex64", "int64", "bool"]


def a_run(tensors: dict[str, np.ndarray] | None = None, **changes: Any) -> Outcome:
    record = {**RECORD, "id": "20261122T000000.000Z-000000", "metrics": {"error": 0.01}, **changes}
    whole = {name: Tensor.whole(array) for name, array in (tensors or {"loss": np.linspace(8, 1, 150)}).items()}
    return Outcome(record["id"], record, whole)


@given(st.data(), st.sampled_from(TYPES))
def test_every_type_comes_back_to_the_last_digit(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, dtype: str
) -> None:
    results = tmp_path_factory.mktemp("results")
    array = data.draw(arrays(dtype, array_shapes(min_dims=0, min_side=0, max_side=90)))
    references.write(results, a_run({"x": array}))
    kept = references.read(results, "4").tensors["x"]
    whole = Tensor.whole(array)
    assert kept.dtype == dtype and kept.shape == array.shape
    np.testing.assert_array_equal(kept.values, whole.at(kept.places).values)
    assert hold("x", kept, whole).why == ""


def test_it_is_small_and_still_names_the_step(results: Path) -> None:
    run = a_run({"loss": np.linspace(8, 1, 100_000), "field": np.ones((300, 300))})
    assert references.write(results, run).stat().st_size < 10_000
    changed = np.linspace(8, 1, 100_000)
    changed[50_000:] += 1
    found = comparing.compare(
        a_part(), references.read(results, "4"), a_run({"loss": changed, "field": np.ones((300, 300))})
    )
    (loss, field) = found.tensors
    assert loss.first is not None and 50_000 <= loss.first < 52_000 and not field.why


def test_it_says_where_it_comes_from_and_nothing_of_the_machine_besides(results: Path) -> None:
    references.write(results, a_run(command=["x"], artefacts={"run.log": {}}))
    record = references.read(results, "4").record
    assert record["program"]["revision"] == "a" * 40 and record["paddle"]["version"] == "3.0.0"
    assert not {"command", "artefacts", "seal"} & record.keys() and "kernel" not in record["hardware"]
    assert comparing.surroundings(record, a_run().record) == []


def test_it_is_made_of_a_run_with_the_parts_own_parameters() -> None:
    wanted = references.wanted(a_part())
    assert wanted == {"parameters": {"grid": 101, "method": "ritz", "rate": 0.5, "quick": False}, "seed": 0}


def test_a_missing_one_and_a_damaged_one_are_named(results: Path) -> None:
    references.write(results, a_run())
    with pytest.raises(UsageError, match="Part 5 has no reference"):
        references.read(results, "5")
    for text in ("{", "[]", '{"tensors": {"x": {}}}', '{"tensors": {"x": {"dtype": "float32", "values": ["x"]}}}'):
        references.path(results, "4").write_text(text)
        with pytest.raises(DataFileError, match="not a reference"):
            references.read(results, "4")


def test_references_are_no_runs(results: Path) -> None:
    references.write(results, a_run())
    assert list(sealed.folders(results)) == []


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ({"revision": "a" * 40, "clean": False}, "uncommitted changes"),
        ({"revision": None, "clean": None}, "outside a git checkout"),
    ],
)
def test_none_is_made_of_what_nobody_could_run_again(results: Path, program: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match="makes no reference") as caught:
        references.write(results, a_run(program=program))
    assert why in caught.value.why and not references.path(results, "4").exists()


def test_it_names_what_multiplied_matrices(results: Path) -> None:
    openblas = {"name": "OpenBLAS", "of": "numpy", "version": "0.3.23", "kernel": "Haswell", "threads": 2}
    references.write(results, a_run(device={"libraries": [openblas], "places": {}}))
    assert references.read(results, "4").record["device"] == {"libraries": [openblas]}


def test_a_reference_nested_without_end_is_refused(tmp_path):
    file = references.path(tmp_path, "4")
    file.parent.mkdir(parents=True)
    file.write_text("[" * 5000)
    with pytest.raises(DataFileError, match="not a reference"):
        references.read(tmp_path, "4")
