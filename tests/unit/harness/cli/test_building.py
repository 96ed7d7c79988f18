"""What a build prints for a dry run: commands that can be pasted, for every kind, from a wheel or source."""

import itertools
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.catalogue import entries, releases
from harness.checkout import ROOT
from harness.cli import building
from harness.environments import images, uv
from harness.errors import UsageError

KINDS = entries.load().hardware
WAYS = [
    pytest.param(kind, source, id=f"{name}{' --source' if source else ''}")
    for name, kind in KINDS.items()
    for source in (False, True)
    if ("source" in kind.data if source else not kind.data["wheels"].get("source_only"))
]


def linked(folder):
    """A checkout of links to this one's files, with a .cache of its own."""
    folder.mkdir(exist_ok=True)
    for path in ROOT.iterdir():
        if path.name not in (".cache", ".git"):
            (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture
def printed(tmp_path, monkeypatch, capsys):
    """The lines of a dry run where no engine answers."""
    monkeypatch.setattr(building, "ROOT", linked(tmp_path))
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


def image_with(wheels, kind="cpu", paddle="", content=b"own"):
    for name in wheels:
        (Path(name)).write_bytes(content)
    release = releases.load().of(paddle) if paddle else None
    return building.image(KINDS[kind], "base", False, "", str(Path(wheels[0]).parent), release=release)


@pytest.mark.parametrize(
    ("kind", "wheel", "paddle", "said"),
    [
        ("cpu", "paddlepaddle-3.4.0.dev1", "", r"no paddlepaddle 3\.0\.0 there[\s\S]*--paddle 3\.4\.0\.dev1"),
        ("cpu", "paddlepaddle-3.3.1", "", r"no paddlepaddle 3\.0\.0 there[\s\S]*--paddle 3\.3\.1"),
        ("cuda", "paddlepaddle_gpu-3.4.0", "", r"no paddlepaddle-gpu 3\.0\.0 there"),
        ("cpu", "paddlepaddle-3.3.1", "3.3.1", r"not the index's file[\s\S]*3\.3\.1\+own"),
        ("cpu", "paddlepaddle-3.3.1+own", "3.3.1", r"not the index's file"),
    ],
    ids=["a nightly", "another listed", "a vendor's", "a listed number", "a local version for a listed one"],
)
def test_an_own_paddle_that_the_build_would_not_take_is_refused(kind, wheel, paddle, said, tmp_path):
    """pip would take the index's wheel in its place, and the image would not say so."""
    with pytest.raises(UsageError, match=said):
        image_with([tmp_path / f"{wheel}-cp310-cp310-linux_x86_64.whl"], kind, paddle)


@pytest.mark.parametrize("version", ["3.4.0.dev1", "3.3.1+own", "0.0.0"])
def test_an_own_paddle_that_is_named_goes_into_the_image(version, tmp_path):
    wanted = image_with([tmp_path / f"paddlepaddle-{version}-cp310-cp310-linux_x86_64.whl"], paddle=version)
    assert wanted.tag == f"base-{version.replace('+', '-')}" and not wanted.paddle.listed
    context = images.stage(replace(wanted, root=linked(tmp_path / "checkout")))
    lock = (context / "docker" / "locks" / "base.txt").read_text()
    assert [line for line in lock.splitlines() if line.startswith("paddlepaddle==")] == [f"paddlepaddle=={version}"]
    assert [path.name.split("-")[1] for path in (context / "wheels").iterdir()] == [version]


def test_the_index_s_own_file_and_a_folder_without_paddle_are_taken(tmp_path, monkeypatch):
    lock = building.image(KINDS["cpu"], "base", False, "").lock.read_text()
    known = lock[lock.index("\npaddlepaddle==") :].partition("--hash=sha256:")[2][:64]
    monkeypatch.setattr(building.hashing, "sha256", lambda path: known)
    image_with([tmp_path / "paddlepaddle-3.0.0-cp310-cp310-linux_x86_64.whl", tmp_path / "numpy-1-py3-none-any.whl"])
    (tmp_path / "paddlepaddle-3.0.0-cp310-cp310-linux_x86_64.whl").unlink()
    image_with([tmp_path / "numpy-1-py3-none-any.whl"])
