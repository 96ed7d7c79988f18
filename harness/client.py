"""The command line of a container engine: Docker's or Podman's, whichever is here and answers.

DOCKER_HOST, contexts and ssh:// addresses are the client's own; what it is told here holds for all of them.
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
    """A client whose engine answers. `builder` is buildx, buildkit (an older client's own) or podman."""

    path: str
    engine: str
    version: str
    builder: str
    address: str = ""

    @property
    def remote(self) -> bool:
        """Whether the engine is on another machine, which cannot see this one's folders."""
        return self.address.startswith(("ssh://", "tcp://", "http"))

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
    found = (shutil.which(name, path=folder) for name in NAMES for folder in dict.fromkeys(folders))
    return list({os.path.realpath(path): path for path in found if path}.values())


def _ask(path: str) -> Client | None:
    answer = _read(path, "version", "--format", "{{json .}}")
    try:
        versions = json.loads(answer or "")
        server = versions.get("Server") or versions["Client"]  # Podman without a service is its own server
    except (ValueError, KeyError, AttributeError):
        return None
    engine = "podman" if Path(path).name == "podman" else "docker"
    address = os.environ.get("DOCKER_HOST") or _read(path, "context", "inspect", "--format", ADDRESS) or ""
    client = str(versions.get("Client", {}).get("Version", ""))
    return Client(path, engine, str(server["Version"]), _builder(path, engine, client), address.strip())


ADDRESS = "{{.Endpoints.docker.Host}}"


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
