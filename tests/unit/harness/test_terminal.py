"""Colours: only where they can be seen."""

import io
import json
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
