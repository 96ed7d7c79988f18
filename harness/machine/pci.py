"""The PCI bus: cards that are in the machine, whether or not their driver is."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

BUS = Path("/sys/bus/pci/devices")


class Device(NamedTuple):
    """The numbers of a device on the bus, in hexadecimal digits: 10de, 2684, 030200."""

    vendor: str
    device: str
    category: str


def devices(data: Mapping[str, Any], bus: Path = BUS) -> tuple[str, ...]:
    """The addresses of one kind's cards, by the vendors and the classes that hardware.yaml names under `pci`."""
    return tuple(found(data, bus))


def found(data: Mapping[str, Any], bus: Path = BUS) -> dict[str, Device]:
    """One kind's cards on the bus, by their addresses."""
    wanted = data.get("pci", {"vendors": ()})
    classes = tuple(wanted.get("classes", ("",)))
    return {
        address: device
        for address, device in _present(bus).items()
        if device.vendor in wanted["vendors"] and device.category.startswith(classes)
    }


@cache
def _present(bus: Path) -> dict[str, Device]:
    """Every device on the bus."""
    present = {}
    for place in sorted(bus.glob("*")):
        try:
            numbers = ((place / name).read_text().strip().removeprefix("0x") for name in ("vendor", "device", "class"))
            present[place.name] = Device(*numbers)
        except OSError:
            continue  # it was unplugged
    return present
