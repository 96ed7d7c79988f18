"""Wheels of a vendor's index: taken from that index alone, by a real pip, and held against what is pinned."""

import hashlib
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from harness.environments import stacks
from harness.environments.stacks import Stack
from harness.errors import BuildError

pytestmark = pytest.mark.slow
NAME = "paddle_custom_npu-3.0.0-py3-none-any.whl"
INFO = "paddle_custom_npu-3.0.0.dist-info"
METADATA = "Metadata-Version: 2.1\nName: paddle-custom-npu\nVersion: 3.0.0\n"
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def an_index(folder: Path, whose: str) -> str:
    place = folder / whose / "paddle-custom-npu"
    place.mkdir(parents=True)
    with zipfile.ZipFile(place / NAME, "w") as wheel:
        wheel.writestr("npu.py", f"whose = {whose!r}\n")
        for name, text in (("METADATA", METADATA), ("WHEEL", WHEEL), ("RECORD", "")):
            wheel.writestr(f"{INFO}/{name}", text)
    (place / "index.html").write_text(f'<a href="{NAME}">{NAME}</a>\n')
    return f"file://{folder / whose}/"


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """A stack whose vendor has an index, on a machine whose own settings name another one with the same wheel."""
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", an_index(tmp_path, "squatter"))
    monkeypatch.setattr(Stack, "python", Path(sys.executable))
    vendor = an_index(tmp_path, "vendor")
    return Stack("base", tmp_path / "base.txt", tmp_path / "stack", ("paddle-custom-npu==3.0.0",), vendor)


def fetch(stack):
    stacks._run(stack, stacks.install_commands(stack)[2:], "Fetched it")
    return stack.folder / stacks.WHEELS / NAME


def test_a_name_that_somebody_else_has_elsewhere_does_not_win(stack):
    assert b"'vendor'" in zipfile.ZipFile(fetch(stack)).read("npu.py")


def test_where_the_vendor_lacks_it_nobody_elses_is_taken(stack, tmp_path):
    (tmp_path / "vendor" / "paddle-custom-npu" / NAME).unlink()
    (tmp_path / "vendor" / "paddle-custom-npu" / "index.html").write_text("")
    with pytest.raises(BuildError):
        fetch(stack)


def test_a_file_that_is_not_the_pinned_one_is_refused(stack):
    right = hashlib.sha256(fetch(stack).read_bytes()).hexdigest()
    assert stacks._held_against_pins(replace(stack, pins=((NAME, right),))) == {NAME: right}
    with pytest.raises(BuildError, match=r"not the file that docker/pins\.json names"):
        stacks._held_against_pins(replace(stack, pins=((NAME, "0" * 64),)))
