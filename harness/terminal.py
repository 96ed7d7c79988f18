"""What a terminal shows: colours only where they can be seen."""

import os
import sys
from typing import TextIO


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
