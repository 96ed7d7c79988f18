"""What is here: the cards of each hardware kind, as its lister reports them, and what a cell would miss."""

import glob
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.catalogue.entries import Hardware, Part, rooted
from harness.errors import HardwareError
from harness.machine import pci

LISTER_SECONDS = 20


@dataclass(frozen=True, kw_only=True)
class Card:
    index: str
    model: str
    driver: str | None = None
    architecture: str | None = None
    memory: str | None = None


@dataclass(frozen=True)
class Finding:
    """What one kind's probe found, and a line for each place where it looked."""

    hardware: Hardware
    cards: tuple[Card, ...]
    looked: tuple[str, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.cards)

    @property
    def model(self) -> str:
        """The hardware model that the points count: that of the first card."""
        return self.cards[0].model


def probe(hardware: Hardware) -> Finding:
    """List the cards of one kind. Finding none is an answer, not an error."""
    lister = hardware.data["lister"]
    command = shutil.which(rooted(lister["command"][0]))
    looked = _device_files(hardware)
    if command is None:
        return Finding(hardware, (), (*looked, f"{lister['command'][0]}: not on PATH"))
    words = " ".join(lister["command"])
    try:
        done = subprocess.run(
            [command, *map(rooted, lister["command"][1:])],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LISTER_SECONDS,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        return Finding(hardware, (), (*looked, f"{words}: no answer in {LISTER_SECONDS} s (a hanging driver?)"))
    except OSError as error:
        return Finding(hardware, (), (*looked, f"{words}: {error.strerror}"))
    cards = read_cards(hardware.data, done.stdout)
    if cards:
        looked = (*looked, f"{words}: {len(cards)} found")
    else:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1][:200]
        looked = (*looked, f"{words}: exit code {done.returncode}, no card in its output; it said: {said}")
    return Finding(hardware, cards, looked)


def read_cards(data: Mapping[str, Any], output: str) -> tuple[Card, ...]:
    """Read a lister's output by the patterns of hardware.yaml; one match of `lister.card` is one card."""
    lister = data["lister"]
    outside = re.search(lister["driver"], output, re.MULTILINE) if "driver" in lister else None
    driver = outside.group("driver") if outside else None
    cards = []
    for number, match in enumerate(re.finditer(lister["card"], output, re.MULTILINE)):
        groups = {key: value.strip() for key, value in match.groupdict().items() if value is not None}
        code = groups.get("architecture")
        cards.append(
            Card(
                index=groups.get("index", str(number)),
                model=groups["model"],
                driver=groups.get("driver", driver),
                architecture=data.get("architectures", {}).get(code, code),
                memory=groups.get("memory"),
            )
        )
    return tuple(cards)


def require(finding: Finding) -> Finding:
    """Refuse to go on without a card of the kind, saying where it was looked for.

    Raises:
        HardwareError: no card was found.
    """
    if not finding:
        kind = finding.hardware
        seen = pci.devices(kind.data)
        raise HardwareError(
            f"{kind.title} is in this machine, but no driver answers for it."
            if seen
            else f"No {kind.title} on this machine.",
            "Looked for: " + "; ".join(finding.looked) + ".",
            f"{kind.data['install']} Then: ./inv doctor --hw {kind.name}",
        )
    return finding


def visible_cards(finding: Finding) -> tuple[Card, ...]:
    """The cards that this shell lets programs see: those that the kind's variable names, or else all."""
    named = os.environ.get(finding.hardware.data.get("visible_devices", ""), "").split(",")
    return tuple(card for card in finding.cards if card.index in named) or finding.cards


def _device_files(hardware: Hardware) -> tuple[str, ...]:
    patterns = hardware.data.get("device_files", ())
    looked = tuple(f"{pattern}: {len(glob.glob(pattern)) or 'none'}" for pattern in patterns)
    cards = pci.devices(hardware.data)
    return (*looked, f"PCI bus: {', '.join(cards) or 'none'}") if "pci" in hardware.data else looked


# The doctor: what is here, what is missing, what to install


@dataclass(frozen=True)
class Diagnosis:
    """One line of the doctor. `fits` is None where there is nothing to compare with."""

    subject: str
    found: str
    fits: bool | None
    remedy: str = ""


def examine_machine(root: Path) -> list[Diagnosis]:
    """The machine itself: system, Python, the OpenMP runtime, memory and disk."""
    python = platform.python_version()
    right_python = (3, 10) <= tuple(int(number) for number in python.split(".")[:2]) <= (3, 12)
    free = shutil.disk_usage(root).free / 2**30
    return [
        Diagnosis("system", f"{system_name()}, {platform.machine()}, kernel {platform.release()}", None),
        Diagnosis("Python", python, right_python, "The locks are for Python 3.10 to 3.12: PYTHON=/path ./inv doctor"),
        Diagnosis("OpenMP runtime", _openmp() or "not found", _openmp() is not None, "apt-get install libgomp1"),
        Diagnosis("free disk", f"{free:.1f} GiB", free > 4, "The environments need about 4 GiB."),
        _shared_memory(),
        _engine(),
    ]


def examine_tools(parts: Iterable[Part]) -> list[Diagnosis]:
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


def _shared_memory() -> Diagnosis:
    """/dev/shm, through which loaders and collectives talk."""
    place = Path("/dev/shm")
    if not place.is_dir():
        return Diagnosis("shared memory", "no /dev/shm", None)
    size = shutil.disk_usage(place).total / 2**30
    return Diagnosis("shared memory", f"{size:.1f} GiB", size >= 0.06, "mount -o remount,size=8g /dev/shm")


def _engine() -> Diagnosis:
    """The container engine. None is needed for local runs, so its absence is no fault."""
    from harness.environments import client

    found = client.find(to_build=True)
    if found is None:
        return Diagnosis("container engine", f"none answers; {client.INSTALL}", None)
    builds = f"builds with {found.builder}" if found.builder else "cannot build: install docker-buildx"
    return Diagnosis("container engine", f"{found.engine} {found.version}, {builds}", None)


def examine(finding: Finding, python: str = platform.python_version()) -> list[Diagnosis]:
    """One hardware kind: cards, then driver ↔ SDK ↔ wheel, each against what hardware.yaml requires."""
    kind = finding.hardware.data
    models = ", ".join(f"{card.index}: {card.model}" for card in finding.cards)
    lines = [Diagnosis("cards", models or "none; " + "; ".join(finding.looked), bool(finding), kind["install"])]
    lines += [line for line in [driver(finding)] if line]
    lines += sdk(kind)
    lines += container(kind)
    # A machine for local runs alone needs no runtime for containers.
    lines += [replace(line, fits=line.fits or None) for line in device_runtime(kind)]
    wheels = kind["wheels"]
    pythons = wheels.get("python", [])
    short = ".".join(python.split(".")[:2])
    lines.append(
        Diagnosis(
            "wheels",
            f"{', '.join(wheels['packages'])} for Python {', '.join(pythons)}",
            short in pythons,
            f"This is Python {short}: PYTHON=/path/to/python{pythons[-1]} ./inv",
        )
    )
    machines = wheels.get("machines", [])
    lines.append(
        Diagnosis(
            "wheels' machines",
            ", ".join(machines),
            platform.machine() in machines,
            f"There is no wheel for {platform.machine()}: build from source.",
        )
    )
    return lines


def driver(finding: Finding) -> Diagnosis | None:
    """The first card's driver against the range that its kind requires; None where it requires none."""
    kind = finding.hardware.data
    wanted = kind.get("requires", {}).get("driver")
    if wanted is None:
        return None
    return _version("driver", finding.cards[0].driver if finding else None, wanted, kind["install"])


def sdk(kind: Mapping[str, Any]) -> list[Diagnosis]:
    """The vendor's SDK on this machine against the version that the kind requires. An image holds its own."""
    wanted = kind.get("requires", {}).get("sdk")
    if wanted is None:
        return []
    found = _sdk_version(wanted["files"], wanted["read"])
    remedy = f"Install {wanted['name']} {wanted['version']}, or use the image, which holds it."
    return [_version(wanted["name"], found, wanted["version"], remedy)]


def container(kind: Mapping[str, Any]) -> list[Diagnosis]:
    """What a container would be given of this machine: device files and mounts, each there or not."""
    needs = kind.get("container", {})
    lines = []
    for subject, name in (("device files", "devices"), ("mounts", "mounts")):
        places = needs.get(name, ())
        absent = [place for place in places if not glob.glob(place)]
        if places:
            # Of the device files some come only with newer drivers; of the mounts each is needed.
            enough = len(absent) < len(places) if name == "devices" else not absent
            found = f"missing: {', '.join(absent)}" if absent else ", ".join(places)
            lines.append(Diagnosis(subject, found, enough, kind["install"]))
    return lines


def device_runtime(kind: Mapping[str, Any]) -> list[Diagnosis]:
    """Whether the program is here through which the engine hands the cards to a container, where it takes one."""
    wanted = kind.get("container", {}).get("runtime")
    if not wanted:
        return []
    found = shutil.which(wanted)
    subject = "the engine's device runtime"
    return [Diagnosis(subject, found or f"no {wanted} on PATH", found is not None, kind["install"])]


def _version(subject: str, found: str | None, wanted: str, remedy: str) -> Diagnosis:
    if found is None:
        return Diagnosis(subject, f"unknown, {wanted} wanted", False, remedy)
    return Diagnosis(subject, f"{found}, {wanted} wanted", satisfies(found, wanted), remedy)


def satisfies(version: str, specifier: str) -> bool:
    """Whether a dotted version meets every clause of a specifier like '>=23.0.3,<25'."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidVersion:
        return False


def _sdk_version(patterns: Iterable[str], expression: str) -> str | None:
    for pattern in patterns:
        for path in glob.glob(pattern):
            match = re.search(expression, Path(path).read_text(errors="replace"), re.MULTILINE)
            if match:
                return match.group("version")
    return None


def system_name() -> str:
    """The operating system in words: 'Debian GNU/Linux 12 (bookworm)'."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"


def _openmp() -> str | None:
    import ctypes

    for name in ("libgomp.so.1", "libomp.dylib"):
        try:
            ctypes.CDLL(name)
            return name
        except OSError:
            continue
    return None
