"""This machine's shape: every test counts on it, and the tests of vendors' machines change it for a while."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = (Path(tempfile.gettempdir()) / f"paddlehomework-machine-{os.getuid()}.lock").open("w")
held = fcntl.LOCK_UN  # by this process


@contextmanager
def _holding(how: int) -> Iterator[None]:
    global held
    before, held = held, how
    fcntl.flock(LOCK, how)
    try:
        yield
    finally:
        held = before
        fcntl.flock(LOCK, before)


@contextmanager
def kept() -> Iterator[None]:
    """Meanwhile no other process of the tests changes what devices and tools this machine has."""
    with _holding(fcntl.LOCK_EX if held == fcntl.LOCK_EX else fcntl.LOCK_SH):
        yield


@contextmanager
def changed() -> Iterator[None]:
    """Alone with this machine: it waits for the other processes' present tests, and their next ones wait for it."""
    with _holding(fcntl.LOCK_EX):
        yield
