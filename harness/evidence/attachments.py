"""Attachments: what only a person has (a photo, a link, a pull request, …), added to a part and sealed by itself.

results/attached/<part>/<id>/     attachment.json and the file, if there is one

An attachment never changes and nothing is deleted: what is taken back gets a withdrawal, an attachment that names it
and needs no file. So a copy that comes back from a store counts no more than it did here.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from harness.attaching import inspection
from harness.attaching.outdoors.outings import Privacy
from harness.catalogue import datafiles
from harness.catalogue.entries import Part
from harness.errors import DataFileError, WordsError
from harness.evidence import sessions
from harness.evidence.records import hash_files, new_id, seal_of, timestamp, unwritable, write_json
from harness.evidence.redaction import Redactor

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


def attach(
    results: Path,
    part: Part,
    words: Sequence[str],
    kind: str = "",
    note: str = "",
    date: str = "",
    settings: Privacy | None = None,
) -> list[Path]:
    """Check each of `words`, an address or a file, and seal it as an attachment of `part`.

    Args:
        results: the folder of this machine's records.
        part: the part that they belong to.
        words: addresses and paths.
        kind: what they are; without it what they look like and the part still needs.
        note: a sentence to go with them.
        date: the day that they show, YYYY-MM-DD; a photo's own date where it is left out.
        settings: of whom the tracks are: time zone and home.

    Returns:
        Their folders, in the order of `words`. All of them are checked before the first is written. The same track
        again is not written: the folder that has it is returned.

    Raises:
        WordsError: one of them is not what it should be, or cannot be read; nothing was written.
        VerificationError: one is of a pairing session that was changed; nothing was written.
        StoreError: the results folder cannot be written.
    """
    redactor = Redactor.here()
    findings = [
        (finding, _session(results, part, word) if finding.file else {})
        for word in words
        for finding in inspection.inspect(word, kind, _needs(part), date, redactor, settings)
    ]
    return [_seal(results, part, finding, redactor.text(note), session) for finding, session in findings]


def _needs(part: Part) -> list[str]:
    """The kinds that the part's rules ask for."""
    return [kind for rule in part.rules for need in rule.needs for kind in need.split(" or ")]


def _session(results: Path, part: Part, word: str) -> dict[str, str]:
    """The pairing session that a file lies in, so that a pack takes all of it; empty for any other file."""
    folder = Path(word).expanduser().resolve().parent
    if folder.parent != (results / sessions.FOLDER / part.name).resolve():
        return {}
    return {"id": folder.name, "seal": sessions.read(folder)["seal"]}


def _seal(results: Path, part: Part, finding: inspection.Finding, note: str, session: Mapping[str, str]) -> Path:
    checked = finding.checked
    if finding.kind == "track":
        present = standing(results)[0].get(part.name, [])
        drawn = hashlib.sha256(finding.content).hexdigest()
        for each in present:
            if drawn in (file["sha256"] for file in each.data["artefacts"].values()):
                return each.folder
        twins = [each.id for each in present if each.data.get("date") == finding.date]
        checked += f"; {finding.date} counts once, with {twins[0]}" if twins else ""
    checked += f", of pairing session {session['id']}" if session else ""
    fields = {
        "date": finding.date, "note": note, "url": finding.url, "checked": checked, "name": finding.name,
        "session": session,
    }  # fmt: skip
    document = {"kind": finding.kind, **{name: value for name, value in fields.items() if value}}
    return write(results, part.name, document, {finding.file: finding.content} if finding.file else {})


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


def detach(results: Path, word: str, note: str = "") -> Path:
    """Take the attachment back whose id begins with `word`: a withdrawal is sealed, whose folder is returned.

    Raises:
        WordsError: none or several begin so, or it is taken back already.
    """
    every = read_all(results)[0]
    matching = [each for each in every if each.id.startswith(word) and each.kind != WITHDRAWAL]
    standing = {each.id for each in standing_of(every)}
    if not matching or not word:
        known = "; ".join(str(each) for each in every if each.id in standing) or "none"
        raise WordsError(f"{word!r}: no such attachment.", f"There are: {known}.", "./inv attach lists them.")
    if len(matching) > 1:
        raise WordsError(f"{word!r}: {len(matching)} begin so.", "", "Write more of the ID.")
    (attachment,) = matching
    if attachment.id not in standing:
        raise WordsError(f"{attachment.id}: it is taken back already.", "", "Attach it again with ./inv attach")
    document = {
        "kind": WITHDRAWAL,
        "withdraws": attachment.id,
        **({"note": Redactor.here().text(note)} if note else {}),
    }
    return write(results, str(attachment.data["part"]), document, {})


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
