"""From source: Paddle or a plug-in, compiled in a running container, with the driver of this machine.

There is the compiler that the vendor's SDK wants, and the driver that a plug-in's build may load; /source is a volume,
so a build that broke off goes on where it stopped. What comes out are wheels, for the image to take.
"""

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.environments import images, passthrough, pins
from harness.environments.client import Client
from harness.environments.images import Image
from harness.errors import BuildError

VERSION = re.compile(r"\d+\.\d+\.\d+\w*")


def compile(image: Image, client: Client) -> Path:
    """Compile the kind's source, with progress.

    Returns:
        The folder of the wheels that it made.

    Raises:
        BuildError: the kind names no source, or a step failed.
    """
    described = _source(image)
    images.require_builder(client)
    context = images.stage(image)
    log = images.sibling(context, ".log")
    log.unlink(missing_ok=True)
    images.run(images.command(image, client, context, {}, "compiler"), log, f"Building {image.name}'s compiler")
    name = f"homework-source-{image.hardware.name}-{os.getpid()}"
    built = images.sibling(context, ".built")
    shutil.rmtree(built, ignore_errors=True)
    try:
        for words in commands(image, client, context, name, built):
            images.run(words, log, f"Compiling {image.hardware.title}'s sources")
    finally:
        client.read("rm", "--force", name)
        shutil.rmtree(images.secrets_folder(context), ignore_errors=True)
    if not any(built.glob("*.whl")):
        raise BuildError(
            f"{described['repository']} made no wheel.", f"See {os.path.relpath(log)}.", "Mend its command."
        )
    return built


def commands(image: Image, client: Client, context: Path, name: str, built: Path) -> Iterator[list[str]]:
    """The commands, in order: make the container, copy scripts, secrets and own sources into it, run it, copy out.

    Nothing of this machine is mounted but the driver, so that an engine elsewhere can do it too.
    """
    yield [client.path, "create", "--name", name, *_options(image, client), f"{image.name}-compiler", *COMPILE]
    for folder, place in ((context / "docker", "/docker"), (context / "wheels", "/wheels"), (image.tree, "/tree")):
        if folder:
            yield [client.path, "cp", f"{folder}/.", f"{name}:{place}"]
    yield [client.path, "cp", f"{images.secrets_folder(context)}/.", f"{name}:/run/secrets"]
    yield [client.path, "start", "--attach", name]
    yield [client.path, "cp", f"{name}:/built/.", str(built)]


COMPILE = ("sh", "/docker/source.sh")


def _options(image: Image, client: Client) -> Iterator[str]:
    yield from ("--user", "0:0", "--network", "none" if image.offline else "bridge", "--entrypoint", "")
    if not client.remote:
        yield from passthrough.words(image.hardware.data, client, root=True)
    for volume, place in (("source", "/source"), ("ccache", "/root/.cache/ccache"), ("pip", "/var/cache/pip")):
        yield from ("--volume", f"homework-{volume}-{image.hardware.name}:{place}")
    for variable, value in variables(image).items():
        yield from ("--env", f"{variable}={value}")


def variables(image: Image) -> dict[str, str]:
    """What docker/source.sh is told, by the data files."""
    source, packages = _source(image), image.hardware.data["wheels"]["packages"]
    named = images.revision(image)
    kept = pins.read(image.root).get(f"{source['repository']}@{named}", named)
    options = " ".join(source.get("options", ()))
    settings = "".join(f"export {name}={shlex.quote(value)}; " for name, value in source.get("environment", {}).items())
    version = VERSION.search(named)
    return {
        "HOME": "/root",
        "STACK": image.stack,
        "SETUP": " ".join(image.hardware.data.get("setup", ())),
        "REPOSITORY": source["repository"],
        "REVISION": kept,
        "SUBMODULES": " ".join(source.get("submodules", ("all",))),
        "DIRECTORY": source["directory"],
        "COMMAND": settings + source["command"].replace("{options}", options),
        # Upstream's cmake asks git for a tag, which a shallow checkout has not, and says 0.0.0.
        "PADDLE_VERSION": version.group() if version else image.paddle.version,
        "BESIDE": "paddlepaddle" if "paddlepaddle" in packages[:-1] else "",
    }


def _source(image: Image) -> dict[str, Any]:
    if "source" not in image.hardware.data:
        raise BuildError(
            f"{image.hardware.title}: not built from source.",
            f"hardware/{image.hardware.name}/hardware.yaml names no source.",
            f"./inv build --hw {image.hardware.name} takes the wheels.",
        )
    source: dict[str, Any] = image.hardware.data["source"]
    return source
