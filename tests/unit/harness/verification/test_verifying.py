"""Verification: everything about a record that is not as it says is found, and named with its file."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import PROJECT_FILE, Tree, a_catalogue, a_kind, a_part, a_record

from harness.catalogue.entries import Metric
from harness.errors import VerificationError
from harness.evidence.hashing import hash_files, read_json, seal_of, write_json
from harness.verification.verifying import require_verified, verify

BOOK = a_catalogue()


def forge(folder: Path, change) -> None:
    """Change a record and seal it again, as someone would who knows how."""
    path = folder / "record.json"
    record = json.loads(path.read_text())
    change(record)
    record["artefacts"] = hash_files(folder) if "artefacts" in record else None
    record["seal"] = seal_of(record)
    write_json(path, record)


def test_a_good_record_holds_whether_it_passed_or_failed(results):
    assert verify(a_record(results), BOOK) == []
    assert verify(a_record(results, error=0.5), BOOK) == []


def test_a_changed_a_missing_and_an_added_file_are_each_named(results):
    folder = a_record(results)
    (folder / "run.log").write_text("another story")
    (folder / "device.json").unlink()
    (folder / "more").mkdir()
    (folder / "more" / "extra").write_text("")
    lines = "\n".join(verify(folder, BOOK))
    assert f"{folder}/run.log: changed after it was sealed" in lines
    assert f"{folder}/device.json: missing" in lines
    assert f"{folder}/more/extra: not one of its files" in lines


def test_a_file_made_a_link_to_the_same_content_is_a_change(results, tmp_path):
    folder = a_record(results)
    shutil.move(folder / "run.log", tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", folder / "run.log")
    assert any("run.log: changed" in line for line in verify(folder, BOOK))


def test_a_broken_seal_is_one_line(results):
    folder = a_record(results)
    path = folder / "record.json"
    path.write_text(path.read_text().replace('"passed": true', '"passed": false'))
    (line,) = verify(folder, BOOK)
    assert "the seal is broken" in line and str(path) in line and "\n" not in line


@pytest.mark.parametrize("name", ["record.json", "statement.json", "metrics.json"])
@pytest.mark.parametrize(
    "other",
    [
        lambda text: text.replace("{", '{"passed": false, "_type": 1, "error": 9,', 1).encode(),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
    ],
)
def test_bytes_that_another_reader_reads_otherwise_are_found_though_every_seal_is_whole(results, name, other):
    folder = a_record(results)
    path = folder / name
    path.write_bytes(other(path.read_text()))
    if name != "record.json":
        forge(folder, lambda record: None)
    assert any(name in line for line in verify(folder, BOOK))


@pytest.mark.parametrize("other", [json.dumps, lambda record: json.dumps(record, indent=2) + "\n\n"])
def test_a_record_written_over_in_other_bytes_is_found_though_it_says_the_same(results, other):
    folder = a_record(results)
    path = folder / "record.json"
    path.write_text(other(read_json(path.read_bytes())))
    (line,) = verify(folder, BOOK)
    assert "record.json: written over" in line


def test_a_number_that_no_double_holds_makes_no_record(results):
    folder = a_record(results)
    forge(folder, lambda record: record["times"].update(seconds=10**400))
    (line,) = verify(folder, BOOK)
    assert "an integer of 401 digits" in line


def test_a_record_that_is_not_there_is_said(tmp_path):
    (line,) = verify(tmp_path, BOOK)
    assert "not a readable record" in line


def test_a_record_at_another_place_is_named(results):
    folder = a_record(results)
    shutil.copytree(folder, results / "4" / "sim" / folder.name)
    (line,) = verify(results / "4" / "sim" / folder.name, BOOK)
    assert f"it is the record 4/cpu/{folder.name}" in line


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda record: record["metrics"].update(error=0.0), "its metrics are not those of metrics.json"),
        (lambda record: record["device"].update(device="gpu"), "its device proof is not that of device.json"),
        (lambda record: record.update(passed=False), "its verdict is not that of its checks"),
        (lambda record: record["checks"].pop(), "check error was not asked, judged again passed"),
        (lambda record: record["checks"][2].update(passed=False), "its verdict is not that of its checks"),
        (lambda record: record["checks"][2].update(passed=False, verdict="failed"), "check error was failed"),
        (lambda record: record["checks"][2].update(verdict="not judged"), "check error was not judged"),
        (lambda record: record.update(verdict="not judged"), "its verdict is not that of its checks"),
        (lambda record: record["checks"][2].update(asked="at most 9"), "was passed (at most 9)"),
        (lambda record: record["cell"].update(part="77"), "knows no cell 77 on cpu"),
        (lambda record: record["cell"].update(hardware="npu"), "knows no cell 4 on npu"),
        (lambda record: record.update(id="20200101T000000.000Z-abcdef"), "it is the record 4/cpu/2020"),
        (lambda record: record.pop("seed"), "'seed' is a required property"),
        (lambda record: record.update(seed="0"), "seed: "),
        (lambda record: record.update(extra=1), "'extra' was unexpected"),
        (lambda record: record.update(cards=0), "cards: "),
        (lambda record: record["exit"].update(reason="finished", code=1), "check program was passed"),
        (lambda record: record["exit"].update(reason="vanished"), "exit.reason"),
        (lambda record: record.update(checks=[]), "checks: "),
        (lambda record: record["times"].update(started="yesterday"), "times.started"),
    ],
)
def test_a_forged_record_is_found_though_its_seal_is_whole(results, change, says):
    folder = a_record(results)
    forge(folder, change)
    lines = verify(folder, BOOK)
    assert any(says in line for line in lines), lines


def test_a_failed_run_forged_into_a_passed_one_is_found(results):
    folder = a_record(results, error=0.5)

    def change(record):
        record.update(passed=True, verdict="passed")
        record["checks"][2].update(passed=True, verdict="passed", why="")

    forge(folder, change)
    assert any("check error was passed" in line and "judged again failed" in line for line in verify(folder, BOOK))


def test_metrics_forged_together_with_the_record_are_judged_by_the_rules(results):
    folder = a_record(results)
    (folder / "metrics.json").write_text('{"error": 0.5}')
    forge(folder, lambda record: record["metrics"].update(error=0.5))
    assert any("judged again failed" in line for line in verify(folder, BOOK))


def test_a_record_is_judged_by_the_bounds_of_this_checkout(results):
    stricter = a_catalogue(a_part(metrics={"error": Metric(name="error", at_most=0.001, when={})}))
    (line,) = verify(a_record(results), stricter)
    assert "was passed (at most 0.1), judged again failed (at most 0.001)" in line


@pytest.fixture
def commit(tmp_path, monkeypatch):
    """A git checkout in which this project.yaml is committed; its commit is returned."""
    tree = Tree(tmp_path / "checkout")
    monkeypatch.setattr("harness.verification.verifying.ROOT", tree.root)

    def made(text: str) -> str:
        tree.project.write_text(text)
        who = ("-c", "user.name=x", "-c", "user.email=x@x")
        for words in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "--allow-empty", "-m", "x")):
            subprocess.run(["git", "-C", tree.root, *words], check=True)
        return subprocess.check_output(["git", "-C", tree.root, "rev-parse", "HEAD"], text=True).strip()

    return made


def then(bound: str) -> str:
    return PROJECT_FILE.replace("at_most: 1.0e-6", bound)


def test_a_record_from_before_a_bound_changed_still_holds_by_the_bound_of_its_revision(results, commit):
    stricter = a_catalogue(a_part(metrics={"error": Metric(name="error", at_most="1e-3 * cards", when={})}))
    program = {"file": "projects/04-plate/main.py", "revision": commit(then("at_most: 0.1")), "clean": True}
    assert verify(a_record(results, program=program), stricter) == []
    assert verify(a_record(results, error=0.5, program=program), stricter) == []
    program["revision"] = commit(then("at_most: 0.2"))
    (line,) = verify(a_record(results, program=program), stricter)
    assert "was passed (at most 0.1), judged again failed (at most 0.001 (1e-3 * cards))" in line


@pytest.mark.parametrize(
    "changes",
    [
        {"revision": "f" * 40},
        {"revision": "HEAD"},
        {"revision": None},
        {"file": "projects/../secret/main.py"},
        {"file": "projects/05-other/main.py"},
        {"file": ""},
    ],
)
def test_a_revision_that_git_does_not_have_excuses_nothing(results, commit, changes):
    stricter = a_catalogue(a_part(metrics={"error": Metric(name="error", at_most=0.001, when={})}))
    program = {"file": "projects/04-plate/main.py", "revision": commit(then("at_most: 0.1")), "clean": True, **changes}
    (line,) = verify(a_record(results, program=program), stricter)
    assert "was passed (at most 0.1), judged again failed (at most 0.001)" in line


@pytest.mark.parametrize("text", ["[", "parts: {}", "parts: {'4': 5}", "parts: {'4': {}}", "", "- 1"])
def test_rules_that_read_no_more_excuse_nothing(results, commit, text):
    stricter = a_catalogue(a_part(metrics={"error": Metric(name="error", at_most=0.001, when={})}))
    program = {"file": "projects/04-plate/main.py", "revision": commit(text), "clean": True}
    assert len(verify(a_record(results, program=program), stricter)) == 1


def test_a_record_of_a_kind_or_part_that_this_checkout_lacks_is_said(results):
    folder = a_record(results)
    for book in (a_catalogue(a_part("5")), a_catalogue(kinds=(a_kind("npu"),))):
        (line,) = verify(folder, book)
        assert "this checkout knows no cell 4 on cpu" in line


@settings(max_examples=25)
@given(key=st.text(max_size=4), value=st.none() | st.integers() | st.text(max_size=4) | st.lists(st.none(), max_size=2))
def test_any_forged_field_is_found_and_nothing_stumbles(tmp_path_factory, key, value):
    results = tmp_path_factory.getbasetemp() / "forged"
    folder = next(iter(results.glob("4/cpu/*")), None) or a_record(results)
    original = (folder / "record.json").read_bytes()
    try:
        for place in (None, "cell", "exit", "times", "hardware", "log", "program"):
            forge(folder, lambda record, place=place: (record[place] if place else record).update({f"x{key}": value}))
            assert verify(folder, BOOK), place
            (folder / "record.json").write_bytes(original)
    finally:
        (folder / "record.json").write_bytes(original)


def test_findings_are_counted_and_the_first_twenty_shown(tmp_path):
    require_verified({tmp_path / "a": [], tmp_path / "b": []})
    with pytest.raises(VerificationError, match="1 of 2 records failed verification"):
        require_verified({tmp_path / "a": ["a: missing"], tmp_path / "b": []})
    with pytest.raises(VerificationError) as caught:
        require_verified({tmp_path / str(number): [f"line {number}"] for number in range(25)})
    assert "25 of 25 records failed verification" in caught.value.what
    assert "line 19" in str(caught.value) and "line 20" not in str(caught.value) and "and 5 more" in str(caught.value)
