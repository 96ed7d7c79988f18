"""The launcher of several ranks: its words, and the bounds of what it keeps."""

import io
import os
import threading

import pytest
from kit import launch


@pytest.mark.parametrize(
    ("words", "lacking"),
    [
        (["main.py", "--cards", "2"], "--out is missing"),
        (["main.py", "--cards", "2", "--out"], "--out is missing"),
        (["main.py", "--out", "here"], "--cards is missing"),
    ],
)
def test_a_missing_word_is_named(words, lacking, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as leaving:
        launch.launch(words)
    assert leaving.value.code == 2 and lacking in capsys.readouterr().err


def test_ranks_that_the_machines_cannot_share_are_refused(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PADDLE_NNODES", "3")
    with pytest.raises(SystemExit):
        launch.launch(["main.py", "--cards", "8", "--out", str(tmp_path)])
    assert "not the same number on each of 3 machines" in capsys.readouterr().err


def copied(content: bytes) -> bytes:
    """What a log keeps of `content`."""
    source, sink = os.pipe()
    log = io.BytesIO()

    def write() -> None:
        with open(sink, "wb") as file:
            file.write(content)

    writer = threading.Thread(target=write)
    writer.start()
    with open(source, "rb", buffering=0) as file:
        launch._copy(file, log)
    writer.join()
    return log.getvalue()


@pytest.mark.parametrize("content", [b"", b"a line\n", bytes(launch.LOG_BYTES)])
def test_a_log_keeps_all_of_what_is_not_too_much(content):
    assert copied(content) == content


def test_of_a_flood_a_log_keeps_the_start_and_the_end():
    kept = copied(b"start" + b"x" * (12 * 2**20) + b"end")
    assert kept.startswith(b"start") and kept.endswith(b"end") and b"left out here" in kept
    assert len(kept) <= 2 * launch.LOG_BYTES + 100


@pytest.mark.parametrize(("code", "words"), [(3, "with exit code 3"), (-9, "killed by SIGKILL")])
def test_an_ending_reads_as_words(code, words):
    assert launch._ending(code) == words


def test_the_end_of_a_log_is_short_and_a_missing_one_is_said(tmp_path):
    path = tmp_path / "0.log"
    assert "did not come to write" in launch._end_of(path)
    path.write_text("".join(f"line {number}\n" for number in range(100)))
    assert launch._end_of(path).splitlines() == [f"  line {number}" for number in range(60, 100)]
