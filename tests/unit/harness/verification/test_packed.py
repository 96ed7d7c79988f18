"""Packs that were changed: whatever a reader of any tool could see otherwise is refused, also where all hashes fit."""

import json
import os
import subprocess
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import zip_mutants
from samples import LEFT_OUT, Tree, a_catalogue, a_part, a_record, a_record_not_judged, a_rule

from harness import checkout
from harness.attaching import addresses
from harness.attaching.attach import attach
from harness.catalogue import datafiles, entries
from harness.catalogue.entries import Metric
from harness.errors import HomeworkError, UsageError, VerificationError
from harness.evidence.hashing import seal_of
from harness.publish.packs import archive, contents
from harness.verification import packed, unpacking

NUMBER = int(os.environ.get("HOMEWORK_MUTANTS", "70"))  # 600 take two minutes
PART = a_part("8-1", slug="08-ffn", stack="base", submission=("log", "link"), rules=(a_rule(needs=("link",)),))
BOOK = a_catalogue(PART)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "answer", lambda url: "unchecked: no network")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs with few files of code."""
    monkeypatch.setattr(contents, "_sources", lambda part: ["docker/locks/docs.txt"])


@pytest.fixture
def pack(results: Path, tmp_path: Path, small: None) -> Path:
    """A pack of one record with its link, and metadata."""
    a_record(results, part="8-1")
    attach(results, PART, ["https://example.org/x"])
    archive.make(BOOK, [PART], results, tmp_path / "pack.zip", crate=True)
    return tmp_path / "pack.zip"


def refused(pack: Path) -> str:
    with pytest.raises(VerificationError) as caught:
        unpacking.verify(pack, BOOK)
    return str(caught.value)


def files_of(pack: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(pack) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def packed_again(pack: Path, files: dict[str, bytes], **said: object) -> Path:
    """The pack of these files, with a manifest that fits them and says `said`, as one makes it who knows how."""
    manifest = json.loads(files.pop(archive.MANIFEST))
    manifest["files"] = {
        name: {"sha256": archive.sha256_of(files[name]), "bytes": len(files[name])} for name in sorted(files)
    }
    manifest |= said
    manifest["seal"] = seal_of(manifest)
    with pack.open("wb") as target:
        archive.write_zip(target, {**files, archive.MANIFEST: archive.json_bytes(manifest)})
    return pack


# Every byte


def test_a_sound_pack_is_verified_and_mutants_are_written_from_it(pack: Path) -> None:
    assert "every byte" in unpacking.verify(pack, BOOK)
    assert zip_mutants.read(pack.read_bytes()).write() == pack.read_bytes()


def test_whatever_a_reader_could_see_otherwise_is_refused(pack: Path) -> None:
    sound, missed = pack.read_bytes(), []
    mutants = zip_mutants.mutants(sound, NUMBER)
    assert len(mutants) == NUMBER
    for name, mutant in mutants:
        pack.write_bytes(mutant)
        try:
            unpacking.verify(pack, BOOK)
            missed.append(name)
        except VerificationError as error:
            assert all(each.isprintable() for each in str(error).replace("\n", ""))
    assert not missed


def test_any_one_bit_that_differs_is_refused(pack: Path) -> None:
    sound = pack.read_bytes()
    for number in range(30):
        at = len(sound) * number // 30
        pack.write_bytes(sound[:at] + bytes([sound[at] ^ 1 << number % 8]) + sound[at + 1 :])
        refused(pack)


# What is derived


@pytest.mark.parametrize("name", ["index.html", "ro-crate-metadata.json"])
def test_what_is_derived_is_derived_again_though_the_manifest_fits(pack: Path, name: str) -> None:
    files = files_of(pack)
    files[name] = files[name].replace(b"8-1", b"8-2")
    assert f"{name}: changed" in refused(packed_again(pack, files))


def test_a_file_that_no_pack_has_is_refused_though_the_manifest_fits(pack: Path) -> None:
    files = files_of(pack)
    assert "more.txt: ./inv pack does not put it in" in refused(packed_again(pack, {**files, "more.txt": b"x"}))
    run = next(name for name in files if name.endswith("record.json"))
    place, _, identity = run.removesuffix("/record.json").rpartition("/")
    other = {name.replace(identity, identity[:-1] + "0"): content for name, content in files.items()}
    assert refused(packed_again(pack, {**files, **{name: other[name] for name in other if place in name}}))


def test_an_earlier_format_is_no_way_round_the_bytes(pack: Path) -> None:
    files = files_of(pack)
    manifest = json.loads(files[archive.MANIFEST])
    for name in ("rules", "seal"):
        del manifest[name]
    files[archive.MANIFEST] = archive.json_bytes({**manifest, "schema": 1})
    with pack.open("wb") as target:
        archive.write_zip(target, files)
    assert "its cover, of the first format, which has no seal, was NOT made again" in unpacking.verify(pack, BOOK)
    pack.write_bytes(pack.read_bytes() + b"\0")
    assert "made again from its files it is another" in refused(pack)


def as_format_1(pack: Path, more: dict[str, bytes]) -> Path:
    """The pack written over as one of the first format, with more files in it, whose hashes fit."""
    files = {**files_of(pack), **more}
    manifest = json.loads(files.pop(archive.MANIFEST))
    listed = {name: {"sha256": archive.sha256_of(file), "bytes": len(file)} for name, file in sorted(files.items())}
    first = {"schema": 1, "parts": manifest["parts"], "code": manifest["code"], "files": listed}
    with pack.open("wb") as target:
        archive.write_zip(target, {**files, archive.MANIFEST: archive.json_bytes(first)})
    return pack


@pytest.mark.parametrize("name", ["more.txt", "code/projects/01-else/main.py"])
def test_an_earlier_format_lets_no_more_files_in(pack: Path, name: str) -> None:
    assert "./inv pack does not put it in" in refused(as_format_1(pack, {name: b"x"}))


def test_runs_of_a_commit_with_this_format_are_in_no_pack_of_an_earlier_one(
    pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = (Path(datafiles.__file__).parent / "schemas" / "pack.schema.json").read_bytes()
    monkeypatch.setattr(packed, "_program", lambda run: {"revision": "a" * 40, "clean": False})
    monkeypatch.setattr(checkout, "has_commit", lambda commit: True)
    monkeypatch.setattr(checkout, "files_at", lambda commit, names: dict.fromkeys(names, schema))
    assert "it says to be of format 1, but its runs are of commit" in refused(as_format_1(pack, {}))


@pytest.mark.parametrize(("revision", "says"), [("a" * 40, f"this clone has no {'a' * 40}"), (None, "they name none")])
def test_where_the_commit_is_unknown_it_is_said_that_nobody_knows_the_format(
    pack: Path, monkeypatch: pytest.MonkeyPatch, revision: str | None, says: str
) -> None:
    monkeypatch.setattr(packed, "_program", lambda run: {"revision": revision, "clean": True})
    said = unpacking.verify(as_format_1(pack, {}), BOOK)
    assert f"NOT made again, nor whether its runs' commit makes that format checked: {says}. " in said


def test_the_seal_and_the_form_of_the_manifest_count(pack: Path) -> None:
    files = files_of(pack)
    manifest = json.loads(files[archive.MANIFEST])
    for content in (json.dumps(manifest).encode(), archive.json_bytes({**manifest, "parts": ["8-1", "8-1"]})):
        with pack.open("wb") as target:
            archive.write_zip(target, {**files, archive.MANIFEST: content})
        assert "manifest.json: " in refused(pack)


def test_a_lock_in_a_run_is_no_file_of_a_pack(pack: Path) -> None:
    files = files_of(pack)
    run = next(name for name in files if name.endswith("record.json")).removesuffix("record.json")
    assert ".lock: ./inv pack does not put it in" in refused(packed_again(pack, {**files, f"{run}.lock": b"x"}))


def test_a_manifest_of_equal_numbers_in_another_form_is_refused(pack: Path) -> None:
    assert "manifest.json: ./inv pack writes another one" in refused(packed_again(pack, files_of(pack), schema=2.0))


# Code and rules


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """A git checkout of one project; the harness takes it for its own."""
    tree = Tree(tmp_path / "checkout")
    for name in ("projects/04-plate/main.py", "projects/kit/__init__.py", "docker/locks/base.txt"):
        (tree.root / name).parent.mkdir(parents=True, exist_ok=True)
        (tree.root / name).write_text("print(1)\n")
    for module in ("harness.publish.packs.contents.ROOT", "harness.verification.verifying.ROOT"):
        monkeypatch.setattr(module, tree.root)
    for function, words in ((checkout.has_commit, 1), (checkout.files_at, 2), (checkout.last_commit, 1)):
        there = partial(lambda function, words, *given: function(*given[:words], tree.root), function, words)
        monkeypatch.setattr(checkout, function.__name__, there)
    git(tree, "init", "-q")
    return tree


def git(tree: Tree, *words: str) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@x")
    return subprocess.check_output(["git", "-C", tree.root, *who, *words], text=True).strip()


def commit(tree: Tree) -> str:
    git(tree, "add", ".")
    git(tree, "commit", "-q", "--allow-empty", "-m", "x")
    return git(tree, "rev-parse", "HEAD")


PLATE = a_part("4", slug="04-plate", stack="", submission=("log",))
PLATES = a_catalogue(PLATE)


@pytest.fixture
def of_commit(clone: Tree, results: Path, tmp_path: Path) -> Path:
    program = {"file": "projects/04-plate/main.py", "revision": commit(clone), "clean": True}
    a_record(results, part="4", program=program)
    archive.make(PLATES, [PLATE], results, tmp_path / "pack.zip")
    return tmp_path / "pack.zip"


def test_code_is_held_against_the_commit_that_it_names(of_commit: Path, clone: Tree) -> None:
    assert f"Its code is that of commit {git(clone, 'rev-parse', 'HEAD')}." in unpacking.verify(of_commit, PLATES)


@pytest.mark.parametrize("said", [{}, {"code": None}])
def test_code_of_another_content_is_refused_also_where_no_commit_is_named(of_commit: Path, said: dict) -> None:
    files = files_of(of_commit)
    files["code/projects/04-plate/main.py"] = b"print(2)\n"
    with pytest.raises(VerificationError, match=r"main\.py: not as in commit"):
        unpacking.verify(packed_again(of_commit, files, **said), PLATES)


@pytest.mark.parametrize("name", ["code/projects/04-plate/numpy.py", "code/projects/99-more/main.py", "code/evil.py"])
def test_code_that_the_commit_lacks_is_refused(of_commit: Path, name: str) -> None:
    files = {**files_of(of_commit), name: b""}
    with pytest.raises(VerificationError, match=r"py: not in commit"):
        unpacking.verify(packed_again(of_commit, files), PLATES)


@pytest.mark.parametrize("gone", ["code/docker/locks/docs.txt", ""])
def test_code_of_no_commit_is_no_more_and_no_less_than_a_pack_has(pack: Path, gone: str) -> None:
    files = files_of(pack)
    files = {name: content for name, content in files.items() if name != gone} if gone else {**files, "code/x.py": b""}
    said = "code/docker/locks/docs.txt: ./inv pack puts it in" if gone else "code/x.py: ./inv pack does not put it in"
    assert said in refused(packed_again(pack, files))


def test_a_folder_that_was_left_out_of_a_commit_is_missed(of_commit: Path) -> None:
    files = {name: content for name, content in files_of(of_commit).items() if not name.startswith("code/")}
    with pytest.raises(VerificationError, match=r"code/projects/04-plate: \./inv pack puts it in"):
        unpacking.verify(packed_again(of_commit, files), PLATES)


def test_where_the_clone_lacks_the_commit_that_is_said(of_commit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "has_commit", lambda commit: False)
    assert "NOT checked against a commit: this clone has no" in unpacking.verify(of_commit, PLATES)


def test_where_rules_of_another_commit_may_excuse_it_that_is_the_remedy(of_commit: Path) -> None:
    stricter = a_catalogue(replace(PLATE, metrics={"error": Metric(name="error", at_most=0.001, when={})}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkout, "has_commit", lambda commit: False)
        patch.setattr("harness.verification.verifying.part_then", lambda *words: None)
        with pytest.raises(VerificationError) as caught:
            unpacking.verify(of_commit, stricter)
    assert "judged again failed" in caught.value.why and "git fetch" in caught.value.remedy


def test_of_runs_with_uncommitted_changes_that_is_said_to_both(clone: Tree, results: Path, tmp_path: Path) -> None:
    commit(clone)
    a_record(results, part="4", program={"file": "projects/04-plate/main.py", "revision": "a" * 40, "clean": False})
    made = archive.make(PLATES, [PLATE], results, tmp_path / "pack.zip")
    assert "the code is of no one commit" in made.warnings[0]
    assert "NOT checked against a commit: its runs name none" in unpacking.verify(tmp_path / "pack.zip", PLATES)


def test_where_git_is_not_installed_nobody_is_told_to_commit(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_record(results, part="4")
    monkeypatch.setenv("PATH", str(tmp_path))
    (warning,) = archive.make(PLATES, [PLATE], results, tmp_path / "pack.zip").warnings
    assert warning.startswith("the code is of no one commit") and "git is not installed here" in warning


def test_a_title_that_changed_since_is_that_of_the_commit(clone: Tree, results: Path, tmp_path: Path) -> None:
    commit(clone)
    then = entries.load(clone.root)
    part = next(iter(then.parts.values()))
    a_record(results, part=part.name, judged_as=part, error=1e-7)
    archive.make(then, [part], results, tmp_path / "pack.zip")
    clone.project.write_text(clone.project.read_text().replace(f"title: {part.title}", "title: Another"))
    now = entries.load(clone.root)
    assert now.parts[part.name].title == "Another"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.verification.packed.part_then", lambda *words: entries.part_then(*words, clone.root))
        assert "cover" in unpacking.verify(tmp_path / "pack.zip", now)
    with pytest.raises(VerificationError, match=r"index\.html: changed"):
        unpacking.verify(tmp_path / "pack.zip", now)


# What a terminal is shown


@pytest.mark.parametrize(
    "text",
    ["\x1b[2J\x1b[1;32m✓ verified", "x\nhomework.zip: 3 files, 1 record verified", "a\u202eb", "\x9b31m", "x\r✓"],
)
def test_a_strangers_text_is_shown_as_text(pack: Path, text: str) -> None:
    files = files_of(pack)
    manifest = json.loads(files[archive.MANIFEST])
    manifest["files"][text] = {"sha256": "0" * 64, "bytes": 1}
    manifest["seal"] = seal_of({**manifest, "seal": ""})
    with pack.open("wb") as target:
        archive.write_zip(target, {**files, archive.MANIFEST: archive.json_bytes(manifest)})
    what, *found, _ = refused(pack).split("\n")
    assert what == f"{pack}: failed verification." and all(line.startswith("  · ") for line in found)
    assert all(line.isprintable() for line in found) and any("missing" in line for line in found)


def test_a_signers_file_that_is_not_there_is_a_mistake_of_the_command(pack: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file that can be read"):
        unpacking.verify(pack, BOOK, tmp_path / "none")


# Made so that it is not refused


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["a:b.txt"], "a:b.txt"),
        (["Plot.png", "plot.png"], "twice on systems"),
        (["x" * 180 + ".txt"], "longer than 200 bytes"),
        (["aux.txt"], "a device's name"),
        (["plot", "Plot/a"], "twice on systems"),
        (["blank "], "blank end"),
    ],
)
def test_what_verify_would_refuse_is_not_packed(
    results: Path, tmp_path: Path, small: None, names: list[str], says: str
) -> None:
    a_record(results, part="8-1", files=dict.fromkeys(names, b"x"))
    with pytest.raises(VerificationError) as caught:
        archive.make(BOOK, [PART], results, tmp_path / "pack.zip")
    assert says in str(caught.value) and "run that cell again" in caught.value.remedy
    assert not (tmp_path / "pack.zip").exists()


def test_too_many_files_are_not_packed(
    results: Path, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_record(results, part="8-1")
    monkeypatch.setattr("harness.publish.packs.names.FILES", 5)
    with pytest.raises(HomeworkError) as caught:
        archive.make(BOOK, [PART], results, tmp_path / "pack.zip")
    assert "a pack holds at most 5" in str(caught.value)


def test_as_many_files_as_a_pack_may_hold_are_packed_and_verified(
    results: Path, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_record(results, part="8-1")
    made = archive.make(BOOK, [PART], results, tmp_path / "pack.zip")
    for name in ("harness.publish.packs.names.FILES", "harness.verification.unpacking.FILES"):
        monkeypatch.setattr(name, made.files + 1)  # and the manifest
    archive.make(BOOK, [PART], results, tmp_path / "pack.zip")
    unpacking.verify(tmp_path / "pack.zip", BOOK)
    monkeypatch.setattr("harness.publish.packs.names.FILES", made.files)
    with pytest.raises(VerificationError):
        archive.make(BOOK, [PART], results, tmp_path / "pack.zip")


def test_a_note_that_is_not_utf8_harms_nothing(results: Path, tmp_path: Path, small: None) -> None:
    a_record(results, part="8-1")
    attach(results, PART, ["https://example.org/x"], note=os.fsdecode(b"caf\xe9"))
    archive.make(BOOK, [PART], results, tmp_path / "pack.zip", crate=True)
    assert "1 attachment verified" in unpacking.verify(tmp_path / "pack.zip", BOOK)


def test_a_part_whose_only_run_is_not_judged_is_packed_and_says_so(results: Path, tmp_path: Path, small: None) -> None:
    part = replace(PART, metrics={"error": LEFT_OUT})
    book = a_catalogue(part)
    a_record_not_judged(results, "8-1")
    made = archive.make(book, [part], results, tmp_path / "pack.zip")
    assert "not judged" in files_of(tmp_path / "pack.zip")["index.html"].decode()
    assert any("not judged" in line for line in made.warnings)
    assert "1 record verified" in unpacking.verify(tmp_path / "pack.zip", book)
