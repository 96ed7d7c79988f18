"""Preflight: what a build or a run needs of this machine, looked at before it starts.

The doctor shows the same lines for a person to read; here the first one that does not fit ends the word.
"""

import platform
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.catalogue.entries import Hardware
from harness.checkout import ROOT
from harness.environments import client as clients
from harness.environments import images
from harness.environments.client import Client
from harness.errors import HardwareError
from harness.machine import probe
from harness.machine.probe import Diagnosis, Finding
from harness.terminal import yellow

SHARED_MEMORY_BYTES = 64 * 2**20  # what engines give by default; with less, loaders die of a bus error
IMAGE_GIBIBYTES = 4.0
RECORD_GIBIBYTES = 0.25


def require_run(planned: Iterable[Any]) -> None:
    """Refuse to start cells that this machine is not ready for; ask each kind and engine once.

    Raises:
        HardwareError: driver, SDK, device files, mounts, shared memory, disk or the engine's device runtime.
    """
    asked = {}
    for entry in planned:
        if entry.engine:
            asked[entry.finding.hardware.name, entry.engine.name] = entry.finding
    for (_, engine), finding in asked.items():
        require(finding.hardware, examine_run(finding, engine))
    if any(engine == "container" for _, engine in asked):
        _remove_leftovers()


def require_build(image: images.Image, client: Client) -> None:
    """Refuse a build that cannot end, or whose image this machine's card would refuse.

    A machine without the card may build the image for another one; that is said, and is no fault.

    Raises:
        EngineError: the client cannot build.
        HardwareError: the disk, the engine's processor, or a driver that does not fit.
    """
    images.require_builder(client)
    lines = [disk(Path(client.folder or image.root), IMAGE_GIBIBYTES)]
    lines += _processor(image, client)
    if not client.remote:
        finding = probe.probe(image.hardware)
        if not finding:
            print(yellow(f"There is no {image.hardware.title} here: the image is for another machine."))
        elif driver := probe.driver(finding):
            lines.append(driver)
    require(image.hardware, lines)


def examine_run(finding: Finding, engine: str) -> list[Diagnosis]:
    """What a run on this engine needs: the driver, then what is the machine's and what is the engine's."""
    kind = finding.hardware.data
    lines = [line for line in [probe.driver(finding)] if line]
    lines.append(disk(ROOT, RECORD_GIBIBYTES))
    options = kind.get("container", {}).get("options", {})
    if engine == "local":
        lines += probe.sdk(kind)
    if engine == "local" or options.get("ipc_mode") == "host":
        lines += shared_memory()
    if engine == "container":
        lines += probe.container(kind)
        lines += probe.device_runtime(kind)
    return lines


def require(kind: Hardware, lines: Sequence[Diagnosis]) -> None:
    """Print what is unknown, and end with the first line that does not fit.

    Raises:
        HardwareError: with what was found and what to install.
    """
    for line in lines:
        if line.fits is None:
            print(yellow(f"{kind.title}: {line.subject}: {line.found}"))
        if line.fits is False:
            raise HardwareError(
                f"{kind.title}: this machine is not ready: {line.subject}.",
                f"Found: {line.found}.",
                f"{line.remedy} Then: ./inv doctor --hw {kind.name}",
            )


def disk(place: Path, gibibytes: float) -> Diagnosis:
    """Whether the disk under `place` has room."""
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 2**30
    found = f"{free:.1f} GiB free at {place}, {gibibytes:g} wanted"
    return Diagnosis("disk", found, free >= gibibytes, "Free some: old images and .stacks/ are the largest.")


def shared_memory(place: Path = Path("/dev/shm")) -> list[Diagnosis]:
    """Whether loaders and collectives have room in /dev/shm; systems without it share memory otherwise."""
    if not place.is_dir():
        return []
    size = shutil.disk_usage(place).total
    found = f"{size / 2**20:.0f} MiB, {SHARED_MEMORY_BYTES / 2**20:.0f} wanted"
    return [Diagnosis("shared memory", found, size >= SHARED_MEMORY_BYTES, f"mount -o remount,size=8g {place}")]


def _processor(image: images.Image, client: Client) -> list[Diagnosis]:
    """Whether there are wheels for the processor of the engine, which need not be this machine's."""
    machine = client.machine or platform.machine()
    wanted = image.hardware.data["wheels"]["machines"]
    if image.target == "source":
        return []
    remedy = f"Build on one of these, or from source: ./inv build --hw {image.hardware.name} --source."
    return [Diagnosis("processor", f"{machine}; wheels are for {', '.join(wanted)}", machine in wanted, remedy)]


def _remove_leftovers() -> None:
    """Containers whose harness was killed run on; they would hold cards and records."""
    from harness.engines.container import remove_leftovers

    client = clients.find()
    for name in remove_leftovers(client) if client else ():
        print(yellow(f"Removed a container whose run was killed: {name}"))
