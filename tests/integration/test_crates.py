"""RO-Crate: the official validator accepts what ./inv pack --crate writes."""

import subprocess
import zipfile
from pathlib import Path

import pytest
from checkouts import Checkout

from harness.environments import stacks

VALIDATE = Path(__file__).with_name("validate_crate.py")


@pytest.mark.slow
def test_the_official_validator_accepts_a_pack_and_refuses_a_spoilt_one(checkout: Checkout, tmp_path: Path) -> None:
    python = stacks.prepare(stacks.stack("crate")).python
    checkout("run")
    made = checkout("pack", "--task", "1", "--crate", "--to", str(tmp_path / "pack.zip"))
    assert made.returncode == 0, made.stderr
    with zipfile.ZipFile(tmp_path / "pack.zip") as archive:
        archive.extractall(tmp_path / "crate")
    done = subprocess.run([python, VALIDATE, tmp_path / "crate"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith("0 issues\n"), done.stdout + done.stderr
    metadata = tmp_path / "crate" / "ro-crate-metadata.json"
    metadata.write_text(metadata.read_text().replace('"ComputationalWorkflow"', '"Thing"'))
    done = subprocess.run([python, VALIDATE, tmp_path / "crate"], capture_output=True, text=True)
    assert done.returncode == 1 and "Main Workflow" in done.stdout, done.stdout + done.stderr
