"""What `./inv build` does: choose the images, then print, pin, build, compare and push as asked."""

import os
import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.specifiers import SpecifierSet

from harness import checkout
from harness.catalogue import entries, releases
from harness.catalogue.entries import Hardware
from harness.catalogue.releases import Release
from harness.checkout import ROOT
from harness.doctor import preflight
from harness.environments import client as clients
from harness.environments import images, inside, reproducibility, sources
from harness.environments.client import Client
from harness.errors import BuildError, EngineError, UsageError
from harness.evidence import hashing
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
    release: Release | None = None,
) -> images.Image:
    """The image that the options describe.

    Raises:
        UsageError: the folder of wheels or of sources has none.
        BuildError: there is no such stack, or the kind names no source.
    """
    folder, own = (Path(word).expanduser() if word else None for word in (wheels, tree))
    if folder and not any(folder.glob("*.whl")):
        raise UsageError(f"--wheels {wheels}: no wheel there.", "It is a folder with .whl files.", "Name that folder.")
    if own and not (source and own.is_dir() and any(own.iterdir())):
        why = "It is a folder with a checkout and its submodules, for a build with --source."
        raise UsageError(f"--tree {tree}: no sources there, or no --source.", why, "Name that folder.")
    wanted = images.Image(
        hardware=_variant(hardware, release.version if release else ""),
        stack=stack,
        tools=entries.tools(stack),
        target="source" if source else "wheel",
        base=base,
        wheels=folder,
        tree=own,
        offline=offline,
        root=ROOT,
        release=release,
        arguments=_arguments(),
    )
    assert wanted.lock, "an unknown stack is refused here"
    if folder:
        for package in hardware.data["wheels"]["packages"]:
            _require_taken(wanted, package, sorted(folder.glob(f"{package.replace('-', '_')}-*.whl")))
    if source:
        sources.variables(wanted)  # a kind that names no source is refused here
    return wanted


def _require_taken(image: images.Image, package: str, own: Sequence[Path]) -> None:
    """Refuse wheels of Paddle that the build would leave lying, to take the index's without a word.

    Raises:
        UsageError: they are of another version, or of a listed one and not the file that the lock names.
    """
    version, folder = image.paddle.version, own[0].parent if own else ""
    wanted = SpecifierSet(f"=={version}", prereleases=True)
    fitting = [path for path in own if (number := releases.parsed(path.name.split("-")[1])) and number in wanted]
    if own and not fitting:
        what = f"--wheels {folder}: no {package} {version} there, which the image is for."
        there = sorted({path.name.split("-")[1] for path in own})
        raise UsageError(what, f"It has: {', '.join(there)}.", f"Name it: --paddle {there[-1]}")
    if fitting and package == "paddlepaddle" and image.paddle.listed:
        lock = image.lock.read_text(encoding="utf-8")
        if not any(hashing.sha256(path) in lock for path in fitting):
            what = f"--wheels {folder}: {fitting[0].name} is not the index's file of that name."
            why = f"{version} is listed, and an image takes it by the hashes of its lock alone."
            raise UsageError(what, why, f"Call it {version}+own and name that by --paddle, or run it without an image.")


def _variant(hardware: Hardware, paddle: str) -> Hardware:
    """The kind with the variant of its wheels that suits this machine's driver and chips, where it has several."""
    return probe.probe(hardware, paddle).hardware if "variants" in hardware.data["wheels"] else hardware


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
            preflight.require_published(each)
            _show(each, client)
        return
    client = clients.require(to_build=True)
    for each in wanted:
        preflight.require_build(each, client)
        _build(each, client, wishes)


def _show(wanted: images.Image, client: Client) -> None:
    """Print the commands of a build as they can be typed: what they read is laid out for them."""
    context = images.stage(wanted)
    name = f"homework-source-{wanted.hardware.name}"
    built = images.sibling(context, ".built")
    compiling = wanted.target == "source"
    lines = [images.command(wanted, client, context, {}, "compiler")] if compiling else []
    lines += sources.commands(wanted, client, context, name, built) if compiling else []
    lines += [[client.path, "rm", name], ["cp", "-r", f"{built}/.", str(context / "built")]] if compiling else []
    for words in [*lines, images.command(wanted, client, context, {})]:
        print("DOCKER_BUILDKIT=1 " * ("build" in words[1:2]) + shlex.join(words))


def _build(wanted: images.Image, client: Client, wishes: Wishes) -> None:
    if wishes.pin:
        for name, pinned in images.pin(wanted, client).items():
            print(f"Pinned {name} to {pinned}")
    start = time.monotonic()
    if wanted.target == "source":
        wanted = replace(wanted, built=sources.compile(wanted, client))
    if wishes.twice:
        print(green("✓ ") + reproducibility.check(wanted, client))
    explicit = bool(wanted.base or wanted.wheels or wanted.arguments or wanted.target == "source" or wishes.pin)
    if not explicit and images.up_to_date(wanted, client):
        print(green(f"✓ {wanted.name} is up to date"))
    else:
        built = images.build(wanted, client, checkout.revision()["revision"])
        unfit = images.unfit_sdks(wanted.hardware, client.inspect(wanted.name) or {})
        if unfit:
            why = "The wheels were built for another; a program would not load them."
            raise BuildError(f"{wanted.name} will not run: {unfit}.", why, "Take another base, or leave --base out.")
        print(green(f"✓ {wanted.name} built in {time.monotonic() - start:.1f} s") + f"   {built}")
    if wishes.pin:
        for name, pinned in images.pin_wheels(wanted, client).items():
            print(f"Pinned {name} to sha256:{pinned}")
    if wishes.push:
        _push(wanted, client, wishes.push)


def _push(wanted: images.Image, client: Client, place: str) -> None:
    """Push the image with the harness in it, so that a pod of it installs nothing."""
    name = f"{place.rstrip('/')}/{wanted.name.partition('/')[2]}"
    inside.build(wanted, client, name)
    if subprocess.run([client.path, "push", name]).returncode != 0:
        why = "The registry refused it; see its output above."
        raise EngineError(f"{name} could not be pushed.", why, f"{client.engine} login REGISTRY, then call again.")
