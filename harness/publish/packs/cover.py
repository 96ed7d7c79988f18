"""The cover page of a pack: what the organisers ask, and where it is found, in English and Chinese."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.catalogue.entries import Part
from harness.evidence import records, screen, sessions
from harness.evidence.record import RecordData
from harness.evidence.verdicts import MARKS, NOT_JUDGED, verdict_of
from harness.points.scoring import EARNED, REHEARSED, WAITING
from harness.publish.packs.contents import Contents
from harness.publish.titles import of_check, unit_of

STATES = {
    EARNED: "passed, and the rule is met · 已通过并满足得分规则",
    WAITING: "passed; a person's evidence is still to be added · 已通过，尚缺本人提供的证据",
    REHEARSED: "passed as a rehearsal: the rule gives no points on this hardware · 演练通过，此硬件不计分",
    NOT_JUDGED: "not judged: outside what a bound is meant for, which earns nothing · 未判定：超出判据适用范围，不计分",
}


def page(contents: Contents) -> str:
    """The page as self-contained HTML; its pictures and links lie beside it in the pack."""
    from jinja2 import Environment, FileSystemLoader

    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("cover.html").render(
        names=", ".join(part.name for part in contents.parts),
        parts=contents.parts,
        contents=contents,
        code=any(name.startswith("code/") for name in contents.files),
        states=STATES,
        record=records.FILE,
        screen=screen.FILE,
        checks=_checks,
        attached=lambda part: map(_attached, contents.attached[part.name]),
        sessions=lambda part: map(_session, contents.sessions[part.name]),
    )


def _checks(part: Part, record: RecordData) -> Iterator[dict[str, Any]]:
    """A record's checks by their titles, what was found with its unit."""
    for check in record["checks"]:
        unit = unit_of(part, check["name"]) if isinstance(check["found"], (int, float)) else ""
        yield {
            "name": check["name"],
            "title": of_check(part, check["name"]),
            "found": f"{_short(check['found'])} {unit}".rstrip(),
            "asked": check["asked"],
            "mark": MARKS[verdict_of(check)],
        }


def _attached(each: Any) -> dict[str, Any]:
    data, names = {"note": "", "name": "", **each.data}, sorted(each.data["artefacts"])
    pictures = [name for name in names if name.endswith((".png", ".jpg", ".webp"))]
    return {
        "data": data,
        "place": f"results/attached/{data['part']}/{data['id']}",
        "about": " · ".join(str(data[name]) for name in ("date", "checked") if data.get(name)),
        "pictures": pictures,
        "others": [name for name in names if name not in pictures],
    }


def _session(data: Any) -> dict[str, Any]:
    pictures = [name for name in data["artefacts"] if name.endswith(".png")]
    return {
        "data": data,
        "place": f"results/{sessions.place(data)}",
        "names": [sessions.FILE, *sorted(data["artefacts"])],
        "pictures": sorted(pictures, key=lambda name: (len(name), name)),  # turn-10 behind turn-9
    }


def _short(value: object) -> str:
    return "–" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
