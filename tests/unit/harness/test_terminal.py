"""The terminal: colours where they can be seen, every encoding, lines that fit, and readers that leave."""

import io
import json
import subprocess
import sys

import pytest

from harness import terminal


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize(
    ("paint", "code"),
    [
        (terminal.red, 31),
        (terminal.green, 32),
        (terminal.yellow, 33),
        (terminal.cyan, 36),
        (terminal.dim, 2),
        (terminal.bold, 1),
    ],
)
def test_a_terminal_gets_colours_and_a_file_none(paint, code):
    assert paint("text", Screen()) == f"\033[{code}mtext\033[0m"
    assert paint("text", io.StringIO()) == "text"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_no_colours_gets_none(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert terminal.red("text", Screen()) == "text"


def test_without_a_stream_the_one_that_is_stdout_now_decides(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Screen())
    assert terminal.bold("text") != "text"
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert terminal.bold("text") == "text"


# Any encoding


@pytest.mark.parametrize("encoding", ["ascii", "gbk", "latin-1", "utf-8"])
def test_what_an_encoding_lacks_stays_readable(encoding):
    shown = "✓ passed … ✗ failed – 判定 → ≤".encode(encoding, "readable").decode(encoding)
    assert shown.split()[1] == "passed" and "failed" in shown
    assert ("判定" in shown) == (encoding in ("gbk", "utf-8"))


def test_a_line_of_an_error_moves_no_cursor_and_has_an_end():
    assert terminal.one_line("a\nb\033[31m\r\udcff") == "a b␛[31m ?"
    assert len(terminal.one_line("x" * 10**6)) == terminal.LONGEST


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [("short", 10, "short"), ("longer than that", 10, "longer th…"), ("薄板的弯曲", 6, "薄板…"), ("", 3, "")],
)
def test_a_line_is_cut_to_the_columns_that_there_are(text, columns, shown):
    assert terminal.fitted(text, columns) == shown


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (40.2, "40 s"), (59.6, "1 min 0 s"), (384, "6 min 24 s"), (7500, "2 h 5 min")],
)
def test_times_are_said_as_a_person_says_them(seconds, said):
    assert terminal.spoken(seconds) == said


# The live line


def test_a_live_line_tells_what_it_does_and_leaves_nothing(monkeypatch):
    screen = Screen()
    with terminal.Live("8-1", screen, about=40.0) as live:
        live.doing("step 3\033[2J")
        while "step 3" not in screen.getvalue():
            pass
    drawn = screen.getvalue()
    assert "about 40 s as last time" in drawn and "\033[2J" not in drawn
    assert drawn.endswith("\r\033[K") and "\n" not in drawn


@pytest.mark.parametrize("why", ["a file", "a dumb terminal"])
def test_elsewhere_there_is_no_live_line(monkeypatch, why):
    screen = Screen() if why == "a dumb terminal" else io.StringIO()
    monkeypatch.setenv("TERM", "dumb")
    with terminal.Live("8-1", screen) as live:
        live.doing("step 3")
    assert screen.getvalue() == ""


def test_elsewhere_a_line_tells_every_few_seconds_that_it_goes_on_where_that_is_asked(monkeypatch):
    monkeypatch.setattr(terminal, "SIGN", 0.01)
    log = io.StringIO()
    with terminal.Live("Building", log, signs=True) as live:
        live.doing("step 3\033[2J")
        while log.getvalue().count("\n") < 2:
            pass
    assert "  Building · 0.0 s · step 3" in log.getvalue()
    assert "\r" not in log.getvalue() and "\033" not in log.getvalue()


# Readers that leave


@pytest.mark.parametrize(("place", "code"), [("/dev/full", "1"), ("/dev/null", "0")])
def test_output_that_cannot_be_written_stops_nothing_and_is_told(tmp_path, place, code):
    done = tmp_path / "done"
    script = f"""
import sys; sys.path.insert(0, {str(terminal.__file__.rsplit("/", 2)[0])!r})
from harness import terminal
with terminal.forgiving() as lost:
    for _ in range(10000): print("words", flush=True)
    open({str(done)!r}, "w").write("done")
sys.exit(len(lost))
"""
    with open(place, "w") as file:
        ended = subprocess.run([sys.executable, "-c", script], stdout=file, stderr=subprocess.PIPE, text=True)
    assert (str(ended.returncode), ended.stderr, done.read_text()) == (code, "", "done")


def test_lines_of_both_streams_come_in_order_where_python_buffers_neither():
    script = f"""
import os, sys; sys.path.insert(0, {str(terminal.__file__.rsplit("/", 2)[0])!r})
from harness import terminal
with terminal.forgiving():
    print("first", file=sys.stderr)
    os.write(2, b"second\\n")
    print("third")
    os.write(2, b"fourth\\n")
"""
    ended = subprocess.run([sys.executable, "-u", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert ended.stdout.split() == [b"first", b"second", b"third", b"fourth"]


# A stranger's text


@pytest.mark.parametrize(
    "text", ["\x1b[2J", "a\rb", "a\nb", "\x9b31m", "a\u202eb", "\u2028", "\x7f", "\udc80", "e\U000e0041"]
)
def test_a_strangers_text_moves_no_cursor_and_hides_nothing(text):
    assert terminal.harmless(text).isprintable() and terminal.harmless(f"误差 {text}").startswith("误差 ")
    assert terminal.harmless_tree({text: [text, 1, None, {"a": text}]}).keys() == {terminal.harmless(text)}


@pytest.mark.parametrize("text", ["\x9b31m", "a\u202eb", "\x7f", "\x1b\n", "误差", "e\U000e0041", "\\"])
def test_a_strangers_json_is_the_same_document_without_control_characters(text):
    shown = terminal.escaped_json(json.dumps({"a": text}, ensure_ascii=False, indent=2))
    assert json.loads(shown) == {"a": text} and all(line.isprintable() for line in shown.split("\n"))


@pytest.mark.parametrize("text", ["\x1b[2Jb", "a\nb", "\r\x9b31mb", "\u202eb", "\u2066b\u2069", "\u2028b", "\u200fb"])
def test_one_line_moves_no_cursor_and_turns_no_letters_round(text):
    assert terminal.one_line(text).isprintable()
    assert "汉\u3000字" in terminal.one_line(f"{text}汉\u3000字")  # a blank of Chinese texts
