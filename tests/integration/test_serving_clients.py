"""./inv serve asked by the clients that people have, each in its own ways: see clients.py."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.checkout import ROOT
from harness.environments import stacks

sys.path.append(str(ROOT / "tests" / "unit" / "projects"))
sys.path.append(str(ROOT / "projects"))
CLIENTS = Path(__file__).with_name("clients.py")
NAMES = re.findall(r"^def of_(\w+)", CLIENTS.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What clients.py printed, asking a tiny model of random weights: what it says is held by grammars alone."""
    from test_engine import SETTINGS
    from test_llm import write_folder
    from test_serving import running

    folder = tmp_path_factory.mktemp("served") / "tiny"
    settings = {**SETTINGS, "max_position_embeddings": 4096}
    write_folder(folder, settings)
    (folder / "config.json").write_text(json.dumps({**settings, "eos_token_id": 200}))  # no character of JSON
    python = stacks.prepare(stacks.stack("clients")).python
    with running(folder, "--weights", "float32") as server:
        command = [str(python), "-W", "ignore", str(CLIENTS), server.address, "tiny"]
        alone = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=alone)
    return done.stdout + done.stderr


@pytest.mark.parametrize("client", NAMES)
def test_a_client_is_answered_in_its_own_ways(said, client):
    assert f"passed: {client}\n" in said, said[-3000:]
