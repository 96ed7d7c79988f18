"""A plug-in of upstream's, compiled for real: backends/custom_cpu of PaddleCustomDevice, against the lock's Paddle.

HOMEWORK_CUSTOM_DEVICE=FOLDER names a checkout of its sources; nothing of it is kept in this repository.
"""

import os
import shutil
from pathlib import Path

import pytest
from checkouts import Checkout
from containers import BASE, BUILD_SECONDS, NAMES, ROOT, checkout_on_the_base

from harness.environments import inventory

TREE = os.environ.get("HOMEWORK_CUSTOM_DEVICE", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TREE, reason="minutes long: HOMEWORK_CUSTOM_DEVICE=FOLDER names upstream's sources"),
]
KIND = "custom_cpu"


@pytest.fixture(scope="module")
def bench(engine, tmp_path_factory) -> Checkout:
    """A checkout that has one kind more."""
    place = checkout_on_the_base(tmp_path_factory.mktemp("upstream"))
    data = (ROOT / "tests" / "machines" / KIND / "hardware.yaml").read_text()
    (place.folder / "hardware" / KIND).mkdir()
    (place.folder / "hardware" / KIND / "hardware.yaml").write_text(data.replace("BASE", BASE))
    shutil.copy(ROOT / "Dockerfile.cpu", place.folder / f"Dockerfile.{KIND}")
    return place


def test_it_is_compiled_loaded_and_computes(bench, engine):
    done = bench("build", "--hw", KIND, "--source", "--tree", TREE, timeout=4 * BUILD_SECONDS)
    assert done.returncode == 0, done.stderr[-4000:]
    image = f"{NAMES}/{KIND}:base"
    assert any(name.startswith("paddle_custom_cpu-") for name in inventory.read(engine, image)["wheels"])
    check = engine.read("run", "--rm", "--network", "none", image, "python", "/opt/homework/check.py")
    assert "PaddlePaddle is installed successfully" in (check or "")
    done = bench("run", "--task", "8-1", "--hw", KIND, "--on", "container")
    print(done.stdout[-3000:], done.stderr[-2000:])
    (record,) = bench.records()
    assert record["plug_ins"][0]["package"] == "paddle-custom-cpu" and record["plug_ins"][0]["wheel_sha256"]
    assert Path(TREE).is_dir() and record["device"]["device"] == f"{KIND}:0"
