"""docker/locks/wheels.py: the list of the wheels that were published, with their hashes."""

import importlib.util
import json
import zipfile

import pytest

from harness.checkout import ROOT

LOCKS = ROOT / "docker" / "locks"


@pytest.fixture(scope="module")
def wheels():
    """The script that writes the list of published wheels, as a module."""
    spec = importlib.util.spec_from_file_location("wheels", LOCKS / "wheels.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_they_are_those_of_the_listed_versions_with_hashes_that_the_locks_have_too(wheels):
    versions = wheels.listed_versions((LOCKS.parent / "paddle.yaml").read_text())
    published = json.loads((LOCKS / "paddle-wheels.json").read_text())
    assert {name.split("-")[1] for name in published} == set(versions)
    for version in versions:
        lock = (LOCKS / ("" if version == versions[0] else version) / "base.txt").read_text()
        own = {name: hashes for name, hashes in published.items() if f"-{version}-" in name}
        # The lock is for Python 3.10 upwards, the list is of all wheels.
        assert all(hashes["sha256"] in lock for name, hashes in own.items() if "-cp31" in name)
    assert len({hashes["record_sha256"] for hashes in published.values()}) == len(published)


def test_a_list_is_read_out_of_a_wheel_without_fetching_all_of_it(wheels, tmp_path, monkeypatch):
    path = tmp_path / "some.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as wheel:
        wheel.writestr("big.so", bytes(5 * wheels.BLOCK))
        wheel.writestr("RECORD", "the list")
    content, fetched = path.read_bytes(), []

    class Local(wheels.Remote):
        def __init__(self):
            self.at, self.length, self.blocks = 0, len(content), {}

        def _block(self, number, start, stop):
            fetched.append(number)
            return content[start:stop]

    with zipfile.ZipFile(Local()) as wheel:
        assert wheel.read("RECORD") == b"the list"
        assert set(fetched) == {0}
        assert wheel.read("big.so") == bytes(5 * wheels.BLOCK)  # across blocks


def test_without_an_index_it_asks_for_one(wheels, monkeypatch, capsys):
    monkeypatch.setattr(wheels, "configured_index", lambda: None)
    monkeypatch.setattr("sys.argv", ["wheels.py"])
    with pytest.raises(SystemExit, match=r"name one: python docker/locks/wheels\.py INDEX"):
        wheels.main()
