"""Task 13-1 on public PyTorch projects as they are: which run in Paddle and compare equal, and what is open in others.

    .stacks/convert/bin/python bench/conversion.py CLONES [--only vae] [--pytorch PYTHON]

CLONES is a folder with clones of what bench/conversion.yaml names; nothing is fetched. Each project is copied, small
data is made where it would download some (the same on both sides), and it goes through 13-1 as a user's folder does.
"""

import argparse
import gzip
import pickle
import re
import shutil
import struct
import subprocess
import sys
import tarfile
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


OFFLINE = """\"\"\"Runs main.py where the archive that it downloads lies beside it.\"\"\"
import runpy
from pathlib import Path

import requests

HERE = Path(__file__).resolve().parent


class Answer:
    def __init__(self, *_, **__):
        self.raw = (HERE / "cora.tgz").open("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.raw.close()


requests.get = Answer
runpy.run_path(str(HERE / "main.py"), run_name="__main__")
"""


def _cora(folder: Path) -> None:
    """The archive that is downloaded, and a script that hands it over in place of the site."""
    with tempfile.TemporaryDirectory() as temporary:
        (made := Path(temporary) / "cora").mkdir()
        _citations(made)
        with tarfile.open(folder / "cora.tgz", "w:gz") as archive:
            archive.add(made, "cora")
    (folder / "offline.py").write_text(OFFLINE, encoding="utf-8")


WAVES = """import numpy as np
import torch

steps = np.arange(60)[None] + np.random.randint(-80, 80, 100)[:, None]
torch.save(np.sin(steps / 20.0).astype("float64"), open("traindata.pt", "wb"))
"""


def _waves(folder: Path) -> None:
    """A script that saves 60 steps of each wave in place of 1000."""
    (folder / "few.py").write_text(WAVES, encoding="utf-8")


VIT = """import torch
from vit_pytorch import SimpleViT, ViT

torch.manual_seed(0)
for kind, more in ((ViT, {"dropout": 0.1, "emb_dropout": 0.1}), (SimpleViT, {})):
    model = kind(image_size=32, patch_size=8, num_classes=10, dim=32, depth=2, heads=2, mlp_dim=64, **more)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)
    for step in range(3):
        loss = torch.nn.functional.cross_entropy(model(torch.randn(4, 3, 32, 32)), torch.arange(4))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"{kind.__name__} loss {loss.item():.6f}")
    model.eval()
    print(model(torch.randn(2, 3, 32, 32)))
"""


def _vit(folder: Path) -> None:
    """A library has no script: one that trains two of its models for three steps."""
    (folder / "try_vit.py").write_text(VIT, encoding="utf-8")


def _cifar(folder: Path) -> None:
    """CIFAR-10's six batches and their names, with two pictures of noise in each set and none in the other batches."""
    random = np.random.default_rng(0)
    inside = folder / "cifar-10-batches-py"
    inside.mkdir()
    for name, count in (*((f"data_batch_{each}", 2 * (each == 1)) for each in range(1, 6)), ("test_batch", 2)):
        rows = random.integers(0, 256, (count, 3072), dtype=np.uint8)
        (inside / name).write_bytes(pickle.dumps({"data": rows, "labels": list(range(count))}))
    (inside / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class{each}" for each in range(10)]}))


def _pictures(folder: Path) -> None:
    from PIL import Image

    random = np.random.default_rng(0)
    for name, count in (("train", 4), ("test", 2)):
        (folder / name).mkdir()
        for each in range(count):
            small = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8))
            small.resize((481, 321)).save(folder / name / f"{each}.png")


MADE: dict[str, Callable[[Path], None]] = {
    "mnist": _mnist, "words": _words, "text": _text, "citations": _citations, "cora": _cora,
    "cifar": _cifar, "pictures": _pictures, "waves": _waves, "vit": _vit,
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
        given["seconds"] = project.get("seconds", 200)
        words = [f"{name}={value}" for name, value in given.items()]
        command = [sys.executable, str(MAIN), "--part", "13-1", "--device", "cpu", "--out", str(out), "--set", *words]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    lines = done.stdout.splitlines()
    why = [each.strip() for each in lines if re.match(r"  (OPEN |FAILED |runs, )", each)]
    ends = ("NOT ", "NOTHING ", "converted")
    said = next((each for each in reversed(lines) if each.startswith(ends)), (done.stderr.splitlines() or ["?"])[-1])
    return said, why


DONE = "converted, run and equal"


def equal(said: str) -> bool:
    """Whether all scripts compute the same; lines that are open were not reached then."""
    return said == DONE or said.endswith("none of them was reached; what ran is equal")


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
    import paddle

    print(f"Paddle {paddle.__version__}\n\n| project | commit | scripts | result |\n| --- | --- | --- | --- |")
    ends: list[str] = []
    opened: dict[str, list[str]] = {}
    for project in projects:
        if given.only not in project["name"] or not (given.clones / project["name"]).is_dir():
            continue
        said, why = tried(project, given.clones, given.pytorch)
        ends.append(said)
        opened[project["name"]] = [each.removeprefix("OPEN ") for each in why if each.startswith("OPEN ")]
        told = "<br>".join([said, *(each for each in why if not each.startswith("OPEN "))]).replace("|", "/")
        scripts = "<br>".join(f"`{each.strip()}`" for each in project.get("scripts", "all").split(";"))
        top = given.clones / Path(project["name"]).parts[0]
        print(f"| {project['name']} | {commit(top)} | {scripts} | {told} |", flush=True)
    print(f"\n{sum(map(equal, ends))} of {len(ends)} run and compare equal as they are, "
          f"{ends.count(DONE)} of them without an open line")  # fmt: skip
    for name, lines in opened.items():
        if lines:
            print("\n".join([f"\nOpen in {name}:\n", *(f"- `{each.replace('`', chr(39))}`" for each in lines)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
