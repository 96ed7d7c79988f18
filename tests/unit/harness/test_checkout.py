"""The checkout: which revision it is, and what makes another run of it."""

import os
import subprocess
from pathlib import Path

import pytest

from harness import checkout
from harness.checkout import revision, why_no_revision


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
    for name in ("tasks.py", "inv", "Dockerfile.cpu", "README.md"):
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
        "inv",
    ],
)
def test_a_change_of_what_decides_a_run_makes_the_tree_unclean(root: Path, name: str) -> None:
    assert revision(root)["clean"] is True and len(revision(root)["revision"]) == 40
    (root / name).write_text("y")
    assert revision(root)["clean"] is False


@pytest.mark.parametrize(
    "name",
    ["docs/a.md", "README.md", "notes.txt", "results/reference/1.json", "homework-4.zip", "projects/01/pack.zip",
     "projects/01/README.zh.md", "projects/01/.DS_Store", "projects/01/main.py~", "harness/__pycache__/a.pyc"],
)  # fmt: skip
def test_nothing_else_makes_it_unclean(root: Path, name: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("y")
    assert revision(root)["clean"] is True


def git(root: Path, *words: str) -> str:
    return subprocess.check_output(["git", "-C", str(root), *words], text=True)


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_that_git_was_told_not_to_see_counts(root: Path, flag: str) -> None:
    git(root, "update-index", flag, "harness/a.py")
    assert revision(root)["clean"] is True
    (root / "harness/a.py").write_text("y")
    assert git(root, "status", "--porcelain") == "" and revision(root)["clean"] is False


@pytest.mark.parametrize("where", [".git/info/exclude", "projects/.gitignore"])
def test_a_module_that_is_ignored_counts(root: Path, where: str) -> None:
    (root / where).write_text("*\n")
    git(root, "config", "status.showUntrackedFiles", "no")
    assert revision(root)["clean"] is True
    (root / "projects/01/numpy.py").write_text("y")
    assert revision(root)["clean"] is False


def test_a_content_of_the_same_size_and_time_counts(root: Path) -> None:
    file = root / "harness/a.py"
    before = file.stat()
    git(root, "config", "core.trustctime", "false")
    git(root, "config", "core.checkStat", "minimal")
    file.write_text("y")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert revision(root)["clean"] is False


def test_inside_a_hook_it_is_this_checkout_all_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = revision(root)
    monkeypatch.setenv("GIT_DIR", str(root / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(root / "index"))
    assert revision(root) == said and said["clean"] is True


# Why there is none


def test_where_there_is_a_revision_nothing_is_said(root: Path) -> None:
    assert why_no_revision(root) == ""


def test_a_zip_download_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "unzipped").mkdir()
    assert "not cloned with git" in why_no_revision(tmp_path / "unzipped")


def test_a_zip_download_within_another_checkout_is_not_taken_for_that(root: Path) -> None:
    (root / "unzipped").mkdir()
    assert revision(root / "unzipped") == {"revision": None, "clean": None}
    assert "another project's" in why_no_revision(root / "unzipped")


def test_no_git_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(root / "nothing"))
    assert revision(root) == {"revision": None, "clean": None}
    assert "git is not installed" in why_no_revision(root)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root.parent))
    for name in ("GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS", "SUDO_UID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    for path in (root, root / ".git"):
        os.chown(path, 12345, 12345)
    assert revision(root) == {"revision": None, "clean": None}
    assert f"safe.directory {root}" in why_no_revision(root)


def test_without_a_commit_that_is_said(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert why_no_revision(tmp_path).startswith("git says: ")


# Files of a commit


def test_files_of_a_commit_are_those_that_it_has(root: Path) -> None:
    commit = git(root, "rev-parse", "HEAD").strip()
    (root / "harness/a.py").write_text("y")
    git(root, "config", "core.autocrlf", "true")
    assert checkout.files_at(commit, ["harness", "none", "projects/01"], root) == {
        "harness/a.py": b"x",
        "projects/01/main.py": b"x",
    }
    assert checkout.files_at("0" * 40, ["harness"], root) == {} == checkout.files_at(commit, ["none"], root)


def test_the_last_commit_of_a_file_is_none_while_it_is_not_as_committed(root: Path) -> None:
    assert checkout.last_commit(["docs/a.md"], root) == git(root, "rev-parse", "HEAD").strip()
    (root / "docs/a.md").write_text("y")
    assert checkout.last_commit(["docs/a.md"], root) is None
