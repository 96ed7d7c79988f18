"""The site: what slurm.yaml says, or what every site can do with."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.catalogue import datafiles
from harness.catalogue.entries import SECONDS, Hardware
from harness.checkout import ROOT
from harness.errors import DataFileError, UsageError
from harness.stores import addresses

SETTINGS = ROOT / "slurm.yaml"
INSIDE = ("auto", "local", "container")
OPTIONS = {"mem": "8G", "cpus-per-task": 2, "requeue": True}  # what a job asks for unless slurm.yaml says otherwise
OWN = {"array", "chdir", "job-name", "output", "wrap"}  # what cannot be asked for: it would break the dispatch
MARGIN = "15 min"


@dataclass(frozen=True)
class Settings:
    """What slurm.yaml says; without the file, what every site can do with.

    With a `store` the nodes do not see this folder: each has a checkout of its own, in `checkout`, and its jobs send
    their records to the store.
    """

    margin: float
    options: Mapping[str, Any]
    kinds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    store: str = ""
    checkout: str = str(ROOT)

    def gres(self, kind: Hardware) -> str:
        own: str | None = self.kinds.get(kind.name, {}).get("gres")
        return kind.data.get("scheduler", {}).get("slurm", "") if own is None else own

    def of(self, kind: Hardware) -> dict[str, Any]:
        """The options of a kind's jobs; one that is false is left out."""
        both = {**OPTIONS, **self.options, **self.kinds.get(kind.name, {}).get("options", {})}
        return {name: value for name, value in both.items() if value is not False}


def inside(on: str) -> str:
    """The engine that runs the cells on the nodes: `--on slurm` leaves it to the node, slurm:container names it.

    Raises:
        UsageError: there is no such engine.
    """
    name = on.partition(":")[2] or "auto"
    if name not in INSIDE:
        known = ", ".join(f"slurm:{engine}" for engine in INSIDE)
        raise UsageError(f"--on {on}: no such engine on the nodes.", f"Known: {known}.", "Or slurm alone.")
    return name


def settings(path: Path = SETTINGS) -> Settings:
    """The settings of this site.

    Raises:
        DataFileError: slurm.yaml has a mistake; its line is named.
        UsageError: its store is none.
    """
    said = (datafiles.read(path, path.parent)[0] if os.path.lexists(path) else {}) or {}
    number, unit = said.get("margin", MARGIN).split()
    places = {name: said[name] for name in ("store", "checkout") if name in said}
    found = Settings(float(number) * SECONDS[unit], said.get("options", {}), said.get("kinds", {}), **places)
    if found.store:
        addresses.resolve(found.store)
    options = [found.options, *(kind.get("options", {}) for kind in found.kinds.values())]
    if taken := OWN & {name for each in options for name in each}:
        why = f"Every job needs its own: {', '.join(sorted(OWN))}."
        raise DataFileError(f"{path.name}: {min(taken)}: not an option to set.", why, "Leave it out.")
    if any("\n" in str(value) for each in options for value in each.values()):
        raise DataFileError(f"{path.name}: an option of two lines.", "A line of the script holds one.", "Mend it.")
    return found
