"""Choosing an engine for a cell. A new engine is one new file here, and one entry in engines()."""

from harness.catalogue.cells import Cell
from harness.engines.container import ContainerEngine
from harness.engines.engine import Engine
from harness.engines.inside import InsideEngine
from harness.engines.local import LocalEngine
from harness.environments import inside
from harness.errors import UsageError


def engines() -> dict[str, Engine]:
    """The engines by name, in the order in which `auto` asks them; in an image of ours the local one is that image."""
    folder = inside.folder()
    both: tuple[Engine, ...] = (ContainerEngine(), InsideEngine(folder) if folder else LocalEngine())
    return {engine.name: engine for engine in both}


def choose(on: str, cell: Cell) -> tuple[Engine | None, str]:
    """The engine for a cell and why: a name takes that one, `auto` the first that can run the cell.

    Raises:
        UsageError: no engine has that name.
    """
    known = engines()
    if on != "auto" and on not in known:
        raise UsageError(f"{on!r}: no such engine.", f"Known: auto, {', '.join(known)}.", "See ./inv run --help")
    reasons: list[str] = []
    for engine in known.values() if on == "auto" else (known[on],):
        reason = engine.missing(cell)
        if reason is None:
            return engine, "; ".join([f"{engine.name} engine", *reasons])
        reasons.append(f"{engine.name}: {reason}")
    return None, "; ".join(reasons)
