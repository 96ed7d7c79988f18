"""The far side of `./inv run --host`: this file is sent over ssh, and run by the Python 3 that is there.

It imports nothing of this project. A request is a line of JSON, an answer too, with as many bytes behind it as its
`bytes` says. Of the results it only reads; what it writes are the files that were sent, in a folder of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import selectors
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator, TextIO  # noqa: UP035

GREETING = "PaddleHomework is here"
SENT = ".sent.json"  # what was sent; a folder with files and without this one is somebody else's
LOCK = ".sent.lock"
NAME, LOG, CODE = ".sent.run", ".sent.log", ".sent.code"  # of the last run
# It outlives the signals that end the run, and says how that ended.
SHELL = f'trap : INT TERM HUP; ./inv "$@"; code=$?; echo $code > {CODE}'
KILLED = 137
PAUSE = 0.2
CHUNK = 2**20


class Channel:
    """stdin and stdout, as requests and answers. Once the near side is gone, answers go nowhere."""

    def __init__(self) -> None:
        self.pending = b""
        self.heard = True

    def request(self) -> dict[str, Any] | None:
        """The next request; None once the near side is gone."""
        while b"\n" not in self.pending:
            if not self.receive():
                return None
        line, _, self.pending = self.pending.partition(b"\n")
        request: dict[str, Any] = json.loads(line)
        return request

    def receive(self) -> bool:
        chunk = os.read(0, CHUNK)
        self.pending += chunk
        return bool(chunk)

    def content(self, size: int) -> Iterator[bytes]:
        """The bytes behind a request."""
        while size:
            if not self.pending and not self.receive():
                raise EOFError("the connection broke")
            chunk, self.pending = self.pending[:size], self.pending[size:]
            size -= len(chunk)
            yield chunk

    def answer(self, content: bytes = b"", **words: Any) -> None:
        line = json.dumps({**words, "bytes": len(content)}).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):
            view = memoryview(line + content if self.heard else b"")
            while view:
                view = view[os.write(1, view) :]
            return
        self.heard = False


class Refusal(Exception):
    """A request that cannot be met; `args` are the kind of error and why."""


class Far:
    """The folder on this side, and what is asked of it."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.folder = Path()
        self.lock: TextIO | None = None

    def enter(self, folder: str, make: bool) -> dict[str, Any]:
        """Take the folder, which has to be empty, or one that was sent before, and hold it while this call lasts."""
        self.folder = Path(folder).expanduser().absolute()
        there = self.folder.is_dir()
        if there and not (self.folder / SENT).is_file() and any(self.folder.iterdir()):
            raise Refusal("not ours", str(self.folder))
        busy = ""
        if make or (there and (self.folder / SENT).is_file()):
            self.folder.mkdir(parents=True, exist_ok=True)
            busy = self._hold()
            if not busy and not (self.folder / SENT).is_file():
                self._write_sent({}, {"revision": None, "clean": None})
        name, code = (self._last(file) for file in (NAME, CODE))
        return {"folder": str(self.folder), "busy": busy, "last": name, "killed": bool(name and not busy and not code)}

    def _last(self, file: str) -> str:
        """What the last run left in one of its files."""
        with contextlib.suppress(OSError):
            return (self.folder / file).read_text().strip()
        return ""

    def _hold(self) -> str:
        """Hold the folder; if another call has it, or a run that such a call has left, who that is."""
        lock = (self.folder / LOCK).open("a+")
        try:
            _lock(lock)
        except BlockingIOError:
            with lock:
                lock.seek(0)
                return lock.read() or "another call"
        lock.truncate(0)
        self.lock = lock
        return ""

    def compare(self, files: dict[str, Any]) -> dict[str, Any]:
        """The names of the files that are missing here, or have other content."""
        return {"wanted": [name for name, file in files.items() if _state(self.folder / name) != file[:2]]}

    def receive(self, files: dict[str, Any], wanted: list[str], source: dict[str, Any]) -> dict[str, Any]:
        """Write the files whose contents follow, each beside and renamed; take away what was sent once and is no more.

        Until all is written the folder says of no revision that it holds it.
        """
        former = json.loads((self.folder / SENT).read_text())["files"]
        self._write_sent({**former, **files}, {"revision": None, "clean": None})
        for name in wanted:
            sha256, mode, size = files[name]
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name("." + path.name + ".sent")
            with beside.open("wb") as target:
                for chunk in self.channel.content(size):
                    target.write(chunk)
            os.chmod(beside, mode)
            os.replace(beside, path)
            if _state(path) != [sha256, mode]:
                raise Refusal("changed", name)
        for name in former.keys() - files.keys():
            with contextlib.suppress(FileNotFoundError):
                (self.folder / name).unlink()
        self._write_sent(files, source)
        return {}

    def _write_sent(self, files: dict[str, Any], source: dict[str, Any]) -> None:
        beside = self.folder / (SENT + ".new")
        beside.write_text(json.dumps({**source, "files": files}, indent=0))
        os.replace(beside, self.folder / SENT)

    def run(self, words: list[str], name: str) -> dict[str, Any]:
        """Run ./inv with these arguments to its end, even without the near side; `name` is how that asks for it again.

        Its output and its exit code go to files: whoever connects later reads them from where it was.
        """
        if self.lock is None:
            raise Refusal("busy", "another call, or a run that it has left, holds the folder")
        for file, text in ((CODE, ""), (LOG, ""), (NAME, name)):
            (self.folder / file).write_text(text)
        with (self.folder / LOG).open("ab") as log:
            process = subprocess.Popen(
                ["sh", "-c", SHELL, "sh", *words],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                restore_signals=True,
                pass_fds=(self.lock.fileno(),),
            )
        self.lock.write(f"process {process.pid}")
        self.lock.close()  # from now on the run alone holds the folder
        self.lock = None
        return self.follow(name, 0)

    def follow(self, name: str, start: int, number: int = 0) -> dict[str, Any]:
        """Tell what the run of that name prints from `start` on, and how it ended; first send it a signal, if any."""
        if self._last(NAME) != name:
            raise Refusal("absent", "another call has run there since")
        near = True
        if number and not self._over():
            self._signal(number)
        with (self.folder / LOG).open("rb") as log, selectors.DefaultSelector() as selector:
            log.seek(start)
            selector.register(0, selectors.EVENT_READ)
            while True:
                over = self._over()
                while chunk := log.read(CHUNK):
                    self.channel.answer(chunk)
                if over or not near:
                    code = (self.folder / CODE).read_text()
                    return {"code": int(code) if code.strip() else KILLED}
                if selector.select(PAUSE):
                    near = self.channel.receive()

    def _over(self) -> bool:
        """Whether the run has ended, or was killed with all of its processes."""
        if self.lock or (self.folder / CODE).read_text().strip():
            return True
        with (self.folder / LOCK).open() as lock:
            try:
                _lock(lock)
            except BlockingIOError:
                return False
            return True

    def _signal(self, number: int) -> None:
        if sys.platform != "win32":
            group = (self.folder / LOCK).read_text().rpartition(" ")[2]
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.killpg(int(group), signal.Signals(number))

    def records(self) -> dict[str, Any]:
        """Every record here, with the bytes of its manifest."""
        results = self.folder / "results"
        paths = sorted(results.glob("*/*/*/record.json"))
        return {"records": [[str(path.parent.relative_to(results)), path.stat().st_size] for path in paths]}

    def read(self, name: str, start: int) -> None:
        """A piece of a file of the results, and the size of the whole."""
        if sys.platform == "win32":
            return
        descriptor = os.open(self.folder / "results" / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            self.channel.answer(os.pread(descriptor, CHUNK, start), size=os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)


def _lock(file: TextIO) -> None:
    """Raises BlockingIOError where another has it. The far side is POSIX, and only the near one may be another."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _state(path: Path) -> list[Any]:
    """Hash and mode of a file, as the near side names them."""
    try:
        return [hashlib.sha256(path.read_bytes()).hexdigest(), 0o755 if os.access(path, os.X_OK) else 0o644]
    except OSError:
        return []


def main() -> None:
    """Answer until the near side has nothing more to ask."""
    channel = Channel()
    far = Far(channel)
    os.write(1, b"\n" + GREETING.encode() + b"\n")
    while True:
        request = channel.request()
        if request is None:
            return
        word = request.pop("do")
        try:
            answer = getattr(far, word)(**request)
        except (Refusal, FileNotFoundError) as refusal:
            kind = refusal.args if isinstance(refusal, Refusal) else ("absent", str(refusal))
            channel.answer(error=kind[0], why=kind[1])
        except OSError as error:
            channel.answer(error="system", why=f"{error.filename or far.folder}: {error.strerror}")
            if word == "receive":
                return  # what follows on the line are contents, and no requests
        else:
            if answer is not None:
                channel.answer(**answer)


if __name__ == "__main__":
    main()
