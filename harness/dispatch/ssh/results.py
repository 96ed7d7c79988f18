"""The records of a far machine, read like a store's: each is checked, seal and every hash, before it comes here."""

import threading
from collections.abc import Iterator
from pathlib import Path

from harness.dispatch.ssh.connection import Connection
from harness.evidence.sealed import PREFIX, of_key
from harness.stores.store import Count, absent, object_key, wrong_size


class FarResults:
    """What transfer.download asks of a store, answered from a far checkout's results/."""

    def __init__(self, connection: Connection) -> None:
        self.address = str(connection.address)
        self._connection = connection
        self._named: dict[str, str] = {}  # a file for each object, from the manifests that were read
        self._lock = threading.Lock()

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        answer, _ = self._connection.ask(do="records")
        for place, size in answer["records"]:
            key = f"{PREFIX}{place}/record.json"
            if key.startswith(prefix):
                yield key, size

    def read(self, key: str, limit: int) -> bytes:
        content = b"".join(self._pieces(key.removeprefix(PREFIX), 0, limit))
        sealed = of_key(key)
        if sealed:
            with self._lock:
                self._named.update(
                    (object_key(file.sha256), f"{sealed.place}/{file.name}") for file in sealed.files(content)
                )
        return content

    def get(self, key: str, path: Path, size: int, got: Count) -> None:
        if key not in self._named:
            raise absent(self.address, key)
        with path.open("ab") as target:
            for piece in self._pieces(self._named[key], target.tell(), size):
                target.write(piece)
                got(len(piece))
            if target.tell() != size:
                raise wrong_size(self.address, self._named[key], target.tell(), size)

    def _pieces(self, name: str, start: int, limit: int) -> Iterator[bytes]:
        """A file from `start` on.

        Raises:
            VerificationError: it has more than `limit` bytes.
        """
        while True:
            answer, piece = self._connection.ask(do="read", name=name, start=start)
            if answer["size"] > limit:
                raise wrong_size(self.address, name, answer["size"], limit)
            start += len(piece)
            yield piece
            if start >= answer["size"] or not piece:
                return
