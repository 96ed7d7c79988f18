"""The container engine: the command that it returns, and why it cannot run a cell; no engine is asked."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from samples import a_kind, a_part

from harness.catalogue.cells import Cell
from harness.checkout import ROOT
from harness.engines.container import CHECKOUT, PROCESS, ContainerEngine, _birth, limits, remove_leftovers
from harness.engines.engine import Request
from harness.environments import client, images
from harness.environments.client import Client
from harness.errors import EngineError

DOCKER = Client("/usr/bin/docker", "docker", "20.10.24", "buildkit")
LABELS = {
    "recipe": "r",
    "lock": "a" * 64,
    "sbom": "b" * 64,
    "python": "3.10.14",
    "wheels": '{"paddle_custom_npu-3.0.0-cp310.whl": "c", "paddlepaddle-3.0.0-cp310-cp310-linux_x86_64.whl": "d"}',
}


class Fake(Client):
    """A client whose engine has one image."""

    def inspect(self, image):
        return {"Id": "sha256:12", "Config": {"Labels": {images.LABEL + name: text for name, text in LABELS.items()}}}


def a_request(kind=None, cards=1, card_ids=("0",), **part):
    program = ROOT / "projects" / "04-plate" / "main.py"
    cell = Cell(a_part(program=program, uses=("kit",), **part), kind or a_kind())
    return Request(cell=cell, parameters={}, seed=7, cards=cards, out=Path("/results/run1"), card_ids=card_ids)


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.setattr(client, "find", lambda to_build=False: Fake(*vars(DOCKER).values()))
    monkeypatch.setattr(images.Image, "recipe", "r")
    return ContainerEngine()


def pairs(words, option):
    words = list(words)
    return [words[place + 1] for place, word in enumerate(words) if word == option]


def test_the_program_runs_with_its_contract_on_its_mounted_project_and_what_that_uses(engine):
    words = engine.launch(a_request()).command
    assert words[-10:-8] == ("/homework/projects/04-plate/main.py", "--part") or "--part" in words
    assert pairs(words, "--out") == ["/homework/out"]
    for folder in ("projects/04-plate", "projects/kit", "docker/locks"):
        assert f"{ROOT / folder}:/homework/{folder}:ro" in pairs(words, "--volume")
    assert "/results/run1:/homework/out" in pairs(words, "--volume")
    assert pairs(words, "--user") == [f"{os.getuid()}:{os.getgid()}"]


def test_several_cards_are_started_by_the_mounted_launcher(engine):
    words = engine.launch(a_request(cards=8)).command
    assert "/homework/projects/kit/launch.py /homework/projects/04-plate/main.py --part" in " ".join(words)
    assert pairs(words, "--cards") == ["8"] and "OMP_NUM_THREADS=" in " ".join(pairs(words, "--env"))


def test_there_is_no_network_unless_the_part_or_several_cards_need_it():
    kind = a_kind(container={"options": {"network_mode": "host"}})
    assert pairs(limits(a_request(kind), DOCKER), "--network") == ["none"]
    assert pairs(limits(a_request(kind, network=True), DOCKER), "--network") == ["bridge"]
    assert pairs(limits(a_request(kind, cards=8), DOCKER), "--network") == ["host"]


def test_only_what_the_data_names_is_passed_on(tmp_path):
    for name in ("card0", "card1"):
        (tmp_path / name).touch()
    kind = a_kind(
        container={
            "devices": [f"{tmp_path}/card*"],
            "mounts": [str(tmp_path), "/not/there"],
            "options": {"shm_size": "8g", "security_opt": ["seccomp=unconfined"]},
        }
    )
    words = list(limits(a_request(kind, card_ids=()), DOCKER))
    assert pairs(words, "--device") == [f"{tmp_path}/card0", f"{tmp_path}/card1"]
    assert pairs(words, "--volume") == [f"{tmp_path}:{tmp_path}:ro"]
    assert pairs(words, "--shm-size") == ["8g"] and pairs(words, "--group-add") == []
    assert pairs(words, "--security-opt") == ["seccomp=unconfined"]
    assert "--privileged" not in words and int(pairs(words, "--memory")[0]) > 0


def test_privileges_come_only_from_the_data_and_are_said(engine, capsys):
    kind = a_kind(container={"privileged": True})
    assert "--privileged" in list(limits(a_request(kind), DOCKER))
    engine.prepare(a_request(kind).cell)
    assert "--privileged" in capsys.readouterr().out


def test_only_the_chosen_cards_go_in_with_what_belongs_to_none(tmp_path):
    for name in ("card0", "card1", "card2", "card12", "cardctl"):
        (tmp_path / name).touch()
    kind = a_kind(container={"devices": [f"{tmp_path}/card*", f"{tmp_path}/card[0-9]*"]})
    words = list(limits(a_request(kind, cards=2, card_ids=("2", "12")), DOCKER))
    assert [Path(word).name for word in pairs(words, "--device")] == ["card12", "card2", "cardctl"]


def test_cards_that_the_engine_itself_hands_over_are_named_to_it():
    kind = a_kind(container={"options": {"gpus": "all"}})
    assert pairs(limits(a_request(kind, card_ids=("2", "5")), DOCKER), "--gpus") == ['"device=2,5"']
    assert pairs(limits(a_request(kind, card_ids=()), DOCKER), "--gpus") == ["all"]


@pytest.mark.parametrize(("renumbers", "inside"), [(False, "2,5"), (True, "0,1")])
def test_the_kinds_variable_names_the_cards_as_they_are_called_inside(engine, renumbers, inside):
    kind = a_kind(visible_devices="NPU_VISIBLE_DEVICES", container={"renumbers": renumbers})
    words = engine.launch(a_request(kind, cards=2, card_ids=("2", "5"))).command
    assert f"NPU_VISIBLE_DEVICES={inside}" in pairs(words, "--env")


def test_the_checkouts_folder_is_another_one_inside(engine):
    kind = a_kind()
    words = engine.launch(a_request(replace(kind, environment={"PLUG_IN": "{root}/.cache/sim"}))).command
    assert "PLUG_IN=/homework/.cache/sim" in pairs(words, "--env")


def test_a_container_whose_harness_is_gone_is_removed_and_no_other(monkeypatch):
    own = _birth(os.getpid())
    assert own
    processes = {"gone": "4194305 12", "reborn": f"{os.getpid()} 1", "alive": f"{os.getpid()} {own}"}
    removed = []

    def read(self, word, *more):
        if word == "ps":
            assert f"label={CHECKOUT}={ROOT}" in more
            return "\n".join(processes)
        if word == "inspect":
            return json.dumps([{"Name": f"/{more[0]}", "Config": {"Labels": {PROCESS: processes[more[0]]}}}])
        removed.append(more[-1])
        return ""

    monkeypatch.setattr(Client, "read", read)
    assert remove_leftovers(DOCKER) == ["gone", "reborn"] == removed


def test_a_rootless_podman_keeps_the_callers_name(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    podman = Client("/usr/bin/podman", "podman", "4.3.1", "podman")
    assert "--userns=keep-id" in list(limits(a_request(), podman))
    assert "--userns=keep-id" not in list(limits(a_request(), DOCKER))


def test_the_record_says_image_engine_and_wheel(engine):
    facts = engine.launch(a_request()).facts
    assert facts["engine"] == {
        "name": "container",
        "image": "sha256:12",
        "version": "docker 20.10.24",
        "sbom": "b" * 64,
    }
    assert facts["stack"]["python"] == "3.10.14" and facts["stack"]["lock_sha256"] == "a" * 64
    assert facts["paddle"]["package"] == "paddlepaddle" and facts["paddle"]["wheel_sha256"] == "d"


def test_the_container_is_taken_away_by_the_name_that_it_has(engine):
    launch = engine.launch(a_request())
    (name,) = pairs(launch.command, "--name")
    assert launch.cleanup == ("/usr/bin/docker", "rm", "--force", name)
    assert "timeout" in launch.command, "the limit holds inside, should the harness be killed"


def test_why_a_cell_cannot_run(engine, monkeypatch):
    cell = a_request().cell
    assert engine.missing(cell) is None
    monkeypatch.setattr(images.Image, "recipe", "another")
    assert "older than its files" in engine.missing(cell)
    monkeypatch.setattr(Fake, "inspect", lambda self, image: None)
    assert "./inv build --hw cpu" in engine.missing(cell)
    assert "no Dockerfile.abacus" in engine.missing(Cell(cell.part, a_kind("abacus")))
    monkeypatch.setattr(
        client, "find", lambda to_build=False: Client("docker", "docker", "1", "buildx", "ssh://somebody@far")
    )
    assert "cannot see this machine's folders" in engine.missing(cell)
    monkeypatch.setattr(client, "find", lambda to_build=False: None)
    assert engine.missing(cell) == "no container engine answers"


# The client


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A PATH with two clients for one engine; only the second one builds."""
    version = '{"Client": {"Context": "default"}, "Server": {"Version": "20.10.24"}}'
    for folder, its_own in (("a", "28.2.2"), ("b", "20.10.24")):
        place = tmp_path / folder / "docker"
        place.parent.mkdir()
        place.write_text(
            f"#!/bin/sh\ncase $* in *Client.Version*) echo {its_own};; version*) echo '{version}';;\n"
            "context*) echo unix:///run/docker.sock;;\n"
            "*) exit 1;; esac\n"
        )
        place.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'a'}:{tmp_path / 'b'}:/nowhere")
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    client._answering.cache_clear()
    yield tmp_path
    client._answering.cache_clear()


def test_of_two_clients_the_one_that_builds_is_taken_to_build(path):
    found = client.find(to_build=True)
    assert found and found.path == str(path / "b" / "docker") and found.builder == "buildkit" and not found.remote


def test_a_run_asks_the_first_client_once(path, monkeypatch):
    asked = []
    read = client._read
    monkeypatch.setattr(client, "_read", lambda *command: asked.append(command[1]) or read(*command))
    found = client.find()
    assert client.require() == found
    assert found and found.path == str(path / "a" / "docker") and found.address == client.DEFAULT
    assert asked == ["version"]


def test_the_address_of_another_context_is_asked_for(path, monkeypatch):
    place = path / "a" / "docker"
    place.write_text(place.read_text().replace("default", "far").replace("unix:///run/docker.sock", "tcp://far:2375"))
    found = client.find()
    assert found and found.address == "tcp://far:2375" and found.remote


def test_the_address_is_the_clients_own(path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "ssh://user@host")
    found = client.find()
    assert found and found.remote


def test_no_engine_is_said_with_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    client._answering.cache_clear()
    with pytest.raises(EngineError, match=r"apt-get install docker\.io"):
        client.require()
    client._answering.cache_clear()


def test_a_person_chooses_between_two_engines(path, monkeypatch):
    monkeypatch.setenv("HOMEWORK_ENGINE", str(path / "a" / "docker"))
    found = client.find()
    assert found and found.path == str(path / "a" / "docker")


def test_a_variable_of_the_kind_s_that_the_caller_set_goes_in_and_others_stay_out(engine, monkeypatch):
    monkeypatch.setenv("MKL_DEBUG_CPU_TYPE", "5")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    launch = engine.launch(a_request(replace(a_kind(), environment={"MKL_DEBUG_CPU_TYPE": "7"})))
    assert "MKL_DEBUG_CPU_TYPE=5" in pairs(launch.command, "--env")
    assert "OPENBLAS_CORETYPE" not in launch.environment, "else the record would have what the program had not"
