"""Preflight: what a build or a run needs of this machine, looked at before it starts.

The lines are the doctor's (checks.py); here the first one that is needed and does not fit ends the command.
"""

import platform
from collections.abc import Iterable, Sequence
from typing import Any

from harness.catalogue.entries import Hardware
from harness.checkout import ROOT
from harness.doctor import cards, checks
from harness.doctor.diagnosis import Diagnosis, Use
from harness.engines.container import remove_leftovers
from harness.environments import client as clients
from harness.environments import images
from harness.environments.client import Client
from harness.errors import HardwareError
from harness.machine import probe
from harness.machine.probe import Finding
from harness.terminal import yellow


def require_run(planned: Iterable[Any]) -> None:
    """Refuse to start cells that this machine is not ready for; ask each kind and engine once.

    Raises:
        HardwareError: driver, SDK, device files, mounts, shared memory, disk or the engine's device runtime.
    """
    asked = {}
    for entry in planned:
        if entry.engine:
            asked[entry.finding.hardware.name, entry.finding.paddle, entry.engine.name] = entry
    for (_, _, engine), entry in asked.items():
        require(entry.finding.hardware, examine_run(entry.finding, engine))
    for entry in planned:
        if entry.engine:
            require(entry.finding.hardware, cards.pairs_in_image(entry.finding, entry.engine.sdks(entry.cell)))
    if any(engine == "container" for _, _, engine in asked):
        _remove_leftovers()


def require_build(image: images.Image, client: Client) -> None:
    """Refuse a build that cannot end, or whose image this machine's card would refuse.

    A machine without the card may build the image for another one; that is said, and is no fault.

    Raises:
        EngineError: the client cannot build.
        HardwareError: the disk, the engine's processor, or a driver that does not fit.
    """
    images.require_builder(client)
    require_published(image)
    lines = [checks.image_disk(client, image.root), *_processor(image, client)]
    if not client.remote:
        finding = probe.probe(image.hardware, image.paddle.version)
        if finding.left_out:
            print(yellow(f"{image.hardware.vendor}: left out: {finding.faults}. {cards.remedy(finding)}"))
        if not finding:
            print(yellow(f"There is no {image.hardware.title} here: the image is for another machine."))
        lines += [*cards.driver(finding), *cards.pairs(finding)] if finding else []
        if image.target == "source" and image.hardware.data["source"].get("driver"):
            lines += checks.needed_for("container", cards.lines(finding))
    require(image.hardware, lines)


def require_published(image: images.Image) -> None:
    """Refuse to look at an index for wheels that only a build from source makes: anyone could have put them there.

    Raises:
        HardwareError: the kind's wheels are at no index.
    """
    wheels = image.hardware.data["wheels"]
    own = image.target == "source" or image.wheels or "PACKAGES" in dict(image.arguments)
    if wheels.get("source_only") and not own:
        what = f"{image.hardware.title}: no index has {wheels['packages'][-1]}."
        remedy = f"./inv build {image.hardware.name} --source, or --wheels FOLDER with wheels of your own."
        raise HardwareError(what, "They are built from source alone, as hardware.yaml says.", remedy)


def examine_run(finding: Finding, engine: Use) -> list[Diagnosis]:
    """What a run on this engine needs, of all that the doctor looks at."""
    return checks.needed_for(engine, [*cards.lines(finding), *checks.machine(ROOT, finding)])


def require(kind: Hardware, lines: Sequence[Diagnosis]) -> None:
    """Print what is unknown, and end with the first line that does not fit.

    Raises:
        HardwareError: with what was found and what to install.
    """
    for line in lines:
        if line.fits is None:
            print(yellow(f"{kind.vendor}: {line.subject}: {line.found}"))
        if line.fits is False:
            raise HardwareError(
                f"{kind.vendor} ({kind.name}): this machine is not ready: {line.subject}.",
                f"Found: {line.found}.",
                f"{line.remedy} Then: ./inv doctor --hw {kind.name}",
            )


def _processor(image: images.Image, client: Client) -> list[Diagnosis]:
    """Whether there are wheels for the processor of the engine, which need not be this machine's."""
    machine = client.machine or platform.machine()
    wanted = image.hardware.data["wheels"]["machines"]
    if image.target == "source":
        return []
    remedy = f"Build on one of these, or from source: ./inv build --hw {image.hardware.name} --source."
    found = f"{machine}; wheels are for {', '.join(wanted)}"
    return [Diagnosis("processor", found, machine in wanted, remedy, ("build",))]


def _remove_leftovers() -> None:
    """Containers whose harness was killed run on; they would hold cards and records."""
    client = clients.find()
    for name in remove_leftovers(client) if client else ():
        print(yellow(f"Removed a container whose run was killed: {name}"))
