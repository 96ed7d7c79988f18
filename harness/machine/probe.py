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

from harness.catalogue import releases, symptoms
from harness.catalogue.entries import Hardware, few, rooted
from harness.errors import HardwareError
from harness.machine import chips, devices, pci
from harness.machine.devices import Card as Card
from harness.machine.devices import read_cards as read_cards

LISTER_SECONDS = 20
SAID = 200  # characters
HANGING = "(a hanging driver?)"
FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin")  # where tools lie that a user's PATH may lack
MACHINE_ID = Path("/etc/machine-id")


@dataclass(frozen=True)
class Finding:
    """What one kind's probe found, and a line for each place where it looked.

    `cards` are those that a program can use, `left_out` the others, each with its fault; `paddle` is the version of
    Paddle whose wheels are meant.
    """

    hardware: Hardware
    cards: tuple[Card, ...]
    looked: tuple[str, ...] = field(default=())
    left_out: tuple[Card, ...] = field(default=())
    paddle: str = ""

    def __bool__(self) -> bool:
        return bool(self.cards)

    @property
    def model(self) -> str:
        """The hardware model that the points count: that of the first card."""
        return self.cards[0].model

    @property
    def faults(self) -> str:
        """The cards left out, in words, those that are alike together."""
        alike: dict[tuple[str, str], list[str]] = {}
        for card in self.left_out:
            alike.setdefault((card.model, card.fault.rstrip(".")), []).append(card.index)
        return "; ".join(f"{few(numbers, ', ')} ({model}): {fault}" for (model, fault), numbers in alike.items())


def probe(hardware: Hardware, paddle: str = "") -> Finding:
    """List the cards of one kind. Finding none is an answer, not an error.

    Args:
        hardware: the kind.
        paddle: the version of Paddle that is to run on them; "": the kind's default.
    """
    looked = list(_device_files(hardware))
    cards: tuple[Card, ...] = ()
    for table in devices.tables(hardware.data["lister"]):
        seen, said = _ask(hardware.data, table)
        looked.append(said)
        known = any(card.named and not card.fault for card in seen)
        cards = seen if known or not cards else cards
        if known or said.endswith(HANGING):
            break
    return _sorted_out(hardware, cards or _always(hardware), tuple(dict.fromkeys(looked)), paddle)


def _always(hardware: Hardware) -> tuple[Card, ...]:
    """The CPU, on a machine where nothing can say what it is called."""
    if hardware.category != "cpu":
        return ()
    return (Card(index="0", model=f"unnamed {platform.machine()}", named=False),)


def _sorted_out(hardware: Hardware, cards: Sequence[Card], looked: tuple[str, ...], paddle: str = "") -> Finding:
    """The finding: cards without a name called as well as can be, and those left out that cannot be used."""
    cards = [_distinct(_insisted(hardware, card)) for card in _placed(hardware, chips.named(hardware.data, cards))]
    sound = [card for card in cards if not card.fault]
    paddle = paddle or releases.load().default(hardware).version
    chosen, unfit = chips.choose(hardware, sound, paddle)
    faults = [chips.lacking(hardware.data, card) or card.fault or unfit.get(card.index, "") for card in cards]
    cards = [replace(card, fault=fault) for card, fault in zip(cards, faults, strict=True)]
    fit = tuple(card for card in cards if not card.fault)
    return Finding(chosen, fit, looked, tuple(card for card in cards if card.fault), paddle)


def _placed(hardware: Hardware, cards: Sequence[Card]) -> list[Card]:
    """The cards with their places, where the runtime counts by these: sick ones and those left out have one too."""
    numbers = sorted({int(card.index) for card in cards if card.index.isdigit()})
    if not hardware.data.get("visible_by_place"):
        return list(cards)
    return [
        replace(card, place=str(numbers.index(int(card.index)))) if card.index.isdigit() else card for card in cards
    ]


def _insisted(hardware: Hardware, card: Card) -> Card:
    """A card whose health is not good, as for a network port without a cable, is taken where the shell names it."""
    names = ((card.called, "visible_devices"), (card.index, "launcher_devices"))
    named = any(word in os.environ.get(hardware.data.get(name, ""), "").split(",") for word, name in names)
    return replace(card, fault="") if named and card.fault.startswith("health ") else card


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
            encoding="utf-8",
            errors="replace",
            timeout=LISTER_SECONDS,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        return (), f"{words}: no answer in {LISTER_SECONDS} s {HANGING}"
    except OSError as error:
        return (), f"{words}: {error.strerror}"
    cards = devices.read(data, done.stdout)
    if cards:
        return cards, f"{words}: {len(cards)} found"
    said = "; ".join(
        (devices.plain(done.stderr).strip() or devices.plain(done.stdout).strip() or "nothing").splitlines()
    )
    return (), f"{words}: exit code {done.returncode}, no card in its output; it said: {said[:SAID]}"


def _folders(table: Mapping[str, Any]) -> list[str]:
    return [place for pattern in (*table.get("folders", ()), *FOLDERS) for place in sorted(glob.glob(pattern))]


def require(finding: Finding) -> Finding:
    """Refuse to go on without a card of the kind, saying where it was looked for.

    Raises:
        HardwareError: no card was found that can be used.
    """
    if finding:
        return finding
    raise _left_out(finding) if finding.left_out else _absent(finding)


def explained(finding: Finding) -> symptoms.Explanation | None:
    """What is known of what the lister said in place of a card, or of one that is left out."""
    said = "\n".join([*finding.looked, *(card.fault for card in finding.left_out)])
    return next(iter(symptoms.explain(said, [finding.hardware.name])), None)


def _left_out(finding: Finding) -> HardwareError:
    """Why no card that is here can be used; one that is only sick can be insisted on."""
    kind, cards = finding.hardware, finding.left_out
    remedies = [chip["remedy"] for card in cards if "remedy" in (chip := chips.chip(kind.data, card) or {})]
    sick = next((card.called for card in cards if card.fault.startswith("health ")), None)
    known = explained(finding)
    remedy = known.remedy if known else f"{kind.data['lister']['command'][0]} says more."
    remedy = remedies[0] if remedies else remedy
    if sick is not None and "visible_devices" in kind.data:
        remedy = f"{kind.data['visible_devices']}={sick} takes one all the same."
    what = f"{kind.vendor}: no card here can be used."
    return HardwareError(what, f"{finding.faults}.", f"{remedy} Then: ./inv doctor --hw {kind.name}")


def _absent(finding: Finding) -> HardwareError:
    """Why no card answers: none is here, or it has no driver, or none that would help it."""
    kind, seen = finding.hardware, list(chips.on_bus(finding.hardware.data).values())
    lacking = [chip for chip in seen if chip and "lacks" in chip]
    names = ", ".join(sorted({chip["name"] if chip else "a card" for chip in seen}))
    what, remedy = f"No {kind.title} on this machine.", kind.data["install"]
    if seen:
        what = f"{kind.vendor} {names} is in this machine, but no driver answers for it."
    if known := explained(finding):
        what, remedy = f"{kind.vendor}: {known.cause}", known.remedy
    if lacking and len(lacking) == len(seen):
        what, remedy = f"{kind.vendor} {names}: {lacking[0]['lacks']}", lacking[0]["remedy"]
    looked = "Looked for: " + "; ".join(finding.looked) + "."
    return HardwareError(what, looked, f"{remedy} Then: ./inv doctor --hw {kind.name}")


def visible_cards(finding: Finding) -> tuple[Card, ...]:
    """The cards that a run may take: those that this shell's variables name, or else all that no program has."""
    variable, _, named = chosen_by(finding.hardware).partition("=")
    if named in ("", "all"):
        return tuple(card for card in finding.cards if not card.busy)
    own = variable == finding.hardware.data.get("visible_devices")
    return tuple(card for card in finding.cards if (card.called if own else card.index) in named.split(","))


def chosen_by(hardware: Hardware) -> str:
    """How this shell chose a kind's cards, as NPU_VISIBLE_DEVICES=0,1; empty where it did not."""
    names = [hardware.data.get(name, "") for name in ("visible_devices", "launcher_devices")]
    return next((f"{name}={os.environ[name]}" for name in names if os.environ.get(name)), "")


def _device_files(hardware: Hardware) -> tuple[str, ...]:
    patterns = hardware.data.get("device_files", ())
    looked = tuple(f"{pattern}: {len(glob.glob(pattern)) or 'none'}" for pattern in patterns)
    if "pci" not in hardware.data:
        return looked
    names = []
    for address, chip in chips.on_bus(hardware.data).items():
        device = pci.found(hardware.data)[address]
        names.append(f"{address} ({chip['name'] if chip else f'{device.vendor}:{device.device}'})")
    return (*looked, f"PCI bus: {', '.join(names) or 'none'}")


def system_name() -> str:
    """The operating system in words: 'Debian GNU/Linux 12 (bookworm)'."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"
