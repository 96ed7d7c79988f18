"""Records that were not finished: what goes wrong while one is made, and runs whose harness was killed."""

import hashlib
import json
import os
import platform
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from samples import a_catalogue, a_record, before_run, remount_read_only, unfinished

from harness.errors import StoreError
from harness.evidence import hashing, records, sealed
from harness.evidence.finishing import complete_here
from harness.evidence.records import Draft, adopt_unfinished, find, read
from harness.verification.verifying import verify

ROOT = Path(__file__).resolve().parents[4]


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
