"""Packs: a submission holds all that is asked for, is the same bytes again, and is verified by anyone."""

import io
import json
import shutil
import subprocess
import zipfile

import pytest
from chat_endpoint import block, serving
from samples import a_catalogue, a_kind, a_part, a_record, a_rule

from harness.assistant import dialogue, sandbox
from harness.attaching import addresses
from harness.attaching.attach import attach, detach
from harness.errors import EngineError, HomeworkError, VerificationError
from harness.evidence import attachments, sessions
from harness.evidence.hashing import seal_of, write_json
from harness.publish.packs import archive, contents
from harness.publish.packs.contents import gather
from harness.verification import unpacking

ASKS = {"submission": ("code", "log", "link"), "rules": (a_rule(needs=("link",)),)}
PART = a_part("8-1", slug="08-ffn", stack="base", uses=("kit",), **ASKS)
ASKED = ("conversation", "code", "picture")
PAIRING = a_part(
    "12",
    slug="12-code",
    program=None,
    evidence_only=True,
    submission=ASKED,
    rules=(a_rule(needs=("conversation",)),),
)
BOOK = a_catalogue(PART, PAIRING)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(addresses, "answer", lambda url: "unchecked: no network")


@pytest.fixture
def pack(results, tmp_path):
    """A pack of one record with its link."""
    a_record(results, part="8-1")
    attach(results, PART, ["https://example.org/<x>&y"])
    archive.make(BOOK, [PART], results, tmp_path / "pack.zip", crate=True)
    return tmp_path / "pack.zip"


def zipped(files):
    """The pack of these files, as bytes."""
    target = io.BytesIO()
    archive.write_zip(target, files)
    return target.getvalue()


def names(pack):
    with zipfile.ZipFile(pack) as opened:
        return opened.namelist()


def test_it_holds_records_links_code_and_a_cover_in_both_languages(pack):
    found = names(pack)
    assert "code/projects/08-ffn/main.py" in found and "code/projects/kit/__init__.py" in found
    assert "code/docker/locks/base.txt" in found and not any("__pycache__" in name for name in found)
    assert sum(name.endswith("/run.log") for name in found) == 1
    assert sum(name.startswith("results/attached/8-1/") for name in found) == 1
    with zipfile.ZipFile(pack) as opened:
        page = opened.read("index.html").decode()
        manifest = json.loads(opened.read("manifest.json"))
    assert "求解" in page and "How to check it" in page and "如何核验" in page
    assert "https://example.org/&lt;x&gt;&amp;y" in page and "<x>" not in page
    assert set(manifest["files"]) == set(found) - {"manifest.json"} and manifest["parts"] == ["8-1"]


def test_it_is_the_same_bytes_when_it_is_made_again(pack, results, tmp_path):
    made = archive.make(BOOK, [PART], results, tmp_path / "again.zip", crate=True)
    assert (tmp_path / "again.zip").read_bytes() == pack.read_bytes() and made.missing == []


def test_what_is_missing_is_named_on_the_cover_and_by_the_word(results, tmp_path):
    a_record(results, part="8-1")
    made = archive.make(BOOK, [PART], results, tmp_path / "pack.zip")
    assert made.missing == ["part 8-1: link"]
    with zipfile.ZipFile(tmp_path / "pack.zip") as opened:
        assert "尚缺：link" in opened.read("index.html").decode()


def test_the_runs_that_earn_go_in_and_rehearsals_only_where_none_does(results, tmp_path):
    part = a_part("7", rules=(a_rule("per_model", 1, 5, categories=("gpu",)),))
    book = a_catalogue(part, kinds=(a_kind(), a_kind("cuda", "gpu")))
    rehearsal = a_record(results, part="7")
    failed = a_record(results, part="7", error=0.9, model="B")
    assert [run.folder for run in contents.gather(book, [part], results).runs["7"]] == [rehearsal]
    cards = [a_record(results, part="7", kind="cuda", model=model) for model in ("A", "B")]
    assert sorted(run.folder for run in contents.gather(book, [part], results).runs["7"]) == sorted(cards)
    assert failed.is_dir()


def test_nothing_to_pack_is_said(results, tmp_path):
    a_record(results, part="8-1", error=0.9)
    with pytest.raises(HomeworkError, match="nothing to pack for 8-1"):
        archive.make(BOOK, [PART], results, tmp_path / "pack.zip")
    assert not (tmp_path / "pack.zip").exists()


def test_a_record_that_was_changed_does_not_go_in(results, tmp_path):
    (a_record(results, part="8-1") / "run.log").write_text("another")
    with pytest.raises(VerificationError, match="not those of its run"):
        archive.make(BOOK, [PART], results, tmp_path / "pack.zip")


def test_a_withdrawn_link_does_not_go_in(results, tmp_path):
    a_record(results, part="8-1")
    (folder,) = attach(results, PART, ["https://example.org"])
    detach(results, folder.name)
    archive.make(BOOK, [PART], results, tmp_path / "pack.zip")
    assert not any("attached" in name for name in names(tmp_path / "pack.zip"))


# Pairing sessions


def converse(session, endpoint, code):
    endpoint.answers = [block(code)]
    dialogue.converse(session, 1)
    return session.folder


@pytest.fixture(scope="module")
def conversed(tmp_path_factory):
    """Results with a session that failed, and one that continued it and passed."""
    try:
        sandbox.require()
    except EngineError as error:
        pytest.skip(str(error))
    results = tmp_path_factory.mktemp("results")
    with serving() as endpoint:
        first = converse(dialogue.begin(results, "12", "Print one.", endpoint.address, "m"), endpoint, "print(one)\n")
        second = converse(dialogue.resume(results, "12", first.name, ""), endpoint, "print(1)\n")
    return results, first.name, second.name


@pytest.fixture
def two(results, conversed):
    """The two sessions, of which the second's conversation is attached."""
    shutil.copytree(conversed[0], results, dirs_exist_ok=True)
    first, second = (results / "pairing/12" / name for name in conversed[1:])
    attach(results, PAIRING, [str(second / "conversation.md")])
    return first, second


def test_an_attached_session_goes_in_whole_with_those_it_continues(results, tmp_path, two):
    made = archive.make(BOOK, [PAIRING], results, tmp_path / "pack.zip")
    assert made.missing == []
    assert "1 attachment, 2 sessions verified" in unpacking.verify(tmp_path / "pack.zip", BOOK)
    with zipfile.ZipFile(tmp_path / "pack.zip") as opened:
        page = opened.read("index.html").decode()
        for folder in two:
            for path in (path for path in folder.rglob("*") if path.is_file()):
                name = path.relative_to(results.parent).as_posix()
                assert opened.read(name) == path.read_bytes() and name in page
    archive.make(BOOK, [PAIRING], results, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "pack.zip").read_bytes()


def test_a_session_of_which_nothing_is_attached_stays_out(results, tmp_path, two):
    (attached,) = attachments.standing(results)[0]["12"]
    detach(results, attached.id)
    with pytest.raises(HomeworkError, match="nothing to pack for 12"):
        archive.make(BOOK, [PAIRING], results, tmp_path / "pack.zip")


def test_a_session_that_did_not_pass_is_no_code_that_runs(results, tmp_path, two):
    (attached,) = attachments.standing(results)[0]["12"]
    detach(results, attached.id)
    attach(results, PAIRING, [str(two[0] / "conversation.md")])
    made = archive.make(BOOK, [PAIRING], results, tmp_path / "pack.zip")
    assert made.missing == ["part 12: code", "part 12: picture"]
    assert not any(two[1].name in name for name in names(tmp_path / "pack.zip"))


@pytest.mark.parametrize("which", [0, 1])
def test_a_session_that_was_changed_is_neither_attached_nor_packed(results, tmp_path, two, which):
    (two[which] / "conversation.md").write_text("another")
    with pytest.raises(VerificationError, match=f"{two[which].name}: this session is not as it was sealed"):
        archive.make(BOOK, [PAIRING], results, tmp_path / "pack.zip")
    with pytest.raises(VerificationError, match="not as it was sealed"):
        attach(results, PAIRING, [str(two[which] / "conversation.md")])


def test_a_session_that_went_on_after_it_was_attached_is_said(results, tmp_path, two):
    archive.make(BOOK, [PAIRING], results, tmp_path / "pack.zip")
    document = {**sessions.read(two[1]), "model": "sealed after another turn"}
    write_json(two[1] / "session.json", {**document, "seal": seal_of(document)})
    with pytest.raises(VerificationError, match="went on after it was attached"):
        archive.make(BOOK, [PAIRING], results, tmp_path / "pack.zip")


@pytest.mark.parametrize("gone", [0, 1])
def test_a_session_that_was_taken_out_is_missed_though_the_manifest_fits(results, tmp_path, two, gone):
    contents = gather(BOOK, [PAIRING], results)
    contents.files = {name: content for name, content in contents.files.items() if two[gone].name not in name}
    (tmp_path / "pack.zip").write_bytes(zipped({**contents.files, **archive.manifest(contents, None)}))
    with pytest.raises(VerificationError) as caught:
        unpacking.verify(tmp_path / "pack.zip", BOOK)
    assert f"{two[gone].name}/session.json: missing" in caught.value.why


# Verified by anyone


def test_a_stranger_verifies_it(pack):
    assert "1 record, 1 attachment verified" in unpacking.verify(pack, BOOK)
    assert "It is not signed" in unpacking.verify(pack, BOOK)


def test_a_signed_one_names_its_signer(results, tmp_path):
    a_record(results, part="8-1")
    key, signers, file = tmp_path / "key", tmp_path / "signers", tmp_path / "pack.zip"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    signers.write_text(f"anna@example.org {key.with_suffix('.pub').read_text()}")
    archive.make(BOOK, [PART], results, file, key=key)
    first = file.read_bytes()
    assert "Signed by anna@example.org" in unpacking.verify(file, BOOK, signers)
    assert "Signed by SHA256:" in unpacking.verify(file, BOOK)
    archive.make(BOOK, [PART], results, file, key=key)
    assert file.read_bytes() == first
    signers.write_text("")
    with pytest.raises(VerificationError, match="failed verification"):
        unpacking.verify(file, BOOK, signers)
    archive.make(BOOK, [PART], results, file)
    with pytest.raises(VerificationError) as caught:
        unpacking.verify(file, BOOK, signers)
    assert "asks for a signature" in str(caught.value)


def rewritten(pack, change):
    """The pack with its files changed, and with a manifest that fits them unless `change` writes one."""
    with zipfile.ZipFile(pack) as opened:
        files = {name: opened.read(name) for name in opened.namelist()}
    change(files)
    pack.write_bytes(zipped(files))
    return pack


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda files: files.update({"index.html": b"another"}), "index.html: changed after it was packed"),
        (lambda files: files.pop("index.html"), "index.html: missing"),
        (lambda files: files.update({"more.txt": b"x"}), "more.txt: not one of the pack's files"),
        (lambda files: files.update({"manifest.json": b"{"}), "manifest.json: not readable as JSON"),
        (lambda files: files.update({"manifest.json": b"[" * 10**5}), "manifest.json: not readable as JSON"),
        (lambda files: files.update({"manifest.json": b"{}"}), "required property"),
        (lambda files: files.update({"manifest.json.sig": b"no signature"}), "manifest.json.sig: its signature"),
    ],
)
def test_a_pack_that_was_changed_does_not_hold(pack, change, says):
    with pytest.raises(VerificationError) as caught:
        unpacking.verify(rewritten(pack, change), BOOK)
    assert says in str(caught.value) and "/tmp" not in caught.value.why


def test_a_forged_record_is_found_though_the_manifest_fits(results, tmp_path):
    folder = a_record(results, part="8-1")
    contents = gather(BOOK, [PART], results)
    name = f"results/8-1/cpu/{folder.name}/run.log"
    contents.files[name] = b"another log"
    (tmp_path / "pack.zip").write_bytes(zipped({**contents.files, **archive.manifest(contents, None)}))
    with pytest.raises(VerificationError) as caught:
        unpacking.verify(tmp_path / "pack.zip", BOOK)
    assert "run.log: changed after it was sealed" in str(caught.value)
