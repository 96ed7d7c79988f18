"""A run there: followed to its end over as many connections as it takes."""

import sys
import time
from collections.abc import Callable, Sequence

from harness.dispatch.ssh.connection import Address, Broken, Connection
from harness.errors import EngineError, Interrupted
from harness.evidence import hashing
from harness.terminal import yellow

LONGEST_PAUSE = 60.0
GOES_ON = "The run goes on there; the same command fetches its record later."


class Run:
    """A run at an address, and how much of its output has been shown."""

    def __init__(self, address: Address, enter: Callable[[Connection], object]) -> None:
        self._address, self._enter = address, enter
        self._name, self._seen = hashing.new_id(), 0

    def to_its_end(self, far: Connection, words: Sequence[str]) -> int:
        """Run it, its output to stdout as it comes; its exit code. A connection that breaks is made again.

        Raises:
            Interrupted: it was left.
            EngineError: another call has run there since.
        """
        try:
            return far.run(self._show, do="run", words=list(words), name=self._name)
        except Broken as broken:
            problem: EngineError = broken
        pause = 1.0
        while True:
            print(yellow(f"{problem.what} {problem.why} Trying again in {pause:.0f} s."), file=sys.stderr, flush=True)
            _wait(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
            try:
                again = Connection(self._address)
            except EngineError as error:
                problem = error
                continue
            with again:
                try:
                    self._enter(again)
                    return again.run(self._show, do="follow", name=self._name, start=self._seen)
                except Broken as broken:
                    problem, pause = broken, 1.0

    def _show(self, output: bytes) -> None:
        sys.stdout.buffer.write(output)
        sys.stdout.buffer.flush()
        self._seen += len(output)


def _wait(seconds: float) -> None:
    try:
        time.sleep(seconds)
    except KeyboardInterrupt:
        print(GOES_ON, file=sys.stderr)
        raise Interrupted(2) from None
