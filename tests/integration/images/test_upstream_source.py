"""A plug-in of upstream's, compiled for real: backends/custom_cpu of PaddleCustomDevice, against the lock's Paddle.

HOMEWORK_CUSTOM_DEVICE=FOLDER names a checkout of its sources; nothing of it is kept in this repository.
"""

import os
import shutil

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
    small = [word for name in ("steps=3", "batch=1", "length=8", "hidden=16", "inner=16") for word in ("--set", name)]
    bench("run", "--task", "8-1", "--hw", KIND, "--on", "container", *small, timeout=BUILD_SECONDS)
    (record,) = bench.records()
    plug_in = record["plug_ins"][0]
    assert plug_in["package"] == "paddle-custom-cpu" and len(plug_in["wheel_sha256"]) == 64
    assert record["exit"]["code"] == 0 and set(record["device"]["places"]) == {f"Place({KIND}:0)"}
    failed = {check["name"]: check["why"] for check in record["checks"] if check["verdict"] == "failed"}
    # Upstream's example has no kernel for some operators of the proof, and Paddle would take the CPU's.
    assert set(failed) <= {"device"} and "no kernel there for tanh" in failed.get("device", "no kernel there for tanh")
