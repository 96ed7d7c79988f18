"""Traces: what agrees, what differs and where; and files that were made to harm."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from harness.errors import DataFileError
from harness.evidence import hashing, traces
from harness.evidence.traces import Tensor, first_of, hold

FLOATS = st.sampled_from(["float16", "float32", "float64"])
FINITE = st.floats(-1e4, 1e4, width=16)


def whole(values: Any, dtype: str = "float32") -> Tensor:
    return Tensor.whole(np.asarray(values, dtype))


def written(folder: Path, **arrays: np.ndarray) -> dict[str, Any]:
    """What a record says of a folder in which the trace has been written."""
    np.savez(folder / traces.FILE, **arrays)
    return {"artefacts": hashing.hash_files(folder)}


@given(st.data(), FLOATS)
def test_an_array_agrees_with_itself(data: st.DataObject, dtype: str) -> None:
    array = data.draw(arrays(dtype, array_shapes(min_dims=0, min_side=0)))
    assert hold("x", Tensor.whole(array), Tensor.whole(array.copy())).why == ""


@given(st.data(), FLOATS)
def test_the_first_place_beyond_tolerance_is_named(data: st.DataObject, dtype: str) -> None:
    shape = data.draw(array_shapes(max_dims=3, max_side=6))
    then = data.draw(arrays(dtype, shape, elements=FINITE))
    places = data.draw(st.sets(st.integers(0, then.size - 1), min_size=1))
    now = then.copy()
    scale = float(np.maximum(np.abs(then.astype(float)), np.abs(then.astype(float)).mean()).max())
    now.ravel()[list(places)] += np.asarray(scale / 4 + 1, dtype)
    found = hold("x", Tensor.whole(then), Tensor.whole(now))
    assert found.first == min(places) and found.why


def test_rounding_is_no_difference_and_another_digit_is_one() -> None:
    for dtype, rounding, digit in (("float16", 5e-3, 0.1), ("float32", 1e-5, 1e-2), ("float64", 1e-10, 1e-6)):
        curve = np.linspace(8, 1, 150)
        assert hold("loss", whole(curve, dtype), whole(curve * (1 + rounding), dtype)).why == ""
        changed = curve.copy()
        changed[37:] *= 1 + digit
        assert hold("loss", whole(curve, dtype), whole(changed, dtype)).why.startswith("step 38 of 150: ")


def test_a_fields_zeros_are_held_to_the_fields_size() -> None:
    field = np.sin(np.linspace(0, np.pi, 50))[:, None] * np.ones((1, 4))
    assert hold("w", whole(field, "float64"), whole(field + 1e-10, "float64")).why == ""
    assert hold("w", whole(field, "float64"), whole(field + 1e-4, "float64")).why.startswith("[0, 0]: ")


def test_a_declared_tolerance_takes_the_place_of_the_types() -> None:
    then, now = whole([1.0, 2.0]), whole([1.0, 2.1])
    assert hold("x", then, now).why and not hold("x", then, now, tolerance=0.1).why


def test_whole_numbers_and_truths_are_equal_or_not() -> None:
    assert hold("ids", whole([1, 2, 3], "int64"), whole([1, 2, 3], "int64")).why == ""
    assert hold("ids", whole([1, 2, 3], "int64"), whole([1, 2, 4], "int64")).why == "step 3 of 3: 3 then, 4 now"
    assert hold("mask", whole([True, False], "bool"), whole([True, True], "bool")).first == 1


def test_a_number_against_none_is_a_difference_and_none_against_none_is_not() -> None:
    assert hold("x", whole([1, np.nan, np.inf]), whole([1, np.nan, np.inf])).why == ""
    assert hold("x", whole([1, 2]), whole([1, np.nan])).first == 1
    assert hold("x", whole([1, np.inf]), whole([1, -np.inf])).first == 1


def test_shape_type_and_absence_are_differences() -> None:
    assert hold("x", whole([1, 2]), whole([[1, 2]])).why == "float32 [1, 2] now"
    assert hold("x", whole([1, 2]), whole([1, 2], "float64")).why == "float64 [2] now"
    assert hold("x", whole([1]), None).why == "missing now" and hold("x", None, whole([1])).why == "missing then"


def test_the_earliest_step_of_all_curves_is_where_to_look_first() -> None:
    curve = np.ones(10)
    late, early = curve.copy(), curve.copy()
    late[7], early[3] = 2, 2
    partings = [
        hold("output", whole(np.ones((2, 2))), whole(np.zeros((2, 2)))),
        hold("loss", whole(curve), whole(late)),
        hold("norm", whole(curve), whole(early)),
    ]
    assert (first := first_of(partings)) is not None and first.name == "norm"
    assert (first := first_of(partings[:1])) is not None and first.name == "output"
    assert first_of([hold("x", whole([1]), whole([1]))]) is None


def test_a_trace_is_read_in_the_order_in_which_it_was_written(tmp_path: Path) -> None:
    record = written(tmp_path, loss=np.ones(3, "float32"), answer=np.arange(6).reshape(2, 3))
    found = traces.read(tmp_path, record)
    assert [(name, tensor.dtype, tensor.shape) for name, tensor in found.items()] == [
        ("loss", "float32", (3,)),
        ("answer", "int64", (2, 3)),
    ]
    assert traces.read(tmp_path, {"artefacts": {}}) == {}


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "harmed",))

    record = written(tmp_path, x=np.array([Harm()], dtype=object))
    with pytest.raises(DataFileError, match="not readable as arrays"):
        traces.read(tmp_path, record)
    with zipfile.ZipFile(tmp_path / traces.FILE, "w") as archive:
        archive.writestr("x", pickle.dumps(Harm()))
    assert isinstance(read_or_refuse(tmp_path), DataFileError | dict)
    assert not (tmp_path / "harmed").exists()


def test_a_bomb_and_a_changed_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "BYTES", 2**20)
    np.savez_compressed(tmp_path / traces.FILE, x=np.zeros(2**17))  # a MiB of zeros, and its header, in a kilobyte
    with pytest.raises(DataFileError, match="At most 1048576 are read"):
        traces.read(tmp_path, {"artefacts": hashing.hash_files(tmp_path)})
    record = written(tmp_path, x=np.ones(3))
    np.savez(tmp_path / traces.FILE, x=np.zeros(3))
    with pytest.raises(DataFileError, match="changed after its run"):
        traces.read(tmp_path, record)


@given(st.binary(max_size=300), st.integers(0, 400))
def test_any_bytes_are_arrays_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int
) -> None:
    folder = tmp_path_factory.mktemp("trace")
    written(folder, x=np.ones(3))
    path = folder / traces.FILE
    content = path.read_bytes()
    path.write_bytes(content[:at] + junk + content[at + len(junk) :])
    assert isinstance(read_or_refuse(folder), DataFileError | dict)


def read_or_refuse(folder: Path) -> DataFileError | dict[str, Tensor]:
    try:
        return traces.read(folder, {"artefacts": hashing.hash_files(folder)})
    except DataFileError as error:
        return error
