"""The command line of a container engine: Docker's or Podman's, whichever is here and answers.

DOCKER_HOST, contexts and ssh:// addresses are the client's own; what it is told here holds for all of them. The
command line serves Docker and Podman alike, and it alone builds with BuildKit; so it runs and inspects too, and there
is one way to reach an engine, not two. HOMEWORK_ENGINE, a name or a path, chooses between several.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import EngineError

ANSWER_SECONDS = 20
NAMES = ("docker", "podman")
INSTALL = "Install and start one, for example: apt-get install docker.io; ./inv doctor shows what answers."


@dataclass(frozen=True)
class Client:
    """A client whose engine answers.

    `builder` is buildx, buildkit (an older client's own) or podman; `machine` the engine's processor, as Python's
    platform.machine() names it.
    """

    path: str
    engine: str
    version: str
    builder: str
    address: str = ""
    machine: str = ""

    @property
    def remote(self) -> bool:
        """Whether the engine is on another machine, which cannot see this one's folders."""
        return self.address.startswith(("ssh://", "tcp://", "http"))

    @property
    def folder(self) -> str | None:
        """Where the engine keeps its images, if that is on this machine."""
        if self.remote:
            return None
        asked = "{{.Store.GraphRoot}}" if self.engine == "podman" else "{{.DockerRootDir}}"
        return (self.read("info", "--format", asked) or "").strip() or None

    def read(self, *words: str) -> str | None:
        """What the client prints; None where it fails."""
        return _read(self.path, *words)

    def inspect(self, image: str) -> Mapping[str, Any] | None:
        """What the engine knows of an image; None where it has none of that name."""
        answer = self.read("image", "inspect", image)
        found: list[dict[str, Any]] = json.loads(answer) if answer else []
        return found[0] if found else None


def require() -> Client:
    """The client to use.

    Raises:
        EngineError: none is here, or none answers.
    """
    client = find()
    if client is None:
        here = ", ".join(_paths()) or "no docker and no podman on PATH"
        raise EngineError("No container engine answers.", f"Asked: {here}.", INSTALL)
    return client


@cache
def find() -> Client | None:
    """The first client whose engine answers; of two with one engine, the one that can build with BuildKit."""
    answering = [client for path in _paths() if (client := _ask(path))]
    return next((client for client in answering if client.builder), answering[0] if answering else None)


def _paths() -> list[str]:
    """Every client on PATH: there may be two of a name, and only one of them with BuildKit."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    chosen = os.environ.get("HOMEWORK_ENGINE")
    names = (chosen,) if chosen else NAMES
    found = (shutil.which(name, path=folder) for name in names for folder in dict.fromkeys(folders))
    return list({os.path.realpath(path): path for path in found if path}.values())


def _ask(path: str) -> Client | None:
    answer = _read(path, "version", "--format", "{{json .}}")
    try:
        versions = json.loads(answer or "")
        server = versions.get("Server") or versions["Client"]  # Podman without a service is its own server
    except (ValueError, KeyError, AttributeError):
        return None
    engine = "podman" if Path(path).name == "podman" else "docker"
    client = versions.get("Client", {})
    processor = str(server.get("Arch") or server.get("OsArch", "").rpartition("/")[2])
    machine = MACHINES.get(processor, processor)
    builder = _builder(path, engine, str(client.get("Version", "")))
    return Client(path, engine, str(server["Version"]), builder, _address(path, engine).strip(), machine)


MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def _address(path: str, engine: str) -> str:
    if engine == "podman":
        return os.environ.get("CONTAINER_HOST", "")
    asked = "{{.Endpoints.docker.Host}}"
    return os.environ.get("DOCKER_HOST") or _read(path, "context", "inspect", "--format", asked) or ""


def _builder(path: str, engine: str, version: str) -> str:
    if engine == "podman":
        return "podman"
    if _read(path, "buildx", "version"):
        return "buildx"
    major = version.partition(".")[0]
    return "buildkit" if major.isdigit() and 18 < int(major) < 23 else ""


def _read(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def words(options: Mapping[str, Any]) -> Iterator[str]:
    """A container's options, named as in hardware.yaml, as the client writes them."""
    for name, value in options.items():
        option = RENAMED.get(name, "--" + name.replace("_", "-"))
        for each in value if isinstance(value, list) else [value]:
            yield from (option, str(each))


RENAMED = {"ipc_mode": "--ipc", "network_mode": "--network"}
