"""Fixtures of the harness's tests. What they are made of stands in samples.py."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from chat_endpoint import Endpoint, serving
from samples import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A checkout of data files: one kind of hardware, one project, both without a mistake."""
    return Tree(tmp_path / "checkout")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """An empty results folder."""
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A results folder on a file system of its own with 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A chat endpoint on loopback."""
    with serving() as server:
        yield server
