"""Pictures in packs: what ./inv run did not draw from this log is refused where that is certain, and said elsewhere."""

from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from samples import a_record

from harness import checkout
from harness.evidence import screen
from harness.evidence.record import Record
from harness.verification.pictures import DRAWING, findings


@pytest.fixture
def picture(results: Path) -> Path:
    """The picture of a run."""
    folder = a_record(results, program={"file": "main.py", "revision": "a" * 40, "clean": True})
    assert screen.draw(folder, Record.read(folder).data) == ""
    return folder / screen.FILE


def of_this_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {name: (checkout.ROOT / name).read_bytes() for name in DRAWING}
    monkeypatch.setattr(checkout, "files_at", lambda commit, names: here)


def test_what_was_drawn_from_the_log_holds_and_a_run_without_a_picture_too(results: Path, picture: Path) -> None:
    a_record(results)
    assert findings(results) == ([], [])


def test_the_same_picture_pressed_by_another_library_holds(results: Path, picture: Path) -> None:
    before = picture.read_bytes()
    Image.open(picture).save(picture, compress_level=9)
    assert picture.read_bytes() != before
    assert findings(results) == ([], [])


@pytest.mark.parametrize("change", ["picture", "log"])
def test_another_picture_is_refused_where_its_commit_draws_as_here_and_said_elsewhere(
    results: Path, picture: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if change == "log":
        (picture.parent / "run.log").write_text("another story")
    else:
        Image.new("RGB", Image.open(picture).size, "green").save(picture)
    mistakes, unsure = findings(results)
    assert (mistakes, unsure) == ([], [f"{picture}: it is not what run.log and the record show"])
    of_this_drawing(monkeypatch)
    assert findings(results) == (unsure, [])


@pytest.mark.parametrize("more", ["words", "behind", "cut", "none", "gif"])
def test_more_or_less_than_a_picture_is_refused_whoever_drew_it(results: Path, picture: Path, more: str) -> None:
    content = picture.read_bytes()
    if more == "words":
        words = PngImagePlugin.PngInfo()
        words.add_text("Comment", "verified")
        Image.open(picture).save(picture, pnginfo=words)
    elif more == "gif":
        Image.open(picture).save(picture, format="GIF")
    else:
        picture.write_bytes({"behind": content + b"PK", "cut": content[:-1], "none": b""}[more])
    mistakes, _ = findings(results)
    assert "no picture that ./inv run draws" in mistakes[0]
