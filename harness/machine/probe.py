"""What is here: the cards of each hardware kind, as its lister reports them."""

import glob
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.catalogue.entries import Hardware, rooted
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
    """The cards that this shell lets programs see: those that the kind's variables name, or else all."""
    named = chosen_by(finding.hardware).partition("=")[2]
    if named in ("", "all"):
        return finding.cards
    return tuple(card for card in finding.cards if card.index in named.split(","))


def chosen_by(hardware: Hardware) -> str:
    """How this shell chose a kind's cards, as NPU_VISIBLE_DEVICES=0,1; empty where it did not."""
    names = [hardware.data.get(name, "") for name in ("visible_devices", "launcher_devices")]
    return next((f"{name}={os.environ[name]}" for name in names if os.environ.get(name)), "")


def _device_files(hardware: Hardware) -> tuple[str, ...]:
    patterns = hardware.data.get("device_files", ())
    looked = tuple(f"{pattern}: {len(glob.glob(pattern)) or 'none'}" for pattern in patterns)
    cards = pci.devices(hardware.data)
    return (*looked, f"PCI bus: {', '.join(cards) or 'none'}") if "pci" in hardware.data else looked


def system_name() -> str:
    """The operating system in words: 'Debian GNU/Linux 12 (bookworm)'."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"
