"""Attachments: what only a person has (a photo, a link, a pull request, …), added to a part and sealed by itself.

results/attached/<part>/<id>/     attachment.json and the file, if there is one

An attachment never changes and nothing is deleted: what is taken back gets a withdrawal, an attachment that names it
and needs no file. So a copy that comes back from a store counts no more than it did here.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from harness.errors import DataFileError
from harness.evidence.hashing import new_id, timestamp, unwritable
from harness.evidence.sealed import ATTACHMENT, Document, of_document, of_folder, require_folder
from harness.terminal import harmless

FOLDER = ATTACHMENT.under
FILE = ATTACHMENT.manifest
WITHDRAWAL = "withdrawal"
REACHED = "answered 2"  # how what was found of an address begins, where its page was seen


@dataclass(frozen=True)
class Attachment:
    """One attachment as it lies in its folder."""

    folder: Path
    data: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.data["id"])

    @property
    def kind(self) -> str:
        return str(self.data["kind"])

    @property
    def waits(self) -> str:
        """Why it does not count yet; empty where it does."""
        if "url" not in self.data or str(self.data.get("checked", "")).startswith(REACHED):
            return ""
        return "not reached yet"

    def __str__(self) -> str:
        what = harmless(str(self.data.get("url") or self.data.get("name") or self.data.get("withdraws") or ""))
        day = f"{self.data['date']}  " if "date" in self.data else ""
        return f"{self.id}  {self.data['part']}  {self.kind}  {day}{what}"


# Writing


def write(results: Path, part: str, document: Mapping[str, Any], files: Mapping[str, bytes]) -> Path:
    """Seal an attachment: its folder is made aside and renamed into place."""
    data = {"schema": 1, "id": new_id(), "part": part, "added": timestamp(datetime.now(timezone.utc)), **document}
    sealed = of_document(ATTACHMENT, data)
    place = results / sealed.place
    beside = place.with_name(f".{place.name}")
    try:
        beside.mkdir(parents=True)
        for name, content in files.items():
            (beside / name).write_bytes(content)
        sealed.write(results, data, beside)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise unwritable(results, error) from error
    return place


# Reading


def read_all(results: Path, files: bool = True) -> tuple[list[Attachment], list[str]]:
    """Every attachment and withdrawal in the order of their ids, and a line for each that is damaged.

    Args:
        results: the folder that they stand in.
        files: whether their files are there to be held against their hashes; of a team's stores only manifests are.
    """
    require_folder(results)
    found, damaged = [], []
    for folder in sorted((results / FOLDER).glob("*/[!.]*")):
        if folder.is_dir() and not folder.is_symlink():
            try:
                found.append(Attachment(folder, read(folder, files)))
            except DataFileError as error:
                damaged.append(str(error).replace("\n", " "))
    return sorted(found, key=lambda each: each.id), damaged


def read(folder: Path, files: bool = True) -> Document:
    """The attachment in `folder`, if it is whole: schema, seal, place and, where `files` are there, their hashes.

    Raises:
        DataFileError: it is not; what is wrong is named.
    """
    results, sealed = of_folder(ATTACHMENT, folder)
    document = sealed.valid(results)
    for line in sealed.differences(results, document) if files else sealed.moved(results, document):
        raise DataFileError(line, "It is not as it was sealed.", ATTACHMENT.again)
    return document


def standing(results: Path, files: bool = True) -> tuple[dict[str, list[Attachment]], list[str]]:
    """What counts, by part, and a line for each attachment that is damaged; `files` as for read_all."""
    if not (results / FOLDER).is_dir():
        return {}, []
    every, damaged = read_all(results, files)
    by_part: dict[str, list[Attachment]] = {}
    for attachment in standing_of(every):
        by_part.setdefault(str(attachment.data["part"]), []).append(attachment)
    return by_part, damaged


def standing_of(every: Sequence[Attachment]) -> Iterator[Attachment]:
    """Those that count: neither taken back, nor a withdrawal themselves."""
    gone = {each.data["withdraws"] for each in every if each.kind == WITHDRAWAL}
    return (each for each in every if each.kind != WITHDRAWAL and each.id not in gone)
