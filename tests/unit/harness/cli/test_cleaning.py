"""Clean: what the checkout keeps is shown with its size, and what is named is freed; records are never among it."""

import json

import pytest

from harness.cli import cleaning


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(cleaning, "ROOT", tmp_path)
    for name in (".cache/matplotlib/font", ".stacks/base/lib", ".mypy_cache/x", "results/4/cpu/record", "store/object"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"x" * 100_000)
    return tmp_path


def test_sizes_are_shown_and_nothing_goes(checkout, capsys):
    cleaning.clean("", "json")
    sizes = json.loads(capsys.readouterr().out)
    assert sizes["cache"] >= 100_000 and sizes["venv"] == 0 and set(sizes) == set(cleaning.PLACES)
    cleaning.clean("", "table")
    assert "0.1 MiB" in capsys.readouterr().out and (checkout / ".cache/matplotlib/font").exists()


@pytest.mark.parametrize(("free", "left"), [("cache", True), ("all", False), ("cache,stacks", False)])
def test_what_is_named_goes_and_records_stay(checkout, capsys, free, left):
    cleaning.clean(free, "table")
    assert "freed" in capsys.readouterr().out
    assert not (checkout / ".cache").exists() and (checkout / ".stacks").exists() == left
    assert (checkout / "results/4/cpu/record").exists() and (checkout / "store/object").exists()
