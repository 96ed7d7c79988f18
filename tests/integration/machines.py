"""Vendor-shaped machines (tests/machines): their base images and their hosts, made from machine.yaml."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import machine_shape
import pytest
import yaml
from containers import BASE, BUILD_SECONDS, NAMES, ROOT, RUNTIMES, stand_in_runtimes

from harness.environments.client import Client

FOLDER = ROOT / "tests" / "machines"
MACHINES: Mapping[str, Mapping[str, Any]] = {
    path.parent.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*/machine.yaml"))
}
# The system's Python is not among the vendors' wheels' versions, and the CPU's wheel stands in for theirs.
STAND_IN = "PACKAGES=paddlepaddle INDEX= PYTHONS=3.11"
FAMILIES = {
    "ubuntu": """\
RUN dpkg --purge python3-venv python3.11-venv
""",
    "kylin": """\
RUN dpkg --purge python3-venv python3.11-venv libgomp1 && \\
    mkdir -p /opt/py311/bin && mv /usr/bin/python3.11 /opt/py311/bin/python3 && rm /usr/bin/python3 && \\
    mv /usr/bin/apt-get /usr/libexec/apt-get && chmod 755 /usr/bin/yum
""",
}
YUM = """\
#!/bin/sh
# Stands in for yum, whose packages cannot be had here: apt, under yum's names.
set -eu
names=
for word; do
    case $word in
        -* | install) ;;
        gcc-c++) names="$names g++" ;;
        libgomp) names="$names libgomp1" ;;
        *-devel) names="$names ${word%el}" ;;
        *) names="$names $word" ;;
    esac
done
/usr/libexec/apt-get update -qq
DEBIAN_FRONTEND=noninteractive /usr/libexec/apt-get install -qq -y --no-install-recommends $names
"""


def base_image(engine: Client, family: str, folder: Path) -> str:
    """The base image of a family, with the trees of all its kinds: so their images share what is the same."""
    name = f"{NAMES}/machine:{family}"
    files = {"/usr/bin/yum": YUM} if family == "kylin" else {}
    for machine in MACHINES.values():
        files |= machine.get("image", {}) if machine["family"] == family else {}
    for place, text in files.items():
        _write(folder / "tree" / place.lstrip("/"), text)
    (folder / "Dockerfile").write_text(f"FROM {BASE}\nCOPY tree/ /\n{FAMILIES[family]}")
    words = [engine.path, "build", "--quiet", "--tag", name, str(folder)]
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert done.returncode == 0, done.stderr[-2000:]
    return name


def environment(machine: Mapping[str, Any]) -> dict[str, str]:
    """The environment of a person on that machine: its tools on PATH, and the CPU's wheel in the vendor's place."""
    stand_in_runtimes()
    path = f"{os.path.dirname(machine['lister']['tool'])}:{RUNTIMES}:{os.environ['PATH']}"
    return {**os.environ, "HOMEWORK_BUILD_ARGUMENTS": STAND_IN, "PATH": path}


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


@contextmanager
def host(machine: Mapping[str, Any]) -> Iterator[None]:
    """This machine, shaped as the vendor's for as long as it takes: driver, lister and device files in their places."""
    if os.getuid() != 0:
        pytest.skip("only root makes device files")
    with machine_shape.changed(), _shaped(machine):
        yield


@contextmanager
def _shaped(machine: Mapping[str, Any]) -> Iterator[None]:
    lister = machine["lister"]
    text = (ROOT / "tests" / "data" / "listers" / lister["output"]).read_text()
    for old, new in lister.get("changed", {}).items():
        text = text.replace(old, new)
    tool = f"#!/bin/sh\ncat <<'END'\n{text.rstrip()}\nEND\n"
    places = [*machine.get("files", {}), lister["tool"], *machine["nodes"]]
    taken = [place for place in places if os.path.lexists(place)]
    if taken:
        pytest.skip(f"this machine has its own {taken[0]}")
    made = _new_folders(places)
    try:
        for place, content in machine.get("files", {}).items():
            _write(Path(place), content)
        _write(Path(lister["tool"]), tool, 0o755)
        for place, group in machine["nodes"].items():
            _node(Path(place), group)
        yield
    finally:
        for place in places:
            Path(place).unlink(missing_ok=True)
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)


def _node(place: Path, group: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(place, 0o20660, os.makedev(1, 3))
    os.chown(place, 0, group)
    place.chmod(0o660)


def _new_folders(places: Sequence[str]) -> list[Path]:
    """The topmost folders that have to be made for the files: what is taken away again."""
    tops = set()
    for place in places:
        missing = [folder for folder in Path(place).parents if not folder.exists()]
        tops |= {missing[-1]} if missing else set()
    return sorted(tops)
