"""Choosing an engine for a cell. A new engine is one new file here, and one entry in engines()."""

from harness.catalogue.cells import Cell
from harness.engines.container import ContainerEngine
from harness.engines.engine import Engine
from harness.engines.local import LocalEngine
from harness.errors import UsageError


def engines() -> dict[str, Engine]:
    """The engines by name, in the order in which `auto` asks them."""
    both: tuple[Engine, ...] = (ContainerEngine(), LocalEngine())
    return {engine.name: engine for engine in both}


def choose(word: str, cell: Cell) -> tuple[Engine | None, str]:
    """The engine for a cell and why: a name takes that one, `auto` the first that can run the cell.

    Raises:
        UsageError: no engine has that name.
    """
    known = engines()
    if word != "auto" and word not in known:
        raise UsageError(f"{word!r}: no such engine.", f"Known: auto, {', '.join(known)}.", "See ./inv run --help")
    reasons: list[str] = []
    for engine in known.values() if word == "auto" else (known[word],):
        reason = engine.missing(cell)
        if reason is None:
            return engine, "; ".join([f"{engine.name} engine", *reasons])
        reasons.append(f"{engine.name}: {reason}")
    return None, "; ".join(reasons)
