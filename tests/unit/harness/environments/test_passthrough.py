"""What of this machine goes into a container: device files with the groups that own them."""

import os

import pytest
from samples import a_kind

from harness import system
from harness.environments import passthrough
from harness.environments.client import Client

DOCKER = Client("docker", "docker", "20.10", "buildkit")


def options(data, option, **asked):
    words = list(passthrough.words(data, DOCKER, **asked))
    return [words[place + 1] for place, word in enumerate(words) if word == option]


@pytest.fixture
def nodes(tmp_path):
    """Device files of one kind: two cards and their manager, and a folder of others, each with a group of its own."""
    if os.getuid() != 0:
        pytest.skip("only root gives files to groups")
    (tmp_path / "dri").mkdir()
    for name, group, mode in (("card0", 501, 0o660), ("card1", 502, 0o660), ("ctl", 503, 0o660), ("dri/r", 504, 0o660)):
        (tmp_path / name).touch()
        os.chown(tmp_path / name, 0, group)
        (tmp_path / name).chmod(mode)
    return tmp_path


def data(nodes, *files, **more):
    return a_kind(container={"devices": [f"{nodes}/{file}" for file in files], **more}).data


def test_the_groups_that_own_the_device_files_are_joined_by_number(nodes):
    assert options(data(nodes, "card*", "ctl"), "--group-add") == ["501", "502", "503"]
    assert options(data(nodes, "dri"), "--group-add") == ["504"], "what lies in a folder of them"


def test_of_the_chosen_card_alone(nodes):
    assert options(data(nodes, "card*"), "--group-add", card_ids=("1",)) == ["502"]


def test_a_group_that_may_not_read_is_no_use(nodes):
    (nodes / "ctl").chmod(0o600)
    assert options(data(nodes, "ctl"), "--group-add") == []


def test_root_joins_none(nodes):
    assert options(data(nodes, "card*"), "--group-add", root=True) == []


def test_a_named_group_is_that_of_this_machine_and_is_left_out_where_it_has_none(nodes, monkeypatch):

    monkeypatch.setattr(system, "group_names", lambda: {39: "video"})
    assert options(data(nodes, options={"group_add": ["video", "nobody-has-it"]}), "--group-add") == ["39"]


def test_podman_without_root_keeps_the_callers_groups(nodes, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    podman = Client("podman", "podman", "4.3", "podman")
    words = list(passthrough.words(data(nodes, "card*"), podman))
    assert words[words.index("--group-add") + 1] == "keep-groups"


def test_limits_are_raised_by_an_engine_that_may(nodes, monkeypatch):
    limited = data(nodes, "card*", options={"ulimit": ["stack=-1:-1", "memlock=-1:-1"]})
    assert options(limited, "--ulimit") == ["stack=-1:-1", "memlock=-1:-1"]
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert "--ulimit" not in passthrough.words(limited, Client("podman", "podman", "4.3", "podman"))
