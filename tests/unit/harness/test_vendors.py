"""No vendor's name stands in the code: what a kind needs is data, so a new kind is a new folder in hardware/."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
KINDS = [yaml.safe_load(path.read_text()) for path in sorted(ROOT.glob("hardware/*/hardware.yaml"))]
CODE = sorted([ROOT / "tasks.py", *(ROOT / "harness").rglob("*.py")])
# Classes of hardware, which the rules name, and what of a vendor's name is an ordinary word.
GENERAL = {"cpu", "gpu", "sim", "simulated", "any", "this", "project", "threads"}
THE_RULES_OWN = {"scoring.py": {"nvidia"}}  # the homework itself writes "a non-NVIDIA accelerator"


def names():
    """Names, aliases, vendors and devices of every kind, and the tools that list their cards."""
    found = set()
    for kind in KINDS:
        found |= {kind["name"], kind["device"], *kind["aliases"], Path(kind["lister"]["command"][0]).name}
        found |= {word.lower() for word in kind["vendor"].split()}
        found |= {kind.get("visible_devices", kind["name"]).lower()}
    return sorted(found - GENERAL - {"python3", "lscpu"})


def without_examples(text):
    """The code without its docstrings and without what is shown to a person as an example of a word."""
    text = re.sub(r'"""(?s:.*?)"""', "", text)
    return "\n".join(line for line in text.splitlines() if "_HELP = " not in line).lower()


def test_the_names_are_those_of_the_data_files():
    assert {"ascend", "npu", "nvidia", "npu-smi", "cuda_visible_devices"} <= set(names())


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_vendor_is_named_in_the_code(path):
    code = without_examples(path.read_text())
    found = {name for name in names() if re.search(rf"(?<![a-z0-9_]){re.escape(name)}(?![a-z0-9_])", code)}
    assert found - THE_RULES_OWN.get(path.name, set()) == set()
