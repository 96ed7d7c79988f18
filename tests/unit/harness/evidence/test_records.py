"""Records: sealed by a hash of hashes, never half-written, adopted when their harness was killed."""

import contextlib
import copy
import hashlib
import json
import os
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import a_catalogue, a_record, unfinished

from harness.errors import DataFileError, UsageError
from harness.evidence import hashing, statements
from harness.evidence.hashing import seal_of
from harness.evidence.records import find, libraries, read
from harness.verification.verifying import verify

ROOT = Path(__file__).resolve().parents[4]


# Sealing


def test_a_sealed_record_stands_at_its_place_and_reads_back(results):
    folder = a_record(results, part="4", kind="cpu")
    record = read(folder / "record.json")
    assert folder == results / "4" / "cpu" / record["id"]
    assert record["schema"] == 2 and record["passed"] is True
    assert sorted(record["artefacts"]) == ["device.json", "metrics.json", "run.log", "statement.json"]
    assert record["artefacts"]["run.log"] == {
        "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        "bytes": 5,
    }
    assert sorted(os.listdir(folder)) == ["device.json", "metrics.json", "record.json", "run.log", "statement.json"]
    assert unfinished(results) == []


def test_an_id_sorts_by_time():
    ids = [hashing.new_id() for _ in range(50)]
    assert all(re.fullmatch(r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{6}", name) for name in ids)
    assert len(set(ids)) == 50 and [name[:20] for name in ids] == sorted(name[:20] for name in ids)


def test_a_moment_is_written_in_utc_with_milliseconds():
    assert hashing.timestamp(datetime(2026, 1, 2, 3, 4, 5, 6000, timezone.utc)) == "2026-01-02T03:04:05.006Z"


def test_the_canonical_form_stays_what_it_is():
    """Otherwise every seal and statement of before is broken."""
    document = {"板": "é", "b": [1, 0.5, None], "a": {"d": True, "c": ""}}
    canonical = '{"a":{"c":"","d":true},"b":[1,0.5,null],"板":"é"}'.encode()
    digest = hashlib.sha256(canonical).hexdigest()
    assert seal_of({**document, "seal": "x"}) == f"sha256:{digest}" and statements.digest(document) == digest


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_strict_json_lacks_is_neither_sealed_nor_written(tmp_path, number):
    """Otherwise a record holds what other tools' JSON refuses."""
    for write in (seal_of, statements.digest, lambda document: hashing.write_json(tmp_path / "x.json", document)):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write({"x": number})
    assert os.listdir(tmp_path) == []


def test_files_in_folders_and_links_are_hashed_links_by_what_they_say(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "deep.txt").write_text("x")
    (tmp_path / "secret").symlink_to("/etc/hostname")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "record.json").write_text("{}")
    hashes = hashing.hash_files(tmp_path)
    assert sorted(hashes) == ["a/b/deep.txt", "loop", "secret"]
    assert hashes["secret"]["bytes"] == len("/etc/hostname")
    assert hashes["secret"]["sha256"] != hashing.sha256(Path("/etc/hostname"))


def test_the_hash_without_file_digest_is_the_same(tmp_path):
    (tmp_path / "file").write_bytes(os.urandom(3 * 2**20))
    with (tmp_path / "file").open("rb") as file:
        assert hashing._digest(file) == hashing.sha256(tmp_path / "file")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=5))
def test_a_seal_does_not_depend_on_order_or_layout_and_survives_json(document):
    seal = seal_of(document)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", seal)
    assert seal_of(dict(reversed(document.items()))) == seal
    assert seal_of(json.loads(json.dumps(document, indent=3))) == seal
    assert seal_of({**document, "seal": "anything"}) == seal


def places_in(document: Any, steps: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value of a document."""
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [steps, *(place for key, value in inner for place in places_in(value, (*steps, key)))]


@given(data=st.data())
def test_a_record_changed_at_any_place_is_refused(tmp_path_factory, data):
    results = tmp_path_factory.getbasetemp() / "tampered"
    folder = next(iter(results.glob("4/cpu/*")), None) or a_record(results)
    original = json.loads((folder / "record.json").read_bytes())
    record = copy.deepcopy(original)
    *way, last = data.draw(st.sampled_from([place for place in places_in(original) if place]))
    target = record
    for step in way:
        target = target[step]
    action = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if action == "remove":
        del target[last]
    elif action == "add" and isinstance(target, dict):
        target["more"] = data.draw(json_values)
    else:
        target[last] = data.draw(json_values)
    changed = results.parent / "changed" / "record.json"
    changed.parent.mkdir(exist_ok=True)
    changed.write_text(json.dumps(record))
    if json.dumps(record, sort_keys=True) == json.dumps(original, sort_keys=True):
        assert read(changed) == original
        return
    with pytest.raises(DataFileError):
        read(changed)
    assert verify(changed.parent, a_catalogue())


@given(st.data())
def test_a_record_with_any_byte_changed_is_refused_or_says_the_same(tmp_path_factory, data):
    results = tmp_path_factory.getbasetemp() / "bytes"
    folder = next(iter(results.glob("4/cpu/*")), None) or a_record(results)
    text = bytearray((folder / "record.json").read_bytes())
    where = data.draw(st.integers(0, len(text) - 1))
    text[where] = data.draw(st.integers(0, 255))
    path = results.parent / "changed.json"
    path.write_bytes(text)
    with contextlib.suppress(DataFileError):
        assert seal_of(read(path)) == seal_of(read(folder / "record.json"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "5",
        '"text"',
        "{}",
        '{"schema": 2}',
        '{"schema": 1, "seal": NaN, "x": NaN}',
        "\xff",
        "[" * 10**5,
    ],
)
def test_what_is_no_record_is_refused_in_words(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DataFileError, match=re.escape(str(path))):
        read(path)


def test_a_record_nested_to_the_limit_is_refused_in_words(tmp_path):
    """Otherwise between what json reads and what it can write again, RecursionError comes through."""
    path = tmp_path / "record.json"
    for depth in range(700, 1000):
        path.write_text('{"schema": 1, "seal": "", "metrics": ' + "[" * depth + "]" * depth + "}")
        with pytest.raises(DataFileError):
            read(path)


# Finding


@pytest.fixture
def three(results):
    return [a_record(results, part=part, kind=kind) for part, kind in [("8-2", "sim"), ("4", "cpu"), ("10", "cpu")]]


def test_runs_are_found_by_id_prefix_latest_and_all(results, three):
    assert find(results, "latest") == [three[2]]
    assert find(results, "all") == three
    assert find(results, three[0].name) == [three[0]]
    assert find(results, three[1].name[:-1]) == [three[1]]


def test_words_that_name_no_run_or_several_are_refused(results, three):
    with pytest.raises(UsageError, match=f"The latest is {three[2].name}"):
        find(results, "1999")
    with pytest.raises(UsageError, match="3 runs begin so"):
        find(results, "2026")


def test_of_many_runs_that_begin_so_five_are_named(results):
    names = [a_record(results, model=str(number)).name for number in range(2)]
    with pytest.raises(UsageError, match="2 runs begin so"):
        find(results, "2026")
    names += [a_record(results, model=str(number)).name for number in range(3)]
    with pytest.raises(UsageError, match=re.escape(f"5 runs begin so.\n{', '.join(names)}.\n")):
        find(results, "2026")
    a_record(results)
    with pytest.raises(UsageError, match=re.escape(f"6 runs begin so.\n{', '.join(names)}, ….\n")):
        find(results, "2026")


def test_without_records_there_is_nothing_to_find(results):
    for word in ("latest", "2026"):
        with pytest.raises(UsageError, match="no record yet"):
            find(results, word)
    assert find(results, "all") == [] and find(results / "nowhere", "all") == []


def test_drafts_references_and_stray_files_are_no_runs(results, three):
    for name in (".unfinished/x/y", "reference/cpu/run", "by-hand/cpu/run"):
        (results / name).mkdir(parents=True)
    (results / "note.txt").write_text("")
    (results / "4" / "note.txt").write_text("")
    (results / "4" / "cpu" / "note.txt").write_text("")
    (results / "4" / "link").symlink_to(results / "4" / "cpu")
    assert find(results, "all") == three


def test_a_whole_id_is_never_ambiguous(results, three):
    """Otherwise beside a copy of its folder a run cannot be named any more."""
    (three[0].parent / f"{three[0].name}-copy").mkdir()
    assert find(results, three[0].name) == [three[0]]


def test_a_folder_that_is_no_run_is_not_the_latest(results, three):
    """Otherwise any folder whose name sorts behind the ids is `latest`."""
    (results / "4" / "cpu" / "plots").mkdir()
    assert find(results, "latest") == [three[2]]


# What multiplied matrices


def test_each_library_is_said_with_what_is_known_of_it():
    whole = {"name": "OpenBLAS", "of": "numpy", "version": "0.3.23", "kernel": "Haswell", "threads": 2}
    bare = {"name": "MKL", "of": "paddle", "version": None, "kernel": "", "threads": 1}
    record: Any = {"device": {"libraries": [whole, bare, "odd", {**whole, "threads": None}]}}
    assert list(libraries(record)) == [
        ("OpenBLAS of numpy", "0.3.23, kernel Haswell, 2 threads"),
        ("MKL of paddle", "unknown version, kernel unknown, 1 thread"),
        ("OpenBLAS of numpy", "0.3.23, kernel Haswell"),
    ]


@pytest.mark.parametrize("device", [None, {}, {"libraries": []}, {"libraries": "MKL"}])
def test_of_a_record_without_its_libraries_they_are_unknown(device):
    assert list(libraries({"device": device})) == [("BLAS", "unknown")]
