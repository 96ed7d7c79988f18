"""What a build prints for a dry run: commands that can be pasted, for every kind, from a wheel or source."""

import itertools
import shlex
import subprocess
from pathlib import Path

import pytest

from harness.catalogue import entries
from harness.checkout import ROOT
from harness.cli import building
from harness.environments import uv

KINDS = entries.load().hardware
WAYS = [
    pytest.param(kind, source, id=f"{name}{' --source' if source else ''}")
    for name, kind in KINDS.items()
    for source in (False, True)
    if ("source" in kind.data if source else not kind.data["wheels"].get("source_only"))
]


@pytest.fixture
def printed(tmp_path, monkeypatch, capsys):
    """The lines of a dry run where no engine answers, in a checkout with a .cache of its own."""
    for path in ROOT.iterdir():
        if path.name not in (".cache", ".git"):
            (tmp_path / path.name).symlink_to(path)
    monkeypatch.setattr(building, "ROOT", tmp_path)
    monkeypatch.setattr(building.clients, "find", lambda **_: None)
    monkeypatch.setattr(uv, "pip_settings", dict)

    def show(kind, source):
        wanted = building.image(kind, "base", source, "")
        building.build_all([wanted], building.Wishes(dry_run=True))
        return capsys.readouterr().out

    return show


@pytest.mark.parametrize(("kind", "source"), WAYS)
def test_the_commands_of_a_build_are_shell_and_what_they_read_is_there(printed, kind, source):
    script = printed(kind, source)
    checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    commands = [shlex.split(line.removeprefix("DOCKER_BUILDKIT=1 ")) for line in script.splitlines()]
    assert len(commands) == (10 if source else 1)
    for words in commands:
        named = dict(itertools.pairwise(words))
        if "build" in words[1:2]:
            assert Path(named["--file"]).is_file() and Path(words[-1]).is_dir()
            secrets = [word.partition("src=")[2] for word in words if word.startswith("id=")]
            assert secrets and all(Path(secret).is_file() for secret in secrets)
            stages = [line.split()[-1] for line in Path(named["--file"]).read_text().splitlines() if " AS " in line]
            assert named["--target"] in stages
        if words[1:2] == ["cp"] and not words[2].startswith("homework-"):
            assert Path(words[2]).is_dir(), "a folder that is copied into the container"
    assert (ROOT / ".cache" / "builds").as_posix() not in script
    assert not any("{" in word for words in commands for word in words if word.startswith(("BASE=", "INDEX="))), script
