"""Images built by a real engine in every way that this machine allows.

The vendors' Dockerfiles are built on a stand-in base with the CPU's wheel in the place of theirs, so that every line of
them but the vendor's own is executed. A registry, an ssh server and Podman are real ones, started here on loopback.
"""

import hashlib
import json
import os
import shutil
import subprocess
import urllib.request
import zipfile

import pytest
import ssh_server
from containers import BASE, BUILD_SECONDS, KINDS, NAMES, ROOT, base_archive, free_port, over_tcp, wait_for_port
from machines import MACHINES, STAND_IN

from harness.environments import images, inventory

pytestmark = pytest.mark.slow
DOCKERFILES = [path.suffix[1:] for path in sorted(ROOT.glob("Dockerfile.*")) if path.suffix[1:] in KINDS]


def test_a_failed_build_shows_its_end_and_keeps_the_log(place, engine):
    done = place("build", "--hw", "cpu", "--base", f"{NAMES}/nothing:here")
    assert done.returncode == 5
    assert "could not be built" in done.stderr and (place.folder / ".cache" / "builds" / "cpu-base.log").is_file()


@pytest.mark.parametrize("kind", [kind for kind in DOCKERFILES if kind != "cpu" and kind not in MACHINES])
def test_every_other_dockerfile_builds_with_the_cpus_wheel(engine, built, kind):
    stand_in = tuple(tuple(word.split("=")) for word in STAND_IN.split())
    image = images.Image(hardware=KINDS[kind], base=BASE, arguments=stand_in, root=ROOT)
    assert images.build(image, engine, None).startswith("sha256:")
    held = inventory.read(engine, image.name)
    assert [name for name in held["wheels"] if name.startswith("paddlepaddle-")]
    engine.read("rmi", image.name)  # gigabytes; what the next one shares with it stays in the engine's cache


# Without a network


@pytest.fixture(scope="module")
def wheels(engine, tmp_path_factory):
    """A folder with all of the lock's wheels, for the Python of the base."""
    folder = tmp_path_factory.mktemp("wheels")
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = (engine.read("run", "--rm", BASE, "python3", "-c", asked) or "").strip()
    lock = ROOT / "docker" / "locks" / "base.txt"
    words = [ROOT / ".venv" / "bin" / "python", "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    words += ["--python-version", version, "--only-binary", ":all:", "--dest", folder, "--requirement", lock]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def test_a_complete_folder_of_wheels_needs_no_network(built, place, wheels):
    done = place("build", "--hw", "cpu", "--wheels", str(wheels), "--offline", timeout=BUILD_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "built in" in done.stdout


def test_an_incomplete_folder_says_so_and_ends_without_a_network(built, place, wheels, tmp_path):
    for path in wheels.glob("*.whl"):
        if not path.name.startswith(("numpy", "paddlepaddle")):
            os.link(path, tmp_path / path.name)
    done = place("build", "--hw", "cpu", "--wheels", str(tmp_path), "--offline", timeout=BUILD_SECONDS)
    assert done.returncode == 5
    assert "does not hold all of it" in done.stderr and "numpy" in done.stderr


# With a stack that is built in seconds

SMALL = f"{NAMES}/cpu:small"


@pytest.fixture(scope="module")
def small(place, tmp_path_factory):
    """The words for a stack of one wheel that stands in Paddle's place, where not the stack but the way matters."""
    wheel = tmp_path_factory.mktemp("small") / "paddlepaddle-3.0.0-py3-none-any.whl"
    info = "paddlepaddle-3.0.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in {**METADATA, "RECORD": ""}.items():
            archive.writestr(f"{info}/{name}", content)
        archive.writestr("paddle/__init__.py", "built = True\n")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = place.folder / "docker" / "locks" / "small.txt"
    lock.write_text(f"paddlepaddle==3.0.0 \\\n    --hash=sha256:{digest}\n")
    yield ("--stack", "small", "--wheels", str(wheel.parent))
    lock.unlink()


METADATA = {
    "METADATA": "Metadata-Version: 2.1\nName: paddlepaddle\nVersion: 3.0.0\n",
    "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}


def test_the_command_of_a_dry_run_can_be_pasted_and_builds(place, engine, small):
    dry = place("build", "--hw", "cpu", *small, "--dry-run")
    engine.read("rmi", "--force", SMALL)
    ran = subprocess.run(["bash", "-e"], input=dry.stdout, capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert engine.inspect(SMALL)
    engine.read("rmi", "--force", SMALL)


def test_two_builds_from_nothing_have_the_same_files(place, engine, small):
    done = place("build", "--hw", "cpu", *small, "--check-reproducible", timeout=BUILD_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    assert ("the same files, their times aside" if engine.builder == "buildkit" else "the same bytes") in done.stdout


# A registry


@pytest.fixture
def registry(tmp_path):
    """The address of a registry on loopback."""
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not here: apt-get install docker-registry")
    port = free_port()
    settings = tmp_path / "registry.yml"
    storage = {"filesystem": {"rootdirectory": str(tmp_path / "registry")}}
    settings.write_text(json.dumps({"version": "0.1", "storage": storage, "http": {"addr": f"127.0.0.1:{port}"}}))
    with (tmp_path / "registry.log").open("w") as log:
        server = subprocess.Popen(["docker-registry", "serve", settings], stdout=log, stderr=log)
    assert wait_for_port(port, server), (tmp_path / "registry.log").read_text()
    yield f"localhost:{port}"
    server.terminate()
    server.wait(timeout=30)


def test_a_base_is_pinned_at_its_registry_and_the_image_pushed_there(place, engine, registry, small):
    named = f"{registry}/bases/debian:12"
    for words in (("tag", BASE, named), ("push", "--quiet", named), ("rmi", named)):
        subprocess.run([engine.path, *words], check=True, capture_output=True)
    try:
        done = place("build", "--hw", "cpu", *small, "--base", named, "--pin", "--push", f"{registry}/team")
        assert done.returncode == 0, done.stderr[-3000:]
        pins = json.loads((place.folder / "docker" / "pins.json").read_text())
        assert pins[named].startswith(f"{registry}/bases/debian@sha256:")
        assert f"Pinned {named} to {pins[named]}" in done.stdout
        manifest = urllib.request.Request(
            f"http://{registry}/v2/team/cpu/manifests/small",
            headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"},
        )
        with urllib.request.urlopen(manifest, timeout=10) as answer:
            pushed, small_one = engine.inspect(f"{registry}/team/cpu:small") or {}, engine.inspect(SMALL) or {}
            assert json.load(answer)["config"]["digest"] == pushed["Id"]
            assert pushed["Config"]["Labels"] == small_one["Config"]["Labels"], "it stands on it"
        dry = place("build", "--hw", "cpu", "--base", named, "--dry-run")
        assert f"BASE={pins[named]}" in dry.stdout
    finally:
        (place.folder / "docker" / "pins.json").unlink(missing_ok=True)
        for name in (named, f"{registry}/team/cpu:small"):
            engine.read("rmi", name)


def test_a_registry_that_does_not_answer_is_said(place, engine):
    done = place("build", "--hw", "cpu", "--base", f"localhost:{free_port()}/nothing:1", "--pin")
    assert done.returncode == 4 and "cannot be pinned" in done.stderr


# From source

CMAKE = """\
cmake_minimum_required(VERSION 3.18)
project(stand_in CXX)
add_library(core SHARED core.cc)
add_custom_target(wheel ALL DEPENDS core
    COMMAND python ${CMAKE_SOURCE_DIR}/wheel.py $<TARGET_FILE:core> ${CMAKE_BINARY_DIR})
"""
WHEEL = """\
import sys, zipfile
from pathlib import Path

library, build = map(Path, sys.argv[1:])
dist = build / "python" / "dist"
dist.mkdir(parents=True, exist_ok=True)
info = "paddlepaddle-3.0.0.dist-info"
with zipfile.ZipFile(dist / "paddlepaddle-3.0.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("paddle/__init__.py", "built = True\\n")
    wheel.write(library, "paddle/" + library.name)
    wheel.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: paddlepaddle\\nVersion: 3.0.0\\n")
    wheel.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(info + "/RECORD", "")
"""


@pytest.fixture
def sources(tmp_path):
    """A small tree that is built as Paddle is: cmake and make in build/, the wheel in build/python/dist."""
    tree = tmp_path / "tree"
    (tree / "python").mkdir(parents=True)
    (tree / "python" / "requirements.txt").write_text("")
    (tree / "CMakeLists.txt").write_text(CMAKE)
    (tree / "core.cc").write_text("int built() { return 1; }\n")
    (tree / "wheel.py").write_text(WHEEL)
    return tree


def test_the_target_source_compiles_own_sources_and_takes_the_wheel_that_they_make(place, engine, small, sources):
    """Every line of the target runs but Paddle's own compilation, which takes hours: a small tree is in its place."""
    words = ("build", "--hw", "cpu", "--stack", "small", "--source", "--tree", str(sources))
    broken = sources / "core.cc"
    right = broken.read_text()
    broken.write_text("this is no C++\n")
    done = place(*words, timeout=BUILD_SECONDS)
    assert done.returncode == 5 and "core.cc" in done.stderr
    broken.write_text(right)
    done = place(*words, timeout=BUILD_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    held = inventory.read(engine, SMALL)
    assert list(held["wheels"]) == ["paddlepaddle-3.0.0-py3-none-any.whl"]
    asked = "import paddle; print(paddle.built)"
    assert (engine.read("run", "--rm", "--network", "none", SMALL, "python", "-c", asked) or "").strip() == "True"


# Where the engine is


@pytest.fixture
def ssh(tmp_path, socket_path):
    """The address of an ssh server on loopback, and a PATH whose ssh knows its key.

    The client there asks the engine of these tests, which need not be at the usual socket.
    """
    with ssh_server.running(tmp_path / "ssh", DOCKER_HOST=f"unix://{socket_path}") as server:
        yield server.address(), f"{server.path}:{os.environ['PATH']}"


def builds_there(place, environment, remote=True):
    """The doctor names the engine, a build is made there, and a run says that it needs this machine's folders."""
    environment = {**os.environ, **environment}
    assert "builds with" in place("doctor", "--hw", "cpu", env=environment).stdout
    done = place("build", "--hw", "cpu", "--base", BASE, env=environment)
    assert done.returncode == 0 and "built in" in done.stdout, done.stderr[-3000:]
    done = place("run", "--task", "8-1", "--hw", "cpu", "--on", "container", "--dry-run", env=environment)
    assert ("cannot see this machine's folders" in done.stdout) == remote, done.stdout + done.stderr


@pytest.fixture
def socket_path(engine):
    if not engine.address.startswith("unix://"):
        pytest.skip(f"the engine has no socket on this machine: {engine.address}")
    return engine.address.removeprefix("unix://")


def test_an_engine_is_reached_by_its_socket(built, place, socket_path):
    builds_there(place, {"DOCKER_HOST": f"unix://{socket_path}"}, remote=False)


def test_an_engine_is_reached_over_tcp(built, place, socket_path):
    with over_tcp(socket_path) as port:
        builds_there(place, {"DOCKER_HOST": f"tcp://127.0.0.1:{port}"})


def test_an_engine_is_reached_by_a_context(built, place, socket_path, tmp_path, engine, monkeypatch):
    with over_tcp(socket_path) as port:
        monkeypatch.delenv("DOCKER_HOST", raising=False)  # it would come before any context
        settings = {**os.environ, "DOCKER_CONFIG": str(tmp_path)}
        words = [engine.path, "context", "create", "far", "--docker", f"host=tcp://127.0.0.1:{port}"]
        subprocess.run(words, env=settings, check=True, capture_output=True)
        builds_there(place, {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "far"})


def test_an_engine_is_reached_over_ssh(built, place, socket_path, ssh):
    address, path = ssh
    builds_there(place, {"DOCKER_HOST": address, "PATH": path})


# Podman


@pytest.fixture(scope="module")
def podman(tmp_path_factory):
    """The settings of a Podman of its own, with the base in it: runc and lower limits, which do where others do not."""
    path = shutil.which("podman")
    if not path:
        pytest.skip("podman is not here: apt-get install podman")
    folder = tmp_path_factory.mktemp("podman")
    (folder / "containers.conf").write_text(
        '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        '[containers]\ndefault_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]\n'
    )
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/root"\nrunroot = "{folder}/run"\n'
    )
    chosen = {
        "HOMEWORK_ENGINE": path,
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
    }
    environment = {**os.environ, **chosen}
    done = subprocess.run([path, "import", base_archive(), BASE], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"podman holds no image here: {done.stderr[-300:]}")
    yield environment
    subprocess.run([path, "system", "reset", "--force"], env=environment, capture_output=True)


@pytest.mark.skipif("HOMEWORK_TEST_PODMAN" not in os.environ, reason="minutes long: HOMEWORK_TEST_PODMAN=1 asks for it")
def test_podman_builds_and_runs_a_cell(engine, place, podman):
    done = place("build", "--hw", "cpu", env=podman, timeout=BUILD_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    done = place("run", "--task", "8-1", "--hw", "cpu", "--on", "container", "--set", "steps=20", env=podman)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert place.records()[-1]["engine"]["version"].startswith("podman ")


@pytest.mark.skipif("HOMEWORK_TEST_PODMAN" not in os.environ, reason="minutes long: HOMEWORK_TEST_PODMAN=1 asks for it")
def test_podman_builds_the_same_bytes_twice(place, small, podman):
    done = place("build", "--hw", "cpu", *small, "--check-reproducible", env=podman, timeout=2 * BUILD_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "the same bytes twice" in done.stdout
