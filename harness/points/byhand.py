"""By hand: what people attached, as the evidence and the results that the points count, and what each of it gives."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from harness.catalogue.entries import Hardware, Part
from harness.evidence import attachments
from harness.evidence.attachments import Attachment
from harness.evidence.verdicts import PASSED
from harness.points.scoring import CellPoints, Result


def evidence(part: Part, attached: Sequence[Attachment]) -> tuple[set[str], dict[str, str]]:
    """The kinds that were attached and count, and those of which nothing does yet, with why."""
    whys = [(each.kind, waits(part, each)) for each in attached]
    counts = {kind for kind, why in whys if not why}
    return counts, {kind: why for kind, why in whys if kind not in counts}


def waits(part: Part, attachment: Attachment) -> str:
    """Why an attachment does not count yet: its address was not reached, or is not where the part asks for it."""
    hosts = [host for rule in part.rules for host in rule.hosts]
    host = (urlsplit(str(attachment.data.get("url", ""))).hostname or "").rstrip(".")
    if host and hosts and not any(host == each or host.endswith(f".{each}") for each in hosts):
        return f"not at {' or '.join(hosts)}"
    return attachment.waits


def results(part: Part, person: Hardware, attached: Sequence[Attachment]) -> list[Result]:
    """The attachments that a part of a person's own counts, the earliest day first, a picture only once."""
    needed = {kind for rule in part.rules for need in rule.needs for kind in need.split(" or ")}
    shown: dict[str, str] = {}  # the sha256 of a file to the attachment that counts for it
    found = []
    for each in sorted(attached, key=lambda each: (bool(waits(part, each)), str(each.data.get("date", "")), each.id)):
        if each.kind not in needed:
            continue
        files = [file["sha256"] for file in each.data["artefacts"].values()]
        twins = [shown.setdefault(file, each.id) for file in files]
        spare = next((f"the same file as {twin}, which counts once" for twin in twins if twin != each.id), "")
        found.append(_result(part, person, each, spare))
    return found


def _result(part: Part, person: Hardware, attachment: Attachment, spare: str) -> Result:
    waiting = waits(part, attachment)
    return Result(
        part=part.name,
        hardware=person.name,
        model=person.title,
        architecture=None,
        cards=1,
        day=str(attachment.data.get("date", "")),
        verdict=PASSED,
        run=attachment.id,
        waits=f"{attachment.kind} {waiting}: ./inv attach --check asks again" if waiting else "",
        spare=spare,
    )


def show(results: Path, parts: Mapping[str, Part], cells: Sequence[CellPoints]) -> str:
    """A line for each attachment that was not taken back, with its day, and whether it counts."""
    by_part, damaged = attachments.standing(results)
    lines = [
        f"{each}   {verdict(parts.get(name), cells, each)}".rstrip()
        for name, found in by_part.items()
        for each in found
    ]
    return "\n".join([*lines, *damaged]) or "Nothing is attached yet. ./inv attach --help shows how."


def verdict(part: Part | None, cells: Sequence[CellPoints], attachment: Attachment) -> str:
    """What an attachment gives, in a few words: counts, waiting: not reached yet, the day … is counted already."""
    if part is None:
        return ""
    if waiting := waits(part, attachment):
        return f"waiting: {waiting}"
    own = next((cell for cell in cells if cell.run == attachment.id), None)
    return "" if own is None else "counts" if own.points else own.why
