"""Finishing: what a run's record gets before it is sealed, and that a run is not lost for want of any of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from samples import a_record

from harness.evidence import screen, statements
from harness.evidence.finishing import complete
from harness.evidence.redaction import Redactor


@pytest.fixture
def run(results: Path) -> tuple[Path, dict[str, Any]]:
    """A run's folder, and its record without what is to come."""
    folder = a_record(results)
    record = json.loads((folder / "record.json").read_text())
    (folder / statements.FILE).unlink()
    return folder, {name: value for name, value in record.items() if name not in ("artefacts", "seal")}


def test_a_record_gets_a_picture_and_a_statement_and_loses_its_secrets(run):
    folder, record = run
    record["parameters"]["note"] = "password=hush-hush-hush"
    complete(folder, record, Redactor())
    assert record["parameters"]["note"] == "password=[redacted]"
    assert record["screen"] == {"file": screen.FILE, "why": ""} and (folder / screen.FILE).exists()
    statement = json.loads((folder / statements.FILE).read_text())
    assert statements.digest(record) == statement["predicate"]["configuration"][0]["digest"]["sha256"]
    assert not (folder / statements.SIGNATURE).exists()


def test_a_record_without_a_picture_says_why(run, monkeypatch):
    folder, record = run
    monkeypatch.setattr(screen, "draw", lambda folder, record: "there is no font")
    complete(folder, record, Redactor())
    assert record["screen"] == {"file": None, "why": "there is no font"}


def test_a_key_that_does_not_sign_does_not_lose_the_run(run, tmp_path, capsys):
    folder, record = run
    complete(folder, record, Redactor(), key=tmp_path / "no-key")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("The record is not signed. ") and "no-key" in line
    assert (folder / statements.FILE).exists() and not (folder / statements.SIGNATURE).exists()
