"""What the tests and the benchmark on a cluster share: a committed checkout whose kinds of cards are in its nodes."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import yaml
from checkouts import ROOT, Checkout, copy_of_this_checkout

NODES = {"n1": "npu:910b:2", "n2": "xpu:p800:2", "n3": "", "n4": "", "n5": "sim:a:2,sim:b:1"}
KINDS = {"ascend": ("npu", "n1"), "kunlun": ("xpu", "n2")}
SETTINGS = "options: {mem: 100M, cpus-per-task: 1}\nkinds:\n  cpu: {options: {exclude: 'n1,n2,n5'}}\n"


def checkout_for_a_cluster(
    folder: Path, settings: str = SETTINGS, kinds: Mapping[str, tuple[str, str]] = KINDS
) -> Checkout:
    """A checkout with a toy, in which the cards of `kinds` are seen on their node alone, not where one submits."""
    checkout = copy_of_this_checkout(folder)
    shutil.rmtree(folder / "projects" / "01-toy")
    shutil.copytree(ROOT / "tests" / "integration" / "slurm_toy", folder / "projects" / "01-toy")
    for name, (device, node) in kinds.items():
        _pretend(folder, name, device, node)
    (folder / "slurm.yaml").write_text(settings)
    (folder / ".cache").mkdir()
    shutil.copy(ROOT / ".gitignore", folder / ".gitignore")
    commit(folder)
    return checkout


def give_parts(folder: Path, number: int) -> None:
    """Give the toy so many parts, which differ in nothing but their names."""
    file = folder / "projects" / "01-toy" / "project.yaml"
    toy = yaml.safe_load(file.read_text(encoding="utf-8"))
    toy["parts"] = {f"{1 + each // 9}-{1 + each % 9}": toy["parts"]["1"] for each in range(number)}
    file.write_text(yaml.safe_dump(toy, allow_unicode=True, sort_keys=False), encoding="utf-8")
    commit(folder)


def add_real_project(checkout: Checkout, slug: str) -> None:
    """Put a project of this repository beside the toy, and the simulated cards built here."""
    for name in ("kit", slug):
        shutil.copytree(ROOT / "projects" / name, checkout.folder / "projects" / name)
    (ROOT / ".cache" / "sim").mkdir(parents=True, exist_ok=True)
    (checkout.folder / ".cache" / "sim").symlink_to(ROOT / ".cache" / "sim")


def _pretend(folder: Path, name: str, device: str, node: str) -> None:
    """Give a kind this machine's wheels, and a lister that finds two cards on one node."""
    file = folder / "hardware" / name / "hardware.yaml"
    data = yaml.safe_load(file.read_text())
    lister = folder / "hardware" / name / "cards.sh"
    lister.write_text(f'[ "$SLURMD_NODENAME" = {node} ] && printf "card 0: {name}\\ncard 1: {name}\\n"\n')
    data["lister"] = {
        "command": ["sh", f"{{root}}/hardware/{name}/cards.sh"],
        "card": r"^card (?P<index>\d+): (?P<model>.+)$",
    }
    data["wheels"] = yaml.safe_load((folder / "hardware" / "cpu" / "hardware.yaml").read_text())["wheels"]
    for field in ("device_files", "pci", "requires"):
        data.pop(field, None)
    file.write_text(yaml.safe_dump(data, sort_keys=False))


def commit(folder: Path) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    for words in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "A checkout on a cluster")):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
