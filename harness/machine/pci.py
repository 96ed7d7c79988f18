"""The PCI bus: cards that are in the machine, whether or not their driver is."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

BUS = Path("/sys/bus/pci/devices")


def devices(data: Mapping[str, Any], bus: Path = BUS) -> tuple[str, ...]:
    """The addresses of one kind's cards, by the vendor and the classes that hardware.yaml names under `pci`."""
    wanted = data.get("pci")
    if not wanted:
        return ()
    classes = tuple(wanted.get("classes", ("",)))
    return tuple(
        address
        for address, (vendor, category) in _present(bus).items()
        if vendor == wanted["vendor"] and category.startswith(classes)
    )


@cache
def _present(bus: Path) -> dict[str, tuple[str, str]]:
    """Vendor and class of every device on the bus, in hexadecimal digits: 10de, 030200."""
    found = {}
    for device in sorted(bus.glob("*")):
        try:
            vendor, category = ((device / name).read_text().strip().removeprefix("0x") for name in ("vendor", "class"))
        except OSError:
            continue  # it was unplugged
        found[device.name] = (vendor, category)
    return found
