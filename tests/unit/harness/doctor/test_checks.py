"""The doctor's lines: what is here, what is missing, what to install; and preflight holds a run to the same."""

import shutil
from types import SimpleNamespace

import pytest
from samples import a_kind, a_part

from harness.doctor import cards, checks, preflight
from harness.doctor.checks import seen_from
from harness.doctor.diagnosis import Diagnosis
from harness.environments import client
from harness.environments.client import Client
from harness.machine.devices import Card
from harness.machine.probe import Finding

MIB = 2**20
DOCKER = Client("/usr/bin/docker", "docker", "20.10.24", "buildkit", machine="x86_64")


@pytest.fixture
def python(monkeypatch):
    """A way to say which Python, and which processor, this is."""

    def this_is(version, machine="x86_64"):
        monkeypatch.setattr("platform.python_version", lambda: version)
        monkeypatch.setattr("platform.python_version_tuple", lambda: tuple(version.split(".")))
        monkeypatch.setattr("platform.machine", lambda: machine)

    return this_is


def test_the_doctor_passes_a_machine_that_has_everything(tmp_path, python):
    python("3.11.2")
    (tmp_path / "version.info").write_text("version=8.0.1\n")
    sdk = {"name": "SDK", "version": ">=8", "files": [f"{tmp_path}/*.info"], "read": r"version=(?P<version>\S+)"}
    kind = a_kind(requires={"driver": ">=5", "sdks": [sdk]})
    lines = cards.lines(Finding(kind, (Card(index="0", model="A", driver="5.1"),)))
    assert [line.fits for line in lines] == [True] * 5
    assert [line.found for line in lines[:3]] == ["0: A", "5.1, >=5 wanted", "8.0.1, >=8 wanted"]


def test_the_doctor_names_everything_that_is_missing(python):
    python("3.9.1", "riscv64")
    sdk = {"name": "SDK", "version": ">=8", "files": ["/no/such/file"], "read": r"(?P<version>\d+)"}
    kind = a_kind(requires={"driver": ">=5", "sdks": [sdk]})
    lines = {line.subject: line for line in cards.lines(Finding(kind, (), ("lscpu: not on PATH",)))}
    assert all(line.fits is False and line.remedy for line in lines.values() if line.subject != "driver")
    assert lines["cards"].found == "none; lscpu: not on PATH"
    assert (lines["driver"].found, lines["driver"].fits) == ("unknown, >=5 wanted; not judged", None)
    assert lines["SDK"].found == "not found: /no/such/file"
    assert lines["SDK"].remedy.startswith("Install SDK >=8")
    assert "This is Python 3.9" in lines["wheels"].remedy
    assert "no wheel for riscv64" in lines["wheels' machines"].remedy


def test_a_driver_that_is_too_old_is_named_with_both_versions():
    kind = a_kind(requires={"driver": ">=5"})
    (line,) = cards.driver(Finding(kind, (Card(index="0", model="A", driver="4.9"),)))
    assert (line.found, line.fits, line.remedy) == ("4.9, >=5 wanted", False, "apt-get install util-linux.")


def test_the_machine_itself_is_examined(tmp_path):
    lines = {line.subject: line for line in checks.machine(tmp_path)}
    assert list(lines)[:5] == ["system", "Python", "OpenMP runtime", "disk", "disk for an environment"]
    assert lines["Python"].fits is True and lines["system"].fits is None
    (tmp_path / ".stacks" / "base").mkdir(parents=True)
    (tmp_path / ".stacks" / "base" / "recipe.txt").touch()
    assert "disk for an environment" not in {line.subject for line in checks.machine(tmp_path)}


def test_git_has_a_line_where_it_is_not(tmp_path, monkeypatch):
    assert "git" not in {line.subject for line in checks.machine(tmp_path)}
    monkeypatch.setenv("PATH", str(tmp_path))
    (line,) = (line for line in checks.machine(tmp_path) if line.subject == "git")
    assert line.fits is None and "no commit" in line.found


def test_a_command_that_some_parts_call_is_looked_for_and_its_package_named():
    tools = {"sh": "apt-get install dash", "no-such-compiler": "apt-get install g++"}
    parts = [
        a_part("2-1", tools=tools),
        a_part("2-3", tools=tools),
        a_part("4"),
        a_part("6", tools=tools, program=None),
    ]
    found, absent = checks.commands(parts)
    assert found.subject == "sh" and found.fits and found.found.endswith("wanted by 2-1, 2-3")
    assert absent == Diagnosis(
        "no-such-compiler", "not on PATH, wanted by 2-1, 2-3: apt-get install g++", fits=None
    )  # the other parts run without it


# One list


def doctor_and_preflight(monkeypatch, root, kind=None, engine="local"):
    """What the doctor finds wrong, and what a run is refused for, on the same machine."""
    monkeypatch.setattr(preflight, "ROOT", root)
    monkeypatch.setattr(client, "find", lambda to_build=False: DOCKER if engine == "container" else None)
    monkeypatch.setattr(Client, "read", lambda self, *words: None)
    finding = Finding(kind or a_kind(), (Card(index="0", model="A"),))
    doctor = [line for _, lines in checks.everything(root, (), [finding]) for line in lines]
    return {line.subject for line in doctor if line.fits is False}, {
        line.subject for line in preflight.examine_run(finding, engine) if line.fits is False
    }


@pytest.mark.parametrize(("mebibytes", "wrong"), [(61, True), (62, True), (63.99, True), (64, False)])
def test_doctor_and_preflight_agree_on_shared_memory(monkeypatch, tmp_path, python, mebibytes, wrong):
    python("3.11.2")
    usage = SimpleNamespace(total=int(mebibytes * MIB), free=2**40)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    expected = {"shared memory"} if wrong else set()
    assert doctor_and_preflight(monkeypatch, tmp_path) == (expected, expected)


@pytest.mark.parametrize(("made", "gibibytes"), [(True, 0.2), (True, 0.3), (False, 3.9), (False, 4.1)])
def test_doctor_and_preflight_agree_on_disk(monkeypatch, tmp_path, python, made, gibibytes):
    python("3.11.2")
    if made:
        (tmp_path / ".stacks" / "base").mkdir(parents=True)
        (tmp_path / ".stacks" / "base" / "recipe.txt").touch()
    usage = SimpleNamespace(total=2**40, free=int(gibibytes * 2**30))
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    doctor, refused = doctor_and_preflight(monkeypatch, tmp_path)
    enough = gibibytes in (0.3, 4.1)
    assert doctor == refused and bool(refused) is not enough


@pytest.mark.parametrize(("version", "wrong"), [("3.9.1", {"Python", "wheels"}), ("3.11.2", set())])
def test_doctor_and_preflight_agree_on_python(monkeypatch, tmp_path, python, version, wrong):
    python(version)
    assert doctor_and_preflight(monkeypatch, tmp_path) == (wrong, wrong)


def test_doctor_and_preflight_agree_on_what_a_container_needs(monkeypatch, tmp_path, python):
    python("3.11.2")
    kind = a_kind(container={"devices": ["/no/card*"], "mounts": ["/no/driver"], "runtime": "no-such-hook"})
    wrong = {"device files", "mounts", "the engine's device runtime"}
    assert doctor_and_preflight(monkeypatch, tmp_path, kind, "container") == (wrong, wrong)
    assert doctor_and_preflight(monkeypatch, tmp_path, kind, "local") == (set(), set())


def test_what_nothing_here_needs_is_no_fault():
    line = Diagnosis("disk for images", "1 GiB", False, "Free some", ("build",))
    assert [each.fits for each in seen_from(("local",), [line])] == [None]
    assert [each.fits for each in seen_from(("local", "build"), [line])] == [False]
