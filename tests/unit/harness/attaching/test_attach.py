"""Attachments: what a person adds is checked, stripped, sealed and counted; what is taken back counts nowhere."""

import base64
import io
import json
import random
import shutil
from pathlib import Path

import pytest
from PIL import Image
from samples import a_catalogue, a_part, a_record, a_rule
from tracksamples import a_run, gpx

from harness.attaching import addresses, inspection
from harness.attaching.attach import attach, check, detach
from harness.catalogue import entries
from harness.errors import DataFileError, UsageError
from harness.evidence import attachments
from harness.evidence.attachments import FILE, read, read_all, standing
from harness.points import byhand, matrix
from harness.stores import transfer
from harness.stores.folder import FolderStore
from harness.stores.team import gather

LINK = "https://aistudio.baidu.com/projectdetail/1"
REQUEST = "https://github.com/PaddlePaddle/Paddle/pull/1"
PART = a_part(rules=(a_rule(needs=("link",)),))
REQUESTS = a_part("6", rules=(a_rule(needs=("pull request",)),))
DAYS = a_part("15", rules=(a_rule("per_day", 1, 5, needs=("track or photo",), since="2024-11-18"),))
CHATS = a_part("12", rules=(a_rule(needs=("conversation",)),))
TEXT = "Q: convert\nA: done, token=" + "x" * 24

HEIC = (  # 100 by 104 pixels of one colour, taken on 2026-11-20: nothing here can write another
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAZdtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9jAA"
    "AAAERAAAIAAQAAAAABuwABAAAAAAAAACQAAgAAAAAB3wABAAAAAAAAAEoAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVp"
    "bmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA1mlwcnAAAAC3aXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGE"
    "ABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQArQgEBA3AAAAMAkAAAAwAAAwAeoDSBp35bqSSmubgIaDAgAAADAyAAAAMAIWIAAQAHRAHBcrAi"
    "QAAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABkAAAAaAAAABBwaXhpAAAAAAMICAgAAAAXaXBtYQAAAAAAAAABAAEEgQIDBAAAAB"
    "ppcmVmAAAAAAAAAA5jZHNjAAIAAQABAAAAdm1kYXQAAAAgKAGvC2D6xsHX//I973ZH54LtMulfohgHAAADAIyACkgAAAAGRXhpZgAATU0AKgAA"
    "AAgAAYdpAAQAAAABAAAAGgAAAAAAAZADAAIAAAAUAAAALAAAAAAyMDI2OjExOjIwIDEwOjAwOjAwAA=="
)


def a_picture(size=(320, 240), seed=0):
    """Blocks of shades that no other seed has."""
    shades = random.Random(seed).randbytes(12 * 12)
    return Image.frombytes("L", (12, 12), shades).resize(size, Image.Resampling.BICUBIC).convert("RGB")


def photo(path, size=(320, 240), form="JPEG", date="2026:11:20 10:00:00", seed=None, tag=36867):
    image = a_picture(size, path.stem if seed is None else seed)
    exif = image.getexif()
    if date:
        exif.get_ifd(0x8769)[tag] = date
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (31.0, 12.0, 3.0)
    exif[271] = "A camera"
    image.save(path, form, exif=exif)
    return str(path)


@pytest.fixture(autouse=True)
def reached(monkeypatch):
    """Every address answers, and every host is public."""
    monkeypatch.setattr(addresses, "answer", lambda url: "answered 200")
    monkeypatch.setattr(addresses, "_resolved", lambda url, host: [])


def test_a_photo_loses_place_and_camera_and_keeps_its_day(results, tmp_path):
    (folder,) = attach(results, DAYS, [photo(tmp_path / "hill.jpg")], note="a hill, password=hunter22")
    data = read(folder)
    assert (data["kind"], data["date"], data["name"]) == ("photo", "2026-11-20", "hill.jpg")
    assert data["note"] == "a hill, password=[redacted]"
    content = (folder / "photo.jpg").read_bytes()
    assert b"A camera" not in content and not Image.open(io.BytesIO(content)).getexif()
    assert Image.open(io.BytesIO(content)).size == (320, 240)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "JPEG"])
def test_pictures_of_the_usual_forms_are_taken(results, tmp_path, form):
    (folder,) = attach(results, DAYS, [photo(tmp_path / "x", form=form)], date="2026-11-01")
    assert read(folder)["date"] == "2026-11-01" and form in read(folder)["checked"]


def test_a_turned_photo_stands_upright_without_its_exif(results, tmp_path):
    image = Image.new("RGB", (300, 200))
    exif = image.getexif()
    exif[274] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    (folder,) = attach(results, DAYS, [str(tmp_path / "turned.jpg")], date="2026-11-01")
    assert Image.open(folder / "photo.jpg").size == (200, 300)


def refused(results, word, says, kind="", date="", part=None):
    with pytest.raises(UsageError) as caught:
        attach(results, part or DAYS, [word], kind=kind, date=date)
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
    kinds = [read(attach(results, part, [each])[0])["kind"] for part, each in ((PART, LINK), (REQUESTS, REQUEST))]
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
        (LINK, "photo", "part 4 cannot use a photo"),
        (LINK, "picture", "not known"),
        ("ftp://example.org/x", "", "no such file"),
    ],
)
def test_a_wrong_address_is_refused(results, word, kind, says):
    refused(results, word, says, kind=kind, part=REQUESTS if kind == "pull request" else PART)


def test_one_wrong_word_of_several_attaches_none(results):
    with pytest.raises(UsageError):
        attach(results, PART, [LINK, "https://anna:hunter2@example.org/"])
    assert not (results / "attached").exists()


def test_a_conversation_loses_its_secrets(results, tmp_path):
    (tmp_path / "chat.md").write_text(TEXT)
    (folder,) = attach(results, CHATS, [str(tmp_path / "chat.md")])
    assert (folder / "conversation.md").read_text() == "Q: convert\nA: done, token=[redacted]"
    assert "1 secrets taken out" in read(folder)["checked"]
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        attach(results, CHATS, [str(tmp_path / "bad.txt")])


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
    (folder,) = attach(results, DAYS, [photo(tmp_path / "hill.jpg")])
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


def explained(built):
    """The matrix with its reasons, as one line: they are wrapped at the terminal's width."""
    return " ".join(matrix.show(built, "table", explain=True).split())


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
    assert byhand.show(results, {PART.name: PART}, []).endswith(LINK)


# An address waits until it was reached


def test_an_address_that_was_not_reached_waits_and_counts_once_it_answers(results, monkeypatch):
    book = a_catalogue(PART)
    a_record(results)
    monkeypatch.setattr(addresses, "answer", lambda url: "unchecked: no network")
    (folder,) = attach(results, PART, [LINK], note="mine")
    cells, built = states(book, results)
    assert cells["4", "cpu"] == ("waiting", 0) and "link (not reached yet)" in explained(built)
    assert "waiting: not reached yet" in byhand.show(results, book.parts, built.cells)
    (line,) = check(results, book.parts)
    assert "not reached yet (no network)" in line and states(book, results)[0]["4", "cpu"] == ("waiting", 0)
    monkeypatch.setattr(addresses, "answer", lambda url: "answered 200")
    (line,) = check(results, book.parts)
    (now,) = standing(results)[0]["4"]
    assert now.id in line and now.data["note"] == "mine" and now.id != folder.name
    assert states(book, results)[0]["4", "cpu"] == ("earned", 3)
    assert check(results, book.parts) == []


def test_an_address_without_a_run_waits_too(results, monkeypatch):
    article = a_part("14", program=None, evidence_only=True, rules=(a_rule("judged", 3, 10, needs=("article",)),))
    monkeypatch.setattr(addresses, "answer", lambda url: "unchecked: it answered 403")
    attach(results, article, ["https://www.example.org/post"])
    cells, built = states(a_catalogue(article), results)
    assert cells["14", "person"] == ("waiting", 0) and built.tally.waiting == 3


def test_the_same_address_twice_is_one(results):
    assert attach(results, PART, [LINK]) == attach(results, PART, [LINK])


def test_an_address_that_an_organiser_does_not_ask_for_does_not_count(results):
    elsewhere = "https://example.org/project"
    attach(results, PART, [elsewhere])
    part = a_part(rules=(a_rule(needs=("link",), hosts=("aistudio.baidu.com",)),))
    a_record(results)
    cells, built = states(a_catalogue(part), results)
    assert cells["4", "cpu"] == ("waiting", 0)
    assert "not at aistudio.baidu.com" in explained(built)


# Days


@pytest.mark.parametrize("part", [PART, a_part(), CHATS], ids=lambda part: part.name)
def test_evidence_that_a_part_cannot_use_is_refused(results, tmp_path, part):
    refused(results, photo(tmp_path / "a.jpg"), "cannot use a photo", kind="photo", part=part)


def test_a_picture_may_go_with_a_run_that_asks_for_pictures(results, tmp_path):
    assert attach(results, a_part(submission=("log", "picture")), [photo(tmp_path / "a.jpg")])


def test_a_day_that_contradicts_the_exif_is_recorded(results, tmp_path):
    (folder,) = attach(results, DAYS, [photo(tmp_path / "a.jpg")], date="2026-11-19")
    assert read(folder)["date"] == "2026-11-19"
    assert "the day is its owner's word, but its EXIF says 2026-11-20" in read(folder)["checked"]
    (folder,) = attach(results, DAYS, [photo(tmp_path / "b.jpg")], date="2026-11-20")
    assert "owner" not in read(folder)["checked"]


def test_a_day_of_the_exif_that_is_yet_to_come_is_refused(results, tmp_path):
    refused(results, photo(tmp_path / "a.jpg", date="2099:01:01 10:00:00"), "yet to come")


def test_an_edit_is_not_the_day_a_photo_was_taken(results, tmp_path):
    image = a_picture()
    exif = image.getexif()
    exif[306] = "2026:11:20 10:00:00"
    image.save(tmp_path / "edited.jpg", exif=exif)
    refused(results, str(tmp_path / "edited.jpg"), "tells only of a change, 2026-11-20")


def test_a_day_before_the_homework_counts_with_a_warning(results, tmp_path):
    (folder,) = attach(results, DAYS, [photo(tmp_path / "a.jpg", date="2020:05:01 10:00:00")])
    assert "before the homework began, 2024-11-18" in read(folder)["checked"]


def saved_again(path, source, **how):
    Image.open(source).convert("RGB").resize((200, 150)).save(path, **how)
    return str(path)


def test_the_same_picture_is_one_day_however_often_it_was_saved(results, tmp_path):
    (first,) = attach(results, DAYS, [photo(tmp_path / "a.jpg")])
    assert attach(results, DAYS, [str(tmp_path / "a.jpg")]) == [first]
    again = saved_again(tmp_path / "again.png", tmp_path / "a.jpg")
    assert attach(results, DAYS, [again], date="2026-11-20") == [first]
    with pytest.raises(UsageError, match="attached already, for 2026-11-20"):
        attach(results, DAYS, [saved_again(tmp_path / "other.jpg", tmp_path / "a.jpg", quality=60)], date="2026-11-21")
    assert len(attach(results, DAYS, [photo(tmp_path / "b.jpg", date="2026:11:21 10:00:00")])) == 1


def test_two_plain_pictures_are_not_taken_for_one(results, tmp_path):
    for number, colour in enumerate(("green", "navy")):
        Image.new("RGB", (200, 200), colour).save(tmp_path / f"{number}.png")
        attach(results, DAYS, [str(tmp_path / f"{number}.png")], date=f"2026-11-0{number + 1}")
    assert len(standing(results)[0]["15"]) == 2


def test_a_picture_that_two_people_attached_for_two_days_counts_once(results, tmp_path):
    days = a_part("15", program=None, evidence_only=True, rules=(a_rule("per_day", 1, 5, needs=("photo",)),))
    document = {"kind": "photo", "name": "a.jpg", "checked": ""}
    for day in ("2026-11-01", "2026-11-02"):
        attachments.write(results, "15", {**document, "date": day}, {"photo.jpg": b"the same"})
    _, built = states(a_catalogue(days), results)
    assert built.tally.earned == 1 and "which counts once" in explained(built)


def test_the_list_and_the_explanation_say_which_five_days_count(results, tmp_path):
    days = a_part("15", program=None, evidence_only=True, rules=(a_rule("per_day", 1, 5, needs=("photo",)),))
    for day in range(1, 8):
        attach(results, days, [photo(tmp_path / f"{day}.jpg", date=f"2026:11:{day:02} 10:00:00")])
    book = a_catalogue(days)
    built = matrix.build(book, results)
    listed = byhand.show(results, book.parts, built.cells).splitlines()
    assert [line.endswith("counts") for line in listed] == [True] * 5 + [False] * 2
    assert "2026-11-01" in listed[0] and "the limit of 5 is reached" in listed[6]
    assert explained(built).count(" counts (2") == 5


@pytest.mark.parametrize("form", ["MPO", "HEIF"])
def test_what_phones_save_is_kept_as_a_jpeg(results, tmp_path, form):
    from harness.attaching import photos

    if form == "MPO":
        a_picture().save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[a_picture(seed=1)])
        picture = photos.read(tmp_path / "a.jpg", (tmp_path / "a.jpg").read_bytes())
    else:
        picture = photos.read(Path("a.heic"), base64.b64decode(HEIC))
    assert picture.suffix == ".jpg" and picture.shows.startswith(form)
    assert picture.taken == ("2026-11-20" if form == "HEIF" else "")
    assert Image.open(io.BytesIO(picture.content)).format == "JPEG"


# A team's stores hold manifests


EVERY_KIND = {
    "photo": (DAYS, "hill.jpg"), "track": (DAYS, "run.gpx"), "link": (PART, LINK), "pull request": (REQUESTS, REQUEST),
    "article": (a_part("14", rules=(a_rule(needs=("article",)),)), "https://example.org/post"),
    "conversation": (CHATS, "chat.md"),
}  # fmt: skip


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_kind_of_evidence_counts_from_a_store(results, tmp_path, kind):
    part, source = EVERY_KIND[kind]
    files = {"hill.jpg": lambda path: photo(path), "run.gpx": lambda path: path.write_bytes(gpx(a_run())),
             "chat.md": lambda path: path.write_text(TEXT)}  # fmt: skip
    if source in files:
        files[source](tmp_path / source)
        source = str(tmp_path / source)
    attach(results, part, [source])
    transfer.upload(results, FolderStore(tmp_path / "store"))
    team, damage = gather([FolderStore(tmp_path / "store")], tmp_path / "cache")
    found, changed = standing(team, files=False)
    assert (damage, changed) == ([], []) and [each.kind for each in found[part.name]] == [kind]
    assert matrix.build(a_catalogue(part), team, files=False).damaged == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "It is empty"),
        (b"GIF89a" + bytes(99), "a GIF"),
        (b"II*\0" + bytes(99), "a raw photo or a TIFF"),
        (b"\0\0\0\x18ftypheic" + bytes(99), "a damaged HEIC"),
        (b"\0\0\0\x18ftypavif" + bytes(99), "an AVIF"),
        (b"\0\0\0\x14ftypqt  " + bytes(99), "a video"),
        (b"%PDF-1.7", "a PDF"),
        (b"<html>", "a page"),
    ],
)
def test_what_is_no_picture_is_refused_by_its_name(results, tmp_path, content, said):
    (tmp_path / "photo.jpg").write_bytes(content)
    refused(results, str(tmp_path / "photo.jpg"), said)
