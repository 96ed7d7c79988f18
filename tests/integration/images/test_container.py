"""Cells run in a real engine, in images built here."""

import json
import os
import signal
import subprocess
import time

import pytest
import ssh_server
from checkouts import commit, sent_before
from containers import BUILD_SECONDS, CPU, NAMES, ROOT, checkout_on_the_base

from harness.catalogue import entries
from harness.catalogue.cells import Cell
from harness.engines import container
from harness.engines.engine import Request
from harness.environments import images, passthrough

pytestmark = pytest.mark.slow


def containers(engine, place):
    """This checkout's containers: another one's may run at the same engine."""
    label = f"label={container.CHECKOUT}={place.folder}"
    return (engine.read("ps", "--all", "--quiet", "--filter", label) or "").split()


def test_the_image_says_what_it_holds(built, engine):
    wheels = json.loads(images.label(built, "wheels"))
    (name,) = wheels
    known = json.loads((ROOT / "docker" / "locks" / "paddle-wheels.json").read_text())
    assert wheels[name] == known[name]["sha256"]
    assert len(images.label(built, "sbom")) == 64 and built["Config"]["User"] == "1000:1000"
    assert built["Config"]["Healthcheck"]["Test"][-1] == "/opt/homework/check.py"


def test_no_secret_and_no_project_is_in_the_image(built, engine):
    history = engine.read("history", "--no-trunc", CPU)
    assert history and "index-url" not in history
    words = ["run", "--rm", "--network", "none", "--entrypoint", "sh", CPU, "-c"]
    seen = engine.read(
        *words, "ls -A /run/secrets /homework /wheels 2>/dev/null; find / -xdev -name pip.conf 2>/dev/null; true"
    )
    assert seen is not None and ".py" not in seen and "pip.conf" not in seen


def test_the_health_check_passes_as_an_ordinary_user(built, engine):
    words = ["run", "--rm", "--network", "none", CPU, "python", "/opt/homework/check.py"]
    assert "PaddlePaddle is installed successfully" in (engine.read(*words) or "")


def test_a_second_build_has_nothing_to_do(built, place):
    (place.folder / "projects" / "new.py").write_text("a change in projects/ builds nothing\n")
    start = time.monotonic()
    done = place("build", "--hw", "cpu", timeout=BUILD_SECONDS)
    assert "is up to date" in done.stdout and time.monotonic() - start < 5


def test_the_same_cell_has_the_same_metrics_on_local_and_container(built, place, engine):
    for name in ("local", "container"):
        done = place("run", "--task", "8-1", "--hw", "cpu", "--on", name, "--set", "steps=40")
        assert done.returncode == 0, done.stdout + done.stderr
    local, container = sorted(place.records(), key=lambda record: record["engine"]["name"], reverse=True)[:2]
    assert container["engine"] == {
        "name": "container",
        "image": built["Id"],
        "version": f"{engine.engine} {engine.version}",
        "sbom": images.label(built, "sbom"),
    }
    assert local["paddle"]["version"] == container["paddle"]["version"]
    for name in ("first_loss", "last_loss", "loss_ratio", "weights"):
        assert container["metrics"][name] == pytest.approx(local["metrics"][name], rel=1e-4), name
    assert place("verify").returncode == 0
    folder = place.results / "8-1" / "cpu" / container["id"]
    assert {path.stat().st_uid for path in folder.iterdir()} == {os.getuid()}
    assert not containers(engine, place)


def test_an_image_of_another_version_stands_beside_and_runs_a_cell(place, engine):
    done = place("build", "--hw", "cpu", "--paddle", "3.3.1", timeout=BUILD_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    done = place("run", "--task", "1", "--hw", "cpu", "--on", "container", "--paddle", "3.3.1")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    record = next(record for record in place.records() if record["paddle"]["version"] == "3.3.1")
    assert record["passed"] and record["engine"]["image"] == engine.inspect(f"{CPU}-3.3.1")["Id"]
    assert record["paddle"]["wheel_sha256"] in (ROOT / "docker" / "locks" / "paddle-wheels.json").read_text()
    engine.read("rmi", f"{CPU}-3.3.1")


def test_a_part_that_compiles_finds_its_compiler_in_the_image(built, place):
    done = place("run", "--task", "2-1", "--hw", "cpu", "--on", "container", "--set", "subgraph=softmax")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_container_is_left_after_an_interrupt(built, place, engine, number):
    words = ("run", "-v", "--task", "8-1", "--hw", "cpu", "--on", "container", "--set", "steps=100000")
    process = place.start(*words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    for line in process.stdout:
        if "step    " in line:
            break
    assert containers(engine, place)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert not containers(engine, place)


def test_a_container_whose_harness_was_killed_is_removed_by_the_next_run(built, place, engine):
    words = ("run", "-v", "--task", "8-1", "--hw", "cpu", "--on", "container", "--set")
    process = place.start(*words, "steps=100000", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    for line in process.stdout:
        if "step    " in line:
            break
    process.kill()
    process.wait()
    assert containers(engine, place), "nobody is left to take it away"
    done = place(*words, "steps=20")
    assert "Removed a container whose run was killed: homework-" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0 and not containers(engine, place)
    process.stdout.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a folder to another user")
def test_what_an_ordinary_user_runs_is_that_users(built, place, engine, tmp_path, monkeypatch):
    """The command that the engine returns for user 4321, in a folder of that user's."""
    monkeypatch.setattr(container, "ROOT", place.folder)
    monkeypatch.setattr(container, "LAUNCHER", place.folder / container.LAUNCHER.relative_to(ROOT))
    monkeypatch.setattr(os, "getuid", lambda: 4321)
    monkeypatch.setattr(os, "getgid", lambda: 4322)
    book = entries.load(place.folder)
    part = book.parts["8-1"]
    parameters = {name: item.default for name, item in part.parameters.items()} | {"steps": 20}
    cell = Cell(part, book.hardware["cpu"])
    os.chown(tmp_path, 4321, 4322)
    request = Request(cell=cell, parameters=parameters, seed=0, cards=1, out=tmp_path)
    done = subprocess.run(container.ContainerEngine().launch(request).command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    owners = {path.name: (path.stat().st_uid, path.stat().st_gid) for path in tmp_path.rglob("*")}
    assert "metrics.json" in owners and set(owners.values()) == {(4321, 4322)}


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes device files")
def test_a_container_sees_the_chosen_cards_and_no_other(built, engine, tmp_path):
    for name in ("card0", "card1", "card2", "cardctl"):
        os.mknod(tmp_path / name, 0o20666, os.makedev(1, 3))
    words = [engine.path, "run", "--rm", "--network", "none"]
    for device in passthrough.devices([f"{tmp_path}/card*"], ("0", "2")):
        words += ["--device", device]
    done = subprocess.run([*words, CPU, "ls", str(tmp_path)], capture_output=True, text=True)
    assert done.stdout.split() == ["card0", "card2", "cardctl"], done.stderr


def test_simulated_cards_run_in_their_image(place, engine):
    """The plug-in is built into the image, against the image's own Paddle."""
    done = place("build", "--hw", "sim", timeout=BUILD_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    done = place("run", "--task", "1,8-1", "--hw", "sim", "--on", "container")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    records = [record for record in place.records() if record["cell"]["hardware"] == "sim"]
    assert {record["cell"]["part"] for record in records} == {"1", "8-1"}
    for record in records:
        assert record["passed"] and record["engine"]["name"] == "container"
        assert any("sim" in where for where in record["device"]["places"]), record["device"]


def test_a_cell_runs_in_a_container_of_another_machine(built, engine, tmp_path, monkeypatch):
    """By ssh, with the engine of the far machine, in the image that was built there."""
    near = checkout_on_the_base(tmp_path / "near")
    commit(near)
    far = sent_before(near, tmp_path / "far")
    with ssh_server.running(tmp_path / "ssh", DOCKER_HOST=engine.address, HOMEWORK_IMAGES=NAMES) as server:
        monkeypatch.setenv("PATH", server.environment()["PATH"])
        there = ("run", "--host", server.address(str(far.folder)), "--on", "container")
        done = near(*there, "--task", "8-1", "--hw", "cpu", "--set", "steps=20")
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = near.records()
    assert record["engine"]["name"] == "container" and record["engine"]["image"] == built["Id"]
