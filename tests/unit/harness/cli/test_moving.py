"""Uploading: what waits for an answer is asked again by whoever is online."""

from pathlib import Path

import pytest

from harness.attaching import addresses
from harness.attaching.attach import attach
from harness.catalogue import entries
from harness.cli import moving
from harness.evidence import attachments


@pytest.fixture
def waiting(results: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A part with a link that nobody could reach."""
    part = next(part for part in entries.load().parts.values() if "link" in part.usable)
    monkeypatch.setattr(addresses, "refuse", lambda url, kind, hosts: None)
    monkeypatch.setattr(addresses, "answer", lambda url: "unchecked: no network")
    attach(results, part, ["https://aistudio.baidu.com/projectdetail/1"])
    monkeypatch.setattr(addresses, "answer", lambda url: "answered 200")
    return part.name


def test_a_link_that_waits_is_asked_again_on_upload(
    waiting: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "store").mkdir()
    moving.move(results, ["up"], str(tmp_path / "store"), None, dry_run=False)
    assert "it answered 200, and counts now" in capsys.readouterr().out
    assert [bool(each.waits) for each in attachments.standing(results)[0][waiting]] == [False]


def test_a_dry_run_and_a_download_ask_nobody(waiting: str, results: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    moving.move(results, ["up"], str(tmp_path / "store"), None, dry_run=True)
    moving.move(results, ["down"], str(tmp_path / "store"), None, dry_run=False)
    assert [bool(each.waits) for each in attachments.standing(results)[0][waiting]] == [True]
