"""Task 13-1 on public PyTorch projects as they are: which run in Paddle and compare equal, and what is open in others.

    .stacks/convert/bin/python bench/conversion.py CLONES [--only examples/vae] [--pytorch PYTHON]
    .stacks/convert/bin/python bench/conversion.py --pages

CLONES is a folder with clones of what bench/conversion.yaml names; nothing is fetched. Each project is copied, small
data is made where it would download some (the same on both sides), and it goes through 13-1 as a user's folder does.
What comes of it in this version of Paddle is kept in bench/conversion.json; --pages writes the tables of
docs/conversion.md and its Chinese page from that.
"""

import argparse
import gzip
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
MAIN = ROOT / "projects" / "13-conversion" / "main.py"
KEPT = Path(__file__).with_suffix(".json")


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


ZOO = """import torch
from models import LeNet, MobileNetV2, ResNet18, ShuffleNetV2
from utils import progress_bar

torch.manual_seed(0)
for number, make in enumerate((LeNet, ResNet18, MobileNetV2, lambda: ShuffleNetV2(0.5))):
    net = make()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    for step in range(2):
        loss = torch.nn.CrossEntropyLoss()(net(torch.randn(2, 3, 32, 32)), torch.tensor([1, 3]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress_bar(step, 2)
        print(f"{number} loss {loss.item():.5f}")
    net.eval()
    print(net(torch.randn(1, 3, 32, 32)))
"""
UNET = """import torch
from unet import UNet
from utils.dice_score import dice_loss

torch.manual_seed(0)
for bilinear in (False, True):
    model = UNet(n_channels=3, n_classes=2, bilinear=bilinear).to(memory_format=torch.channels_last)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-5, weight_decay=1e-8, momentum=0.999, foreach=True)
    for step in range(2):
        truth = torch.randint(0, 2, (1, 32, 32))
        found = model(torch.randn(1, 3, 32, 32))
        loss = torch.nn.functional.cross_entropy(found, truth)
        wanted = torch.nn.functional.one_hot(truth, 2).permute(0, 3, 1, 2).float()
        loss += dice_loss(torch.softmax(found, dim=1).float(), wanted, multiclass=True)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        print(f"loss {loss.item():.5f}")
"""
EPISODES = """import runpy

import gymnasium

gymnasium.registry["CartPole-v1"].reward_threshold = 12
runpy.run_path("reinforce.py", run_name="__main__")
"""


def _script(text: str) -> Callable[[Path], None]:
    """A script beside those of a project that has none, or whose own run for hours."""

    def write(folder: Path) -> None:
        (folder / "few.py").write_text(text, encoding="utf-8")

    return write


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
    "pictures": _pictures, "waves": _script(WAVES), "vit": _script(VIT), "zoo": _script(ZOO), "unet": _script(UNET),
    "episodes": _script(EPISODES),
}  # fmt: skip


def tried(project: dict[str, Any], clones: Path, pytorch: str, minutes: float) -> dict[str, Any]:
    """What 13-1 says of a project at its end, of each script, and which lines are open."""
    started = time.monotonic()
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
        lines, said = run(command, 60 * minutes)
    why = [each.strip() for each in lines if re.match(r"  (OPEN |FAILED |runs, )", each)]
    ends = ("NOT ", "NOTHING ", "converted")
    return {
        "said": next((each for each in reversed(lines) if each.startswith(ends)), said),
        "scripts": [each for each in why if not each.startswith("OPEN ")],
        "open": [each.removeprefix("OPEN ") for each in why if each.startswith("OPEN ")],
        "seconds": round(time.monotonic() - started),
    }


def run(command: list[str], seconds: float) -> tuple[list[str], str]:
    """What a program prints, and why there may be no end of it. All that it started ends with it."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True
    ) as running:
        try:
            shown, errors = running.communicate(timeout=seconds)
            return shown.splitlines(), (errors.splitlines() or ["?"])[-1]
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            return running.communicate()[0].splitlines(), f"not tried to its end: longer than {seconds / 60:g} minutes"


DONE = "converted, run and equal"


def equal(said: str) -> bool:
    """Whether all scripts compute the same; lines that are open were not reached then."""
    return said == DONE or said.endswith("none of them was reached; what ran is equal")


def commit(folder: Path) -> str:
    words = ["git", "-C", str(folder), "log", "-1", "--format=%h"]
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stdout.strip() or "?"


def cell(found: dict[str, Any]) -> str:
    return "<br>".join([found["said"], *found["scripts"]]).replace("|", "/")


def table(kept: dict[str, dict[str, Any]], projects: list[dict[str, Any]], words: dict[str, str]) -> str:
    """The rows of all versions, how many are equal, and the open lines, in one language."""
    head = [words["project"], words["commit"], words["scripts"], *(f"Paddle {each}" for each in kept)]
    rows = [head, ["---"] * len(head)]
    opened = []
    for project in projects:
        name, of = project["name"], [each.get(project["name"]) for each in kept.values()]
        commands = "<br>".join(f"`{each.strip()}`" for each in project.get("scripts", words["all"]).split(";"))
        pinned = next((each["commit"] for each in of if each), "")
        rows.append([name, pinned, commands, *(cell(each) if each else words["not tried"] for each in of)])
        lines = list(dict.fromkeys(line for each in of if each for line in each["open"]))
        if lines:
            opened.append("\n".join([f"**{name}**", "", *(f"- {_code(each)}" for each in lines)]))
    counts = [
        words["count"].format(version, sum(equal(e["said"]) for e in of.values()), len(of),
                              sum(e["said"] == DONE for e in of.values()))
        for version, of in kept.items()
    ]  # fmt: skip
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "", *counts, "", words["open"], "", "\n\n".join(opened)])


def _code(line: str) -> str:
    """An open line: what stands there as code, its hint behind it."""
    text, hint, _ = (line + "   (").split("   (", 2)
    return f"`{text.replace('`', chr(39))}`" + (f" ({hint}" if hint else "")


WORDS = {
    "conversion.md": {
        "project": "project", "commit": "commit", "scripts": "scripts", "all": "all", "not tried": "not tried",
        "count": "Paddle {}: {} of {} run and compare equal as they are, {} of them without an open line.",
        "open": "What is open, as the conversion names it:",
    },
    "conversion.zh.md": {
        "project": "项目", "commit": "提交", "scripts": "脚本", "all": "全部", "not tried": "未试",
        "count": "Paddle {}：{} 个（共 {} 个）原样运行且结果相等，其中 {} 个没有未转换的行。",
        "open": "未转换的行，按转换程序所报：",
    },
}  # fmt: skip
MARK = "<!-- bench/conversion.py --pages writes what follows -->"


def write_pages(projects: list[dict[str, Any]]) -> None:
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    for name, words in WORDS.items():
        page = ROOT / "docs" / name
        head, _, _ = page.read_text(encoding="utf-8").partition(MARK)
        page.write_text(f"{head}{MARK}\n\n{table(kept, projects, words)}\n", encoding="utf-8")


def keep(version: str, name: str, found: dict[str, Any]) -> None:
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    kept.setdefault(version, {})[name] = found
    KEPT.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clones", type=Path, nargs="?")
    parser.add_argument("--only", default="", help="the project of this name")
    parser.add_argument("--pytorch", default="install", help="a Python with torch; install: downloaded once")
    parser.add_argument("--minutes", type=float, default=15, help="that one project may take")
    parser.add_argument("--pages", action="store_true", help="write the pages of what is kept")
    given = parser.parse_args()
    projects = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    if given.pages:
        write_pages(projects)
    if given.clones is None:
        return 0
    import paddle

    for project in projects:
        if given.only not in ("", project["name"]) or not (given.clones / project["name"]).is_dir():
            continue
        found = tried(project, given.clones, given.pytorch, given.minutes)
        found["commit"] = commit(given.clones / Path(project["name"]).parts[0])
        found["revision"] = commit(ROOT)
        keep(paddle.__version__, project["name"], found)
        print(f"{project['name']} ({found['seconds']} s): {cell(found)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
