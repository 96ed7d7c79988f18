"""A run there: followed to its end over as many connections as it takes, left there, or ended."""

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from harness.dispatch.ssh.connection import Address, Broken, Connection
from harness.errors import EngineError, Interrupted
from harness.terminal import yellow

LONGEST_PAUSE = 60.0
LATER = "./inv jobs follows it, ./inv jobs --cancel ends it; the same ./inv run follows it, too."
Answer = TypeVar("Answer")
Enter = Callable[[Connection], object]


def patiently(
    address: Address, enter: Enter, ask: Callable[[Connection], Answer], problem: EngineError | None = None
) -> Answer:
    """What `ask` says over a connection that is made again, ever later, as often as it breaks.

    Args:
        enter: takes the folder there.
        problem: why there is none now.

    Raises:
        EngineError: the far side refuses.
    """
    pause = 1.0
    while True:
        if problem:
            said = f"{problem.what} {problem.why.rstrip('.')}. Trying again in {pause:.0f} s."
            print(yellow(said), file=sys.stderr, flush=True)
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
        try:
            connection = Connection(address)
        except EngineError as error:
            problem = error
            continue
        with connection:
            try:
                enter(connection)
                return ask(connection)
            except Broken as broken:
                problem, pause = broken, 1.0


class Run:
    """A run at an address by its name there, and how much of its output has been shown."""

    def __init__(self, address: Address, enter: Enter, name: str) -> None:
        self._address, self._enter, self._name = address, enter, name
        self._seen = 0

    def to_its_end(self, far: Connection, words: Sequence[str]) -> int:
        """Run it, its output to stdout as it comes; its exit code. A connection that breaks is made again.

        Raises:
            Interrupted: it was left.
            EngineError: another call has run there since.
        """
        number = 0
        try:
            return far.run(self._show, do="run", words=list(words), name=self._name)
        except Broken as broken:
            problem: EngineError | None = broken
        except KeyboardInterrupt:
            number, problem = self._leave_or_end(), None
        return self.follow(number, problem)

    def follow(self, number: int = 0, problem: EngineError | None = None) -> int:
        """Follow it to its end, after it was sent the signal of that number; its exit code. Raises as `to_its_end`."""
        while True:
            try:
                return patiently(self._address, self._enter, partial(self._follow, number), problem)
            except KeyboardInterrupt:
                number, problem = self._leave_or_end(), None

    def _follow(self, number: int, far: Connection) -> int:
        return far.run(self._show, do="follow", name=self._name, start=self._seen, number=number)

    def _show(self, output: bytes) -> None:
        sys.stdout.buffer.write(output)
        sys.stdout.buffer.flush()
        self._seen += len(output)

    def _leave_or_end(self) -> int:
        """Ask after Ctrl-C what becomes of it; without a terminal it is left. Returns the signal that ends it."""
        if sys.stdin.isatty() and sys.stdout.isatty():
            with contextlib.suppress(EOFError, KeyboardInterrupt):
                if input("\nThe run is not over. Leave it there (Enter), or end it (c)? ").strip() == "c":
                    return signal.SIGINT
        print(f"\nThe run goes on on {self._address}. {LATER}", flush=True)
        raise Interrupted(signal.SIGINT)
