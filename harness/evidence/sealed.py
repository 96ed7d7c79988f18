"""Sealed folders: what stores carry. A manifest in each names its files with their hashes, and is sealed itself.

Whatever comes from a store is hostile until its seal, its place and every hash have been computed again.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from harness.errors import VerificationError
from harness.evidence import records

PREFIX = "sealed/"
MOST_MANIFEST_BYTES = 16 * 2**20
RUN_ID = records.RUN_ID.pattern
SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of sealed folder.

    Args:
        manifest: the file in it that names the others.
        place: where in results/ it stands, as a pattern; the folders that match are its folders.
        said: the same place, as the manifest itself says it.
    """

    name: str
    manifest: str
    place: re.Pattern[str]
    said: str


RECORD = Kind(
    "record",
    records.FILE,
    re.compile(rf"(?P<part>[0-9]+(?:-[0-9]+)?)/[a-z][a-z0-9_-]*/{RUN_ID}"),
    "{cell[part]}/{cell[hardware]}/{id}",
)
ATTACHMENT = Kind(
    "attachment",
    "attachment.json",
    re.compile(r"attached/(?P<part>[0-9]+(?:-[0-9]+)?)/[0-9A-Za-z][0-9A-Za-z._-]*"),
    "attached/{part}/{id}",
)
SESSION = Kind(
    "session",
    "session.json",
    re.compile(rf"pairing/(?P<part>[0-9]+(?:-[0-9]+)?)/{RUN_ID}"),
    "pairing/{part}/{id}",
)
KINDS = (RECORD, ATTACHMENT, SESSION)


@dataclass(frozen=True, slots=True)  # there may be millions
class Sealed:
    """A sealed folder by its place, here (below results/) and in a store (below sealed/) the same."""

    kind: Kind
    place: str

    @property
    def part(self) -> str:
        """The task part it belongs to."""
        match = self.kind.place.fullmatch(self.place)
        assert match
        return match["part"]

    @property
    def key(self) -> str:
        """The manifest's key in a store."""
        return f"{PREFIX}{self.place}/{self.kind.manifest}"

    def __str__(self) -> str:
        return f"{self.kind.name} {self.place}"


@dataclass(frozen=True)
class File:
    name: str
    sha256: str
    bytes: int


def here(results: Path) -> Iterator[Sealed]:
    """The sealed folders of this machine."""
    places = [f"{part}/{kind}/{run.name}" for part, kind, run in records.folders(results)]
    for folder in ("attached", "pairing"):
        places += [path.relative_to(results).as_posix() for path in results.glob(f"{folder}/*/*")]
    for place in sorted(set(places)):
        sealed = _at(place)
        if sealed and (results / place / sealed.kind.manifest).is_file():
            yield sealed


def of_key(key: str) -> Sealed | None:
    """The sealed folder whose manifest a store keeps under this key; None for any other key."""
    place, _, manifest = key.removeprefix(PREFIX).rpartition("/")
    sealed = _at(place)
    return sealed if sealed and manifest == sealed.kind.manifest else None


def _at(place: str) -> Sealed | None:
    return next((Sealed(kind, place) for kind in KINDS if kind.place.fullmatch(place)), None)


def files(sealed: Sealed, content: bytes) -> list[File]:
    """The files that a manifest names.

    Raises:
        VerificationError: it is not readable, its seal is broken, it belongs to another place, or a name in it could
            lead out of the folder.
    """
    try:
        manifest = json.loads(content)
        if manifest["seal"] != records.seal_of(manifest):
            raise ValueError("the seal is broken")
        said = sealed.kind.said.format_map(manifest)
        if said != sealed.place:
            raise ValueError(f"it says that it is {said!r}")
        return [_file(sealed.kind, name, entry) for name, entry in manifest["artefacts"].items()]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise VerificationError(
            f"{sealed}: its {sealed.kind.manifest} does not hold.",
            f"{why[:300]}.",
            "Fetch it from the machine that made it, or run that cell again.",
        ) from error


def _file(kind: Kind, name: str, entry: Any) -> File:
    steps = name.split("/")
    if any(step in ("", ".", "..") or len(step.encode()) > 255 for step in steps) or not name.isprintable():
        raise ValueError(f"{name!r} is no name of a file in its folder")
    if steps[0] in (kind.manifest, records.LOCK):
        raise ValueError(f"{name!r} is a name that is kept for others")
    sha256, size = entry["sha256"], entry["bytes"]
    if not isinstance(sha256, str) or not SHA256.fullmatch(sha256) or type(size) is not int or size < 0:
        raise ValueError(f"{name!r} has no hash or size")
    return File(str(PurePosixPath(name)), sha256, size)
