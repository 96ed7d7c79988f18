"""What a terminal shows: in colours where they can be seen, in any encoding, and to readers that leave."""

import codecs
import contextlib
import io
import json
import os
import re
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator
from typing import Any, TextIO

PLAIN = {"✓": "+", "✗": "x", "△": "^", "○": "o", "·": ".", "…": "...", "–": "-", "▶": ">", "■": "#", "│": "|",
         "→": "->", "≤": "<=", "≥": ">=", "×": "x", "␛": "^["}  # fmt: skip
LONGEST = 2000
MOVES = r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"  # a cursor, or letters


def coloured(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that wants colours (NO_COLOR and TERM=dumb say no)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _paint(code: int, text: str, stream: TextIO | None) -> str:
    return f"\033[{code}m{text}\033[0m" if coloured(stream or sys.stdout) else text


def red(text: str, stream: TextIO | None = None) -> str:
    return _paint(31, text, stream)


def green(text: str, stream: TextIO | None = None) -> str:
    return _paint(32, text, stream)


def yellow(text: str, stream: TextIO | None = None) -> str:
    return _paint(33, text, stream)


def cyan(text: str, stream: TextIO | None = None) -> str:
    return _paint(36, text, stream)


def dim(text: str, stream: TextIO | None = None) -> str:
    return _paint(2, text, stream)


def bold(text: str, stream: TextIO | None = None) -> str:
    return _paint(1, text, stream)


def harmless(text: str) -> str:
    """A stranger's text as one line that a terminal only shows: control and invisible characters are written out."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def harmless_tree(document: Any) -> Any:
    """A stranger's JSON, each text in it as one line that a terminal only shows."""
    if isinstance(document, dict):
        return {harmless(name): harmless_tree(value) for name, value in document.items()}
    if isinstance(document, list):
        return [harmless_tree(value) for value in document]
    return harmless(document) if isinstance(document, str) else document


def escaped_json(text: str) -> str:
    """JSON of a stranger's document for a terminal: the same document, without control and invisible characters."""
    return "".join(
        each
        if each.isprintable() or each == "\n"
        else json.dumps(each)[1:-1]
        if each > "\x7f"
        else f"\\u{ord(each):04x}"
        for each in text
    )


def one_line(text: str) -> str:
    """The text without what moves a terminal's cursor or turns letters round, no longer than a person reads."""
    text = text.encode("utf-8", "replace").decode()
    shown = re.sub(MOVES, " ", text.replace("\033", "␛"))
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def _readable(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(PLAIN.get(each, "?") for each in error.object[error.start : error.end]), error.end


codecs.register_error("readable", _readable)


class _Stream(io.TextIOWrapper):
    """Standard output or error: what its encoding lacks is replaced, and once it cannot be written it is silent."""

    def attach(self, lost: list[OSError]) -> "_Stream":
        self.lost = lost
        return self

    def write(self, text: str) -> int:
        with self._silenced():
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with self._silenced():
            super().flush()

    @contextlib.contextmanager
    def _silenced(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not isinstance(error, BrokenPipeError):  # `./inv matrix | head` is no error
                self.lost.append(error)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)


@contextlib.contextmanager
def forgiving() -> Iterator[list[OSError]]:
    """Within, standard output and error take every character, and a reader that leaves stops nothing.

    The errors that were met, other than a reader's leaving, are in the list that it gives, at the end.
    """
    lost: list[OSError] = []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller: the next file that is opened must not stand in its place
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif stream is getattr(sys, f"__{name}__"):
            encoding, at_once = stream.encoding, stream.line_buffering or stream.write_through
            stream.flush()
            wrapped = _Stream(stream.detach(), encoding, "readable", line_buffering=at_once).attach(lost)
            setattr(sys, name, wrapped)
            setattr(sys, f"__{name}__", wrapped)
    yield lost
    sys.stdout.flush()


def spoken(seconds: float) -> str:
    """A time as a person says it: 0.4 s, 12 s, 6 min 24 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


SIGN = 4.0  # seconds: whoever reads a log waits no longer for a sign of life
COLUMNS = 80


class Live:
    """A line that tells, for as long as something takes, how long it has and what it does.

    It is drawn on terminals only. Elsewhere, with `signs`, a line of its own comes each `SIGN` seconds.
    """

    def __init__(
        self, what: str, stream: TextIO | None = None, about: float | None = None, signs: bool = False
    ) -> None:
        self._stream = stream or sys.stdout
        self.drawn = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._told = self.drawn or signs
        self._what, self._about, self._doing = what, about, ""
        self._start = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._draw_until_over, daemon=True)

    def __enter__(self) -> "Live":
        if self._told:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._told:
            self._thread.join()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def doing(self, text: str) -> None:
        """Say what it does now."""
        self._doing = one_line(text).strip()

    def _draw_until_over(self) -> None:
        if not self.drawn:
            while not self._over.wait(SIGN):
                self._write(f"{self.line(COLUMNS + 1)}\n")
            return
        while not self._over.wait(0.2):
            self._write(f"\r{dim(self.line(self._columns()), self._stream)}\033[K")
        self._write("\r\033[K")

    def line(self, columns: int) -> str:
        """What is drawn, as much of it as fits."""
        last = f", about {spoken(self._about)} as last time" if self._about else ""
        words = [self._what, spoken(self.seconds) + last, self._doing]
        return fitted("  " + " · ".join(word for word in words if word), columns - 1)

    def _columns(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            return os.get_terminal_size(self._stream.fileno()).columns or COLUMNS
        return COLUMNS

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def fitted(text: str, columns: int) -> str:
    """The text, cut where it would go beyond so many columns; a Chinese character takes two."""
    width, kept = 0, list[str]()
    for character in text:
        width += 2 if unicodedata.east_asian_width(character) in "WF" else not unicodedata.combining(character)
        if width > columns:
            return "".join(kept[:-1]) + "…"
        kept.append(character)
    return text
