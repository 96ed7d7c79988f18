"""Attaching: each address or file that a person names is inspected, and sealed as an attachment of a part.

An address that was not reached waits. It is asked again (check), and once it answers it is attached anew, with a
withdrawal of what waited: an attachment never changes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.attaching import addresses, inspection, photos
from harness.attaching.inspection import Finding
from harness.attaching.outdoors.outings import Privacy
from harness.catalogue.entries import Part
from harness.errors import UsageError
from harness.evidence import attachments, sessions
from harness.evidence.attachments import Attachment
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
        or picture again is not written: the folder that has it is returned.

    Raises:
        UsageError: one of them is not what it should be, or cannot be read; nothing was written.
        VerificationError: one is of a pairing session that was changed; nothing was written.
        StoreError: the results folder cannot be written.
    """
    redactor = Redactor.here()
    findings = [
        (finding, _session(results, part, source) if finding.file else {})
        for source in sources
        for finding in inspection.inspect(source, part, kind, date, redactor, settings)
    ]
    for finding, _ in findings:
        _refuse_another_day(results, part, finding)
    return [_seal(results, part, finding, redactor.text(note), session) for finding, session in findings]


def _session(results: Path, part: Part, source: str) -> dict[str, str]:
    """The pairing session that a file lies in, so that a pack takes all of it; empty for any other file."""
    folder = Path(source).expanduser().resolve().parent
    if folder.parent != (results / sessions.FOLDER / part.name).resolve():
        return {}
    return {"id": folder.name, "seal": sessions.read(folder)["seal"]}


def _present(results: Path, part: Part) -> list[Attachment]:
    return attachments.standing(results)[0].get(part.name, [])


def _twin(present: Sequence[Attachment], finding: Finding) -> Attachment | None:
    """The attachment that shows the same: the same address, drawing or picture."""
    for each in present:
        if each.kind != finding.kind or finding.kind == "conversation":
            continue
        if finding.url and each.data.get("url") == finding.url:
            return each
        if any(_same(each, (each.folder / name).read_bytes(), finding) for name in each.data["artefacts"]):
            return each
    return None


def _same(present: Attachment, kept: bytes, finding: Finding) -> bool:
    """Whether a file that is kept shows what was found; a picture saved again does, unless both tell their own day."""
    on_a_word = inspection.SAID in finding.checked + str(present.data.get("checked", ""))
    return kept == finding.content or (finding.kind == "photo" and on_a_word and photos.alike(kept, finding.content))


def _refuse_another_day(results: Path, part: Part, finding: Finding) -> None:
    """A picture shows one day.

    Raises:
        UsageError: it is attached already, for another one.
    """
    twin = _twin(_present(results, part), finding) if finding.kind == "photo" else None
    if twin and twin.data["date"] != finding.date:
        raise UsageError(
            f"{finding.name}: this picture is attached already, for {twin.data['date']}.",
            f"It is {twin.id}, and counts once.",
            f"Attach another picture of {finding.date}, or take that one back: ./inv detach {twin.id}",
        )


def _seal(results: Path, part: Part, finding: Finding, note: str, session: Mapping[str, str]) -> Path:
    checked = finding.checked
    present = _present(results, part)
    twin = _twin(present, finding)
    if twin and not twin.waits:
        return twin.folder
    if finding.kind in ("track", "photo"):
        others = [each.id for each in present if each.data.get("date") == finding.date]
        checked += f"; {finding.date} counts once, with {others[0]}" if others else ""
    checked += f", of pairing session {session['id']}" if session else ""
    fields = {
        "date": finding.date, "note": note, "url": finding.url, "checked": checked, "name": finding.name,
        "session": session,
    }  # fmt: skip
    document = {"kind": finding.kind, **{name: value for name, value in fields.items() if value}}
    folder = attachments.write(results, part.name, document, {finding.file: finding.content} if finding.file else {})
    if twin:
        _withdraw(results, twin, f"asked again: {folder.name}")
    return folder


def check(results: Path, parts: Mapping[str, Part]) -> list[str]:
    """Ask every address that waits again; what came of each is returned, a line each."""
    return [
        f"{attachment}: {_ask_again(results, parts[name], attachment)}"
        for name, present in attachments.standing(results)[0].items()
        for attachment in present
        if attachment.waits and name in parts
    ]


def _ask_again(results: Path, part: Part, attachment: Attachment) -> str:
    url, kind = str(attachment.data["url"]), attachment.kind
    try:
        addresses.refuse(url, kind, inspection.hosts_of(part))
        answer = addresses.answer(url)
    except UsageError as error:
        return f"it cannot count. {error}".replace("\n", " ")
    if answer.startswith("unchecked"):
        return f"not reached yet ({answer.removeprefix('unchecked: ')})"
    finding = Finding(kind=kind, url=url, checked=answer, date=str(attachment.data.get("date", "")))
    folder = _seal(results, part, finding, str(attachment.data.get("note", "")), {})
    return f"it {answer}, and counts now as {folder.name}"


def _withdraw(results: Path, attachment: Attachment, note: str) -> Path:
    document = {"kind": attachments.WITHDRAWAL, "withdraws": attachment.id, **({"note": note} if note else {})}
    return attachments.write(results, str(attachment.data["part"]), document, {})


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
    return _withdraw(results, attachment, Redactor.here().text(note))
