#!/usr/bin/env python3
"""Resolve the locks again, for Python 3.10 to 3.13 on any platform: .venv/bin/python docker/locks/compile.py [NAME ...]

NAME is a stack, or stack/version for one version of Paddle alone: base/3.3.1. Those stacks that programs of projects/
run in get a lock for each version in docker/paddle.yaml; that of the homework's is NAME.txt, another's
VERSION/NAME.txt. NAME.excludes, where there is one, names packages that are left out although another requires them,
and NAME.overrides what is taken whatever another requires. Beside the locks of each version comes its environment.yml.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
SETTINGS = ("--universal", "--python-version", "3.10", "--generate-hashes", "--no-header", "--no-annotate")
SETTINGS += ("--no-emit-index-url", "--no-emit-find-links")
ENVIRONMENT = """\
# conda env create --file environment.yml: Python is conda's, Paddle and the rest are the lock's, by hash.
name: paddlehomework-{version}
channels: [conda-forge]
dependencies:
  - python=3.12
  - pip
  - pip:
      - -r base.txt
"""
OF_PROGRAMS = ("base", "convert", "inference", "nlp", "science", "training")


def main() -> None:
    data = yaml.safe_load((HERE.parent / "paddle.yaml").read_text(encoding="utf-8"))
    for name in sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.in")):
        stack, _, only = name.partition("/")
        for version in [only] if only else versions(stack, data):
            lock = HERE / ("" if version == data["homework"] else version) / f"{stack}.txt"
            print(f"{stack}.in -> {lock.relative_to(HERE)}", flush=True)
            lock.parent.mkdir(exist_ok=True)
            resolve(stack, version, data, lock)
    for version in data["versions"]:
        folder = HERE / ("" if version == data["homework"] else version)
        (folder / "environment.yml").write_text(ENVIRONMENT.format(version=version), encoding="utf-8")


def versions(stack: str, data: Mapping[str, Any]) -> Iterator[str]:
    """The versions of Paddle that a stack gets a lock for."""
    yield from data["versions"] if stack in OF_PROGRAMS else [data["homework"]]


def resolve(stack: str, version: str, data: Mapping[str, Any], lock: Path) -> None:
    """Write a lock; what is in it already stays as far as it can. Exits where nothing fits."""
    together = [*data["requires"], *data["versions"][version]["requires"]]
    excludes, overrides = HERE / f"{stack}.excludes", HERE / f"{stack}.overrides"
    with tempfile.TemporaryDirectory() as folder:
        # What is named for a Python is for those packages' own words, too: they know no later release of numpy.
        override, constraint = Path(folder, "override.txt"), Path(folder, "constraint.txt")
        override.write_text("\n".join(line for line in together if "python_version" in line) + "\n")
        constraint.write_text("\n".join([f"paddlepaddle=={version}", *together]) + "\n")
        words = ["--override", str(override), "--constraint", str(constraint)]
        words += ["--override", str(overrides)] if overrides.is_file() else []
        words += ["--excludes", str(excludes)] if excludes.is_file() else []
        uv = (sys.executable, "-m", "uv", "pip", "compile", "--quiet", *SETTINGS, *words)
        if subprocess.run([*uv, f"{stack}.in", "--output-file", str(lock)], cwd=HERE).returncode != 0:
            sys.exit(f"error: {stack}.in has no lock for Paddle {version}\nuv says why above\nchange its .in file")


if __name__ == "__main__":
    main()
