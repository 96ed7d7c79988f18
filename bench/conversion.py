"""Task 13-1 on public PyTorch projects as they are: which run in Paddle and compare equal, and what is open in others.

    .stacks/convert/bin/python bench/conversion.py CLONES [--only vae] [--pytorch PYTHON]

CLONES is a folder with clones of what bench/conversion.yaml names; nothing is fetched. Each project is copied, small
data is made where it would download some (the same on both sides), and it goes through 13-1 as a user's folder does.
"""

import argparse
import gzip
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
MAIN = ROOT / "projects" / "13-conversion" / "main.py"


def _mnist(folder: Path) -> None:
    """Four files as MNIST has them, with noise in place of digits."""
    random = np.random.default_rng(0)
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, count in (("train", 256), ("t10k", 64)):
        pictures = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for kind, head, values in (
            ("images-idx3-ubyte", struct.pack(">4i", 2051, count, 28, 28), pictures),
            ("labels-idx1-ubyte", struct.pack(">2i", 2049, count), labels),
        ):
            content = head + values.tobytes()
            (raw / f"{name}-{kind}").write_bytes(content)
            (raw / f"{name}-{kind}.gz").write_bytes(gzip.compress(content))


def _words(folder: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("train", "valid", "test"):
        rows = [" ".join(f"w{each}" for each in random.integers(0, 40, 12)) for _ in range(80)]
        (folder / f"{name}.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")


def _text(folder: Path) -> None:
    (folder / "input.txt").write_text("To be, or not to be: that is the question.\n" * 60, encoding="utf-8")


def _citations(folder: Path) -> None:
    """1600 papers with few words each, and what cites what, in Cora's two files."""
    random = np.random.default_rng(0)
    words = (random.random((1600, 24)) < 0.2).astype(int)
    rows = [f"{each}\t" + "\t".join(map(str, row)) + f"\tclass{each % 7}" for each, row in enumerate(words)]
    (folder / "cora.content").write_text("\n".join(rows) + "\n", encoding="utf-8")
    edges = random.integers(0, 1600, (3000, 2))
    (folder / "cora.cites").write_text("".join(f"{a}\t{b}\n" for a, b in edges), encoding="utf-8")


def _cora(folder: Path) -> None:
    (folder / "cora").mkdir()
    _citations(folder / "cora")


MADE: dict[str, Callable[[Path], None]] = {
    "mnist": _mnist, "words": _words, "text": _text, "citations": _citations, "cora": _cora,
}  # fmt: skip


def tried(project: dict[str, Any], clones: Path, pytorch: str) -> tuple[str, list[str]]:
    """What 13-1 says of a project at its end, and the lines that tell why."""
    with tempfile.TemporaryDirectory() as temporary:
        source, out = Path(temporary) / "all" / "project", Path(temporary) / "out"
        shutil.copytree(clones / project["name"], source, ignore=shutil.ignore_patterns(".git"))
        scripts = project.get("scripts", "")
        for place, kind in project.get("data", {}).items():
            folder = (source / place).resolve()
            folder.mkdir(parents=True, exist_ok=True)
            MADE[kind](folder)
            if not folder.is_relative_to(source):  # "../data" of an example: one folder up is the project
                source = folder.parent
                scripts = "; ".join(f"project/{each.strip()}" for each in scripts.split(";"))
        given = {"source": source, "scripts": scripts, "requires": project.get("requires", ""), "pytorch": pytorch}
        words = [f"{name}={value}" for name, value in given.items()]
        command = [sys.executable, str(MAIN), "--part", "13-1", "--device", "cpu", "--out", str(out), "--set", *words]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    lines = done.stdout.splitlines()
    why = [each.strip() for each in lines if re.match(r"  (OPEN |FAILED |runs, )", each)]
    ends = ("NOT ", "NOTHING ", "converted")
    said = next((each for each in reversed(lines) if each.startswith(ends)), (done.stderr.splitlines() or ["?"])[-1])
    return said, why


def commit(folder: Path) -> str:
    words = ["git", "-C", str(folder), "log", "-1", "--format=%h"]
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stdout.strip() or "?"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clones", type=Path)
    parser.add_argument("--only", default="", help="projects whose name has this")
    parser.add_argument("--pytorch", default="install", help="a Python with torch; install: downloaded once")
    given = parser.parse_args()
    projects = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    print("| project | commit | result | open lines and why |\n| --- | --- | --- | --- |")
    equal = count = 0
    for project in projects:
        if given.only not in project["name"] or not (given.clones / project["name"]).is_dir():
            continue
        said, why = tried(project, given.clones, given.pytorch)
        count += 1
        equal += said == "converted, run and equal"
        top = given.clones / Path(project["name"]).parts[0]
        print(f"| {project['name']} | {commit(top)} | {said} | {'; '.join(why).replace('|', '/')} |", flush=True)
    print(f"\n{equal} of {count} run and compare equal as they are")
    return 0


if __name__ == "__main__":
    sys.exit(main())
