"""The command line: the program behind `./inv`, its completion, and what it prints; it may know every room.

What a command calls is imported when it is first named, so that help and completion begin at once.
"""

import importlib.util
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.cli import building, cleaning, diagnosing, evidence, listing, moving, running, tools  # noqa: F401


def __getattr__(name: str) -> ModuleType:
    if importlib.util.find_spec(f"{__name__}.{name}") is None:
        raise AttributeError(f"{__name__} has no {name}")
    return importlib.import_module(f"{__name__}.{name}")
