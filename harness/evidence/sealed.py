"""Sealed folders: what runs, persons and conversations leave, each with a manifest that names its files by their hashes
and is sealed itself.

    results/<place>/<manifest>      record.json, attachment.json, session.json, each with the files beside it

A kind of sealed folder is one entry of KINDS: it is then listed, sent to stores, fetched and verified like the others.
Whatever comes from elsewhere is hostile until its seal, its place and every hash have been computed again.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from harness.catalogue import datafiles
from harness.errors import DataFileError, StoreError, VerificationError
from harness.evidence.hashing import (
    LOCK,
    RUN_ID,
    bounded_integer,
    hash_files,
    json_content,
    read_json,
    seal_of,
    write_json,
)

PREFIX = "sealed/"
MOST_MANIFEST_BYTES = 16 * 2**20
SHA256 = re.compile("[0-9a-f]{64}")
NOT_SEALED = ("reference", "by-hand")  # what else stands in results/
PART = r"(?P<part>[0-9]+(?:-[0-9]+)?)"
Document = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of sealed folder. Its schema is catalogue/schemas/<name>.schema.json.

    Args:
        manifest: the file in it that names the others.
        place: where in results/ it stands, as a pattern; the folders that match are its folders.
        said: the same place, as the manifest itself says it.
        versions: of its schema, those that are read.
        again: how a person gets one that is whole.
    """

    name: str
    manifest: str
    place: re.Pattern[str]
    said: str
    again: str
    versions: tuple[int, ...] = (1,)

    @property
    def under(self) -> str:
        """The folder of results/ that holds nothing else; empty for records, which have a folder a part."""
        first = self.said.partition("/")[0]
        return "" if first.startswith("{") else first

    def read(self, path: Path) -> Document:
        """A manifest whose seal is whole, wherever it lies. Its fields are as its maker left them: verify checks them.

        Raises:
            DataFileError: it is damaged; what is wrong is named.
        """
        try:
            document = read_json(path.read_bytes(), bounded_integer)
        except (OSError, ValueError, RecursionError) as error:
            raise DataFileError(f"{path}: not a readable {self.name}.", f"{error}.", self.again) from error
        if not isinstance(document, dict) or document.get("schema") not in self.versions:
            versions = " or ".join(map(str, self.versions))
            raise DataFileError(
                f"{path}: no {self.name} of schema {versions}.",
                "Another version of this project wrote it, or it was changed.",
                self.again,
            )
        try:
            whole = document.get("seal") == seal_of(document)
        except (ValueError, RecursionError):
            whole = False
        if not whole:
            why = f"The {self.name} was changed after it was sealed."
            raise DataFileError(f"{path}: the seal is broken.", why, self.again)
        return document


RECORD = Kind(
    "record",
    "record.json",
    re.compile(rf"{PART}/[a-z][a-z0-9_-]*/{RUN_ID.pattern}"),
    "{cell[part]}/{cell[hardware]}/{id}",
    "Run that cell again, or fetch the record from where it came.",
    versions=(1, 2),  # 1: without picture and statement
)
ATTACHMENT = Kind(
    "attachment",
    "attachment.json",
    re.compile(rf"attached/{PART}/[0-9A-Za-z][0-9A-Za-z._-]*"),
    "attached/{part}/{id}",
    "Attach it again.",
)
SESSION = Kind(
    "session",
    "session.json",
    re.compile(rf"pairing/{PART}/{RUN_ID.pattern}"),
    "pairing/{part}/{id}",
    "Fetch it where it is whole (./inv download), or begin a new one with ./inv pair.",
)
KINDS: tuple[Kind, ...] = (RECORD, ATTACHMENT, SESSION)


@dataclass(frozen=True)
class File:
    name: str
    sha256: str
    bytes: int


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

    def write(self, results: Path, document: Mapping[str, object], beside: Path) -> Document:
        """Hash every file of the folder `beside` into its manifest, seal that, and rename the folder into its place.

        Returns:
            The manifest as it was written.
        """
        sealed: Document = {**document, "artefacts": hash_files(beside, self.kind.manifest)}
        sealed["seal"] = seal_of(sealed)
        write_json(beside / self.kind.manifest, sealed)
        place = results / self.place
        if place != beside:
            place.parent.mkdir(parents=True, exist_ok=True)
            beside.rename(place)
        (place / LOCK).unlink(missing_ok=True)
        return sealed

    def read(self, results: Path) -> Document:
        """The manifest, if its seal is whole.

        Raises:
            DataFileError: it is damaged; what is wrong is named.
        """
        return self.kind.read(results / self.place / self.kind.manifest)

    def verify(self, results: Path) -> list[str]:
        """Everything about it that is not as it was sealed, a line each: schema, seal, place and every file's hash."""
        try:
            return self.differences(results, self.valid(results))
        except DataFileError as error:
            return [str(error).replace("\n", " ")]

    def valid(self, results: Path) -> Document:
        """The manifest, if its seal is whole, and it keeps its schema.

        Raises:
            DataFileError: it does not.
        """
        document = self.read(results)
        file = results / self.place / self.kind.manifest
        if mistake := datafiles.mistake(document, self.kind.name):
            raise DataFileError(f"{file}: {mistake}", "It is not as its schema asks.", self.kind.again)
        return document

    def differences(self, results: Path, document: Mapping[str, Any]) -> list[str]:
        """What of its place and its files is not as its manifest says, a line each."""
        folder = results / self.place
        changed = _changed(folder, hash_files(folder, self.kind.manifest), document["artefacts"])
        return self.moved(results, document) + list(changed) + list(self._rewritten(folder, document))

    def _rewritten(self, folder: Path, document: Mapping[str, Any]) -> Iterator[str]:
        """A line, where its manifest is other bytes than those of this document: another reader may read another."""
        file = folder / self.kind.manifest
        if file.read_bytes() != json_content(document):
            yield f"{file}: written over, its seal is over the same text in other bytes"

    def moved(self, results: Path, document: Mapping[str, Any]) -> list[str]:
        """A line, where its manifest says that it belongs elsewhere."""
        said = self.kind.said.format_map(document)
        return [f"{results / self.place}: it is the {self.kind.name} {said}"] if said != self.place else []

    def files(self, content: bytes) -> list[File]:
        """The files that a manifest, which may come from a stranger, names.

        Raises:
            VerificationError: it is not readable, its seal is broken, it belongs to another place, or a name in it
                could lead out of the folder.
        """
        try:
            manifest = read_json(content)
            if manifest["seal"] != seal_of(manifest):
                raise ValueError("the seal is broken")
            said = self.kind.said.format_map(manifest)
            if said != self.place:
                raise ValueError(f"it says that it is {said!r}")
            return [_file(self.kind, name, entry) for name, entry in manifest["artefacts"].items()]
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
            why = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise VerificationError(
                f"{self}: its {self.kind.manifest} failed verification.",
                f"{why[:300]}.",
                "Fetch it from the machine that made it, or run that cell again.",
            ) from error


def of_document(kind: Kind, document: Mapping[str, Any]) -> Sealed:
    """The sealed folder that a manifest says it is the manifest of."""
    return Sealed(kind, kind.said.format_map(document))


def of_folder(kind: Kind, folder: Path) -> tuple[Path, Sealed]:
    """A folder as the results that it stands in, and its place there."""
    steps = kind.said.count("/") + 1
    parts = folder.absolute().parts
    return Path(*parts[:-steps]), Sealed(kind, "/".join(parts[-steps:]))


def verify(kind: Kind, folder: Path) -> list[str]:
    """Everything about a folder that is not as it was sealed."""
    results, sealed = of_folder(kind, folder)
    return sealed.verify(results)


def _changed(folder: Path, present: Mapping[str, Any], sealed: Mapping[str, Any]) -> Iterator[str]:
    for name, was in sealed.items():
        if name not in present:
            yield f"{folder / name}: missing"
        elif present[name] != was:
            yield f"{folder / name}: changed after it was sealed, sha256 was {was['sha256']}"
    for name in present.keys() - sealed.keys():
        yield f"{folder / name}: not one of its files"


def _file(kind: Kind, name: str, entry: Any) -> File:
    steps = name.split("/")
    if any(step in ("", ".", "..") or len(step.encode()) > 255 for step in steps) or not name.isprintable():
        raise ValueError(f"{name!r} is no name of a file in its folder")
    if steps[0] in (kind.manifest, LOCK):
        raise ValueError(f"{name!r} is a name that is kept for others")
    sha256, size = entry["sha256"], entry["bytes"]
    if not isinstance(sha256, str) or not SHA256.fullmatch(sha256) or type(size) is not int or size < 0:
        raise ValueError(f"{name!r} has no hash or size")
    return File(str(PurePosixPath(name)), sha256, size)


# All of a machine


def require_folder(results: Path) -> None:
    """Refuse a file where results should be: it would read as if nothing had run. None there is none yet.

    Raises:
        StoreError: it is no folder.
    """
    if os.path.lexists(results) and not results.is_dir():
        what = f"{results}: results are kept in a folder of that name."
        raise StoreError(what, "It is a file, or a link that leads to no folder.", "Move it away, then call again.")


def folders(results: Path) -> Iterator[tuple[str, str, os.DirEntry[str]]]:
    """Every run's folder as (part, kind, entry); unsorted, for it may be a hundred thousand.

    Raises:
        StoreError: `results` is no folder.
    """
    require_folder(results)
    for part in _subfolders(results):
        if part.name.startswith(".") or part.name in _others():
            continue
        for kind in _subfolders(part.path):
            for run in _subfolders(kind.path):
                yield part.name, kind.name, run


def _subfolders(path: str | Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            yield from (entry for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return


def _others() -> set[str]:
    return {*NOT_SEALED, *(kind.under for kind in KINDS)}


def here(results: Path) -> Iterator[Sealed]:
    """The sealed folders of this machine, in the order of their keys in a store."""
    require_folder(results)
    for first in _ordered(results):
        for second in _ordered(first.path):
            for third in _ordered(second.path):
                sealed = _at(f"{first.name}/{second.name}/{third.name}")
                if sealed and os.path.isfile(f"{third.path}/{sealed.kind.manifest}"):
                    yield sealed


def _ordered(path: str | Path) -> list[os.DirEntry[str]]:
    """The folders in a folder as the paths of what is in them are ordered: 8-1/ before 8/."""
    return sorted(_subfolders(path), key=lambda entry: f"{entry.name}/")


def of_key(key: str) -> Sealed | None:
    """The sealed folder whose manifest a store keeps under this key; None for any other key."""
    place, _, manifest = key.removeprefix(PREFIX).rpartition("/")
    sealed = _at(place)
    return sealed if sealed and manifest == sealed.kind.manifest else None


def _at(place: str) -> Sealed | None:
    return next((Sealed(kind, place) for kind in KINDS if kind.place.fullmatch(place)), None)
