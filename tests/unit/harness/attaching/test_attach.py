"""Attachments: what a person adds is checked, stripped, sealed and counted; what is taken back counts nowhere."""

import http.server
import io
import json
import shutil
import threading

import pytest
from PIL import Image
from samples import a_catalogue, a_part, a_record, a_rule

from harness.attaching import inspection
from harness.attaching.attach import attach, detach
from harness.catalogue import entries
from harness.errors import DataFileError, UsageError
from harness.evidence import attachments
from harness.evidence.attachments import FILE, read, read_all, standing
from harness.points import matrix

LINK = "http://127.0.0.1:9/closed"  # the port discard: refused at once
REQUEST = "https://github.com/PaddlePaddle/Paddle/pull/1"
PART = a_part(rules=(a_rule(needs=("link",)),))
TEXT = "Q: convert\nA: done, token=" + "x" * 24


def photo(path, size=(320, 240), form="JPEG", date="2026:11:20 10:00:00"):
    image = Image.new("RGB", size, "green")
    exif = image.getexif()
    if date:
        exif.get_ifd(0x8769)[36867] = date
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (31.0, 12.0, 3.0)
    exif[271] = "A camera"
    image.save(path, form, exif=exif)
    return str(path)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(inspection, "_answer", lambda url: "unchecked: no network")


def test_a_photo_loses_place_and_camera_and_keeps_its_day(results, tmp_path):
    (folder,) = attach(results, a_part("15"), [photo(tmp_path / "hill.jpg")], note="a hill, password=hunter22")
    data = read(folder)
    assert (data["kind"], data["date"], data["name"]) == ("photo", "2026-11-20", "hill.jpg")
    assert data["note"] == "a hill, password=[redacted]"
    content = (folder / "photo.jpg").read_bytes()
    assert b"A camera" not in content and not Image.open(io.BytesIO(content)).getexif()
    assert Image.open(io.BytesIO(content)).size == (320, 240)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "JPEG"])
def test_pictures_of_the_usual_forms_are_taken(results, tmp_path, form):
    (folder,) = attach(results, a_part("15"), [photo(tmp_path / "x", form=form)], date="2026-11-01")
    assert read(folder)["date"] == "2026-11-01" and form in read(folder)["checked"]


def test_a_turned_photo_stands_upright_without_its_exif(results, tmp_path):
    image = Image.new("RGB", (300, 200))
    exif = image.getexif()
    exif[274] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    (folder,) = attach(results, a_part("15"), [str(tmp_path / "turned.jpg")], date="2026-11-01")
    assert Image.open(folder / "photo.jpg").size == (200, 300)


def refused(results, word, says, kind="", date="", part=None):
    with pytest.raises(UsageError) as caught:
        attach(results, part or PART, [word], kind=kind, date=date)
    assert says in str(caught.value)
    assert not (results / "attached").exists(), "nothing was written"


def test_what_is_no_photo_or_tells_no_day_is_refused(results, tmp_path):
    refused(results, photo(tmp_path / "a.jpg", date=""), "does not say when it was taken")
    refused(results, photo(tmp_path / "b.jpg", size=(50, 50)), "show nothing")
    (tmp_path / "c.jpg").write_bytes(b"GIF89a")
    refused(results, str(tmp_path / "c.jpg"), "not a picture")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "d.jpg").write_bytes(content[: len(content) // 2])
    refused(results, str(tmp_path / "d.jpg"), "not a picture")
    refused(results, str(tmp_path / "none.jpg"), "no such file")
    refused(results, photo(tmp_path / "e.jpg"), "not a day", date="yesterday")
    refused(results, photo(tmp_path / "f.jpg"), "yet to come", date="2999-01-01")


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_unpacked(results, tmp_path, monkeypatch):
    Image.new("1", (10_000, 10_000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 100_000
    refused(results, str(tmp_path / "bomb.png"), "too many pixels")
    monkeypatch.setattr(inspection, "FILE_BYTES", 100)
    refused(results, str(tmp_path / "bomb.png"), "too large")


def test_addresses_are_told_apart_and_held_against_their_kind(results):
    kinds = [read(folder)["kind"] for folder in attach(results, PART, [LINK, REQUEST])]
    assert kinds == ["link", "pull request"]
    (folder,) = attach(results, a_part("14", rules=(a_rule(needs=("article",)),)), ["https://example.org/post"])
    assert read(folder)["kind"] == "article"


@pytest.mark.parametrize(
    ("word", "kind", "says"),
    [
        ("https://anna:hunter2@example.org/", "", "holds a secret"),
        ("https://example.org/?token=abcdef", "", "holds a secret"),
        ("https://example.org/pull/1", "pull request", "not a pull request"),
        ("https://github.com/PaddlePaddle/Paddle", "pull request", "not a pull request"),
        ("https://", "", "not an address"),
        (LINK, "photo", "a photo is a file"),
        (LINK, "picture", "not known"),
        ("ftp://example.org/x", "", "no such file"),
    ],
)
def test_a_wrong_address_is_refused(results, word, kind, says):
    refused(results, word, says, kind=kind)


def test_one_wrong_word_of_several_attaches_none(results):
    with pytest.raises(UsageError):
        attach(results, PART, [LINK, "https://anna:hunter2@example.org/"])
    assert not (results / "attached").exists()


def test_a_conversation_loses_its_secrets(results, tmp_path):
    (tmp_path / "chat.md").write_text(TEXT)
    (folder,) = attach(results, a_part("12", rules=(a_rule(needs=("conversation",)),)), [str(tmp_path / "chat.md")])
    assert (folder / "conversation.md").read_text() == "Q: convert\nA: done, token=[redacted]"
    assert "1 secrets taken out" in read(folder)["checked"]
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        attach(results, PART, [str(tmp_path / "bad.txt")])


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({"/here": 200, "/shut": 403}.get(self.path, 404))
        self.end_headers()

    def log_message(self, *words):
        pass


def test_a_link_is_asked_where_there_is_a_network(monkeypatch):
    monkeypatch.undo()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}"
        assert inspection._answer(f"{place}/here") == "answered 200"
        assert inspection._answer(f"{place}/shut") == "unchecked: it answered 403"
        with pytest.raises(UsageError, match="no such page"):
            inspection._answer(f"{place}/gone")
        server.shutdown()
    assert inspection._answer(LINK).startswith("unchecked: ")


# Sealed, counted, taken back


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: (folder / "photo.jpg").write_bytes(b"another"), "photo.jpg: changed after"),
        (lambda folder: (folder / "more").write_bytes(b""), "more: not one of its files"),
        (lambda folder: (folder / FILE).write_text((folder / FILE).read_text().replace("11-20", "11-21")), "seal"),
        (lambda folder: (folder / FILE).write_text("{}"), "no attachment of schema 1"),
        (lambda folder: (folder / FILE).write_text("{"), "not a readable attachment"),
        (lambda folder: (folder / FILE).unlink(), "not a readable attachment"),
    ],
)
def test_a_changed_attachment_is_named_and_does_not_count(results, tmp_path, change, says):
    (folder,) = attach(results, a_part("15"), [photo(tmp_path / "hill.jpg")])
    change(folder)
    with pytest.raises(DataFileError, match=says):
        read(folder)
    found, damaged = standing(results)
    assert found == {} and len(damaged) == 1


def test_a_moved_attachment_is_named(results):
    (folder,) = attach(results, PART, [LINK])
    shutil.copytree(folder, results / "attached" / "5" / folder.name)
    with pytest.raises(DataFileError, match="it is the attachment attached/4/"):
        read(results / "attached" / "5" / folder.name)


def test_what_is_taken_back_counts_no_more_though_it_comes_back_from_a_store(results, tmp_path):
    (folder,) = attach(results, PART, [LINK])
    shutil.copytree(results / "attached", tmp_path / "store")
    detach(results, folder.name[:12], note="wrong link")
    assert standing(results)[0] == {}
    shutil.copytree(tmp_path / "store", results / "attached", dirs_exist_ok=True)
    assert standing(results)[0] == {} and len(read_all(results)[0]) == 2
    with pytest.raises(UsageError, match="taken back already"):
        detach(results, folder.name)
    for word in ("1999", ""):
        with pytest.raises(UsageError, match="no such attachment"):
            detach(results, word)
    attach(results, PART, [LINK])
    assert len(standing(results)[0]["4"]) == 1


def states(book, results):
    built = matrix.build(book, results)
    return {(cell.part, cell.hardware): (cell.state, cell.points) for cell in built.cells}, built


def test_a_waiting_part_is_earned_once_its_link_is_there(results):
    book = a_catalogue(PART)
    a_record(results)
    assert states(book, results)[0]["4", "cpu"] == ("waiting", 0)
    (folder,) = attach(results, PART, [LINK])
    assert states(book, results)[0]["4", "cpu"] == ("earned", 3)
    detach(results, folder.name)
    assert states(book, results)[0]["4", "cpu"] == ("waiting", 0)


def test_where_nothing_runs_the_person_s_evidence_itself_counts(results, tmp_path):
    request = a_part("6", program=None, evidence_only=True, rules=(a_rule("judged", 4, 10, needs=("pull request",)),))
    days = a_part("15", program=None, evidence_only=True, rules=(a_rule("per_day", 1, 5, needs=("track or photo",)),))
    book = a_catalogue(request, days)
    before, built = states(book, results)
    assert before["6", "person"] == ("not run", 0) and "./inv attach" in matrix.show(built, "table", explain=True)
    attach(results, request, [REQUEST])
    for number, day in enumerate(("2026-11-01", "2026-11-01", "2026-11-02")):
        attach(results, days, [photo(tmp_path / f"{number}.jpg")], date=day)
    _, built = states(book, results)
    assert (built.tally.earned, built.tally.earned_upper) == (6, 12)
    for form in ("table", "markdown", "html"):
        assert "person" in matrix.show(built, form, explain=True)
    assert json.loads(matrix.show(built, "json", explain=False))["points"]["earned"] == 6


def test_a_program_to_be_written_is_not_earned_by_evidence_alone(results, tmp_path):
    part = a_part("12", program=None, submission=("conversation", "code"), rules=(a_rule(needs=("conversation",)),))
    (tmp_path / "chat.md").write_text(TEXT)
    attach(results, part, [str(tmp_path / "chat.md")])
    assert states(a_catalogue(part), results)[1].tally.earned == 0


def test_part_12_counts_with_its_conversation(results, tmp_path):
    book = entries.load()
    part = book.parts["12"]
    assert matrix.build(book, results).tally.earned == 0
    (tmp_path / "chat.md").write_text(TEXT)
    (folder,) = attach(results, part, [str(tmp_path / "chat.md")])
    built = matrix.build(book, results)
    (cell,) = matrix.cells_of(built, "12", matrix.Column("person"))
    assert (cell.state, cell.points, cell.run, built.tally.earned) == ("earned", 5, folder.name, 5)


def test_attachments_are_no_runs(results):
    attach(results, PART, [LINK])
    assert matrix.build(a_catalogue(PART), results).damaged == []
    assert attachments.show(results).endswith(LINK)
