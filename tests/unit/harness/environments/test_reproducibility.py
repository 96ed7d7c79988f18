"""Reproducibility: what is compared of two builds; the engine is a small program that leaves an archive."""

import io
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from test_images import BUILDKIT, BUILDX, PODMAN, an_image

from harness.environments import images, reproducibility
from harness.errors import BuildError

ENGINE = """\
#!{python}
import sys, tarfile, time, io
place = next(word for word in sys.argv if word.startswith("type=tar,dest=")).removeprefix("type=tar,dest=")
number = place[-1]
with tarfile.open(place, "w") as tar:
    for name, content in (("etc/same", "same"), ("etc/other", {content})):
        member = tarfile.TarInfo(name)
        member.size, member.mtime = len(content), int(number)
        tar.addfile(member, io.BytesIO(content.encode()))
"""


def archive(path, **fields):
    member = tarfile.TarInfo("file")
    for name, value in {"size": 4, **fields}.items():
        setattr(member, name, value)
    with tarfile.open(path, "w") as tar:
        tar.addfile(member, io.BytesIO(b"text"))
    return reproducibility.files(path)


def test_bytes_are_compared_where_the_engine_can_leave_the_time_out():
    words = reproducibility.command(an_image(), BUILDX, Path("/c"), Path("/a.tar"))
    assert "type=oci,dest=/a.tar,rewrite-timestamp=true" in words and "--load" not in words and "--tag" not in words
    assert words[-1] == "/c" and "--no-cache" in words
    words = reproducibility.command(an_image(), PODMAN, Path("/c"), Path("/id"))
    assert words[words.index("--iidfile") + 1] == "/id" and "--timestamp" in words


@pytest.mark.parametrize("changed", [{"mode": 0o755}, {"uid": 7}, {"type": tarfile.DIRTYPE}, {"size": 3}])
def test_a_file_is_its_kind_mode_owner_and_content_but_not_its_time(tmp_path, changed):
    first = archive(tmp_path / "a", mtime=1)
    assert archive(tmp_path / "b", mtime=2) == first
    assert archive(tmp_path / "c", **changed) != first


@pytest.fixture
def check(tmp_path, monkeypatch):
    """A check whose engine writes two files; `content` is the second one's, in Python."""
    monkeypatch.setattr(images.uv, "pip_settings", dict)
    (tmp_path / "docker" / "locks").mkdir(parents=True)
    for name in ("base.in", "base.txt"):
        (tmp_path / "docker" / "locks" / name).write_text("paddlepaddle==3.0.0\n")
    (tmp_path / "Dockerfile.cpu").write_text("FROM scratch\n")

    def check(content):
        program = tmp_path / "docker-client"
        program.write_text(ENGINE.format(python=sys.executable, content=content))
        program.chmod(0o755)
        return reproducibility.check(replace(an_image(), root=tmp_path), replace(BUILDKIT, path=str(program)))

    return check


def test_the_same_files_at_other_times_are_the_same(check, tmp_path):
    assert check("'other'").startswith("the same files, their times aside")
    left = [path.name for path in (tmp_path / ".cache" / "builds").iterdir()]
    assert not [name for name in left if name.endswith((".1", ".2", ".secrets"))]


def test_files_that_differ_are_named(check):
    with pytest.raises(BuildError, match=r"They differ in 1 of 2: etc/other\."):
        check("number")
