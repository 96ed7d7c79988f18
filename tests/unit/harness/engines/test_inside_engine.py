"""The local engine in an image: its own stack and what is known of it, and no other."""

import json
from pathlib import Path

import pytest
from samples import a_kind, a_part

from harness.catalogue.cells import Cell
from harness.checkout import ROOT
from harness.engines import choosing
from harness.engines.engine import Request
from harness.environments import images, inside
from harness.runs import runner

LABELS = {
    "recipe": "r",
    "lock": "a" * 64,
    "sbom": "b" * 64,
    "python": "3.10.14",
    "wheels": '{"paddlepaddle-3.0.0-cp310-cp310-linux_x86_64.whl": "d"}',
}


@pytest.fixture
def cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cell:
    """A cell, in an image with the recipe r."""
    known = {"Id": "sha256:12", "Config": {"Labels": {images.LABEL + name: text for name, text in LABELS.items()}}}
    (tmp_path / inside.FILE).write_text(json.dumps(known))
    monkeypatch.setenv(inside.VARIABLE, str(tmp_path))
    return Cell(a_part(program=ROOT / "projects" / "04-plate" / "main.py"), a_kind())


def test_the_images_python_runs_the_program_and_the_record_names_the_image(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images.Image, "recipe", "r")
    engine, _ = choosing.choose("local", cell)
    assert engine is not None
    launch = engine.launch(Request(cell=cell, parameters={}, seed=7, cards=1, out=Path("/results/run1")))
    assert launch.command[0] == str(tmp_path / "bin" / "python") and not launch.first
    assert launch.facts["engine"] == {"name": "local", "image": "sha256:12", "sbom": "b" * 64}
    assert launch.facts["stack"]["lock_sha256"] == "a" * 64 and launch.facts["paddle"]["wheel_sha256"] == "d"


def test_an_image_of_another_stack_is_refused_with_the_command_that_makes_the_right_one(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images.Image, "recipe", "another")
    engine, why = choosing.choose("local", cell)
    assert engine is None and f"./inv build --hw {cell.hardware.name}" in why and "--push" in why


def test_a_command_loses_the_checkouts_folder_and_no_folder_that_ends_like_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "ROOT", Path("/homework"))
    words = ("/opt/homework/bin/python", "/homework/projects/a.py", "--set", "file=/homework/b", "--out", "/x")
    told = ["/opt/homework/bin/python", "projects/a.py", "--set", "file=b", "--out", "OUT"]
    assert runner._readable(words) == told
