"""The picture of a run: what a terminal would show, Chinese right, nothing left out unsaid, and never a lost run."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from samples import a_record

from harness.evidence import screen
from harness.evidence.hashing import sha256
from harness.evidence.records import FILE, LOG
from harness.evidence.screen import COLUMNS, HEAD_LINES, TAIL_LINES, draw, rows


def text(content: bytes) -> list[str]:
    return ["".join(part for part, _ in row).rstrip() for row in rows(content)]


@pytest.fixture
def run(results):
    """A record's folder and its record, without a picture."""
    folder = a_record(results)
    return folder, json.loads((folder / FILE).read_bytes())


def test_a_short_log_is_shown_whole():
    assert text("one\n飞桨 ✓\n".encode()) == ["one", "飞桨 ✓"]
    assert text(b"") == [] or text(b"") == [""]


def test_a_terminal_s_ways_are_followed():
    assert text(b"1 %\r50 %\r100 %\n") == ["100 %"]
    assert text(b"abc\x1b[1A\x1b[2Kx\n")[-1] != "abc"
    assert text(b"x" * (COLUMNS + 5)) == ["x" * COLUMNS, "x" * 5]
    ((plain, red, rest),) = rows(b"a \x1b[31mred\x1b[0m b\n")
    assert (plain[0], red, rest[0]) == ("a ", ("red", screen.RED), " b")


def test_a_long_log_is_shown_by_its_beginning_and_its_end_and_says_how_much_is_left_out():
    lines = text(b"".join(b"line %d\n" % number for number in range(1000)))
    assert lines[:2] == ["line 0", "line 1"] and lines[-1] == "line 999"
    left_out = 1000 - HEAD_LINES - TAIL_LINES
    assert sum(f"{left_out} lines are left out here" in line for line in lines) == 1
    assert len(lines) <= HEAD_LINES + TAIL_LINES + 5


@settings(max_examples=30)
@given(st.binary(max_size=400))
def test_any_bytes_have_rows(content):
    assert isinstance(text(content), list)


PLAIN = st.text(
    st.sampled_from([chr(code) for code in range(32, 127)] + list(screen.OF_ONE_CELL)), max_size=COLUMNS + 9
)


@settings(max_examples=100, deadline=None)
@given(st.lists(PLAIN, max_size=9))
def test_plain_lines_are_shown_as_a_terminal_shows_them(lines):
    """A pack's pictures are drawn again and compared, also of records from before there was a short way."""
    content = [line.encode() for line in lines]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screen, "_is_plain", lambda text: False)
        shown = list(screen._terminal(content))
        cells = [screen._cells(line) for line in lines]
    assert list(screen._terminal(content)) == shown and [screen._cells(line) for line in lines] == cells


def test_the_picture_names_verdict_command_and_hash(run, monkeypatch):
    folder, record = run
    seen = {}
    monkeypatch.setattr(screen, "_picture", lambda *blocks: seen.update(blocks=blocks) or Image.new("RGB", (1, 1)))
    assert draw(folder, {**record, "command": ["python", "main.py"]}) == ""
    head, log, foot = [["".join(part for part, _ in row).rstrip() for row in block] for block in seen["blocks"]]
    assert head[0] == "$ python main.py" and "✓ passed, 3 checks" in head[1] and record["id"] in head[1]
    assert log == ["hello"] and sha256(folder / LOG) in foot[0]


def test_chinese_is_drawn_and_what_no_face_has_is_said(run):
    folder, record = run
    (folder / LOG).write_text("骨直线 ✓ ─ 🎉\n")
    assert draw(folder, record) == ""
    with Image.open(folder / screen.FILE) as image:
        image.load()
        assert image.width > COLUMNS * 9 and image.height > 150
    faces = screen.Faces()
    assert all(faces.of(character) for character in "飞桨安装成功骨直线，。✓─█→≤é") and faces.missing == {}
    assert faces.of("🎉") is None and "U+1F389" in screen._note(faces.missing)


def test_the_same_log_is_drawn_as_the_same_bytes(run):
    folder, record = run
    draw(folder, record)
    first = (folder / screen.FILE).read_bytes()
    draw(folder, record)
    assert (folder / screen.FILE).read_bytes() == first


@pytest.mark.parametrize(
    "content", [b"\x00\xff\xfe", b"\x1b[999;999H", b"\x1b[38;2;1;2;3mx", "\u0301a\u200d".encode(), b"\n" * 9]
)
def test_odd_logs_are_drawn(run, content):
    folder, record = run
    (folder / LOG).write_bytes(content)
    assert draw(folder, record) == ""


def test_a_picture_that_cannot_be_drawn_says_why_and_loses_nothing(run, monkeypatch):
    folder, record = run

    def fail(*blocks):
        raise OSError("no face")

    monkeypatch.setattr(screen, "_picture", fail)
    assert draw(folder, record) == "OSError: no face"
    assert not (folder / screen.FILE).exists() and (folder / LOG).exists()
