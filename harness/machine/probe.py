"""What is here: the cards of each hardware kind, as its lister reports them."""

import glob
import hashlib
import os
import platform
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.catalogue.entries import Hardware, locked_paddle, rooted
from harness.errors import HardwareError
from harness.machine import chips, listing, pci
from harness.machine.listing import Card as Card
from harness.machine.listing import read_cards as read_cards

LISTER_SECONDS = 20
FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin")  # where tools lie that a user's PATH may lack
MACHINE_ID = Path("/etc/machine-id")


@dataclass(frozen=True)
class Finding:
    """What one kind's probe found, and a line for each place where it looked.

    `cards` are those that a program can use, `left_out` the others, each with its fault.
    """

    hardware: Hardware
    cards: tuple[Card, ...]
    looked: tuple[str, ...] = field(default=())
    left_out: tuple[Card, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.cards)

    @property
    def model(self) -> str:
        """The hardware model that the points count: that of the first card."""
        return self.cards[0].model

    @property
    def faults(self) -> str:
        """The cards left out, in words."""
        return "; ".join(f"{card.index} ({card.model}): {card.fault}" for card in self.left_out)


def probe(hardware: Hardware) -> Finding:
    """List the cards of one kind. Finding none is an answer, not an error."""
    looked = list(_device_files(hardware))
    cards: tuple[Card, ...] = ()
    for table in listing.tables(hardware.data["lister"]):
        seen, said = _ask(hardware.data, table)
        looked.append(said)
        cards = seen if seen and not any(card.named for card in cards) else cards
        if any(card.named for card in cards):
            break
    return _sorted_out(hardware, cards or _always(hardware), tuple(looked))


def _always(hardware: Hardware) -> tuple[Card, ...]:
    """The CPU, on a machine where nothing can say what it is called."""
    if hardware.category != "cpu":
        return ()
    return (Card(index="0", model=f"unnamed {platform.machine()}", named=False),)


def _sorted_out(hardware: Hardware, cards: Sequence[Card], looked: tuple[str, ...]) -> Finding:
    """The finding: cards without a name called as well as can be, and those left out that cannot be used."""
    cards = [_distinct(card) for card in chips.named(hardware.data, cards)]
    sound = [card for card in cards if not card.fault]
    chosen, unfit = chips.choose(hardware, sound, hardware.paddle or locked_paddle())
    faults = {card.index: chips.lacking(hardware.data, card) or unfit.get(card.index, "") for card in sound}
    cards = [replace(card, fault=card.fault or faults[card.index]) for card in cards]
    fit = tuple(card for card in cards if not card.fault)
    return Finding(chosen, fit, looked, tuple(card for card in cards if card.fault))


def _distinct(card: Card) -> Card:
    """Two machines whose processors or cards have no name are not of one model."""
    return card if card.named else replace(card, model=f"{card.model} of machine {_machine()}")


def _machine() -> str:
    """A number for this machine, from which nothing of it can be read."""
    try:
        told = MACHINE_ID.read_text().strip()
    except OSError:
        told = ""
    return hashlib.sha256((told or f"{platform.node()} {uuid.getnode()}").encode()).hexdigest()[:8]


def _ask(data: Mapping[str, Any], table: Mapping[str, Any]) -> tuple[tuple[Card, ...], str]:
    """The cards that one lister shows, and what came of asking it."""
    tool, *arguments = table["command"]
    command = shutil.which(rooted(tool)) or shutil.which(tool, path=os.pathsep.join(_folders(table)))
    if command is None:
        return (), f"{tool}: not on PATH"
    words = " ".join(table["command"])
    try:
        done = subprocess.run(
            [command, *map(rooted, arguments)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LISTER_SECONDS,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        return (), f"{words}: no answer in {LISTER_SECONDS} s (a hanging driver?)"
    except OSError as error:
        return (), f"{words}: {error.strerror}"
    cards = listing.read(data, done.stdout)
    if cards:
        return cards, f"{words}: {len(cards)} found"
    said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1][:200]
    return (), f"{words}: exit code {done.returncode}, no card in its output; it said: {said}"


def _folders(table: Mapping[str, Any]) -> list[str]:
    return [place for pattern in (*table.get("folders", ()), *FOLDERS) for place in sorted(glob.glob(pattern))]


def require(finding: Finding) -> Finding:
    """Refuse to go on without a card of the kind, saying where it was looked for.

    Raises:
        HardwareError: no card was found that can be used.
    """
    if finding:
        return finding
    kind = finding.hardware
    seen = chips.on_bus(kind.data)
    lacking = {f"{chip['name']}: {chip['lacks']}": chip for chip in seen.values() if chip and "lacks" in chip}
    remedies = [chip["remedy"] for chip in lacking.values()]
    then = f"Then: ./inv doctor --hw {kind.name}"
    if finding.left_out:
        known = (chips.chip(kind.data, card) or {} for card in finding.left_out)
        remedies = [each["remedy"] for each in known if "remedy" in each]
        remedy = remedies[0] if remedies else f"Its driver's tool says more: {kind.data['lister']['command'][0]}."
        raise HardwareError(f"{kind.vendor}: no card here can be used.", f"{finding.faults}.", f"{remedy} {then}")
    looked = "Looked for: " + "; ".join(finding.looked) + "."
    if lacking and len(lacking) == len({str(chip) for chip in seen.values()}):
        raise HardwareError(f"{kind.vendor} {'; '.join(lacking)}.", looked, f"{remedies[0]} {then}")
    names = sorted({chip["name"] if chip else "a card" for chip in seen.values()})
    what = f"{kind.vendor} {', '.join(names)} is in this machine, but no driver answers for it."
    raise HardwareError(what if seen else f"No {kind.title} on this machine.", looked, f"{kind.data['install']} {then}")


def visible_cards(finding: Finding) -> tuple[Card, ...]:
    """The cards that a run may take: those that this shell's variables name, or else all that no program has."""
    variables = (finding.hardware.data.get(name, "") for name in ("visible_devices", "launcher_devices"))
    named = next((os.environ[name] for name in variables if os.environ.get(name)), "").split(",")
    chosen = tuple(card for card in finding.cards if card.index in named)
    return chosen or tuple(card for card in finding.cards if not card.busy)


def _device_files(hardware: Hardware) -> tuple[str, ...]:
    patterns = hardware.data.get("device_files", ())
    looked = tuple(f"{pattern}: {len(glob.glob(pattern)) or 'none'}" for pattern in patterns)
    if "pci" not in hardware.data:
        return looked
    seen = pci.found(hardware.data)
    known = chips.on_bus(hardware.data)
    names = [
        f"{address} ({known[address]['name']})" if known[address] else f"{address} ({device.vendor}:{device.device})"
        for address, device in seen.items()
    ]
    return (*looked, f"PCI bus: {', '.join(names) or 'none'}")


def system_name() -> str:
    """The operating system in words: 'Debian GNU/Linux 12 (bookworm)'."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"
