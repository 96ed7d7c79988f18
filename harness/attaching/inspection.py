"""Inspection of what a person attaches: is it what it is said to be, can it be read, and does it tell too much?

A photo is opened, bounded, and written anew without EXIF (place, camera, thumbnail); the day it was taken is kept. An
address is asked whether it answers. A text loses its secrets; an address with one is refused. Of a track a drawing is
kept, and no position.
"""

import datetime
import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.attaching.outdoors.outings import Privacy
from harness.errors import UsageError
from harness.evidence.redaction import Redactor

KINDS = ("photo", "link", "pull request", "article", "conversation", "track")
PICTURES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}
TEXTS = (".md", ".txt")
TRACKS = (".gpx", ".fit", ".tcx")
FILE_BYTES = 25 * 2**20
TEXT_BYTES = 5 * 2**20
PIXELS = 60 * 10**6
SMALLEST_SIDE = 100
PULL_REQUEST = re.compile(
    r"https://(?:github\.com/[\w.-]+/[\w.-]+/pull/\d+|(?:gitee\.com|gitcode\.com)/[\w.-]+/[\w.-]+/(?:pulls|merge_requests)/\d+|"
    r"[\w.-]+/[\w./-]+/-/merge_requests/\d+)(?:[/?#]\S*)?"
)
TAKEN = (36867, 36868, 306)  # EXIF: original, digitised, changed


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
    source: str, kind: str, needs: Sequence[str], date: str, redactor: Redactor, settings: Privacy | None = None
) -> list[Finding]:
    """Look at an address or a file, which shows one thing, or as a track may do, several days.

    Args:
        source: the address or the path.
        kind: what it is, one of KINDS; empty: what it looks like, and of that what `needs` asks for.
        needs: the kinds that its part asks for.
        date: the day that it shows, YYYY-MM-DD, or empty.
        redactor: takes secrets out of texts, and finds them in addresses.
        settings: of whom the tracks are.

    Raises:
        UsageError: it is not of that kind, too large, not readable, or tells a secret.
    """
    if kind and kind not in KINDS:
        raise UsageError(f"--kind {kind}: not known.", f"Known: {', '.join(KINDS)}.", "Choose one of these.")
    day = _day(date)
    if re.match(r"https?://", source):
        return [_address(source, kind or _kind_of_address(source, needs), day, redactor)]
    path = Path(source).expanduser()
    content = _content(path)
    kind = kind or _kind_of_file(path, needs)
    if kind == "track":
        return _track(path, content, day, settings or Privacy())
    looks: Mapping[str, Callable[[Path, bytes, str, Redactor], Finding]] = {
        "photo": _photo,
        "conversation": _conversation,
        "article": _text,
        "link": _text,
        "pull request": _text,
    }
    return [looks[kind](path, content, day, redactor)]


def _day(date: str) -> str:
    try:
        if date and datetime.date.fromisoformat(date) > datetime.datetime.now().date():
            raise UsageError(
                f"--date {date}: it is yet to come.", "An outing has been.", "Write the day that it shows, YYYY-MM-DD."
            )
        return date and datetime.date.fromisoformat(date).isoformat()
    except ValueError:
        raise UsageError(
            f"--date {date}: not a day.", "A day is YYYY-MM-DD.", "For example --date 2026-11-22"
        ) from None


# Addresses


def _kind_of_address(url: str, needs: Sequence[str]) -> str:
    if PULL_REQUEST.fullmatch(url):
        return "pull request"
    return next((kind for kind in needs if kind in ("link", "article", "pull request")), "link")


def _address(url: str, kind: str, day: str, redactor: Redactor) -> Finding:
    if kind not in ("link", "article", "pull request"):
        raise UsageError(
            f"{url}: a {kind} is a file.", "An address is a link, an article or a pull request.", "Name the file."
        )
    if redactor.text(url) != url:
        raise UsageError(
            f"{redactor.text(url)}: the address holds a secret.",
            "What is attached is read by strangers, and a token in an address is as good as a key.",
            "Attach the address without it.",
        )
    if not urlsplit(url).hostname or any(letter.isspace() for letter in url) or len(url) > 2000:
        raise UsageError(
            f"{url[:200]}: not an address.",
            "It begins with https:// and has a host.",
            "For example https://aistudio.baidu.com/projectdetail/1",
        )
    if kind == "pull request" and not PULL_REQUEST.fullmatch(url):
        raise UsageError(
            f"{url}: not a pull request.",
            "One is https://github.com/OWNER/NAME/pull/NUMBER, or its like at Gitee, GitCode or GitLab.",
            "Attach the address of the request itself.",
        )
    return Finding(kind=kind, checked=_answer(url), url=url, date=day)


def _answer(url: str, seconds: float = 10) -> str:
    """What the address answers, or why nothing was heard.

    Raises:
        UsageError: the server says that there is no such page.
    """
    import urllib.error
    import urllib.request

    request = urllib.request.Request(url, headers={"User-Agent": "PaddleHomework (checks that a link answers)"})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            answer.read(2**16)
            return f"answered {answer.status}"
    except urllib.error.HTTPError as error:
        if error.code in (404, 410):
            raise UsageError(
                f"{url}: there is no such page.", f"It answered {error.code}.", "Look at the address."
            ) from None
        return f"unchecked: it answered {error.code}"
    except (OSError, ValueError) as error:  # no network, no such host, a certificate that nobody signed
        return f"unchecked: {getattr(error, 'reason', error)}"


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


def _kind_of_file(path: Path, needs: Sequence[str]) -> str:
    suffix = path.suffix.lower()
    if suffix in TRACKS:
        return "track"
    if suffix in TEXTS:
        return "conversation"
    return "conversation" if "conversation" in needs else "photo"


def _photo(path: Path, content: bytes, day: str, redactor: Redactor) -> Finding:
    return _picture(path, content, day, "photo")


def _conversation(path: Path, content: bytes, day: str, redactor: Redactor) -> Finding:
    """A conversation is a text or pictures of one."""
    if path.suffix.lower() not in TEXTS:
        return _picture(path, content, day, "conversation")
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


def _picture(path: Path, content: bytes, day: str, kind: str) -> Finding:
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=tuple(PICTURES))
            _refuse_size(path, image.size)
            form = str(image.format)
            taken = _taken(image)
            image.load()
            upright = ImageOps.exif_transpose(image)
    except UsageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UsageError(f"{path}: too many pixels.", f"{error}.", "Make it smaller.") from None
    except Exception as error:  # whatever a decoder meets in a damaged or hostile file
        known = ", ".join(PICTURES)
        raise UsageError(f"{path}: not a picture.", f"{error}. It takes {known}.", "Save it as one of these.") from None
    day = day or taken or (datetime.date.today().isoformat() if kind == "conversation" else "")
    if not day:
        raise UsageError(
            f"{path}: it does not say when it was taken.", "Its EXIF has no date.", "Add --date YYYY-MM-DD"
        )
    stripped = Image.new(upright.mode, upright.size)
    stripped.paste(upright)
    if upright.mode == "P":
        stripped.putpalette(upright.getpalette() or [])
    target = io.BytesIO()
    stripped.save(target, format=form, **({"quality": 92} if form != "PNG" else {}))
    width, height = upright.size
    return Finding(
        kind=kind,
        checked=f"{form}, {width} × {height}; EXIF taken out",
        name=path.name,
        file=f"{kind}{PICTURES[form]}",
        content=target.getvalue(),
        date=day,
    )


def _refuse_size(path: Path, size: tuple[int, int]) -> None:
    if size[0] * size[1] > PIXELS:
        raise UsageError(
            f"{path}: {size[0]} × {size[1]} are too many pixels.", f"At most {PIXELS:,}.", "Make it smaller."
        )
    if min(size) < SMALLEST_SIDE:
        raise UsageError(
            f"{path}: {size[0]} × {size[1]} show nothing.", f"At least {SMALLEST_SIDE} a side.", "Take another."
        )


def _taken(image: Any) -> str:
    """The day that EXIF names, in the camera's own time."""
    exif = image.getexif()
    texts = [str(tags.get(tag, "")) for tags in (exif.get_ifd(0x8769), exif) for tag in TAKEN]
    for text in texts:
        match = re.match(r"(\d{4}):(\d\d):(\d\d)", text)
        try:
            if match:
                return datetime.date(*map(int, match.groups())).isoformat()
        except ValueError:
            continue
    return ""


def _track(path: Path, content: bytes, day: str, settings: Privacy) -> list[Finding]:
    """A finding for each day that a track shows; nothing of the file itself is kept, not even its name."""
    from harness.attaching.outdoors import outings, sketch

    if path.suffix.lower() not in TRACKS:
        raise UsageError(f"{path}: not a track.", f"A track is {', '.join(TRACKS)}.", "Export it as one of these.")
    if day:
        raise UsageError(f"{path}: a track knows its day.", "--date is for photos.", "Leave --date out.")
    return [
        Finding(
            kind="track",
            checked=f"{outing}; day in {outing.zone}; positions taken out",
            name=f"track{path.suffix.lower()}",
            file="track.png",
            content=sketch.draw(outing),
            date=outing.day,
        )
        for outing in outings.inspect(path, content, settings)
    ]


def _text(path: Path, content: bytes, day: str, redactor: Redactor) -> Finding:
    raise UsageError(
        f"{path}: this kind is an address.", "A file cannot show that it was published.", "Attach its address."
    )
