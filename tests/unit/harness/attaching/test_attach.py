"""Attachments: what a person adds is checked, stripped, sealed and counted; what is taken back counts nowhere."""

import json
import shutil

import pytest
from evidence_samples import DAYS, explained, photo, refused, states
from samples import a_catalogue, a_part, a_record, a_rule
from tracksamples import a_run, gpx

from harness.attaching import addresses
from harness.attaching.attach import attach, check, detach
from harness.catalogue import entries
from harness.errors import DataFileError, UsageError
from harness.evidence.attachments import FILE, read, read_all, standing
from harness.points import byhand, matrix
from harness.stores import transfer
from harness.stores.folder import FolderStore
from harness.stores.team import gather

LINK = "https://aistudio.baidu.com/projectdetail/1"
REQUEST = "https://github.com/PaddlePaddle/Paddle/pull/1"
PART = a_part(rules=(a_rule(needs=("link",)),))
REQUESTS = a_part("6", rules=(a_rule(needs=("pull request",)),))
CHATS = a_part("12", rules=(a_rule(needs=("conversation",)),))
TEXT = "Q: convert\nA: done, token=" + "x" * 24


@pytest.fixture(autouse=True)
def reached(monkeypatch):
    """Every address answers, and every host is public."""
    monkeypatch.setattr(addresses, "answer", lambda url: "answered 200")
    monkeypatch.setattr(addresses, "_resolved", lambda url, host: [])


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
        ("https://[x", "", "not an address"),
        (LINK, "photo", "part 4 cannot use a photo"),
        (LINK, "picture", "not known"),
        ("ftp://example.org/x", "", "no such file"),
    ],
)
def test_a_wrong_address_is_refused(results, word, kind, says):
    refused(results, word, says, kind=kind, part=REQUESTS if kind == "pull request" else PART)


def test_an_article_as_a_file_is_sent_to_where_it_is_published(results, tmp_path):
    (tmp_path / "文章.md").write_text("# 标题\n", encoding="utf-8")
    article = a_part("14", rules=(a_rule(needs=("article",)),))
    says = "Publish it, then attach where it stands: ./inv attach --task 14 https://"
    refused(results, str(tmp_path / "文章.md"), says, part=article)


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


@pytest.mark.parametrize("part", [PART, a_part(), CHATS], ids=lambda part: part.name)
def test_evidence_that_a_part_cannot_use_is_refused(results, tmp_path, part):
    refused(results, photo(tmp_path / "a.jpg"), "cannot use a photo", kind="photo", part=part)


def test_a_picture_may_go_with_a_run_that_asks_for_pictures(results, tmp_path):
    assert attach(results, a_part(submission=("log", "picture")), [photo(tmp_path / "a.jpg")])


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
