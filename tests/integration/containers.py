"""What the tests of images and containers share: an engine, a base image made without a registry, a checkout on it."""

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from checkouts import Checkout

from harness import system
from harness.catalogue import entries
from harness.environments import client, images
from harness.environments.client import Client

ROOT = Path(__file__).resolve().parents[2]
NAMES = os.environ.get("HOMEWORK_IMAGES", "paddlehomework-test")  # two sessions with one engine: two names
BASE = f"{NAMES}/base:bookworm"
CPU = f"{NAMES}/cpu:base"
PACKAGES = "ca-certificates,libgomp1,python3,python3-pip,python3-venv"
KINDS = entries.load(ROOT).hardware
# In a namespace of its own, so that nothing stays mounted if it is killed; in memory, where dpkg's syncing costs
# nothing. What was downloaded for one system is there for the next.
DEBOOTSTRAP = """
mount -t tmpfs base "$3"
debootstrap --variant=minbase $6 --cache-dir="$4" --include="$1" "$2" "$3"
tar -C "$3" --one-file-system --exclude='./proc/*' --exclude='./sys/*' --exclude='./dev/*' -cf "$5" .
"""
RUNTIMES = ROOT / ".cache" / "base" / "runtimes"
BUILD_SECONDS = 900  # a build installs a compiler at most; on a busy machine that takes minutes


@contextmanager
def an_engine(log: Path) -> Iterator[Client]:
    """An engine that builds, with the base in it: Docker's if it answers or dockerd can be started, else Podman."""
    os.environ["HOMEWORK_IMAGES"] = NAMES
    client._answering.cache_clear()
    daemon = None
    found = client.find(to_build=True)
    if (found is None or found.engine != "docker") and os.getuid() == 0 and shutil.which("dockerd"):
        settings = log.with_name("daemon.json")
        builder = {"gc": {"enabled": True, "defaultKeepStorage": "2GB"}}
        settings.write_text(json.dumps({"builder": builder, "runtimes": stand_in_runtimes()}))
        command = ["dockerd", "--config-file", settings]
        environment = {**os.environ, "PATH": f"{RUNTIMES}:{os.environ['PATH']}"}
        with log.open("w") as file:
            daemon = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True, env=environment)
        found = _wait_for_docker(daemon)
        if found is None:
            daemon.terminate()
            pytest.skip(f"dockerd does not start here: {log.read_text().splitlines()[-1:]}")
    if found is None:
        pytest.skip("no container engine answers, and dockerd is not here to be started by root")
    try:
        if not found.builder:
            pytest.skip(f"{found.path} cannot build with BuildKit")
        if not found.inspect(BASE):
            subprocess.run([found.path, "import", base_archive(), BASE], check=True, capture_output=True)
        yield found
        # By name: an image that goes by its id loses the names that others gave it as well.
        names = ("--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={NAMES}/*")
        for name in (found.read("images", *names) or "").split():
            found.read("rmi", "--force", name)
        # Those that a later build took the name from: gigabytes, of this project alone.
        found.read("image", "prune", "--force", "--filter", f"label={images.LABEL}recipe")
    finally:
        os.environ.pop("HOMEWORK_IMAGES")
        if daemon:
            daemon.terminate()
            daemon.wait(timeout=60)
        client._answering.cache_clear()


def stand_in_runtimes() -> dict[str, dict[str, str]]:
    """The vendors' device runtimes, which hand no card over here: programs that end well, and runc by their names."""
    RUNTIMES.mkdir(parents=True, exist_ok=True)
    containers = [kind.data.get("container", {}) for kind in KINDS.values()]
    for program in (RUNTIMES / container["runtime"] for container in containers if "runtime" in container):
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    named = (container.get("options", {}).get("runtime") for container in containers)
    return {name: {"path": "runc"} for name in named if name}


def _wait_for_docker(daemon: "subprocess.Popen[bytes]") -> Client | None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and daemon.poll() is None:
        client._answering.cache_clear()
        found = client.find(to_build=True)
        if found and found.engine == "docker":
            return found
        time.sleep(0.5)
    return None


def base_archive(suite: str = "bookworm", name: str = "bookworm", packages: str = PACKAGES, arch: str = "") -> Path:
    """A Debian system as a tar, made once with debootstrap: no registry is needed. A second process waits for it.

    Of another processor than this one's it needs an emulator that the kernel knows (binfmt_misc).
    """
    archive = ROOT / ".cache" / "base" / f"{name}.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    with archive.with_name("lock").open("w") as lock:
        system.lock(lock.fileno())
        if not archive.is_file():
            _debootstrap(suite, packages, archive, arch)
    return archive


def _debootstrap(suite: str, packages: str, archive: Path, arch: str) -> None:
    if os.getuid() != 0 or not shutil.which("debootstrap"):
        pytest.skip("debootstrap is not here, or this is not root, so no base image can be made")
    tree, beside, debs = archive.with_suffix(""), archive.with_suffix(".part"), archive.with_name("debs")
    for folder in (tree, debs):
        folder.mkdir(exist_ok=True)
    words = ["unshare", "--mount", "sh", "-euc", DEBOOTSTRAP, "sh", packages, suite, *map(str, (tree, debs, beside))]
    words += [f"--arch={arch}" if arch else ""]
    made = subprocess.run(words, capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"debootstrap made no base image: {(made.stdout + made.stderr)[-300:]}")
    beside.rename(archive)
    tree.rmdir()


def checkout_on_the_base(folder: Path) -> Checkout:
    """A checkout with the real projects, whose images of the CPU and the simulated cards stand on the base."""
    for name in ("harness", "hardware", "docker", "projects"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (ROOT / "inv", ROOT / "tasks.py", *ROOT.glob("Dockerfile.*")):
        shutil.copy(path, folder / path.name)
    for name in (".venv", ".stacks"):
        (folder / name).symlink_to(ROOT / name)
    for kind in ("cpu", "sim"):
        data = folder / "hardware" / kind / "hardware.yaml"
        data.write_text(data.read_text().replace(KINDS[kind].data["image"]["base"], BASE))
    return Checkout(folder)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for_port(port: int, process: "subprocess.Popen[bytes]") -> bool:
    """Whether a server answers within ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        time.sleep(0.1)
    return False


@contextmanager
def over_tcp(path: str) -> Iterator[int]:
    """A port on loopback that leads to a Unix socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def pump(source: socket.socket, target: socket.socket) -> None:
            with suppress(OSError):
                while chunk := source.recv(65536):
                    target.sendall(chunk)
                target.shutdown(socket.SHUT_WR)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    near, _ = listener.accept()
                    far = socket.socket(socket.AF_UNIX)
                    far.connect(path)
                    for ends in ((near, far), (far, near)):
                        threading.Thread(target=pump, args=ends, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
