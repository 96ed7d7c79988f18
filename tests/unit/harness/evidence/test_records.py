"""Records: sealed by a hash of hashes, never half-written, adopted when their harness was killed."""

import contextlib
import copy
import hashlib
import json
import os
import platform
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import a_catalogue, a_record, before_run, remount_read_only

from harness.errors import DataFileError, StoreError, UsageError
from harness.evidence import hashing, records, sealed, statements
from harness.evidence.finishing import complete_here
from harness.evidence.hashing import seal_of
from harness.evidence.records import Draft, adopt_unfinished, find, libraries, read
from harness.verification.verifying import verify

ROOT = Path(__file__).resolve().parents[4]


def unfinished(results: Path) -> list[str]:
    folder = results / ".unfinished"
    return sorted(os.listdir(folder)) if folder.exists() else []


# Sealing


def test_a_sealed_record_stands_at_its_place_and_reads_back(results):
    folder = a_record(results, part="4", kind="cpu")
    record = read(folder / "record.json")
    assert folder == results / "4" / "cpu" / record["id"]
    assert record["schema"] == 2 and record["passed"] is True
    assert sorted(record["artefacts"]) == ["device.json", "metrics.json", "run.log", "statement.json"]
    assert record["artefacts"]["run.log"] == {
        "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        "bytes": 5,
    }
    assert sorted(os.listdir(folder)) == ["device.json", "metrics.json", "record.json", "run.log", "statement.json"]
    assert unfinished(results) == []


def test_an_id_sorts_by_time():
    ids = [hashing.new_id() for _ in range(50)]
    assert all(re.fullmatch(r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{6}", name) for name in ids)
    assert len(set(ids)) == 50 and [name[:20] for name in ids] == sorted(name[:20] for name in ids)


def test_a_moment_is_written_in_utc_with_milliseconds():
    assert hashing.timestamp(datetime(2026, 1, 2, 3, 4, 5, 6000, timezone.utc)) == "2026-01-02T03:04:05.006Z"


def test_the_canonical_form_stays_what_it_is():
    """Otherwise every seal and statement of before is broken."""
    document = {"板": "é", "b": [1, 0.5, None], "a": {"d": True, "c": ""}}
    canonical = '{"a":{"c":"","d":true},"b":[1,0.5,null],"板":"é"}'.encode()
    digest = hashlib.sha256(canonical).hexdigest()
    assert seal_of({**document, "seal": "x"}) == f"sha256:{digest}" and statements.digest(document) == digest


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_strict_json_lacks_is_neither_sealed_nor_written(tmp_path, number):
    """Otherwise a record holds what other tools' JSON refuses."""
    for write in (seal_of, statements.digest, lambda document: hashing.write_json(tmp_path / "x.json", document)):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write({"x": number})
    assert os.listdir(tmp_path) == []


def test_files_in_folders_and_links_are_hashed_links_by_what_they_say(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "deep.txt").write_text("x")
    (tmp_path / "secret").symlink_to("/etc/hostname")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "record.json").write_text("{}")
    hashes = hashing.hash_files(tmp_path)
    assert sorted(hashes) == ["a/b/deep.txt", "loop", "secret"]
    assert hashes["secret"]["bytes"] == len("/etc/hostname")
    assert hashes["secret"]["sha256"] != hashing.sha256(Path("/etc/hostname"))


def test_the_hash_without_file_digest_is_the_same(tmp_path):
    (tmp_path / "file").write_bytes(os.urandom(3 * 2**20))
    with (tmp_path / "file").open("rb") as file:
        assert hashing._digest(file) == hashing.sha256(tmp_path / "file")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=5))
def test_a_seal_does_not_depend_on_order_or_layout_and_survives_json(document):
    seal = seal_of(document)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", seal)
    assert seal_of(dict(reversed(document.items()))) == seal
    assert seal_of(json.loads(json.dumps(document, indent=3))) == seal
    assert seal_of({**document, "seal": "anything"}) == seal


def places_in(document: Any, steps: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value of a document."""
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [steps, *(place for key, value in inner for place in places_in(value, (*steps, key)))]


@given(data=st.data())
def test_a_record_changed_at_any_place_is_refused(tmp_path_factory, data):
    results = tmp_path_factory.getbasetemp() / "tampered"
    folder = next(iter(results.glob("4/cpu/*")), None) or a_record(results)
    original = json.loads((folder / "record.json").read_bytes())
    record = copy.deepcopy(original)
    *way, last = data.draw(st.sampled_from([place for place in places_in(original) if place]))
    target = record
    for step in way:
        target = target[step]
    action = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if action == "remove":
        del target[last]
    elif action == "add" and isinstance(target, dict):
        target["more"] = data.draw(json_values)
    else:
        target[last] = data.draw(json_values)
    changed = results.parent / "changed" / "record.json"
    changed.parent.mkdir(exist_ok=True)
    changed.write_text(json.dumps(record))
    if json.dumps(record, sort_keys=True) == json.dumps(original, sort_keys=True):
        assert read(changed) == original
        return
    with pytest.raises(DataFileError):
        read(changed)
    assert verify(changed.parent, a_catalogue())


@given(st.data())
def test_a_record_with_any_byte_changed_is_refused_or_says_the_same(tmp_path_factory, data):
    results = tmp_path_factory.getbasetemp() / "bytes"
    folder = next(iter(results.glob("4/cpu/*")), None) or a_record(results)
    text = bytearray((folder / "record.json").read_bytes())
    where = data.draw(st.integers(0, len(text) - 1))
    text[where] = data.draw(st.integers(0, 255))
    path = results.parent / "changed.json"
    path.write_bytes(text)
    with contextlib.suppress(DataFileError):
        assert seal_of(read(path)) == seal_of(read(folder / "record.json"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "5",
        '"text"',
        "{}",
        '{"schema": 2}',
        '{"schema": 1, "seal": NaN, "x": NaN}',
        "\xff",
        "[" * 10**5,
    ],
)
def test_what_is_no_record_is_refused_in_words(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DataFileError, match=re.escape(str(path))):
        read(path)


def test_a_record_nested_to_the_limit_is_refused_in_words(tmp_path):
    """Otherwise between what json reads and what it can write again, RecursionError comes through."""
    path = tmp_path / "record.json"
    for depth in range(700, 1000):
        path.write_text('{"schema": 1, "seal": "", "metrics": ' + "[" * depth + "]" * depth + "}")
        with pytest.raises(DataFileError):
            read(path)


# What goes wrong while a record is made


def test_what_was_not_sealed_is_taken_away(results):
    with pytest.raises(RuntimeError), Draft(results, before_run()) as draft:
        assert json.loads((draft.folder / "record.json").read_text())["id"] == draft.folder.name
        raise RuntimeError
    assert unfinished(results) == [] and not list(results.glob("4/cpu/*"))


def test_an_error_of_the_disk_is_told_as_one_of_the_results(results):
    with pytest.raises(StoreError) as caught, Draft(results, before_run()):
        raise OSError(28, "No space left on device")
    assert "results cannot be written" in caught.value.what and "No space left" in caught.value.why
    assert unfinished(results) == []


def test_a_reader_that_leaves_early_is_not_taken_for_a_full_disk(results):
    """Otherwise `./inv run | head` ends with "results cannot be written", exit code 7."""
    with pytest.raises(BrokenPipeError), Draft(results, before_run()):
        raise BrokenPipeError(32, "Broken pipe")


def test_a_place_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(StoreError, match="results cannot be written"):
        Draft(tmp_path / "results", before_run())


def test_a_read_only_folder_is_refused_before_anything_runs(small_disk):
    a_record(small_disk)
    remount_read_only(small_disk)
    with pytest.raises(StoreError) as caught:
        Draft(small_disk, before_run())
    assert "Read-only file system" in caught.value.why
    assert adopt_unfinished(small_disk) == []
    assert len(find(small_disk, "all")) == 1, "reading goes on"


def test_a_full_folder_leaves_nothing_half_written(small_disk):
    (small_disk / "ballast").write_bytes(bytes(2**20 - 6 * 4096))
    with pytest.raises(StoreError, match="No space left"), Draft(small_disk, before_run()) as draft:
        (draft.folder / "big").write_bytes(bytes(2**20))
    assert unfinished(small_disk) == [] and not list(small_disk.glob("4/cpu/*"))
    (small_disk / "ballast").unlink()
    assert a_record(small_disk).is_dir()


@pytest.mark.parametrize(
    "metrics",
    [{"error": "\ud800"}, {"\udcff": 1}],
    ids=["a value", "a name"],
)
def test_half_a_character_in_the_metrics_does_not_lose_the_run(results, metrics):
    """Otherwise json reads "\\ud800", and writing it as UTF-8 ends with UnicodeEncodeError."""
    folder = a_record(results, metrics=metrics)
    assert read(folder / "record.json")["metrics"] == metrics


def test_a_file_whose_name_is_not_utf_8_does_not_lose_the_run(results):
    """Otherwise the name becomes half characters, and the record cannot be written."""
    with Draft(results, before_run()) as draft:
        Path(os.fsdecode(bytes(draft.folder) + b"/plot-\xff.png")).write_bytes(b"x")
        folder = draft.seal().folder
    assert read(folder / "record.json")


def test_a_pipe_that_a_program_leaves_does_not_hold_up_the_seal(results):
    """Otherwise hashing opens it and waits for ever."""
    folder = results / "run"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    script = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from harness.evidence.hashing import hash_files
for name, file in hash_files(Path({str(folder)!r})).items():
    print(name, file["sha256"])
"""
    kind = hashlib.sha256(b"mode 10000").hexdigest()  # all that a pipe is
    try:
        done = subprocess.run([sys.executable, "-c", script], timeout=20, capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        pytest.fail("hashing waits for a writer that never comes")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"pipe {kind}\n", "")


def test_two_drafts_at_the_same_moment_are_two(results):
    drafts = [Draft(results, {**before_run(), "id": hashing.new_id()}) for _ in range(20)]
    assert len({draft.folder for draft in drafts}) == 20
    assert adopt_unfinished(results) == []
    places = []
    threads = [threading.Thread(target=lambda each=each: places.append(each.seal().folder)) for each in drafts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({read(place / "record.json")["id"] for place in places}) == 20
    assert unfinished(results) == []


# Runs whose harness was killed


def killed_harness(results: Path, before: str = "") -> str:
    """Start a harness that makes a draft, kill it, and give the draft's id."""
    script = f"""
import json, subprocess, sys, time
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from harness.evidence.records import Draft
draft = Draft(Path({str(results)!r}), json.loads({json.dumps(before_run())!r}))
(draft.folder / "run.log").write_text("so far")
{before}
print(draft.folder.name, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    name = process.stdout.readline().strip()
    assert adopt_unfinished(results) == [], "alive, so left alone"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return name


def test_the_draft_of_a_killed_harness_is_sealed_and_says_so(results):
    name = killed_harness(results)
    (place,) = adopt_unfinished(results, complete_here)
    record = read(place / "record.json")
    assert place == results / "4" / "cpu" / name and unfinished(results) == []
    assert record["exit"] == {"reason": "interrupted", "code": None, "signal": None}
    assert record["passed"] is False and "killed" in record["checks"][0]["why"]
    assert sorted(record["artefacts"]) == ["run.log", "screen.png", "statement.json"]
    assert record["screen"] == {"file": "screen.png", "why": ""}
    assert verify(place, a_catalogue()) == []
    assert adopt_unfinished(results) == []


def test_the_files_of_a_killed_run_are_sealed_without_their_secrets(results):
    """Otherwise what a program left of a token goes into the seal, and from there to every store."""
    secret = f"hf_{secrets.token_hex(20)}"
    leave = f"(draft.folder / 'notes.txt').write_text('so {secret}'); (draft.folder / 'x').mkdir(); "
    killed_harness(results, leave + f"(draft.folder / 'x' / 'deep.json').write_text('[\"{secret}\"]')")
    (place,) = adopt_unfinished(results, complete_here)
    assert (place / "notes.txt").read_text() == "so [redacted]"
    assert json.loads((place / "x" / "deep.json").read_text()) == ["[redacted]"]
    assert verify(place, a_catalogue()) == []


def test_an_adopted_log_has_the_size_that_it_has(results):
    """Otherwise the record says that the program printed nothing."""
    killed_harness(results)
    (place,) = adopt_unfinished(results)
    assert read(place / "record.json")["log"]["bytes"] == len("so far")


def test_a_draft_in_which_an_orphan_still_writes_is_alive(results):
    name = killed_harness(
        results,
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1)'], stdout=subprocess.DEVNULL, "
        "pass_fds=(draft.lock.fileno(),))",
    )
    assert adopt_unfinished(results) == [] and unfinished(results) == [name]
    deadline = time.monotonic() + 10
    while not (places := adopt_unfinished(results)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert places == [results / "4" / "cpu" / name]


def test_a_draft_that_got_no_record_is_taken_away(results):
    (results / ".unfinished" / "empty").mkdir(parents=True)
    (results / ".unfinished" / "torn").mkdir()
    (results / ".unfinished" / "torn" / "record.json").write_text('{"id": ')
    assert adopt_unfinished(results) == [] and unfinished(results) == []


@pytest.mark.parametrize("text", ["null", "[]", "5", '{"times": 5}', '{"times": {}, "cell": 5}'])
def test_a_draft_whose_record_is_something_else_does_not_stop_every_run(results, text):
    """AttributeError or TypeError ends each ./inv run until the folder is removed."""
    (results / ".unfinished" / "odd").mkdir(parents=True)
    (results / ".unfinished" / "odd" / "record.json").write_text(text)
    assert adopt_unfinished(results) == []


def test_a_stray_file_among_the_drafts_is_left_alone(results):
    (results / ".unfinished").mkdir()
    (results / ".unfinished" / "note.txt").write_text("mine")
    assert adopt_unfinished(results) == [] and unfinished(results) == ["note.txt"]


def test_a_killed_run_is_kept_while_the_disk_is_full(results, monkeypatch):
    """Otherwise when it cannot be sealed for want of space, the whole draft is removed."""
    name = killed_harness(results)

    def full(path: Path, document: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(sealed, "write_json", full)
        assert adopt_unfinished(results) == []
    assert (results / ".unfinished" / name / "run.log").exists()
    assert len(adopt_unfinished(results)) == 1


def test_a_run_that_is_being_sealed_is_still_alive(results, monkeypatch):
    """Otherwise the lock's file goes before the hashing; another ./inv run then adopts a live draft."""
    hash_files, adopted = hashing.hash_files, []

    def hash_while_another_starts(folder: Path, manifest: str) -> Any:
        monkeypatch.setattr(sealed, "hash_files", hash_files)
        adopted.extend(adopt_unfinished(results))
        return hash_files(folder, manifest)

    monkeypatch.setattr(sealed, "hash_files", hash_while_another_starts)
    folder = a_record(results)
    assert adopted == []
    assert read(folder / "record.json")["passed"] is True


def test_a_draft_says_which_machine_it_is_on(results):
    """On a shared folder a lock may not be seen from elsewhere: another machine goes by this name."""
    with Draft(results, before_run()) as draft:
        assert (draft.folder / hashing.LOCK).read_text() == platform.node()


def test_a_run_that_is_just_starting_is_alive(results, monkeypatch):
    """Otherwise between the folder and its lock another ./inv run removes the draft."""
    hold = records._hold

    def hold_while_another_starts(folder: Path) -> Any:
        monkeypatch.setattr(records, "_hold", hold)
        adopt_unfinished(results)
        return hold(folder)

    monkeypatch.setattr(records, "_hold", hold_while_another_starts)
    with Draft(results, before_run()) as draft:
        assert draft.folder.is_dir()


# Finding


@pytest.fixture
def three(results):
    return [a_record(results, part=part, kind=kind) for part, kind in [("8-2", "sim"), ("4", "cpu"), ("10", "cpu")]]


def test_runs_are_found_by_id_prefix_latest_and_all(results, three):
    assert find(results, "latest") == [three[2]]
    assert find(results, "all") == three
    assert find(results, three[0].name) == [three[0]]
    assert find(results, three[1].name[:-1]) == [three[1]]


def test_words_that_name_no_run_or_several_are_refused(results, three):
    with pytest.raises(UsageError, match=f"The latest is {three[2].name}"):
        find(results, "1999")
    with pytest.raises(UsageError, match="3 runs begin so"):
        find(results, "2026")


def test_of_many_runs_that_begin_so_five_are_named(results):
    names = [a_record(results, model=str(number)).name for number in range(2)]
    with pytest.raises(UsageError, match="2 runs begin so"):
        find(results, "2026")
    names += [a_record(results, model=str(number)).name for number in range(3)]
    with pytest.raises(UsageError, match=re.escape(f"5 runs begin so.\n{', '.join(names)}.\n")):
        find(results, "2026")
    a_record(results)
    with pytest.raises(UsageError, match=re.escape(f"6 runs begin so.\n{', '.join(names)}, ….\n")):
        find(results, "2026")


def test_without_records_there_is_nothing_to_find(results):
    for word in ("latest", "2026"):
        with pytest.raises(UsageError, match="no record yet"):
            find(results, word)
    assert find(results, "all") == [] and find(results / "nowhere", "all") == []


def test_drafts_references_and_stray_files_are_no_runs(results, three):
    for name in (".unfinished/x/y", "reference/cpu/run", "by-hand/cpu/run"):
        (results / name).mkdir(parents=True)
    (results / "note.txt").write_text("")
    (results / "4" / "note.txt").write_text("")
    (results / "4" / "cpu" / "note.txt").write_text("")
    (results / "4" / "link").symlink_to(results / "4" / "cpu")
    assert find(results, "all") == three


def test_a_whole_id_is_never_ambiguous(results, three):
    """Otherwise beside a copy of its folder a run cannot be named any more."""
    (three[0].parent / f"{three[0].name}-copy").mkdir()
    assert find(results, three[0].name) == [three[0]]


def test_a_folder_that_is_no_run_is_not_the_latest(results, three):
    """Otherwise any folder whose name sorts behind the ids is `latest`."""
    (results / "4" / "cpu" / "plots").mkdir()
    assert find(results, "latest") == [three[2]]


# What multiplied matrices


def test_each_library_is_said_with_what_is_known_of_it():
    whole = {"name": "OpenBLAS", "of": "numpy", "version": "0.3.23", "kernel": "Haswell", "threads": 2}
    bare = {"name": "MKL", "of": "paddle", "version": None, "kernel": "", "threads": 1}
    record: Any = {"device": {"libraries": [whole, bare, "odd", {**whole, "threads": None}]}}
    assert list(libraries(record)) == [
        ("OpenBLAS of numpy", "0.3.23, kernel Haswell, 2 threads"),
        ("MKL of paddle", "unknown version, kernel unknown, 1 thread"),
        ("OpenBLAS of numpy", "0.3.23, kernel Haswell"),
    ]


@pytest.mark.parametrize("device", [None, {}, {"libraries": []}, {"libraries": "MKL"}])
def test_of_a_record_without_its_libraries_they_are_unknown(device):
    assert list(libraries({"device": device})) == [("BLAS", "unknown")]
