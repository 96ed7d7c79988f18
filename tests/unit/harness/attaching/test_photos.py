"""Photos: stripped of all but their picture and day, refused where they show none, and counted once."""

import base64
import io
from pathlib import Path

import pytest
from evidence_samples import DAYS, a_picture, explained, photo, refused, states
from PIL import Image
from samples import a_catalogue, a_part, a_rule

from harness.attaching import inspection, photos
from harness.attaching.attach import attach
from harness.errors import UsageError
from harness.evidence import attachments
from harness.evidence.attachments import read, standing
from harness.points import byhand, matrix

HEIC = (  # 100 by 104 pixels of one colour, taken on 2026-11-20: nothing here can write another
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAZdtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9jAA"
    "AAAERAAAIAAQAAAAABuwABAAAAAAAAACQAAgAAAAAB3wABAAAAAAAAAEoAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVp"
    "bmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA1mlwcnAAAAC3aXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGE"
    "ABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQArQgEBA3AAAAMAkAAAAwAAAwAeoDSBp35bqSSmubgIaDAgAAADAyAAAAMAIWIAAQAHRAHBcrAi"
    "QAAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABkAAAAaAAAABBwaXhpAAAAAAMICAgAAAAXaXBtYQAAAAAAAAABAAEEgQIDBAAAAB"
    "ppcmVmAAAAAAAAAA5jZHNjAAIAAQABAAAAdm1kYXQAAAAgKAGvC2D6xsHX//I973ZH54LtMulfohgHAAADAIyACkgAAAAGRXhpZgAATU0AKgAA"
    "AAgAAYdpAAQAAAABAAAAGgAAAAAAAZADAAIAAAAUAAAALAAAAAAyMDI2OjExOjIwIDEwOjAwOjAwAA=="
)


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


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "It is empty"),
        (b"GIF89a" + bytes(99), "a GIF"),
        (b"II*\0" + bytes(99), "a raw photo or a TIFF"),
        (b"\0\0\0\x18ftypheic" + bytes(99), "a HEIC that is damaged or of a rare kind"),
        (b"\0\0\0\x18ftypavif" + bytes(99), "an AVIF"),
        (b"\0\0\0\x14ftypqt  " + bytes(99), "a video"),
        (b"%PDF-1.7", "a PDF"),
        (b"<html>", "a page"),
    ],
)
def test_what_is_no_picture_is_refused_by_its_name(results, tmp_path, content, said):
    (tmp_path / "photo.jpg").write_bytes(content)
    refused(results, str(tmp_path / "photo.jpg"), said)


# Days


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


@pytest.mark.parametrize("way", Image.Transpose)
def test_a_picture_that_was_turned_or_mirrored_is_the_same(results, tmp_path, way):
    attach(results, DAYS, [photo(tmp_path / "a.jpg")])
    Image.open(tmp_path / "a.jpg").transpose(way).save(tmp_path / "b.jpg", quality=60)
    with pytest.raises(UsageError, match="attached already, for 2026-11-20"):
        attach(results, DAYS, [str(tmp_path / "b.jpg")], date="2026-11-21")


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
    if form == "MPO":
        a_picture().save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[a_picture(seed=1)])
        picture = photos.read(tmp_path / "a.jpg", (tmp_path / "a.jpg").read_bytes())
    else:
        picture = photos.read(Path("a.heic"), base64.b64decode(HEIC))
    assert picture.suffix == ".jpg" and picture.shows.startswith(form)
    assert picture.taken == ("2026-11-20" if form == "HEIF" else "")
    assert Image.open(io.BytesIO(picture.content)).format == "JPEG"
