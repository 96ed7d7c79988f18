"""Attaching: each address or file that a person names is inspected, and sealed as an attachment of a part."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.attaching import inspection
from harness.attaching.outdoors.outings import Privacy
from harness.catalogue.entries import Part
from harness.errors import UsageError
from harness.evidence import attachments, sessions
from harness.evidence.redaction import Redactor


def attach(
    results: Path,
    part: Part,
    sources: Sequence[str],
    kind: str = "",
    note: str = "",
    date: str = "",
    settings: Privacy | None = None,
) -> list[Path]:
    """Check each of `sources`, an address or a file, and seal it as an attachment of `part`.

    Args:
        results: the folder of this machine's records.
        part: the part that they belong to.
        sources: addresses and paths.
        kind: what they are; without it what they look like and the part still needs.
        note: a sentence to go with them.
        date: the day that they show, YYYY-MM-DD; a photo's own date where it is left out.
        settings: of whom the tracks are: time zone and home.

    Returns:
        Their folders, in the order of `sources`. All of them are checked before the first is written. The same track
        again is not written: the folder that has it is returned.

    Raises:
        UsageError: one of them is not what it should be, or cannot be read; nothing was written.
        VerificationError: one is of a pairing session that was changed; nothing was written.
        StoreError: the results folder cannot be written.
    """
    redactor = Redactor.here()
    findings = [
        (finding, _session(results, part, source) if finding.file else {})
        for source in sources
        for finding in inspection.inspect(source, kind, _needs(part), date, redactor, settings)
    ]
    return [_seal(results, part, finding, redactor.text(note), session) for finding, session in findings]


def _needs(part: Part) -> list[str]:
    """The kinds that the part's rules ask for."""
    return [kind for rule in part.rules for need in rule.needs for kind in need.split(" or ")]


def _session(results: Path, part: Part, source: str) -> dict[str, str]:
    """The pairing session that a file lies in, so that a pack takes all of it; empty for any other file."""
    folder = Path(source).expanduser().resolve().parent
    if folder.parent != (results / sessions.FOLDER / part.name).resolve():
        return {}
    return {"id": folder.name, "seal": sessions.read(folder)["seal"]}


def _seal(results: Path, part: Part, finding: inspection.Finding, note: str, session: Mapping[str, str]) -> Path:
    checked = finding.checked
    if finding.kind == "track":
        present = attachments.standing(results)[0].get(part.name, [])
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
    return attachments.write(results, part.name, document, {finding.file: finding.content} if finding.file else {})


def detach(results: Path, prefix: str, note: str = "") -> Path:
    """Take the attachment back whose id begins with `prefix`: a withdrawal is sealed, whose folder is returned.

    Raises:
        UsageError: none or several begin so, or it is taken back already.
    """
    every = attachments.read_all(results)[0]
    matching = [each for each in every if each.id.startswith(prefix) and each.kind != attachments.WITHDRAWAL]
    standing = {each.id for each in attachments.standing_of(every)}
    if not matching or not prefix:
        known = "; ".join(str(each) for each in every if each.id in standing) or "none"
        raise UsageError(f"{prefix!r}: no such attachment.", f"There are: {known}.", "./inv attach lists them.")
    if len(matching) > 1:
        raise UsageError(
            f"{prefix!r}: {len(matching)} begin so.",
            f"{', '.join(each.id for each in matching[:5])}.",
            "Write more of the ID.",
        )
    (attachment,) = matching
    if attachment.id not in standing:
        raise UsageError(
            f"{attachment.id}: it is taken back already.",
            "A withdrawal stands beside it.",
            "Attach it again with ./inv attach",
        )
    document = {
        "kind": attachments.WITHDRAWAL,
        "withdraws": attachment.id,
        **({"note": Redactor.here().text(note)} if note else {}),
    }
    return attachments.write(results, str(attachment.data["part"]), document, {})
