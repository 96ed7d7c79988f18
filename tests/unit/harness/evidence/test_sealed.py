"""Sealed folders: what a manifest may say, and what is refused."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import a_catalogue, a_record

from harness.catalogue import datafiles, entries
from harness.comparison import pairs
from harness.errors import StoreError, VerificationError
from harness.evidence import attachments, records
from harness.evidence import sealed as sealed_folders
from harness.evidence.hashing import RUN_ID, seal_of
from harness.evidence.sealed import ATTACHMENT, PART, RECORD, Kind, Sealed, here, of_document, of_key
from harness.points import index
from harness.stores import transfer
from harness.stores.opening import open_store
from harness.verification import verifying

PLACE = "4/cpu/20261122T000000.000Z-0a1b2c"
SHA256 = "0" * 64
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def a_manifest(**changes: Any) -> bytes:
    part, kind, run = PLACE.split("/")
    manifest = {"schema": 1, "id": run, "cell": {"part": part, "hardware": kind}, "artefacts": {}, **changes}
    return json.dumps({**manifest, "seal": seal_of(manifest)}).encode()


def test_a_record_is_found_by_its_place_and_by_its_key(results: Path) -> None:
    folder = a_record(results)
    (sealed,) = here(results)
    assert sealed == Sealed(RECORD, folder.relative_to(results).as_posix()) and sealed.part == "4"
    assert of_key(sealed.key) == sealed and sealed.key == f"sealed/{sealed.place}/record.json"
    named = {file.name for file in sealed.files((folder / "record.json").read_bytes())}
    assert named == {"metrics.json", "device.json", "run.log", "statement.json"}


def test_an_attachment_is_found_too(results: Path) -> None:
    folder = results / "attached" / "8-1" / "20261122T000000.000Z-0a1b2c"
    folder.mkdir(parents=True)
    (folder / "attachment.json").write_text("{}")
    assert list(here(results)) == [Sealed(ATTACHMENT, "attached/8-1/20261122T000000.000Z-0a1b2c")]
    assert next(here(results)).part == "8-1"


READERS = {
    "list": lambda results: list(here(results)),
    "matrix": lambda results: index.results_of(results),
    "show": lambda results: records.find(results, "latest"),
    "verify": lambda results: verifying.verify_all(results, "all", entries.load()),
    "attach": lambda results: attachments.read_all(results),
    "compare": lambda results: pairs.latest(results, entries.load().parts["4"], entries.load().hardware["cpu"]),
    "run": lambda results: records.adopt_unfinished(results),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_file_where_results_should_be_is_no_empty_folder(read: Any, tmp_path: Path) -> None:
    """It would read as if nothing had run, and be verified as whole."""
    for name in ("file", "link"):
        (tmp_path / "file").write_text("kept")
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to("nowhere")
        with pytest.raises(StoreError, match="kept in a folder of that name"):
            read(tmp_path / name)
    assert (tmp_path / "file").read_text() == "kept"


def test_what_is_being_made_is_not_sealed(results: Path) -> None:
    for place in (".unfinished/x", "reference/4", f"{PLACE}/deeper", "attached/4/.half", "4/cpu/not-an-id"):
        (results / place).mkdir(parents=True)
        (results / place / "record.json").write_text("{}")
    assert list(here(results)) == []


@pytest.mark.parametrize(
    "key",
    [
        "",
        "objects/x",
        "sealed/",
        f"sealed/{PLACE}",
        f"sealed/{PLACE}/other.json",
        f"sealed/{PLACE}\n/record.json",
        f"sealed/{PLACE}/../../../x/record.json",
        f"sealed/../{PLACE}/record.json",
        "sealed/attached/4/../record.json",
    ],
)
def test_a_key_of_another_shape_is_no_sealed_folder(key: str) -> None:
    assert of_key(key) is None


@given(st.text())
def test_a_name_never_leads_out_of_its_folder(name: str) -> None:
    content = a_manifest(artefacts={name: {"sha256": SHA256, "bytes": 1}})
    try:
        (file,) = Sealed(RECORD, PLACE).files(content)
    except VerificationError:
        return
    place = Path("/results/record")
    assert (place / file.name).resolve().is_relative_to(place) and (place / file.name) != place


@pytest.mark.parametrize("step", ["x" * 255, "板" * 85])
def test_a_name_is_as_long_as_file_systems_take_it(step: str) -> None:
    (file,) = Sealed(RECORD, PLACE).files(a_manifest(artefacts={f"{step}/{step}": {"sha256": SHA256, "bytes": 1}}))
    assert file.name == f"{step}/{step}"
    with pytest.raises(VerificationError, match="is no name of a file"):
        Sealed(RECORD, PLACE).files(a_manifest(artefacts={f"{step}x": {"sha256": SHA256, "bytes": 1}}))


@pytest.mark.parametrize(
    "entry", [{"sha256": 5}, {"sha256": "0" * 63}, {"sha256": "../" * 21 + "a"}, {"bytes": 1.0}, {"bytes": -1}]
)
def test_each_file_has_a_hash_and_a_size(entry: dict[str, Any]) -> None:
    with pytest.raises(VerificationError, match="has no hash or size"):
        Sealed(RECORD, PLACE).files(a_manifest(artefacts={"x": {"sha256": SHA256, "bytes": 1, **entry}}))


@given(JSON)
def test_nonsense_is_refused_and_nothing_else(document: Any) -> None:
    for content in (json.dumps(document).encode(), a_manifest(artefacts=document), a_manifest(cell=document)):
        try:
            Sealed(RECORD, PLACE).files(content)
        except VerificationError as error:
            assert error.code == 6


@given(st.binary())
def test_bytes_that_are_no_manifest_are_refused(content: bytes) -> None:
    with pytest.raises(VerificationError):
        Sealed(RECORD, PLACE).files(content)


@given(st.integers(), st.sampled_from(["schema", "id", "seed"]))
def test_a_change_breaks_the_seal(value: int, name: str) -> None:
    manifest = json.loads(a_manifest())
    manifest[name] = value if manifest.get(name) != value else value + 1
    with pytest.raises(VerificationError, match="the seal is broken"):
        Sealed(RECORD, PLACE).files(json.dumps(manifest).encode())


# Written, read, verified: each kind by the same three


def write(results: Path, kind: Kind, document: dict[str, Any], **files: bytes) -> Sealed:
    """A sealed folder of that kind with these files, and its manifest."""
    beside = results / ".beside"
    beside.mkdir(parents=True)
    for name, content in files.items():
        (beside / name).write_bytes(content)
    sealed = of_document(kind, document)
    sealed.write(results, document, beside)
    return sealed


ATTACHED = {
    "schema": 1,
    "id": "20261122T000000.000Z-0a1b2c",
    "part": "4",
    "kind": "link",
    "added": "2026-11-22T00:00:00Z",
    "checked": "answered 200",
    "url": "https://example.org",
}


def test_what_was_written_is_read_and_verifies(results: Path) -> None:
    sealed = write(results, ATTACHMENT, ATTACHED, page=b"1")
    document = sealed.read(results)
    assert {**ATTACHED, "artefacts": document["artefacts"], "seal": seal_of(document)} == document
    assert document["artefacts"]["page"]["bytes"] == 1 and sealed.verify(results) == []
    assert list(here(results)) == [sealed]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: (folder / "page").write_bytes(b"2"), "page: changed after it was sealed, sha256 was"),
        (lambda folder: (folder / "page").unlink(), "page: missing"),
        (lambda folder: (folder / "more").touch(), "more: not one of its files"),
        (lambda folder: (folder / "attachment.json").write_text("{"), "not a readable attachment"),
        (lambda folder: (folder / "attachment.json").write_text("{}"), "no attachment of schema 1"),
    ],
)
def test_every_change_is_named(results: Path, change: Any, says: str) -> None:
    sealed = write(results, ATTACHMENT, ATTACHED, page=b"1")
    change(results / sealed.place)
    (line,) = sealed.verify(results)
    assert says in line


def test_a_moved_folder_says_where_it_belongs(results: Path) -> None:
    sealed = write(results, ATTACHMENT, ATTACHED)
    (results / "attached" / "5").mkdir()
    moved = Sealed(ATTACHMENT, sealed.place.replace("/4/", "/5/"))
    (results / sealed.place).rename(results / moved.place)
    assert moved.verify(results)[0].endswith(f"it is the attachment {sealed.place}")


# A fourth kind is one entry, and its schema


LETTER = Kind(
    "letter",
    "letter.json",
    re.compile(rf"letters/{PART}/{RUN_ID.pattern}"),
    "letters/{part}/{id}",
    "Ask who wrote it.",
)


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The entry, and its schema."""
    monkeypatch.setattr(sealed_folders, "KINDS", (*sealed_folders.KINDS, LETTER))
    schemas = Path(shutil.copytree(datafiles.SCHEMAS, tmp_path / "schemas"))
    (schemas / "letter.schema.json").write_text(json.dumps({"type": "object", "required": ["part", "id", "to"]}))
    monkeypatch.setattr(datafiles, "SCHEMAS", schemas)


def test_a_fourth_kind_is_listed_sent_fetched_and_verified(letters: None, results: Path, tmp_path: Path) -> None:
    run = a_record(results)
    sealed = write(results, LETTER, {"schema": 1, "id": run.name, "part": "4", "to": "you"}, text=b"Hello")
    assert sealed in list(here(results)) and of_key(sealed.key) == sealed
    assert verifying.verify_all(results, "all", a_catalogue()).endswith("Whole: 1 letter.")
    assert [entry.name for _, _, entry in sealed_folders.folders(results)] == [run.name], "it is taken for no run"
    store = open_store(str(tmp_path / "store"))
    assert sealed in transfer.upload(results, store).moved
    there = tmp_path / "elsewhere"
    assert sealed in transfer.download(there, store).moved
    assert (there / sealed.place / "text").read_bytes() == b"Hello" and sealed.verify(there) == []


def test_a_letter_that_was_changed_does_not_verify(letters: None, results: Path) -> None:
    run = a_record(results)
    sealed = write(results, LETTER, {"schema": 1, "id": run.name, "part": "4"}, text=b"Hello")
    assert "'to' is a required property" in sealed.verify(results)[0]
    with pytest.raises(VerificationError, match="1 of 2"):
        verifying.verify_all(results, "all", a_catalogue())
