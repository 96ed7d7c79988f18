"""The container engine: the program in the kind's image, with only what hardware.yaml names.

The project and the libraries that it uses are mounted read-only, so a change in them needs no build; what the program
writes belongs to the caller.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from harness import system
from harness.catalogue import entries
from harness.catalogue.cells import Cell
from harness.checkout import ROOT
from harness.engines.engine import LAUNCHER, OF_PROGRAMS, Launch, Request, odd_version, python_words, variables
from harness.environments import client as clients
from harness.environments import images, passthrough
from harness.environments.client import Client
from harness.terminal import yellow

INSIDE = PurePosixPath("/homework")
MEMORY_SHARE = 0.9  # of this machine's: a program that takes more ends, and the machine does not
LOCKS = "docker/locks"
CHECKOUT, PROCESS = images.LABEL + "checkout", images.LABEL + "process"
WHEEL = re.compile(r"(?P<package>\w+)-(?P<version>[^-]+)-")


class ContainerEngine:
    name = "container"

    def __init__(self) -> None:
        self._found: dict[str, Mapping[str, Any]] = {}  # the images by name, as `missing` found them

    def missing(self, cell: Cell) -> str | None:
        client = clients.find()
        if client is None:
            return "no container engine answers"
        if client.remote:
            return f"the engine at {client.address} cannot see this machine's folders; call ./inv there"
        if cell.part.stack is None:
            return "its project names no stack"
        if cell.release and cell.release.wheels:
            return "a run takes --wheels into a local environment; an image takes them by ./inv build --wheels"
        image = image_of(cell)
        if not image.dockerfile.is_file():
            return f"there is no {image.dockerfile.name}"
        found = client.inspect(image.name)
        remedy = f"./inv build --hw {cell.hardware.name} --stack {image.stack}"
        remedy += f" --paddle {cell.release.version}" if cell.release else ""
        if found is None:
            return f"there is no image {image.name}: {remedy}"
        if images.label(found, "recipe") != image.recipe:
            return f"the image {image.name} is older than its files: {remedy}"
        self._found[image.name] = found
        unfit = images.unfit_sdks(cell.hardware, found)
        return f"{unfit}: {remedy} takes a base that fits" if unfit else None

    def sdks(self, cell: Cell) -> dict[str, str]:
        """Those of the image, as `missing` found it."""
        return images.sdks(self._found.get(image_of(cell).name, {}))

    def prepare(self, cell: Cell) -> None:
        """Nothing is to be made: preflight has looked at the machine. What is out of the ordinary is said."""
        if cell.hardware.data.get("container", {}).get("privileged"):
            print(yellow(f"  {cell.hardware.title}: its container runs with --privileged, as its data says."))

    def launch(self, request: Request) -> Launch:
        client, cell = clients.require(), request.cell
        image = image_of(cell)
        found = self._found.get(image.name) or client.inspect(image.name) or {}
        settings = self._settings(request)
        name = f"homework-{os.getpid()}-{request.out.name}"
        words = [client.path, "run", "--rm", "--init", "--name", name, *limits(request, client)]
        words += ["--label", f"{CHECKOUT}={ROOT}", "--label", f"{PROCESS}={os.getpid()} {_birth(os.getpid())}"]
        for folder in (*cell.part.folders, LOCKS):
            words += ["--volume", f"{ROOT / folder}:{INSIDE / folder}:ro"]
        words += ["--volume", f"{request.out.absolute()}:{INSIDE / 'out'}"]
        for variable, value in settings.items():
            words += ["--env", f"{variable}={value}"]
        # The time limit holds inside as well: a container that has lost its harness ends by itself.
        # The image goes by the id that was looked at, so that the record names what ran, should one be built meanwhile.
        words += [str(found.get("Id", image.name)), "timeout", "--kill-after", "5", str(int(cell.part.timeout) + 10)]
        words += ["python", *_program(request)]
        # Other variables of programs stay outside, so the record does not have them either.
        return Launch(
            command=tuple(words),
            environment={name: value for name, value in os.environ.items() if not name.startswith(OF_PROGRAMS)},
            settings=settings,
            facts=facts(found, image, {"name": self.name, "version": f"{client.engine} {client.version}"}),
            cleanup=(client.path, "rm", "--force", name),
        )

    def _settings(self, request: Request) -> dict[str, str]:
        settings = variables(replace(request, card_ids=_numbers_inside(request), called=()))
        moved = {name: value.replace("{root}", str(INSIDE)) for name, value in settings.items()}
        return {"HOME": "/tmp", **moved}


def image_of(cell: Cell) -> images.Image:
    """The image that a cell runs in."""
    stack = cell.part.stack or "base"
    return images.Image(
        hardware=cell.hardware, stack=stack, tools=entries.tools(stack), root=ROOT, release=cell.release
    )


def limits(request: Request, client: Client) -> Iterator[str]:
    """What the container may see and take: user, network, memory, devices and mounts."""
    data = request.cell.hardware.data
    if user := system.user():
        yield from ("--userns=keep-id",) if client.engine == "podman" and user[0] != 0 else ()
        yield from ("--user", f"{user[0]}:{user[1]}")
    yield from ("--memory", f"{int(system.memory() * MEMORY_SHARE)}")
    yield from ("--network", _network(request, data.get("container", {}).get("options", {}).get("network_mode")))
    yield from passthrough.words(data, client, request.card_ids)


def _numbers_inside(request: Request) -> tuple[str, ...]:
    """What the chosen cards are called in the container."""
    counted = request.cell.hardware.data.get("container", {}).get("renumbers", False)
    return tuple(str(place) for place in range(len(request.card_ids))) if counted else request.card_ids


def remove_leftovers(client: Client) -> list[str]:
    """Take away this checkout's containers whose harness is gone, as after a SIGKILL; returns their names."""
    answer = client.read("ps", "--all", "--quiet", "--filter", f"label={CHECKOUT}={ROOT}") or ""
    removed = []
    for identity in answer.split():
        found = json.loads(client.read("inspect", identity) or "[{}]")[0]
        process, _, birth = str((found.get("Config") or {}).get("Labels", {}).get(PROCESS, "")).partition(" ")
        if found and not (process.isdigit() and _birth(int(process)) == birth):
            client.read("rm", "--force", identity)
            removed.append(str(found["Name"]).lstrip("/"))
    return removed


def _birth(process: int) -> str:
    """When the process was started, in the kernel's ticks: its number alone is given out again. Empty if it is gone."""
    try:
        state, *more = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else more[18]


def _network(request: Request, wanted: str | None) -> str:
    """None, unless the part asks for it, or several cards talk over the machine's own."""
    if request.cards > 1 and wanted:
        return wanted
    return "bridge" if request.cell.part.network else "none"


def _program(request: Request) -> list[str]:
    inside = replace(request, out=Path(INSIDE / "out"))
    program = request.cell.part.program
    assert program is not None, "a part without a program is not planned"
    ours = (str(program), str(LAUNCHER))
    words = python_words(inside, program)
    return [(INSIDE / Path(word).relative_to(ROOT)).as_posix() if word in ours else word for word in words]


def facts(found: Mapping[str, Any], image: images.Image, engine: Mapping[str, str]) -> dict[str, Any]:
    """What the record says of the runtime, all of it read from the image's labels, and of the engine its name."""
    wheels = json.loads(images.label(found, "wheels") or "{}")
    return {
        "engine": {
            **engine,
            "image": found.get("Id"),
            "sbom": images.label(found, "sbom"),
        },
        "stack": {
            "name": image.stack,
            "lock": str(image.lock.relative_to(ROOT)),
            "lock_sha256": images.label(found, "lock") or hashlib.sha256(image.lock.read_bytes()).hexdigest(),
            "index": image.hardware.data["wheels"].get("index"),
            "python": images.label(found, "python") or f"{sys.version_info.major}.{sys.version_info.minor}",
            **odd_version(image.paddle),
        },
        **_paddle(wheels),
    }


def _paddle(wheels: Mapping[str, str]) -> dict[str, Any]:
    """The wheel of Paddle itself, and those of the plug-ins on it."""
    found = []
    for wheel, sha256 in sorted(wheels.items()):
        if match := WHEEL.match(wheel):
            package = match["package"].replace("_", "-")
            found.append({"package": package, "version": match["version"], "wheel": wheel, "wheel_sha256": sha256})
    paddle = next((each for each in found if each["package"].startswith("paddlepaddle")), None)
    return {"paddle": paddle, "plug_ins": [each for each in found if each is not paddle]}
