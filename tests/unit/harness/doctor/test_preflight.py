"""Preflight: what is refused before a build or a run starts, and what it says to install."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from samples import a_cell_entry, a_kind

from harness.doctor import checks, preflight
from harness.environments import client, images
from harness.environments.client import Client
from harness.errors import EngineError, HardwareError
from harness.machine import pci, probe
from harness.machine.devices import Card
from harness.machine.probe import Finding

DOCKER = Client("/usr/bin/docker", "docker", "20.10.24", "buildkit", machine="x86_64")


def a_finding(driver="23.0.3", **data):
    return Finding(a_kind("abacus", "accelerator", **data), (Card(index="0", model="Abacus 1", driver=driver),))


def failing(lines):
    return [line.subject for line in lines if line.fits is False]


@pytest.fixture(autouse=True)
def no_engine(monkeypatch):
    monkeypatch.setattr(client, "find", lambda to_build=False: None)


@pytest.mark.parametrize(("driver", "wrong"), [("23.0.3", []), ("24.1", []), ("22.9", ["driver"])])
@pytest.mark.parametrize("engine", ["local", "container"])
def test_a_driver_out_of_range_is_refused_on_every_engine(engine, driver, wrong):
    lines = preflight.examine_run(a_finding(driver, requires={"driver": ">=23.0.3"}), engine)
    assert failing(lines) == wrong


def test_the_sdk_is_this_machines_only_for_a_local_run(tmp_path):
    (tmp_path / "version").write_text("Version 7.0")
    sdk = {"name": "SDK", "version": ">=8", "files": [f"{tmp_path}/version"], "read": r"Version (?P<version>\S+)"}
    finding = a_finding(requires={"sdks": [sdk]})
    assert failing(preflight.examine_run(finding, "local")) == ["SDK"]
    assert failing(preflight.examine_run(finding, "container")) == []


def test_device_files_mounts_and_the_runtime_are_the_containers(tmp_path):
    needs = {"devices": [f"{tmp_path}/card*"], "mounts": [f"{tmp_path}/driver"], "runtime": "no-such-hook"}
    finding = a_finding(container=needs)
    assert failing(preflight.examine_run(finding, "container")) == [
        "device files",
        "mounts",
        "the engine's device runtime",
    ]
    assert failing(preflight.examine_run(finding, "local")) == []
    for name in ("card0", "driver"):
        (tmp_path / name).touch()
    finding = a_finding(container={**needs, "runtime": "sh"})
    assert failing(preflight.examine_run(finding, "container")) == []


def test_too_little_shared_memory_or_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(total=2**20, free=2**20))
    assert failing(preflight.examine_run(a_finding(), "local")) == ["disk", "shared memory"]
    assert failing(preflight.examine_run(a_finding(), "container")) == ["disk"]
    shared = a_finding(container={"options": {"ipc_mode": "host"}})
    assert failing(preflight.examine_run(shared, "container")) == ["disk", "shared memory"]
    assert checks.shared_memory(None, tmp_path / "none") == []


def test_a_failure_says_what_was_found_and_what_to_install():
    finding = a_finding("22.9", requires={"driver": ">=23.0.3"})
    with pytest.raises(HardwareError) as caught:
        preflight.require_run([a_cell_entry(finding)])
    error = caught.value
    assert error.code == 3 and "driver" in error.what and "22.9, >=23.0.3 wanted" in error.why
    assert "apt-get install" in error.remedy and "./inv doctor --hw abacus" in error.remedy


def test_what_is_left_out_is_not_asked():
    finding = a_finding("22.9", requires={"driver": ">=23.0.3"})
    preflight.require_run([a_cell_entry(finding, engine=None)])


@pytest.fixture
def image(tmp_path):
    return images.Image(hardware=a_kind("abacus", "accelerator"), root=tmp_path)


def test_a_build_is_refused_where_it_cannot_end(image, monkeypatch):
    monkeypatch.setattr(Client, "read", lambda self, *words: None)
    monkeypatch.setattr(probe, "probe", lambda kind, paddle: Finding(kind, ()))
    with pytest.raises(EngineError, match="cannot build"):
        preflight.require_build(image, replace(DOCKER, builder=""))
    with pytest.raises(HardwareError, match="processor") as caught:
        preflight.require_build(image, replace(DOCKER, machine="riscv64"))
    assert "wheels are for x86_64" in caught.value.why
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(total=2**40, free=2**30))
    with pytest.raises(HardwareError, match="disk") as caught:
        preflight.require_build(image, DOCKER)
    assert "1.0 GiB free" in caught.value.why


def test_a_build_without_the_card_is_for_another_machine_and_one_with_an_old_driver_is_refused(
    image, monkeypatch, capsys
):
    monkeypatch.setattr(Client, "read", lambda self, *words: None)
    monkeypatch.setattr(checks, "IMAGE_GIBIBYTES", 0.0)
    monkeypatch.setattr(probe, "probe", lambda kind, paddle: Finding(kind, ()))
    preflight.require_build(image, DOCKER)
    assert "for another machine" in capsys.readouterr().out
    monkeypatch.setattr(probe, "probe", lambda kind, paddle: a_finding("22.9", requires={"driver": ">=23.0.3"}))
    with pytest.raises(HardwareError, match="driver"):
        preflight.require_build(image, DOCKER)
    preflight.require_build(image, replace(DOCKER, address="ssh://far"))  # its cards are not this machine's


def test_what_a_build_loads_with_the_driver_is_compiled_where_the_card_is(image, monkeypatch):
    monkeypatch.setattr(Client, "read", lambda self, *words: None)
    monkeypatch.setattr(checks, "IMAGE_GIBIBYTES", 0.0)
    monkeypatch.setattr(probe, "probe", lambda kind, paddle: Finding(kind, ()))
    described = {"source": {"repository": "https://x", "directory": "d", "command": "c", "driver": True}}
    compiled = replace(image, target="source", hardware=a_kind(**described))
    with pytest.raises(HardwareError, match="cards"):
        preflight.require_build(compiled, DOCKER)


# The PCI bus


@pytest.fixture
def bus(tmp_path):
    for address, vendor, category in (
        ("0000:00:02.0", "0x1d94", "0x060400"),
        ("0000:3b:00.0", "0x1d94", "0x038000"),
        ("0000:5e:00.0", "0x19e5", "0x120000"),
    ):
        folder = tmp_path / "bus" / address
        folder.mkdir(parents=True)
        (folder / "vendor").write_text(f"{vendor}\n")
        (folder / "class").write_text(f"{category}\n")
        (folder / "device").write_text("0xd802\n")
    return tmp_path / "bus"


def test_cards_are_found_on_the_bus_by_vendor_and_class(bus):
    assert pci.devices({"pci": {"vendors": ["1d94"], "classes": ["03", "12"]}}, bus) == ("0000:3b:00.0",)
    assert pci.devices({"pci": {"vendors": ["19e5"]}}, bus) == ("0000:5e:00.0",)
    assert pci.devices({"pci": {"vendors": ["10de"]}}, bus) == ()
    assert pci.devices({}, bus) == ()


def test_a_card_without_its_driver_is_said_to_be_one(bus, monkeypatch):
    monkeypatch.setattr(pci.found, "__defaults__", (bus,))
    lister = {"command": ["no-such-lister"], "card": "x"}
    kind = a_kind("abacus", "accelerator", lister=lister, pci={"vendors": ["19e5"]})
    found = probe.probe(kind)
    assert "PCI bus: 0000:5e:00.0 (19e5:d802)" in found.looked
    with pytest.raises(HardwareError, match="is in this machine, but no driver answers"):
        probe.require(found)
