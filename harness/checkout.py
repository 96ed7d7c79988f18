"""This checkout: where it is, which revision it is, whether what decides a run is as committed, and what is sent of it.

Sent is what git knows, with the contents that the files have now. Files that git does not know stay here, and so do
results/: among them may be keys, and whatever else is private.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.errors import EngineError

ROOT = Path(__file__).resolve().parents[1]
DECIDES = ("harness", "projects", "hardware", "docker", "Dockerfile.*", "tasks.py")  # what a run is made of
SENT = ".sent.json"  # what a folder that was sent holds; dispatch/ssh/far.py stands alone, and names it again
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
        commit = _git(root, "rev-parse", "HEAD").strip()
        return {"revision": commit, "clean": not _git(root, "status", "--porcelain", "--", *DECIDES).strip()}
    except (OSError, subprocess.SubprocessError):
        return {"revision": None, "clean": None}


@lru_cache(64)
def committed(root: Path, commit: str, name: str) -> str | None:
    """The text of a file at a commit; None where git does not have it."""
    try:
        return _git(root, "show", f"{commit}:{name}")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


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
    return any(fnmatch(name.partition("/")[0], each) for each in DECIDES)
