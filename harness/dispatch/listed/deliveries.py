"""Deliveries: the records of jobs that come over a store, where nobody here sees the folder they were written in.

A job sends what it has left, by ./inv upload; whoever looks at the list of jobs fetches the records of ended attempts,
each checked as in every download. What cannot be fetched stays where it is: on its node, or in the store.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from harness.errors import StoreError
from harness.evidence.sealed import RECORD, Sealed
from harness.stores import transfer
from harness.stores.opening import open_store
from harness.stores.store import Store

opened = cache(open_store)  # whoever follows asks every few seconds


@dataclass(frozen=True)
class Delivery:
    """What did not come: `silent` is why the whole store did not answer, `refused` why a record failed verification."""

    silent: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)

    def why_not(self, place: Path) -> str:
        """Why the record with this place did not come, although it may be on its way; empty where nothing is wrong."""
        return self.refused.get(place.name, self.silent)


def collect(results: Path, address: str, places: Collection[Path]) -> Delivery:
    """Fetch those of the records that the store has by now, into their places."""
    wanted = [Sealed(RECORD, place.relative_to(results).as_posix()) for place in places if not place.exists()]
    if not wanted:
        return Delivery()
    try:
        outcome = transfer.download_those(results, reachable(address), wanted)
    except StoreError as error:
        return Delivery(silent=f"{error.what} {error.why}".rstrip(".").replace("\n", " "))
    refused = {sealed.place.rpartition("/")[2]: outcome.refused.get(str(sealed), "") for sealed in wanted}
    return Delivery(refused={run: why.partition("\n")[0].rstrip(".") for run, why in refused.items() if why})


def reachable(address: str) -> Store:
    """The store of the jobs' records.

    Raises:
        UsageError: the address means nothing.
        StoreError: the store cannot be reached.
    """
    return opened(address)


def require_here(away: Sequence[tuple[str, str, str]]) -> None:
    """End with an error where records did not come.

    Args:
        away: for each its cell, why it did not come, and the address of its store.

    Raises:
        StoreError: naming the first of them, and how they come.
    """
    if away:
        cell, why, address = away[0]
        number = f"{len(away)} records are" if len(away) > 1 else "A record is"
        raise StoreError(
            f"{number} not here.",
            f"{cell}: {why}.",
            f"On its node: ./inv upload --to '{address}'; then ./inv jobs fetches it. ./inv jobs --cancel gives it up.",
        )
