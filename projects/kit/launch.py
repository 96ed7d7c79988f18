"""Start a program on several cards, one process (a rank) a card, by `paddle.distributed.launch`.

    ./inv python projects/kit/launch.py projects/08-ffn/parallel.py --part 8-2 --device sim --cards 8 --out DIR

The words behind the program are its own; two of them are read here: `--cards` says how many ranks there are,
and DIR gets their logs, `ranks/0.log` and so on. That of rank 0 is shown while it grows. When a rank ends badly
the launcher ends the others, and what the first of them said last is shown. The exit code is that rank's.

On several machines each gets the same command, with `PADDLE_NNODES` and `PADDLE_MASTER` (host:port on the first
machine) in its environment, and `--cards` for all of them together.

What the launcher itself writes, the whole environment among it, lies in a private folder that is taken away.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import IO, NoReturn

LOG_BYTES = 4 * 2**20  # of each rank, from the start; and as many from the end
SHOWN_LINES = 40
AS_A_RANK = "--as-a-rank"
FIRST = "first-to-fail"


def launch(words: list[str]) -> int:
    """Start the ranks and wait for them; the exit code is 0, or that of the first rank that failed."""
    logs = _folder_for_logs(words)
    for old in logs.glob("*.log"):  # of an earlier run by hand into the same folder
        old.unlink()
    cards, machines = int(_value(words, "--cards")), int(os.environ.get("PADDLE_NNODES", "1"))
    if cards % machines:
        _refuse(f"--cards {cards}: not the same number on each of {machines} machines")
    with tempfile.TemporaryDirectory(prefix="launch-", ignore_cleanup_errors=True) as private:
        command = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", str(cards // machines)]
        command += ["--log_dir", private, "--log_level", "WARNING", __file__, AS_A_RANK, *words]
        with (logs / "launcher.log").open("wb") as log:
            launcher = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            _follow(logs / "0.log", launcher)
        first = Path(private, FIRST)
        if launcher.returncode == 0:
            return 0
        rank, code = first.read_text().split() if first.exists() else (None, launcher.returncode)
    if rank is None:
        print("the launcher failed:", _end_of(logs / "launcher.log"), sep="\n", flush=True)
        return 1
    print(f"rank {rank} failed first, {_ending(int(code))}. The end of ranks/{rank}.log:")
    print(_end_of(logs / f"{rank}.log"), flush=True)
    return max(int(code), 1)


def rank(words: list[str]) -> int:
    """Run the program as one rank, its output into its log, and note it if it is the first that fails."""
    number = os.environ["PADDLE_TRAINER_ID"]
    _run_as_batch()
    program = subprocess.Popen([sys.executable, "-u", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert program.stdout is not None
    with (_folder_for_logs(words) / f"{number}.log").open("wb", buffering=0) as log:
        _copy(program.stdout, log)
    code = program.wait()
    if code:
        with contextlib.suppress(FileExistsError), Path(os.environ["PADDLE_LOG_DIR"], FIRST).open("x") as first:
            first.write(f"{number} {code}")
    return code if code >= 0 else 128 - code


def _run_as_batch() -> None:
    """From here on a thread that wakes does not push another off its processor; programs started here inherit that.

    Gloo's thread, woken by a message, pushes aside the one that sends and polls for the lock that this one holds, for
    the rest of its time slice: the more ranks compute on their processors, the more milliseconds that takes.
    https://github.com/facebookincubator/gloo/blob/main/gloo/transport/tcp/pair.cc, handleEvents; man 7 sched.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError):  # a container's engine may refuse it: slower, and nothing else
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _copy(source: IO[bytes], log: IO[bytes]) -> None:
    """Copy what comes, leaving out the middle where it is too much."""
    room, tail = LOG_BYTES, deque[bytes](maxlen=LOG_BYTES // 65536)
    while chunk := os.read(source.fileno(), 65536):
        log.write(chunk[:room])
        if chunk[room:]:
            tail.append(chunk[room:])
        room = max(0, room - len(chunk))
    if tail:
        log.write(b"\n[... some of it is left out here ...]\n" + b"".join(tail))


def _follow(path: Path, launcher: subprocess.Popen[bytes]) -> None:
    """Show what is written to the file until the launcher ends."""
    position, ended = 0, False
    while not ended:
        ended = launcher.poll() is not None  # asked first, so that the last words are shown too
        if path.exists():
            with path.open("rb") as file:
                file.seek(position)
                sys.stdout.buffer.write(file.read())
                position = file.tell()
            sys.stdout.flush()
        time.sleep(0 if ended else 0.1)


def _end_of(path: Path) -> str:
    if not path.exists():
        return "  (it did not come to write one)"
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 65536))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-SHOWN_LINES:])


def _ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def _folder_for_logs(words: list[str]) -> Path:
    folder = Path(_value(words, "--out"), "ranks")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _value(words: list[str], name: str) -> str:
    try:
        return words[words.index(name) + 1]
    except (ValueError, IndexError):
        _refuse(f"{name} is missing; see the first lines of {__file__}")


def _refuse(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


def main() -> None:
    if sys.argv[1:2] == [AS_A_RANK]:
        sys.exit(rank(sys.argv[2:]))
    # Asked to end, it leaves its private folder no longer than it has to; the ranks hear of it from the launcher.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.exit(launch(sys.argv[1:]))


if __name__ == "__main__":
    main()
