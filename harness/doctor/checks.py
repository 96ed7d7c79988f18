"""The one list of what a machine needs: a line each, with what it is needed for.

The doctor shows every line; a run or a build is held to those that it needs. So both say the same of a machine.
"""

import platform
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from harness.catalogue import releases
from harness.catalogue.entries import Part
from harness.doctor import cards
from harness.doctor.diagnosis import Diagnosis, Use
from harness.environments import client as clients
from harness.environments.client import Client
from harness.machine.probe import Finding, system_name

PYTHONS = ((3, 10), (3, 13))  # the first and the last that the locks are for
SHARED_MEMORY_BYTES = 64 * 2**20  # what engines give by default; with less, loaders die of a bus error
RECORD_GIBIBYTES = 0.25
ENVIRONMENT_GIBIBYTES = 4.0
IMAGE_GIBIBYTES = 4.0


def everything(root: Path, parts: Iterable[Part], findings: Iterable[Finding]) -> list[tuple[str, list[Diagnosis]]]:
    """All lines, as the doctor shows them: the machine's and each kind's, under their titles."""
    client = clients.find(to_build=True)
    groups = [("this machine", [*machine(root), *engine(client, root), *commands(parts)])]
    groups += [(cards.heading(finding), cards.lines(finding)) for finding in findings]
    return [(title, seen_from(_uses(client), lines)) for title, lines in groups]


def seen_from(uses: Iterable[Use], lines: Iterable[Diagnosis]) -> list[Diagnosis]:
    """The lines seen from what a machine is used for: what none of it needs is no fault where it is missing."""
    wanted = set(uses)
    return [line if wanted & set(line.needed_for) else replace(line, fits=line.fits or None) for line in lines]


def _uses(client: Client | None) -> tuple[Use, ...]:
    """What a machine can be used for, with the container engine that answers on it."""
    if client is None:
        return ("local",)
    return ("local", "container", "build") if client.builder else ("local", "container")


def paddles(root: Path, asked: str) -> list[tuple[str, list[Diagnosis]]]:
    """Which of the versions of Paddle that were asked for can run here, and which are installed; nothing for none."""
    book, lines = releases.load(), []
    for each in book.select(asked) if asked else []:
        made = (root / ".stacks" / each.of("base") / "recipe.txt").is_file()
        found = f"locks for Python {', '.join(each.python)}; CPU wheels for {', '.join(each.platforms)}"
        found += f"; not listed, on the lock of {each.near}, earns nothing" * (not each.listed)
        found += "; installed" if made else "; not installed yet"
        fits = releases.HERE in each.python and releases.PLATFORM in each.platforms
        remedy = f"This is Python {releases.HERE} on {releases.PLATFORM}: take another version, or PYTHON=/path ./inv"
        lines.append(Diagnosis(f"Paddle {each.version}", found, fits, remedy))
    return [("versions of Paddle", lines)] if lines else []


def needed_for(use: Use, lines: Iterable[Diagnosis]) -> list[Diagnosis]:
    """The lines that a run or a build is held to."""
    return [line for line in lines if use in line.needed_for]


# The machine


def machine(root: Path, finding: Finding | None = None) -> list[Diagnosis]:
    """The machine itself: system, Python, the OpenMP runtime, disk and shared memory.

    Args:
        root: the checkout.
        finding: the kind that is to run, some of whose containers share the machine's memory.
    """
    version = platform.python_version()
    openmp = _openmp()
    return [
        Diagnosis("system", f"{system_name()}, {platform.machine()}, kernel {platform.release()}", None),
        Diagnosis(
            "Python",
            version,
            PYTHONS[0] <= tuple(int(number) for number in version.split(".")[:2]) <= PYTHONS[1],
            "The locks are for Python 3.10 to 3.13: PYTHON=/path ./inv doctor",
            ("local",),
        ),
        Diagnosis("OpenMP runtime", openmp or "not found", bool(openmp), "apt-get install libgomp1", ("local",)),
        disk("disk", root, RECORD_GIBIBYTES, ("local", "container")),
        *_environment(root),
        *_git(),
        *shared_memory(finding),
    ]


def disk(subject: str, place: Path, gibibytes: float, uses: tuple[Use, ...]) -> Diagnosis:
    """Whether the disk under `place` has room."""
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 2**30
    found = f"{free:.1f} GiB free at {place}, {gibibytes:g} wanted"
    return Diagnosis(subject, found, free >= gibibytes, "Free some: old images and .stacks/ are the largest.", uses)


def _environment(root: Path) -> list[Diagnosis]:
    """Whether there is room for an environment, where none has been made yet."""
    made = any((root / ".stacks").glob("*/recipe.txt"))
    return [] if made else [disk("disk for an environment", root, ENVIRONMENT_GIBIBYTES, ("local",))]


def _git() -> list[Diagnosis]:
    """A line where git is not here: runs need none, and their records name no commit."""
    found = "not found, so that records name no commit: apt-get install git"
    return [] if shutil.which("git") else [Diagnosis("git", found, None)]


def shared_memory(finding: Finding | None = None, place: Path = Path("/dev/shm")) -> list[Diagnosis]:
    """Whether loaders and collectives have room in /dev/shm; systems without it share memory otherwise."""
    if not place.is_dir():
        return []
    options = finding.hardware.data.get("container", {}).get("options", {}) if finding else {}
    uses: tuple[Use, ...] = ("local", "container") if options.get("ipc_mode") == "host" else ("local",)
    size = shutil.disk_usage(place).total
    found = f"{size / 2**20:.0f} MiB, {SHARED_MEMORY_BYTES / 2**20:.0f} wanted"
    remedy = f"mount -o remount,size=8g {place}"
    return [Diagnosis("shared memory", found, size >= SHARED_MEMORY_BYTES, remedy, uses)]


def engine(client: Client | None, root: Path) -> list[Diagnosis]:
    """The container engine, and room for its images. Local runs need none, so its absence is no fault."""
    subject = "container engine"
    if client is None:
        return [Diagnosis(subject, f"none answers; {clients.INSTALL}", None)]
    builds = f"builds with {client.builder}" if client.builder else "cannot build: install docker-buildx"
    return [Diagnosis(subject, f"{client.engine} {client.version}, {builds}", None), image_disk(client, root)]


def image_disk(client: Client, root: Path) -> Diagnosis:
    """Whether there is room for an image where the engine keeps them."""
    return disk("disk for images", Path(client.folder or root), IMAGE_GIBIBYTES, ("build",))


def commands(parts: Iterable[Part]) -> list[Diagnosis]:
    """The commands that some parts call. The other parts do without, so the absence of one is no fault."""
    asking: dict[tuple[str, str], list[str]] = {}
    for part in parts:
        for tool in part.tools.items() if part.program else ():
            asking.setdefault(tool, []).append(part.name)
    lines = []
    for (command, install), names in asking.items():
        found = shutil.which(command)
        wanted = f"wanted by {', '.join(names)}"
        told = f"{found}, {wanted}" if found else f"not on PATH, {wanted}: {install}"
        lines.append(Diagnosis(command, told, True if found else None))
    return lines


def _openmp() -> str | None:
    import ctypes

    for name in ("libgomp.so.1", "libomp.dylib"):
        try:
            ctypes.CDLL(name)
            return name
        except OSError:
            continue
    return None
