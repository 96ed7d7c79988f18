"""An engine: what every one answers, and the arguments and variables that a program is given on any of them.

An engine does not run anything: it returns the command, so that it is tested without the engine.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness.catalogue.cells import Cell
from harness.catalogue.releases import Release
from harness.checkout import ROOT

LAUNCHER = ROOT / "projects" / "kit" / "launch.py"
# How variables begin that steer what a program computes.
OF_PROGRAMS = ("FLAGS_", "OMP_", "PADDLE_", "MKL_", "OPENBLAS_", "ONEDNN_", "DNNL_", "KMP_", "SIM_")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a cell is to run with. `out` is the folder for the program's files, `card_ids` the cards chosen.

    `called` is what the runtime's own variable calls them on this machine, where that is not their numbers.
    """

    cell: Cell
    parameters: Mapping[str, Any]
    seed: int
    cards: int
    out: Path
    card_ids: tuple[str, ...] = ()
    called: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A command ready to run, what the record says about it, and a command that takes away what it may leave.

    `first` are the commands that make what it runs in, where that is not here yet: `prepare` does that.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    cleanup: tuple[str, ...] = ()
    first: tuple[tuple[str, ...], ...] = ()


class Engine(Protocol):
    name: str

    def missing(self, cell: Cell) -> str | None:
        """Why this engine cannot run the cell, or None where it can."""

    def sdks(self, cell: Cell) -> Mapping[str, str]:
        """The versions of the vendor's SDKs that it brings for the cell; none where they are this machine's."""

    def prepare(self, cell: Cell) -> None:
        """Make the runtime of the cell, if it is not there, with progress."""

    def launch(self, request: Request) -> Launch:
        """The command that runs the cell."""


def python_words(request: Request, program: Path) -> list[str]:
    """What Python is to run: the program with its arguments, on several cards through their launcher."""
    words = [str(program), *program_arguments(request)]
    return words if request.cards == 1 else [str(LAUNCHER), *words]


def variables(request: Request) -> dict[str, str]:
    """The environment variables that a cell needs: its kind's, its cards, and its share of the processor.

    What somebody set where ./inv was called goes before what the kind's data says, in a container as well; but for a
    folder of this checkout ({root}), which is elsewhere there.
    """
    kind = request.cell.hardware
    declared = {**kind.environment, **kind.data.get("distributed", {}).get("environment", {})}
    declared = {name: value.replace("{paddle}", request.cell.paddle.version) for name, value in declared.items()}
    own = {name: os.environ[name] for name, value in declared.items() if name in os.environ and "{root}" not in value}
    chosen = {"PYTHONWARNINGS": "ignore:No ccache found", **declared, **own}
    if "visible_devices" in kind.data and request.card_ids:
        chosen[kind.data["visible_devices"]] = ",".join(request.called or request.card_ids)
        if kind.data.get("shows_all_cards") and len(request.card_ids) == 1:
            chosen[f"FLAGS_selected_{kind.device}s"] = request.card_ids[0]
        if "launcher_devices" in kind.data:
            chosen[kind.data["launcher_devices"]] = ",".join(map(str, range(len(request.card_ids))))
    if request.cards > 1:
        threads = max(1, (os.cpu_count() or 1) // request.cards)
        chosen["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", str(threads))
    return chosen


def odd_version(paddle: Release, instead_of: str = "") -> dict[str, str]:
    """What a record's stack says of a version that is not listed, and earns nothing; or that stands in for another."""
    said = {"instead_of": instead_of} if instead_of else {}
    return said if paddle.listed else {**said, "unlisted": paddle.version}


def program_arguments(request: Request) -> list[str]:
    """The program contract's arguments: the same on every engine."""
    part, kind = request.cell.part, request.cell.hardware
    words = ["--part", part.name, "--device", kind.device, "--cards", str(request.cards), "--seed", str(request.seed)]
    words += ["--out", str(request.out)]
    for name, value in request.parameters.items():
        words += ["--set", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
    return words
