"""Colours: only where they can be seen."""

import io
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
