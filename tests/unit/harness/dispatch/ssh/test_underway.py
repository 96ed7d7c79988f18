"""The list of runs over ssh: written before one is begun, read whatever stands in its folder."""

from pathlib import Path

from harness.dispatch.ssh import underway
from harness.dispatch.ssh.underway import FOLDER, FarRun


def a_run(name: str = "a", address: str = "ssh://box") -> FarRun:
    return FarRun(name=name, address=address, options=["--task", "4"], begun="2026-11-30T00:00:00.000Z")


def test_a_run_stands_on_the_list_until_it_is_taken_off(tmp_path: Path) -> None:
    for run in (a_run("b"), a_run("a", "ssh://other")):
        run.write(tmp_path)
    assert underway.listed(tmp_path) == [a_run("a", "ssh://other"), a_run("b")]
    assert underway.listed(tmp_path, "ssh://box") == [a_run("b")]
    a_run("b").forget(tmp_path)
    a_run("b").forget(tmp_path)
    assert underway.listed(tmp_path) == [a_run("a", "ssh://other")]
    assert str(a_run()) == "./inv run --task 4"


def test_what_is_no_run_is_left_out(tmp_path: Path) -> None:
    a_run().write(tmp_path)
    for name, text in (("x", "{"), ("y", '{"name": "y"}'), ("z", "[]"), ("w", '{"name": "../a"}')):
        (tmp_path / FOLDER / f"{name}.json").write_text(text)
    assert underway.listed(tmp_path) == [a_run()]
    assert underway.listed(tmp_path / "none") == []
