"""The report's page as text: what of a run goes into it, and that hostile contents stay contents."""

import base64
import gzip
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from samples import a_catalogue, a_kind, a_part, a_record, a_rule, before_run, outcome

from harness.cli import evidence
from harness.evidence import attachments, traces
from harness.evidence.records import LOG, Draft
from harness.points import matrix
from harness.publish import report
from harness.publish.report import contents

BOOK = a_catalogue(a_part("4"), a_part("8-1"))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
HARM = "</script><script>document.title = 'harmed'</script><img src=x onerror=alert(1)> & ' \""


def a_run(results: Path, log: str = "hello", model: str = "Processor A", kind: str = "cpu", part: str = "4") -> Path:
    """A sealed run with a log, a picture, a curve and a field."""
    with Draft(results, before_run(part, kind, model)) as draft:
        (draft.folder / "metrics.json").write_text(json.dumps({"error": 0.01}))
        (draft.folder / "device.json").write_text(json.dumps({"device": kind, "places": {f"Place({kind}:0)": 3}}))
        (draft.folder / LOG).write_text(log)
        (draft.folder / "loss.png").write_bytes(PNG)
        (draft.folder / "screen.png").write_bytes(PNG)
        field = np.outer(np.arange(60.0), np.arange(50.0))
        np.savez(draft.folder / traces.FILE, loss=np.geomspace(8, 0.1, 1000), field=field, odd=np.zeros((2, 2, 2)))
        return draft.seal(**outcome(draft.folder, a_part(part), a_kind(kind), draft.record)).folder


def page(results: Path, **options: Any) -> str:
    return report.page(matrix.build(BOOK, results), BOOK, results, **options)


def block(text: str, run: Path) -> dict[str, Any]:
    """What the page holds of a run."""
    found = re.search(rf'id="run-{re.escape(run.name)}">([^<]*)<', text)
    assert found, run
    data: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(found[1])))
    return data


def index(text: str) -> dict[str, Any]:
    found = re.search(r'id="index">(.*?)</script>', text)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


class Tags(HTMLParser):
    """The tags of a page, and its script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.script = ""
        self.open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attributes)))
        self.open = "script" if (tag, attributes) == ("script", []) else ""

    def handle_endtag(self, tag: str) -> None:
        self.open = ""

    def handle_data(self, data: str) -> None:
        if self.open:
            self.script += data


def test_a_run_has_record_log_pictures_curves_and_fields(results: Path) -> None:
    run = a_run(results, log="\x1b[32mgreen\x1b[0m\nstep 1\rstep 2\n")
    data = block(page(results), run)
    assert data["record"]["id"] == run.name and data["record"]["passed"]
    assert data["log"] == "green\nstep 2\n"
    assert [picture["name"] for picture in data["pictures"]] == ["screen.png", "loss.png"]
    assert base64.b64decode(data["pictures"][1]["source"].partition(",")[2]) == PNG
    loss, field = data["curves"]["loss"], data["fields"]["field"]
    assert loss["steps"][0] == 1 and loss["steps"][-1] == 1000 and loss["values"][-1] == 0.1
    assert field["shape"] == [60, 50] and len(field["rows"]) == len(field["rows"][0]) == 48
    assert (field["low"], field["high"]) == (0, 59 * 49) and field["rows"][0][0] == 0 and field["rows"][-1][-1] == 999
    assert "odd" not in data["curves"] | data["fields"]


def test_the_page_needs_no_network_and_runs_its_own_script_only(results: Path) -> None:
    a_run(results)
    text = page(results)
    tags = Tags(text)
    assert not [tag for tag, attributes in tags.seen if attributes.get("src") or tag in ("link", "iframe", "object")]
    assert all(str(attributes.get("href")).startswith("#") for tag, attributes in tags.seen if tag == "a")
    (policy,) = (attributes["content"] for _, attributes in tags.seen if "http-equiv" in attributes)
    digest = base64.b64encode(hashlib.sha256(tags.script.encode()).digest()).decode()
    assert policy and "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy


def test_what_a_program_wrote_stays_text(results: Path) -> None:
    hostile = a_run(results, log=HARM, model=HARM)
    text = page(results)
    names = [tag for tag, _ in Tags(text).seen]
    assert "img" not in names and names.count("script") == 3  # index, the one run, the script
    assert block(text, hostile)["log"] == HARM and index(text)["runs"][0]["model"] == HARM


@given(st.binary(max_size=200))
def test_any_output_becomes_text_without_control_characters(output: bytes) -> None:
    text = contents.plain(output)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    json.loads(json.dumps(text))


def test_a_long_log_is_shown_by_its_beginning_and_end(results: Path) -> None:
    run = a_run(results, log="first\n" + "x" * 80 * 2**10 + "\nmiddle\n" + "y" * 80 * 2**10 + "\nlast")
    log = block(page(results), run)["log"]
    assert log.startswith("first") and log.endswith("last") and "middle" not in log and "bytes are left out here" in log


def test_files_that_were_changed_after_the_run_are_not_shown(results: Path) -> None:
    run = a_run(results)
    (run / LOG).write_text("another log")
    (run / "loss.png").write_bytes(PNG + b"more")
    (run / "screen.png").unlink()
    (run / "screen.png").symlink_to("/etc/hostname")
    (run / "trace.npz").write_bytes(b"")
    data = block(page(results), run)
    assert data["pictures"] == [] and data["curves"] == {} and "was changed after its run" in data["log"]


def test_a_damaged_record_is_named_and_not_shown(results: Path) -> None:
    good, bad = a_run(results), a_run(results)
    record = json.loads((bad / "record.json").read_text())
    (bad / "record.json").write_text(json.dumps({**record, "passed": False}))
    text = page(results)
    assert [run["id"] for run in index(text)["runs"]] == [good.name]
    assert "1 damaged, not counted" in text and "the seal is broken" in text


def test_without_room_older_runs_go_without_log_and_the_latest_keep_theirs(results: Path) -> None:
    old = [a_run(results) for _ in range(5)]
    latest, other = a_run(results), a_run(results, kind="sim")
    room = 2 * len(base64.b64encode(gzip.compress(json.dumps(block(page(results), latest)).encode()))) + 500
    text = page(results, room=room)
    assert "log" in block(text, latest) and "log" in block(text, other)
    assert sum("log" in block(text, run) for run in old) < 5
    assert all(block(text, run)["record"]["id"] == run.name for run in old)


def test_the_matrix_stands_in_the_page_without_a_script(results: Path) -> None:
    a_run(results)
    a_record(results, part="8-1", kind="sim", error=1.0)
    text = page(results)
    assert 'href="#cell-4-cpu">✓ 3</a>' in text and 'href="#cell-8-1-sim">✗ failed</a>' in text
    assert "3 points earned of 6" in text and "薄板" in text


def test_an_empty_folder_makes_a_page_too(results: Path) -> None:
    assert "0 runs" in page(results)


DAYS = a_part("15", program=None, evidence_only=True, rules=(a_rule("per_day", 1, 5, needs=("track or photo",)),))


def test_drawings_and_photos_are_shown_with_their_day_and_whether_they_count(results: Path) -> None:
    book = a_catalogue(DAYS)
    picture = io.BytesIO()
    Image.new("RGB", (1600, 900), "green").save(picture, "JPEG")
    for kind, day in (("photo", "2026-11-01"), ("track", "2026-11-02"), ("track", "2026-11-02")):
        document = {"kind": kind, "date": day, "name": "x", "checked": "2.20 km"}
        content = picture.getvalue() + day.encode() + kind.encode()
        attachments.write(results, "15", document, {f"{kind}.jpg": content})
    attachments.write(results, "15", {"kind": "photo", "date": "2026-11-03", "name": "y"}, {"photo.jpg": b"no picture"})
    text = report.page(matrix.build(book, results), book, results)
    assert text.count("data:image/jpeg;base64,") == 3 and text.count('<span class="state earned">counts</span>') == 3
    assert "photo of <strong>2026-11-01</strong>" in text and "the same file as" in text
    shown = [base64.b64decode(found) for found in re.findall(r"data:image/jpeg;base64,([^\"]+)", text)]
    assert all(max(Image.open(io.BytesIO(each)).size) <= 480 for each in shown)


def test_an_address_that_was_not_reached_is_said_on_the_page(results: Path) -> None:
    article = a_part("14", program=None, evidence_only=True, rules=(a_rule("judged", 3, 10, needs=("article",)),))
    document = {"kind": "article", "url": "https://example.org/a", "checked": "unchecked: no network"}
    attachments.write(results, "14", document, {})
    book = a_catalogue(article)
    assert "waiting: not reached yet" in report.page(matrix.build(book, results), book, results)


def test_a_note_that_is_not_utf_8_breaks_no_report(results: Path, tmp_path: Path) -> None:
    document = {"kind": "photo", "date": "2026-11-03", "name": "n\udcff.jpg", "note": "\udc9b31m"}
    attachments.write(results, "15", document, {"photo.jpg": b"no picture"})
    evidence.report(results, a_catalogue(DAYS), tmp_path / "report.html")
    assert "\\udc9b31m" in (tmp_path / "report.html").read_text(encoding="utf-8")
