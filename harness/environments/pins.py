"""docker/pins.json: digests of bases, commits of sources, hashes of the vendors' wheels that were resolved once."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from harness.errors import DataFileError

FILE = Path("docker") / "pins.json"


def read(root: Path) -> dict[str, str]:
    """What is kept; nothing, where nothing was resolved yet.

    Raises:
        DataFileError: the file cannot be read, or holds something else.
    """
    path = root / FILE
    if not os.path.lexists(path):
        return {}
    remedy = f"Mend it, or remove it and call ./inv build --pin: rm {FILE}"
    try:
        kept = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataFileError(f"{FILE}{line}: not readable JSON.", f"{error}.", remedy) from error
    if not isinstance(kept, dict) or not all(isinstance(value, str) for value in kept.values()):
        raise DataFileError(f"{FILE}: no pins.", "It is an object of names and digests, both texts.", remedy)
    return kept


def keep(root: Path, found: Mapping[str, str]) -> None:
    """Add what was resolved to what is kept."""
    (root / FILE).write_text(json.dumps({**read(root), **found}, indent=2, sort_keys=True) + "\n")
