"""Make docs/terminal.gif, the README's picture: commands in a terminal as they really ran, with long waits shortened.

    .venv/bin/python docs/terminal.py

It makes the records that it shows; their stacks are there from then on.
"""

import os
import pty
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyte
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from harness.evidence import screen  # noqa: E402

COMMANDS = ("./inv run 1,8-1", "./inv verify latest")
COLUMNS, LINES = 84, 37
OFTEN, LONGEST, LAST = 0.25, 1.2, 8.0  # seconds: between two frames at least, one frame at most, the last


def main() -> None:
    terminal = pyte.Screen(COLUMNS, LINES)
    frames: list[Image.Image] = []
    times: list[float] = []
    for seconds in shown(terminal):
        frames.append(screen.still(terminal).quantize(32))
        times.append(min(max(seconds, OFTEN), LONGEST))
    times[-1] = LAST
    first, *others = frames
    place = ROOT / "docs" / "terminal.gif"
    first.save(
        place, save_all=True, append_images=others, duration=[1000 * each for each in times], loop=0, optimize=True
    )
    print(f"{place.relative_to(ROOT)}: {len(frames)} frames, {place.stat().st_size / 1024:.0f} KiB")


def shown(terminal: pyte.Screen) -> Iterator[float]:
    """Run the commands in the terminal: each time that it changed, after how many seconds."""
    stream = pyte.ByteStream(terminal)
    for command in COMMANDS:
        stream.feed(f"$ {command}\r\n".encode())
        yield LONGEST
        before = time.monotonic()
        for chunk in output(command):
            stream.feed(chunk)
            now = time.monotonic()
            if now - before >= OFTEN:
                yield now - before
                before = now
        stream.feed(b"\r\n")
        yield LONGEST


def output(command: str) -> Iterator[bytes]:
    """What a command writes to a terminal of this size, as it comes."""
    ours, its = pty.openpty()
    size = {"COLUMNS": str(COLUMNS), "LINES": str(LINES), "TERM": "xterm-256color"}
    with subprocess.Popen(shlex.split(command), stdin=its, stdout=its, stderr=its, cwd=ROOT, env=os.environ | size):
        os.close(its)
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            yield chunk
    os.close(ours)


if __name__ == "__main__":
    main()
