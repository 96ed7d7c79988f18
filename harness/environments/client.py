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
from dataclasses import dataclass, replace
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

    `builder` is buildx, buildkit (an older client's own) or podman, and empty where it cannot build or was not asked;
    `machine` is the engine's processor, as Python's platform.machine() names it.
    """

    path: str
    engine: str
    version: str
    builder: str = ""
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


def require(to_build: bool = False) -> Client:
    """The client to use.

    Raises:
        EngineError: none is here, or none answers.
    """
    client = find(to_build)
    if client is None:
        here = ", ".join(_paths()) or "no docker and no podman on PATH"
        raise EngineError("No container engine answers.", f"Asked: {here}.", INSTALL)
    return client


def find(to_build: bool = False) -> Client | None:
    """The first client whose engine answers; `to_build`, the first that can, if one can.

    A run waits for every question, so no more is asked than is needed: one, where the first client answers.
    """
    return _answering(to_build)


@cache
def _answering(to_build: bool) -> Client | None:
    answering = (client for path in _paths() if (client := _ask(path)))
    if not to_build:
        return next(answering, None)
    asked = []
    for client in answering:
        asked.append(replace(client, builder=_builder(client)))
        if asked[-1].builder:
            return asked[-1]
    return asked[0] if asked else None


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
    processor = str(server.get("Arch") or server.get("OsArch", "").rpartition("/")[2])
    address = _address(path, engine, versions.get("Client", {}).get("Context", ""))
    return Client(path, engine, str(server["Version"]), "", address, MACHINES.get(processor, processor))


MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
DEFAULT = "unix:///var/run/docker.sock"  # where Docker's context "default" leads


def _address(path: str, engine: str, context: str) -> str:
    if engine == "podman":
        return os.environ.get("CONTAINER_HOST", "")
    if chosen := os.environ.get("DOCKER_HOST"):
        return chosen
    if context == "default":
        return DEFAULT
    return (_read(path, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}") or "").strip()


def _builder(client: Client) -> str:
    if client.engine == "podman":
        return "podman"
    if _read(client.path, "buildx", "version"):
        return "buildx"
    own = _read(client.path, "version", "--format", "{{.Client.Version}}") or ""
    major = own.partition(".")[0]
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
