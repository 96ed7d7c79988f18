"""Under way: the runs over ssh whose records are not here yet, each written down before it is begun.

results/.remote/<name>.json     what was asked, and where; taken away once its records are here
"""

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.evidence import hashing

FOLDER = ".remote"


@dataclass(frozen=True, kw_only=True)
class FarRun:
    """A run by the name that the far side has for it; `address` and `options` are those of the call."""

    name: str
    address: str
    options: Sequence[str]
    begun: str

    def __str__(self) -> str:
        return f"./inv run {' '.join(self.options)}".rstrip()

    def write(self, results: Path) -> None:
        """Put it on the list."""
        (results / FOLDER).mkdir(parents=True, exist_ok=True)
        try:
            hashing.write_json(self.file(results), asdict(self))
        except OSError as error:
            raise hashing.unwritable(results, error) from error

    def forget(self, results: Path) -> None:
        """Take it off the list."""
        self.file(results).unlink(missing_ok=True)

    def file(self, results: Path) -> Path:
        """Where it stands on the list."""
        return results / FOLDER / f"{self.name}.json"


def listed(results: Path, address: str = "") -> list[FarRun]:
    """The runs on the list, the oldest first; of an address, its own. A file that is just taken away is left out."""
    found = []
    for path in sorted((results / FOLDER).glob("[!.]*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            run = FarRun(**json.loads(path.read_bytes()))
            found += [run] if os.path.basename(run.name) == path.stem and address in ("", run.address) else []
    return found
