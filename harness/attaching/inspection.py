"""Inspection of what a person attaches: is it what it is said to be, can it be read, and does it tell too much?

A photo is written anew without EXIF, and the day it was taken is kept. An address is asked whether it answers. A text
loses its secrets; an address with one is refused. Of a track a drawing is kept, and no position.
"""

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.attaching import addresses, photos
from harness.attaching.outdoors import trackfiles
from harness.attaching.outdoors.outings import Privacy
from harness.catalogue.entries import Part
from harness.errors import UsageError
from harness.evidence.redaction import Redactor

KINDS = ("photo", "link", "pull request", "article", "conversation", "track")
TEXTS = (".md", ".txt")
SAID = "the day is its owner's word"  # of a photo whose EXIF does not say so
FILE_BYTES = 25 * 2**20
TEXT_BYTES = 5 * 2**20


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What an attachment is, once it was looked at; `content` is what is kept of its file."""

    kind: str
    checked: str
    url: str = ""
    name: str = ""
    file: str = ""
    content: bytes = b""
    date: str = ""


def inspect(
    source: str, part: Part, kind: str, date: str, redactor: Redactor, settings: Privacy | None = None
) -> list[Finding]:
    """Look at an address or a file, which shows one thing, or as a track may do, several days.

    Args:
        source: the address or the path.
        part: what it is for: it has to be of a kind that the part can use.
        kind: what it is, one of KINDS; empty: what it looks like, and of that what the part asks for.
        date: the day that it shows, YYYY-MM-DD, or empty.
        redactor: takes secrets out of texts, and finds them in addresses.
        settings: of whom the tracks are.

    Raises:
        UsageError: it is not of that kind, too large, not readable, or tells a secret.
    """
    if kind and kind not in KINDS:
        raise UsageError(f"--kind {kind}: not known.", f"Known: {', '.join(KINDS)}.", "Choose one of these.")
    settings = settings or Privacy()
    day = _day(date, settings.zone)
    if re.match(r"https?://", source):
        kind = kind or _kind_of_address(source, part)
        _refuse_unusable(redactor.text(source), kind, part)
        return [_address(source, part, kind, day, redactor)]
    path = Path(source).expanduser()
    content = _content(path)
    kind = kind or _kind_of_file(path, part)
    _refuse_unusable(source, kind, part)
    if kind == "track":
        findings = _track(path, content, day, settings)
    else:
        looks: Mapping[str, Callable[[Path, bytes, str, Redactor, Privacy], Finding]] = {
            "photo": _photo,
            "conversation": _conversation,
        }
        findings = [looks.get(kind, _text)(path, content, day, redactor, settings)]
    return [_held_against_window(each, part) for each in findings]


def _day(date: str, zone: datetime.tzinfo | None) -> str:
    try:
        day = date and datetime.date.fromisoformat(date).isoformat()
    except ValueError:
        raise UsageError(
            f"--date {date}: not a day.", "A day is YYYY-MM-DD.", "For example --date 2026-11-22"
        ) from None
    if is_to_come(day, zone):
        raise UsageError(f"--date {date}: it is yet to come.", _today(zone), "Write the day that it shows, YYYY-MM-DD.")
    return day


def is_to_come(day: str, zone: datetime.tzinfo | None) -> bool:
    """Whether a day has not begun where the person is."""
    return day > datetime.datetime.now(zone).date().isoformat()


def _today(zone: datetime.tzinfo | None) -> str:
    now = datetime.datetime.now(zone).astimezone(zone)
    return f"Here it is {now:%Y-%m-%d} (UTC{now:%z}); --zone Asia/Shanghai says where you are."


def _refuse_unusable(source: str, kind: str, part: Part) -> None:
    """Refuse a kind of evidence with which the part can do nothing."""
    if kind in part.usable:
        return
    asked = f"It asks for: {', '.join(part.usable)}." if part.usable else "It counts by its run alone."
    remedy = "./inv tasks shows what each asks for."
    if part.usable and set(part.usable) <= set(addresses.KINDS) and kind not in addresses.KINDS:
        remedy = f"Publish it, then attach where it stands: ./inv attach --task {part.name} https://…"
    named = "text" if kind == "conversation" else kind  # what no one called a conversation need be none
    raise UsageError(f"{source}: part {part.name} cannot use a {named}.", asked, remedy)


def _held_against_window(finding: Finding, part: Part) -> Finding:
    since = min((rule.since for rule in part.rules if rule.since), default="")
    if finding.date and finding.date < since:
        return replace(finding, checked=f"{finding.checked}; before the homework began, {since}")
    return finding


# Addresses


def _kind_of_address(url: str, part: Part) -> str:
    kinds = [kind for kind in part.usable if kind in addresses.KINDS]
    if addresses.PULL_REQUEST.fullmatch(url) and ("pull request" in kinds or not kinds):
        return "pull request"
    return next(iter(kinds), "link")


def _address(url: str, part: Part, kind: str, day: str, redactor: Redactor) -> Finding:
    if kind not in addresses.KINDS:
        raise UsageError(
            f"{url}: a {kind} is a file.", "An address is a link, an article or a pull request.", "Name the file."
        )
    if redactor.text(url) != url:
        raise UsageError(
            f"{redactor.text(url)}: the address holds a secret.",
            "What is attached is read by strangers, and a token in an address is as good as a key.",
            "Attach the address without it.",
        )
    addresses.refuse(url, kind, hosts_of(part))
    return Finding(kind=kind, checked=addresses.answer(url), url=url, date=day)


def hosts_of(part: Part) -> list[str]:
    """Where the organisers ask for the part's addresses to be; empty for anywhere."""
    return [host for rule in part.rules for host in rule.hosts]


# Files


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise UsageError(
                f"{path}: no such file.", "It is no address either (https://…).", "Name a file or an address."
            )
        if path.stat().st_size > FILE_BYTES:
            raise UsageError(f"{path}: too large.", f"At most {FILE_BYTES // 2**20} MiB are taken.", "Make it smaller.")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: it cannot be read.", f"{error.strerror}.", "Mend its permissions.") from error


def _kind_of_file(path: Path, part: Part) -> str:
    if trackfiles.suffix(path):
        return "track"
    if path.suffix.lower() in TEXTS or ("conversation" in part.usable and "photo" not in part.usable[:1]):
        return "conversation"
    return "photo"


def _photo(path: Path, content: bytes, day: str, redactor: Redactor, settings: Privacy) -> Finding:
    """A photo of the day on which it was taken; what a person says otherwise is kept beside what its EXIF says."""
    picture = photos.read(path, content)
    if not (day or picture.taken):
        only = f"Its EXIF tells only of a change, {picture.changed}." if picture.changed else "Its EXIF has no date."
        raise UsageError(f"{path}: it does not say when it was taken.", only, "Add --date YYYY-MM-DD")
    zone = picture.zone or settings.zone
    if not day and is_to_come(picture.taken, zone):
        why = f"Its EXIF says {picture.taken}: the camera's clock was wrong. {_today(zone)}"
        raise UsageError(f"{path}: its day is yet to come.", why, "Add --date YYYY-MM-DD, the day that it shows.")
    said = f"; {SAID}" if day and day != picture.taken else ""
    said += f", but its EXIF says {picture.taken}" if said and picture.taken else ""
    return _kept(path, picture, "photo", day or picture.taken, said)


def _kept(path: Path, picture: photos.Picture, kind: str, day: str, more: str = "") -> Finding:
    return Finding(
        kind=kind,
        checked=f"{picture.shows}; EXIF taken out{more}",
        name=path.name,
        file=f"{kind}{picture.suffix}",
        content=picture.content,
        date=day,
    )


def _conversation(path: Path, content: bytes, day: str, redactor: Redactor, settings: Privacy) -> Finding:
    """A conversation is a text or pictures of one."""
    if path.suffix.lower() not in TEXTS:
        picture = photos.read(path, content)
        return _kept(path, picture, "conversation", day or picture.taken or datetime.date.today().isoformat())
    if len(content) > TEXT_BYTES:
        raise UsageError(f"{path}: too large for a text.", f"At most {TEXT_BYTES // 2**20} MiB are taken.", "Split it.")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text.", f"{error}.", "Save it as UTF-8.") from None
    clean = redactor.text(text)
    hidden = clean.count("[redacted]") - text.count("[redacted]")
    checked = f"text of {len(clean)} characters" + (f", {hidden} secrets taken out" if hidden else "")
    return Finding(
        kind="conversation", checked=checked, name=path.name, file=f"conversation{path.suffix.lower()}",
        content=clean.encode(), date=day,
    )  # fmt: skip


def _track(path: Path, content: bytes, day: str, settings: Privacy) -> list[Finding]:
    """A finding for each day that a track shows; nothing of the file itself is kept, not even its name."""
    from harness.attaching.outdoors import outings, sketch

    if not trackfiles.suffix(path):
        known = ", ".join(trackfiles.SUFFIXES)
        raise UsageError(f"{path}: not a track.", f"A track is {known}.", "Export it as one of these.")
    if day:
        raise UsageError(f"{path}: a track knows its day.", "--date is for photos.", "Leave --date out.")
    return [
        Finding(
            kind="track",
            checked="; ".join([str(outing), f"day in {outing.zone}", "positions taken out", *outing.notes]),
            name=f"track{trackfiles.suffix(path)}",
            file="track.png",
            content=sketch.draw(outing),
            date=outing.day,
        )
        for outing in outings.inspect(path, content, settings)
    ]


def _text(path: Path, content: bytes, day: str, redactor: Redactor, settings: Privacy) -> Finding:
    raise UsageError(
        f"{path}: this kind is an address.", "A file cannot show that it was published.", "Attach its address."
    )
