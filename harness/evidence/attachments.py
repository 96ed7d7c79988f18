"""Attachments: what only a person has (a photo, a link, a pull request, …), added to a part and sealed by itself.

results/attached/<part>/<id>/     attachment.json and the file, if there is one

An attachment never changes and nothing is deleted: what is taken back gets a withdrawal, an attachment that names it
and needs no file. So a copy that comes back from a store counts no more than it did here.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from harness.catalogue import datafiles
from harness.errors import DataFileError
from harness.evidence.records import hash_files, new_id, seal_of, timestamp, unwritable, write_json

FOLDER = "attached"
FILE = "attachment.json"
WITHDRAWAL = "withdrawal"


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

    def __str__(self) -> str:
        what = self.data.get("url") or self.data.get("name") or self.data.get("withdraws") or ""
        return f"{self.id}  {self.data['part']}  {self.kind}  {what}"


# Writing


def write(results: Path, part: str, document: Mapping[str, Any], files: Mapping[str, bytes]) -> Path:
    """Seal an attachment: its folder is made aside and renamed into place."""
    data = {"schema": 1, "id": new_id(), "part": part, "added": timestamp(datetime.now(timezone.utc)), **document}
    place = results / FOLDER / part / str(data["id"])
    beside = place.with_name(f".{place.name}")
    try:
        beside.mkdir(parents=True)
        for name, content in files.items():
            (beside / name).write_bytes(content)
        data["artefacts"] = {name: file for name, file in hash_files(beside).items() if name != FILE}
        data["seal"] = seal_of(data)
        write_json(beside / FILE, data)
        beside.rename(place)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise unwritable(results, error) from error
    return place


# Reading


def read_all(results: Path) -> tuple[list[Attachment], list[str]]:
    """Every attachment and withdrawal in the order of their ids, and a line for each that is damaged."""
    found, damaged = [], []
    for folder in sorted((results / FOLDER).glob("*/[!.]*")):
        if folder.is_dir() and not folder.is_symlink():
            try:
                found.append(Attachment(folder, read(folder)))
            except DataFileError as error:
                damaged.append(str(error).replace("\n", " "))
    return sorted(found, key=lambda each: each.id), damaged


def read(folder: Path) -> dict[str, Any]:
    """The attachment in `folder`, if it is whole: schema, seal, place and the hash of its file.

    Raises:
        DataFileError: it is not; what is wrong is named.
    """
    path = folder / FILE
    try:
        data = json.loads(path.read_bytes())
        mistake = datafiles.mistake(data, "attachment")
        whole = not mistake and data["seal"] == seal_of(data)
    except (OSError, ValueError, RecursionError) as error:
        raise DataFileError(f"{path}: not a readable attachment.", f"{error}.", "Attach it again.") from error
    if mistake:
        raise DataFileError(f"{path}: {mistake}.", "", "Attach it again.")
    if not whole:
        raise DataFileError(f"{path}: the seal is broken.", "It was changed after it was added.", "Attach it again.")
    if (data["part"], data["id"]) != (folder.parent.name, folder.name):
        raise DataFileError(f"{folder}: it is {data['part']}/{data['id']}.", "It was moved.", "Put it back.")
    present = {name: file for name, file in hash_files(folder).items() if name != FILE}
    if present != data["artefacts"]:
        raise DataFileError(f"{folder}: its file was changed after it was added.", "", "Attach it again.")
    return dict(data)


def standing(results: Path) -> tuple[dict[str, list[Attachment]], list[str]]:
    """What counts, by part, and a line for each attachment that is damaged."""
    if not (results / FOLDER).is_dir():
        return {}, []
    every, damaged = read_all(results)
    by_part: dict[str, list[Attachment]] = {}
    for attachment in standing_of(every):
        by_part.setdefault(str(attachment.data["part"]), []).append(attachment)
    return by_part, damaged


def standing_of(every: Sequence[Attachment]) -> Iterator[Attachment]:
    """Those that count: neither taken back, nor a withdrawal themselves."""
    gone = {each.data["withdraws"] for each in every if each.kind == WITHDRAWAL}
    return (each for each in every if each.kind != WITHDRAWAL and each.id not in gone)


def show(results: Path) -> str:
    """A line for each attachment that counts."""
    by_part, damaged = standing(results)
    lines = [str(each) for found in by_part.values() for each in found]
    return "\n".join([*lines, *damaged]) or "Nothing is attached yet. ./inv attach --help shows how."
