"""Packed weights are read again as they were made, and made anew when anything that they come from changed."""

import os
import shutil

import llm
import numpy as np
import pytest
from test_engine import SETTINGS
from test_llm import write_folder


@pytest.fixture(scope="module")
def kept(load):
    return load("10-optimised-inference/kept.py")


@pytest.fixture
def model(tmp_path, kept, monkeypatch):
    monkeypatch.setattr(kept, "CACHE", tmp_path / "weights")
    write_folder(tmp_path / "m", SETTINGS)
    return llm.open_model(str(tmp_path / "m"))


def equal(left, right):
    return np.array_equal(left.memory, right.memory) and np.array_equal(left.places, right.places)


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "int8", "int4", "float8"])
def test_a_second_start_reads_what_the_first_made(kept, model, kind, monkeypatch):
    made = kept.packed_weights(model, kind, 16)
    monkeypatch.setattr(kept.Packed, "fill", None)  # it would fail
    assert equal(kept.packed_weights(model, kind, 16), made)


def test_another_kind_or_panel_has_its_own(kept, model):
    for kind in ("int8", "int4"):
        for rows in (8, 16):
            kept.packed_weights(model, kind, rows)
    assert len(list(kept.CACHE.iterdir())) == 4


def test_another_file_under_the_name_is_packed_anew_in_the_place_of_the_old(kept, model, capsys):
    kept.packed_weights(model, "int8", 16)
    os.utime(model.files[0], ns=(1, 1))
    capsys.readouterr()
    kept.packed_weights(model, "int8", 16)
    assert "packing" in capsys.readouterr().out
    assert len(list(kept.CACHE.iterdir())) == 1


@pytest.mark.parametrize("harm", ["cut", "gone", "no list"])
def test_what_is_not_whole_is_made_anew(kept, model, harm):
    made = kept.packed_weights(model, "int8", 16)
    (folder,) = kept.CACHE.iterdir()
    if harm == "cut":
        (folder / kept.WEIGHTS).write_bytes((folder / kept.WEIGHTS).read_bytes()[:200])
    elif harm == "gone":
        (folder / kept.WEIGHTS).unlink()
    else:
        (folder / kept.ORIGIN).write_text("{")
    assert equal(kept.packed_weights(model, "int8", 16), made)
    assert kept.read(folder, kept.made_of(model), np.empty_like(made.memory))


def test_weights_are_kept_by_what_the_configuration_and_the_files_headers_say(kept, model):
    """Also where size and time are those of the file before."""
    before, path = kept.made_of(model), model.files[-1]
    assert path.name == "config.json"
    state, text = path.stat(), path.read_text()
    path.write_text(text.replace("1e-05", "1e-06"))
    os.utime(path, ns=(state.st_mtime_ns, state.st_mtime_ns))
    assert path.stat().st_size == state.st_size and kept.made_of(model) != before


def test_a_full_disk_keeps_nothing_and_says_so(kept, model, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    assert kept.packed_weights(model, "int8", 16)
    assert "not kept" in capsys.readouterr().out
    assert not list(kept.CACHE.iterdir())


def test_a_folder_that_cannot_be_written_keeps_nothing_and_says_so(kept, model, monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(kept, "CACHE", tmp_path / "file" / "weights")
    assert kept.packed_weights(model, "int8", 16)
    assert "not kept" in capsys.readouterr().out
