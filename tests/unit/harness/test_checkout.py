"""The checkout: which revision it is, and what makes another run of it."""

import subprocess
from pathlib import Path

import pytest

from harness.checkout import revision


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with a file in each place, all committed."""
    folder = tmp_path / "checkout"
    for name in (
        "harness/a.py",
        "projects/01/main.py",
        "hardware/cpu/x.yaml",
        "docker/locks/base.txt",
        "docs/a.md",
    ):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("x")
    for name in ("tasks.py", "Dockerfile.cpu", "README.md"):
        (folder / name).write_text("x")
    who = ("-c", "user.name=x", "-c", "user.email=x@x")
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "x")):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder


def test_outside_a_git_checkout_there_is_no_revision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert revision(tmp_path) == {"revision": None, "clean": None}


@pytest.mark.parametrize(
    "name",
    [
        "harness/a.py",
        "projects/01/new.py",
        "hardware/cpu/x.yaml",
        "docker/locks/base.txt",
        "tasks.py",
        "Dockerfile.cpu",
    ],
)
def test_a_change_of_what_decides_a_run_makes_the_tree_unclean(root: Path, name: str) -> None:
    assert revision(root)["clean"] is True and len(revision(root)["revision"]) == 40
    (root / name).write_text("y")
    assert revision(root)["clean"] is False


@pytest.mark.parametrize("name", ["docs/a.md", "README.md", "notes.txt", "results/reference/1.json"])
def test_nothing_else_makes_it_unclean(root: Path, name: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("y")
    assert revision(root)["clean"] is True
