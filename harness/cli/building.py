"""What `./inv build` does: choose the images, then print, pin, build, compare and push as asked."""

import os
import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import checkout
from harness.catalogue import entries
from harness.catalogue.entries import Hardware
from harness.checkout import ROOT
from harness.doctor import preflight
from harness.environments import client as clients
from harness.environments import images, reproducibility
from harness.environments.client import Client
from harness.errors import BuildError, EngineError, UsageError
from harness.machine import probe
from harness.terminal import green

ANYWHERE = Client("docker", "docker", "", "buildkit")  # what a dry run names where no engine answers


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What is asked besides the build itself. `push` is where to: a registry with a repository."""

    pin: bool = False
    twice: bool = False
    push: str = ""
    dry_run: bool = False


def image(
    hardware: Hardware,
    stack: str,
    source: bool,
    base: str,
    wheels: str = "",
    tree: str = "",
    offline: bool = False,
) -> images.Image:
    """The image that the options describe.

    Raises:
        UsageError: the folder of wheels or of sources has none.
        BuildError: there is no such stack.
    """
    folder, sources = (Path(word).expanduser() if word else None for word in (wheels, tree))
    if folder and not any(folder.glob("*.whl")):
        raise UsageError(f"--wheels {wheels}: no wheel there.", "It is a folder with .whl files.", "Name that folder.")
    if sources and not (source and sources.is_dir() and any(sources.iterdir())):
        why = "It is a folder with a checkout and its submodules, for a build with --source."
        raise UsageError(f"--tree {tree}: no sources there, or no --source.", why, "Name that folder.")
    wanted = images.Image(
        hardware=_variant(hardware),
        stack=stack,
        tools=entries.tools(stack),
        target="source" if source else "wheel",
        base=base,
        wheels=folder,
        tree=sources,
        offline=offline,
        root=ROOT,
        arguments=_arguments(),
    )
    assert wanted.lock, "an unknown stack is refused here"
    return wanted


def _variant(hardware: Hardware) -> Hardware:
    """The kind with the variant of its wheels that suits this machine's driver and chips, where it has several."""
    return probe.probe(hardware).hardware if "variants" in hardware.data["wheels"] else hardware


def _arguments() -> tuple[tuple[str, str], ...]:
    """Further build arguments, in HOMEWORK_BUILD_ARGUMENTS: the tests put the CPU's wheel in a vendor's place."""
    words = shlex.split(os.environ.get("HOMEWORK_BUILD_ARGUMENTS", ""))
    pairs = (word.partition("=") for word in words)
    return tuple((name, value) for name, _, value in pairs)


def build_all(wanted: Sequence[images.Image], wishes: Wishes) -> None:
    """Build the images in order, with progress.

    Raises:
        EngineError: no engine answers, or it cannot do what is asked.
        BuildError: a build failed.
    """
    if wishes.dry_run:
        client = clients.find(to_build=True) or ANYWHERE
        for each in wanted:
            context = each.root / ".cache" / "builds" / f"{each.hardware.name}-{each.stack}"
            print("DOCKER_BUILDKIT=1 " + shlex.join(images.command(each, client, context, {})))
        return
    client = clients.require(to_build=True)
    for each in wanted:
        preflight.require_build(each, client)
        _build(each, client, wishes)


def _build(wanted: images.Image, client: Client, wishes: Wishes) -> None:
    if wishes.pin:
        for name, pinned in images.pin(wanted, client).items():
            print(f"Pinned {name} to {pinned}")
    if wishes.twice:
        print(green("✓ ") + reproducibility.check(wanted, client))
    explicit = bool(wanted.base or wanted.wheels or wanted.arguments or wanted.target == "source" or wishes.pin)
    if not explicit and images.up_to_date(wanted, client):
        print(green(f"✓ {wanted.name} is up to date"))
    else:
        start = time.monotonic()
        built = images.build(wanted, client, checkout.revision()["revision"])
        unfit = images.unfit_sdks(wanted.hardware, client.inspect(wanted.name) or {})
        if unfit:
            why = "The wheels were built for another; a program would not load them."
            raise BuildError(f"{wanted.name} will not run: {unfit}.", why, "Take another base, or leave --base out.")
        print(green(f"✓ {wanted.name} built in {time.monotonic() - start:.1f} s") + f"   {built}")
    if wishes.push:
        _push(wanted, client, wishes.push)


def _push(wanted: images.Image, client: Client, place: str) -> None:
    name = f"{place.rstrip('/')}/{wanted.name.partition('/')[2]}"
    for words in (("tag", wanted.name, name), ("push", name)):
        if subprocess.run([client.path, *words]).returncode != 0:
            why = "The registry refused it; see its output above."
            raise EngineError(f"{name} could not be pushed.", why, f"{client.engine} login REGISTRY, then call again.")
