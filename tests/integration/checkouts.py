"""Checkouts to type words into: copies of this one in which the toy is the only project, so that a word is quick."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@localhost")


class Checkout:
    """A checkout to type words into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results"

    def start(self, *words: str, **options: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen([self.folder / "inv", *words], cwd=self.folder, text=True, **options)

    def __call__(self, *words: str, timeout: float = 300, **options: Any) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.folder / "inv", *words], cwd=self.folder, text=True, capture_output=True, timeout=timeout, **options
        )

    def records(self) -> list[dict[str, Any]]:
        paths = sorted(self.results.glob("*/*/*/record.json"), key=lambda path: path.parent.name)
        return [json.loads(path.read_text()) for path in paths]


def processes(words: str) -> list[int]:
    """The processes whose command line holds `words`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue  # it ended meanwhile
        if words in line and int(path.parent.name) != os.getpid():
            found.append(int(path.parent.name))
    return found


def copy_of_this_checkout(folder: Path) -> Checkout:
    """A copy in `folder` whose only project is the toy."""
    folder.mkdir()
    for name in ("harness", "hardware", "docker"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("inv", "tasks.py", "Dockerfile.cpu"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "tests" / "integration" / "toy", folder / "projects" / "01-toy")
    (folder / ".venv").symlink_to(ROOT / ".venv")
    _stand_in_stack(folder)
    return Checkout(folder)


def _stand_in_stack(folder: Path) -> None:
    """The toy needs no Paddle: its stack is this interpreter, with the recipe that says it is whole.

    A link to the interpreter would do without its environment's packages.
    """
    stack = folder / ".stacks" / "base"
    (stack / "bin").mkdir(parents=True)
    (stack / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (stack / "bin" / "python").chmod(0o755)
    (stack / "recipe.txt").write_text((ROOT / "docker" / "locks" / "base.txt").read_text() + "\n")


def commit(checkout: Checkout) -> None:
    """Make it a git checkout that ignores what this one does, where a link stands for a folder too."""
    ignored = (ROOT / ".gitignore").read_text().replace("/.stacks", "/.stacks/\n/.stacks")
    (checkout.folder / ".gitignore").write_text(ignored)
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "The toy")):
        subprocess.run([*GIT, *words], cwd=checkout.folder, check=True)


def sent_before(near: Checkout, folder: Path) -> Checkout:
    """The far folder as an earlier call left it: sent to, and set up."""
    folder.mkdir()
    (folder / ".sent.json").write_text('{"revision": null, "clean": null, "files": {}}')
    for name in (".venv", ".stacks"):
        (folder / name).symlink_to(near.folder / name)
    return Checkout(folder)


def clean_environment(home: Path) -> dict[str, str]:
    """The environment of a new user: a new home, and only what reaches the package index."""
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))}
    return {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", **kept}
