"""Sealed folders: what a manifest may say, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import a_record

from harness.errors import VerificationError
from harness.evidence.records import seal_of
from harness.evidence.sealed import ATTACHMENT, RECORD, Sealed, files, here, of_key

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
    named = {file.name for file in files(sealed, (folder / "record.json").read_bytes())}
    assert named == {"metrics.json", "device.json", "run.log", "statement.json"}


def test_an_attachment_is_found_too(results: Path) -> None:
    folder = results / "attached" / "8-1" / "20261122T000000.000Z-0a1b2c"
    folder.mkdir(parents=True)
    (folder / "attachment.json").write_text("{}")
    assert list(here(results)) == [Sealed(ATTACHMENT, "attached/8-1/20261122T000000.000Z-0a1b2c")]
    assert next(here(results)).part == "8-1"


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
        (file,) = files(Sealed(RECORD, PLACE), content)
    except VerificationError:
        return
    place = Path("/results/record")
    assert (place / file.name).resolve().is_relative_to(place) and (place / file.name) != place


@given(JSON)
def test_nonsense_is_refused_and_nothing_else(document: Any) -> None:
    for content in (json.dumps(document).encode(), a_manifest(artefacts=document), a_manifest(cell=document)):
        try:
            files(Sealed(RECORD, PLACE), content)
        except VerificationError as error:
            assert error.code == 6


@given(st.binary())
def test_bytes_that_are_no_manifest_are_refused(content: bytes) -> None:
    with pytest.raises(VerificationError):
        files(Sealed(RECORD, PLACE), content)


@given(st.integers(), st.sampled_from(["schema", "id", "seed"]))
def test_a_change_breaks_the_seal(value: int, name: str) -> None:
    manifest = json.loads(a_manifest())
    manifest[name] = value if manifest.get(name) != value else value + 1
    with pytest.raises(VerificationError, match="the seal is broken"):
        files(Sealed(RECORD, PLACE), json.dumps(manifest).encode())
