"""The board as text: whose signature is told, that a stranger's text stays text, and how a run is made again."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import a_catalogue, a_part, a_record

from harness.errors import VerificationError
from harness.evidence import signatures, statements
from harness.evidence.records import Draft, read
from harness.points import matrix
from harness.publish.report import board
from harness.publish.report.board import Board
from harness.stores import team, transfer
from harness.stores.folder import FolderStore

BOOK = a_catalogue(a_part("4"), a_part("8-1", title="A network"))
PADDLE = {"package": "paddlepaddle", "wheel": None, "wheel_sha256": None}
HARM = "<script>alert(1)</script>\x1b]0;x\x07\u202egnp.exe\u2066 & ' \" {{ 7*7 }}\n\r\x00"


def in_folder(results: Path) -> Any:
    return lambda sealed, file: (results / sealed.place / file.name).read_bytes()


def made(results: Path, **more: Any) -> Board:
    return Board(matrix.build(BOOK, results), BOOK, results, more.pop("read", in_folder(results)), **more)


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "x", "-f", path], check=True)
    return path


@pytest.fixture
def signers(key: Path, tmp_path: Path) -> Path:
    path = tmp_path / "signers"
    path.write_text(f"anna@example.org {key.with_suffix('.pub').read_text()}")
    return path


def signed(results: Path, key: Path, change: str = "", **of: Any) -> Path:
    """A record signed with `key`; `change` replaces what the statement says before it is signed."""
    with Draft(results.parent / "elsewhere", {}) as draft:
        folder = a_record(results.parent / "made", **of)
        record = read(folder / "record.json")
        shutil.copytree(folder, draft.folder, dirs_exist_ok=True)
        statement = draft.folder / statements.FILE
        statement.write_text(
            statement.read_text().replace('"PASSED"', f'"{change}"') if change else statement.read_text()
        )
        signatures.sign(statement, key)
        (draft.folder / "record.json").unlink()
        draft.results, draft.record = results, {k: v for k, v in record.items() if k not in ("artefacts", "seal")}
        return draft.seal().folder


def test_a_signature_is_told_by_its_key_and_by_its_name_where_the_organiser_has_one(tmp_path, key, signers):
    results = tmp_path / "results"
    signed(results, key)
    (run,) = made(results).shown
    assert run.signature.by.startswith("SHA256:") and not run.signature.known
    (run,) = made(results, signers=signers).shown
    assert (run.signature.by, run.signature.known) == ("anna@example.org", True)
    assert "anna@example.org" in board.page(made(results, signers=signers))


def test_a_key_that_is_not_on_the_list_is_shown_as_such(tmp_path, key):
    signed(tmp_path / "results", key)
    (tmp_path / "none").write_text("")
    page = board.page(made(tmp_path / "results", signers=tmp_path / "none"))
    assert "SHA256:" in page and "not on the organiser" in page


def test_a_signature_over_another_statement_signs_nothing(tmp_path, key):
    signed(tmp_path / "results", key, change="WARNED")
    (run,) = made(tmp_path / "results").shown
    assert run.signature.by == "" and "not what the record says" in run.signature.why


@pytest.mark.parametrize("fault", ["gone", "changed"])
def test_a_signature_that_cannot_be_read_signs_nothing(tmp_path, key, fault):
    def read(sealed, file):
        if fault == "gone":
            raise VerificationError("absent", "why", "what to do")
        return b"other"

    signed(tmp_path / "results", key)
    (run,) = made(tmp_path / "results", read=read).shown
    assert run.signature.by == "" and "cannot be read" in run.signature.why


def test_of_two_runs_of_a_model_the_signed_one_counts_though_it_is_older(tmp_path, key):
    results = tmp_path / "results"
    older = signed(results, key)
    newer = a_record(results)
    assert newer.name > older.name
    (run,) = made(results).shown
    assert run.cell.run == older.name


def test_from_a_store_the_signature_is_read_of_its_objects(tmp_path, key, signers):
    results, store = tmp_path / "results", FolderStore(tmp_path / "store")
    signed(results, key)
    transfer.upload(results, store)
    gathered, _ = team.gather([store], tmp_path / "cache")
    assert not list(gathered.rglob("*.sig"))
    (run,) = made(gathered, read=team.reader([store]), signers=signers).shown
    assert run.signature.known


def test_a_column_is_a_kind_with_a_version_and_versions_are_in_their_order(tmp_path):
    results = tmp_path / "results"
    for kind, version in (("cuda", "3.10.0"), ("cuda", "built"), ("cuda", "3.3.1"), ("cpu", "3.3.1")):
        a_record(results, kind=kind, paddle={**PADDLE, "version": version})
    a_record(results, kind="cuda")
    ordered = ["cpu 3.3.1", "cuda 3.3.1", "cuda 3.10.0", "cuda built", "cuda ?"]
    assert [str(each) for each in made(results).columns] == ordered


@pytest.mark.parametrize("text", [HARM, "x" * 5000])
def test_a_strangers_text_stays_text_and_within_its_line(tmp_path, text):
    a_record(tmp_path / "results", model=text, program={"file": "x", "revision": f"; rm -rf ~ {text}", "clean": True})
    page = board.page(made(tmp_path / "results"))
    assert "<script" not in page and "x" * 200 not in page
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", page)
    assert "git checkout &#39;; rm -rf ~" in page  # quoted, so that the shell takes it for one word


@given(st.text(st.characters()))
def test_of_any_text_a_short_line_is_left(text):
    left = board.harmless(text)
    assert len(left) <= board.LONGEST
    assert left.encode() == left.encode("utf-8", "replace") and not re.search("[\x00-\x1f\u202e]", left)


def test_how_to_run_it_again_names_store_revision_and_run(tmp_path):
    folder = a_record(tmp_path / "results", program={"file": "x", "revision": "a" * 40, "clean": False})
    page = board.page(made(tmp_path / "results", address="https://board.example.org/it's here"))
    assert f"git checkout {'a' * 40}   # and changes" in page
    assert "--from &#39;https://board.example.org/it&#39;&#34;&#39;&#34;&#39;s here&#39; --task 4" in page
    assert f"./inv reproduce {folder.name}" in page
    assert "--from ADDRESS" in board.page(made(tmp_path / "results"))


def test_a_record_that_is_not_whole_is_left_out_and_counted_and_no_path_is_told(tmp_path):
    results = tmp_path / "results"
    a_record(results, program={"file": "x", "revision": 7, "clean": True})
    (a_record(results, kind="cuda") / "record.json").write_text("{}")
    found = made(results)
    assert found.shown == [] and "2 left out" in board.page(found) and str(tmp_path) not in board.page(found)


def test_of_very_many_models_the_best_are_shown_and_the_others_counted(tmp_path):
    for number in range(board.MOST + 3):
        a_record(tmp_path / "results", model=f"M{number}", error=1.0 if number < 3 else 0.01)
    found = made(tmp_path / "results")
    assert len(found.shown) == board.MOST and {run.cell.state for run in found.shown} != {"failed"}
    assert "3 left out" in board.page(found)
