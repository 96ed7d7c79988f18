"""Images built and cells run in a real engine.

No registry is needed: the base is made with debootstrap, once. The vendors' Dockerfiles are built on it with the CPU's
wheel in the place of theirs, so that every line of them but the vendor's own is executed.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from checkouts import Checkout

from harness import catalogue, client, images, inventory

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
BASE = "paddlehomework-test/base:bookworm"
PACKAGES = "ca-certificates,libgomp1,python3,python3-pip,python3-venv"
KINDS = catalogue.load(ROOT).hardware
DOCKERFILES = [path.suffix[1:] for path in sorted(ROOT.glob("Dockerfile.*")) if path.suffix[1:] in KINDS]


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    """An engine that builds: the one that answers, or dockerd started by hand; with the base in it."""
    os.environ["HOMEWORK_IMAGES"] = "paddlehomework-test"
    client.find.cache_clear()
    daemon = None
    found = client.find()
    if found is None:
        if os.getuid() != 0 or not shutil.which("dockerd"):
            pytest.skip("no container engine answers, and dockerd is not here to be started by root")
        log = (tmp_path_factory.mktemp("dockerd") / "log").open("w")
        daemon = subprocess.Popen(["dockerd"], stdout=log, stderr=log, start_new_session=True)
        found = _wait_for_an_answer(daemon)
        if found is None:
            daemon.terminate()
            pytest.skip(f"dockerd does not start here: {Path(log.name).read_text().splitlines()[-1:]}")
    try:
        if not found.builder:
            pytest.skip(f"{found.path} cannot build with BuildKit")
        _make_base(found)
        yield found
        for name in (found.read("images", "--quiet", "--filter", "reference=paddlehomework-test/*") or "").split():
            found.read("rmi", "--force", name)
    finally:
        os.environ.pop("HOMEWORK_IMAGES")
        if daemon:
            daemon.terminate()
            daemon.wait(timeout=60)
        client.find.cache_clear()


def _wait_for_an_answer(daemon):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and daemon.poll() is None:
        client.find.cache_clear()
        if found := client.find():
            return found
        time.sleep(0.5)
    return None


def _make_base(engine):
    if engine.inspect(BASE):
        return
    archive = ROOT / ".cache" / "base" / "bookworm.tar"
    if not archive.is_file():
        if os.getuid() != 0 or not shutil.which("debootstrap"):
            pytest.skip("debootstrap is not here, or this is not root, so no base image can be made")
        archive.parent.mkdir(parents=True, exist_ok=True)
        tree = archive.with_suffix("")
        shutil.rmtree(tree, ignore_errors=True)
        made = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(tree)],
            capture_output=True,
            text=True,
        )
        if made.returncode != 0:
            pytest.skip(f"debootstrap made no base image: {made.stdout[-300:]}")
        outside = [f"--exclude=./{folder}/*" for folder in ("proc", "sys", "dev")]
        beside = archive.with_suffix(".part")
        subprocess.run(["tar", "-C", str(tree), "--one-file-system", *outside, "-cf", str(beside), "."], check=True)
        beside.rename(archive)
        shutil.rmtree(tree)
    subprocess.run([engine.path, "import", str(archive), BASE], check=True, capture_output=True)


@pytest.fixture(scope="module")
def place(engine, tmp_path_factory):
    """A checkout with the real projects, whose CPU image stands on the base made here."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("harness", "hardware", "docker", "projects"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (ROOT / "inv", ROOT / "tasks.py", *ROOT.glob("Dockerfile.*")):
        shutil.copy(path, folder / path.name)
    for name in (".venv", ".stacks"):
        (folder / name).symlink_to(ROOT / name)
    data = folder / "hardware" / "cpu" / "hardware.yaml"
    data.write_text(data.read_text().replace(KINDS["cpu"].data["image"]["base"], BASE))
    return Checkout(folder)


@pytest.fixture(scope="module")
def built(place, engine):
    """The CPU's image, built by the word that a person types."""
    done = place("build", "--hw", "cpu")
    assert done.returncode == 0, done.stderr[-3000:]
    return engine.inspect("paddlehomework-test/cpu:base")


def containers(engine):
    return (engine.read("ps", "--all", "--quiet", "--filter", "name=homework-") or "").split()


def test_the_image_says_what_it_holds(built, engine):
    wheels = json.loads(images.label(built, "wheels"))
    (name,) = wheels
    known = json.loads((ROOT / "docker" / "locks" / "paddle-wheels.json").read_text())
    assert wheels[name] == known[name]["sha256"]
    assert len(images.label(built, "sbom")) == 64 and built["Config"]["User"] == "1000:1000"
    assert built["Config"]["Healthcheck"]["Test"][-1] == "/opt/homework/check.py"


def test_no_secret_and_no_project_is_in_the_image(built, engine):
    history = engine.read("history", "--no-trunc", "paddlehomework-test/cpu:base")
    assert history and "index-url" not in history
    words = ["run", "--rm", "--network", "none", "--entrypoint", "sh", "paddlehomework-test/cpu:base", "-c"]
    seen = engine.read(
        *words, "ls -A /run/secrets /homework /wheels 2>/dev/null; find / -xdev -name pip.conf 2>/dev/null; true"
    )
    assert seen is not None and ".py" not in seen and "pip.conf" not in seen


def test_the_health_check_passes_as_an_ordinary_user(built, engine):
    words = ["run", "--rm", "--network", "none", "paddlehomework-test/cpu:base", "python", "/opt/homework/check.py"]
    assert "PaddlePaddle is installed successfully" in (engine.read(*words) or "")


def test_a_second_build_has_nothing_to_do(built, place):
    (place.folder / "projects" / "new.py").write_text("a change in projects/ builds nothing\n")
    start = time.monotonic()
    done = place("build", "--hw", "cpu")
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
    assert not containers(engine)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_container_is_left_after_an_interrupt(built, place, engine, number):
    words = ("run", "--task", "8-1", "--hw", "cpu", "--on", "container", "--set", "steps=100000")
    process = place.start(*words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    for line in process.stdout:
        if "step    " in line:
            break
    assert containers(engine)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert not containers(engine)


def test_a_failed_build_shows_its_end_and_keeps_the_log(place, engine):
    done = place("build", "--hw", "cpu", "--base", "paddlehomework-test/nothing:here")
    assert done.returncode == 5
    assert "could not be built" in done.stderr and (place.folder / ".cache" / "builds" / "cpu-base.log").is_file()


@pytest.mark.parametrize("kind", [kind for kind in DOCKERFILES if kind != "cpu"])
def test_every_other_dockerfile_builds_with_the_cpus_wheel(engine, built, kind):
    stand_in = (("PACKAGES", "paddlepaddle"), ("INDEX", ""))
    image = images.Image(hardware=KINDS[kind], base=BASE, arguments=stand_in, root=ROOT)
    assert images.build(image, engine, None).startswith("sha256:")
    held = inventory.read(engine, image.name)
    assert [name for name in held["wheels"] if name.startswith("paddlepaddle-")]
