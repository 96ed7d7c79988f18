"""This checkout: where it is, which revision it is, whether what decides a run is as committed, and what is sent of it.

Sent is what git knows, with the contents that the files have now. Files that git does not know stay here, and so do
results/: among them may be keys, and whatever else is private.
"""

import io
import json
import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.errors import EngineError

ROOT = Path(__file__).resolve().parents[1]
DECIDES = ("harness", "projects", "hardware", "docker", "Dockerfile.*", "tasks.py", "inv")  # what a run is made of
DECIDE_NOTHING = (
    "README*",
    "*.zip",
    "*~",
    "__pycache__",
    ".*",
)  # of these: texts, and what editors, systems and Python leave
ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_NAMESPACE")
AS_STORED = ("-c", "core.autocrlf=false", "-c", "core.eol=lf")
SENT = ".sent.json"  # what a folder that was sent holds; dispatch/ssh/far.py stands alone, and names it again
COMMIT = re.compile(r"[0-9a-f]{40}")
Manifest = dict[str, tuple[str, int, int]]


@dataclass(frozen=True)
class Project:
    """The files by name, each with sha256, mode and bytes; and how many git does not know."""

    files: Manifest
    unknown: int


def read(root: Path) -> Project:
    """The project in `root`.

    Raises:
        EngineError: it is no git checkout.
    """
    names = [name for name in _listed(root, "--cached") if not name.startswith("results/")]
    files = {name: entry for name in names if (entry := _entry(root / name))}
    return Project(files, len(_listed(root, "--others", "--exclude-standard")))


def _listed(root: Path, *options: str) -> list[str]:
    try:
        done = subprocess.run(["git", "-C", str(root), "ls-files", "-z", *options], capture_output=True, timeout=60)
        why = done.stderr.decode("utf-8", "replace").strip()
    except OSError as error:
        done, why = None, f"git: {error.strerror}"
    if done is None or done.returncode != 0:
        what = "This is no git checkout, so nothing says which files belong to the project."
        raise EngineError(what, why, "Clone the project with git, then call again.")
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def _entry(path: Path) -> tuple[str, int, int] | None:
    """None where there is no such file any more; a link means something else on another machine."""
    if path.is_symlink() or not path.is_file():
        return None
    import hashlib  # 10 ms, which a command that only lists does not need

    content = path.read_bytes()
    return hashlib.sha256(content).hexdigest(), 0o755 if os.access(path, os.X_OK) else 0o644, len(content)


def revision(root: Path = ROOT) -> dict[str, Any]:
    """The commit of a checkout, and whether what decides a run is as committed there; nulls where git cannot say.

    What runs leave, a text that was edited or a note beside it make no other run.
    """
    if sent := sent_revision(root):
        return sent
    try:
        commit = _commit(root)
        return {"revision": commit, "clean": not changed(root) if commit else None}
    except (OSError, subprocess.SubprocessError):
        return {"revision": None, "clean": None}


def _commit(root: Path) -> str | None:
    """What is checked out in `root`; None where that is a folder of another project's checkout."""
    commit, prefix = _git(root, "rev-parse", "HEAD", "--show-prefix").split("\n", 1)
    return None if prefix.strip() else commit


def changed(root: Path = ROOT) -> list[str]:
    """What decides a run and is not as committed: changed, hidden from git's status, or not known to git at all."""
    strict = ("-c", "core.trustctime=true", "-c", "core.checkStat=default", "-c", "core.fsmonitor=false")
    found = _names(_git(root, *strict, "diff", "--name-only", "-z", "--no-renames", "HEAD", "--", *DECIDES))
    listed = _names(_git(root, "ls-files", "--cached", "--others", "-v", "-z", "--", *DECIDES))
    for flag, _, name in (line.partition(" ") for line in listed):
        if flag == "?" or (flag != "H" and not _as_indexed(root, name)):  # what is ignored decides as well
            found.append(name)
    return sorted({name for name in found if _decides(name)})


def _names(listed: str) -> list[str]:
    return [name for name in listed.split("\0") if name]


def _as_indexed(root: Path, name: str) -> bool:
    """Whether a file that git was told to take for unchanged is so."""
    if not (root / name).is_file():
        return False
    return _git(root, "rev-parse", f":{name}") == _git(root, "hash-object", "--", name)


def why_no_revision(root: Path = ROOT) -> str:
    """Why a record that is made here names no commit, in a line; empty where it does."""
    if sent_revision(root):
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--show-prefix", "HEAD"],
            capture_output=True,
            timeout=30,
            env=_environment(),
        )
        said = done.stderr.decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError):
        return "git is not installed here: install it, and clone the project with it."
    if "dubious ownership" in said:
        return f"this folder belongs to another user: git config --global --add safe.directory {shlex.quote(str(root))}"
    if done.returncode == 0 and done.stdout.startswith(b"\n"):
        return ""
    if done.returncode == 0:
        return "this folder lies in another project's git checkout: clone the project with git elsewhere."
    if not (root / ".git").exists():
        return (
            "this folder was not cloned with git (a zip download?): clone the project to have runs name their commit."
        )
    return f"git says: {(said.strip().splitlines() or ['nothing'])[0]}"


def last_commit(names: Sequence[str], root: Path = ROOT) -> str | None:
    """The last commit that changed one of these files; None where they are not as committed, or git cannot say."""
    try:
        if not revision(root)["revision"] or _git(root, "status", "--porcelain", "--", *names).strip():
            return None
        return _git(root, "log", "-1", "--format=%H", "--", *names).strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


def has_commit(commit: str, root: Path = ROOT) -> bool:
    """Whether git has a commit, named by all of its digits."""
    try:
        return bool(COMMIT.fullmatch(commit)) and not _git(root, "cat-file", "-e", f"{commit}^{{commit}}")
    except (OSError, subprocess.SubprocessError):
        return False


def files_at(commit: str, names: Sequence[str], root: Path = ROOT) -> dict[str, bytes]:
    """The plain files that these files and folders hold at a commit, by name; empty where git does not have it."""
    if not has_commit(commit, root):
        return {}
    there = _git(root, "ls-tree", "-r", "-z", "--name-only", "--full-tree", commit, "--", *names)
    if not there:
        return {}
    command = ["git", "-C", str(root), *AS_STORED, "archive", "--format=tar", commit, "--", *names_of(there, names)]
    done = subprocess.run(command, check=True, capture_output=True, timeout=60, env=_environment())
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        members = [member for member in archive if member.isfile()]
        return {member.name: archive.extractfile(member).read() for member in members}  # type: ignore[union-attr]


def names_of(there: str, names: Sequence[str]) -> list[str]:
    """Those of the names that hold one of the files: git refuses to archive a name that holds none."""
    files = _names(there)
    return [name for name in names if any(file == name or file.startswith(f"{name}/") for file in files)]


@lru_cache(64)
def committed(root: Path, commit: str, name: str) -> str | None:
    """The text of a file at a commit; None where git does not have it."""
    try:
        return _git(root, "show", f"{commit}:{name}")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    done = subprocess.run(command, check=True, capture_output=True, timeout=30, env=_environment())
    return os.fsdecode(done.stdout)


def _environment() -> dict[str, str]:
    """This process's variables without those that lead git to another checkout, as inside a hook."""
    return {name: value for name, value in os.environ.items() if name not in ELSEWHERE}


def sent_revision(root: Path) -> dict[str, Any] | None:
    """Which revision a folder that was sent holds, and whether what decides a run is still that; None for any other."""
    try:
        sent = json.loads((root / SENT).read_bytes())
        files = {name: tuple(entry) for name, entry in sent["files"].items() if _decides(name)}
        same = all(_entry(root / name) == entry for name, entry in files.items())
        return {"revision": sent["revision"], "clean": bool(sent["clean"] and same)}
    except (OSError, ValueError, KeyError):
        return None


def _decides(name: str) -> bool:
    first, *rest = name.split("/")
    nothing = any(fnmatch(step, each) for step in rest for each in DECIDE_NOTHING)
    return any(fnmatch(first, each) for each in DECIDES) and not nothing
