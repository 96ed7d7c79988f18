"""A reproducer's verdict, its last line. An end without one, a crash or a traceback, tells nothing about the fault."""

import sys
from typing import NoReturn

WORDS = ("present", "absent", "elsewhere")


def present(why: str) -> NoReturn:
    """The fault is there."""
    _end("present", why)


def absent(why: str) -> NoReturn:
    """This Paddle does not have it."""
    _end("absent", why)


def elsewhere(why: str) -> NoReturn:
    """It can only show itself on another machine or with other packages."""
    _end("elsewhere", why)


def _end(word: str, why: str) -> NoReturn:
    print(f"{word}: {' '.join(why.split())[:300]}", flush=True)
    sys.exit()
