"""A store in a plain folder: a shared disk, a stick, a folder that another tool carries on."""

import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import system
from harness.errors import StoreError
from harness.stores.store import Count, absent, changed, wrong_size

CHUNK = 2**20
UNFINISHED = ".unfinished"


class FolderStore:
    """A folder whose files are the keys. A file is written in .unfinished/ and renamed when it is whole."""

    readable = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = str(folder)

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        with self._explained():
            found = {key: self._size(self.folder / key) for key in keys}
        return {key: size for key, size in found.items() if size is not None}

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        with self._explained():
            for place, folders, names in os.walk(self.folder / prefix):
                folders.sort()
                for name in sorted(names):
                    path = Path(place, name)
                    size = self._size(path)
                    if size is not None:
                        yield path.relative_to(self.folder).as_posix(), size

    def put(self, key: str, path: Path, sha256: str, sent: Count, anew: bool = False) -> bool:
        place = self.folder / key
        beside = self.folder / UNFINISHED / key.replace("/", "-")  # one name for all that send this key
        with self._explained():
            place.parent.mkdir(parents=True, exist_ok=True)
            beside.parent.mkdir(exist_ok=True)
            with beside.open("ab") as target:
                system.lock(target.fileno())  # the second waits here, and then finds the key taken
                if place.exists() and not anew:
                    self._forget(beside, target.fileno())
                    return False
                target.truncate(0)
                if _copy(path, target.fileno(), sent) != sha256:
                    raise changed(path)
                os.fsync(target.fileno())
                beside.rename(place)
        return True

    def get(self, key: str, path: Path, size: int, got: Count) -> None:
        with path.open("ab") as target:
            for chunk in self._chunks(key, size, target.tell()):
                target.write(chunk)
                got(len(chunk))

    def read(self, key: str, limit: int) -> bytes:
        with self._explained(), self._opened(key) as source, os.fdopen(os.dup(source), "rb") as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise wrong_size(self.address, key, len(content), limit)
        return content

    def _chunks(self, key: str, size: int, start: int) -> Iterator[bytes]:
        with self._explained(), self._opened(key) as source:
            found = os.fstat(source).st_size
            if found != size:
                raise wrong_size(self.address, key, found, size)
            os.lseek(source, start, os.SEEK_SET)
            while chunk := os.read(source, CHUNK):
                yield chunk

    @staticmethod
    def _size(path: Path) -> int | None:
        try:
            state = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return state.st_size if stat.S_ISREG(state.st_mode) else None

    @contextmanager
    def _opened(self, key: str) -> Iterator[int]:
        """The file of a key, which is no link (it could lead anywhere) and no pipe (it would never end)."""
        try:
            descriptor = os.open(self.folder / key, os.O_RDONLY | system.PLAIN_FILE)
        except FileNotFoundError as error:
            raise absent(self.address, key) from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(0, "not a plain file", str(self.folder / key))
            yield descriptor
        finally:
            os.close(descriptor)

    @staticmethod
    def _forget(beside: Path, descriptor: int) -> None:
        """Take away the empty file that was opened for a key that turned out to be taken."""
        try:
            if os.path.samestat(beside.stat(), os.fstat(descriptor)):
                beside.unlink()
        except FileNotFoundError:
            pass

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"{error.filename or self.folder}: the store's folder refused it.",
                f"{error.strerror or error}.",
                "Free space or mend the folder's permissions, then call again; it goes on where it broke off.",
            ) from error


def _copy(path: Path, target: int, sent: Count) -> str:
    """Copy a file to a descriptor; the sha256 of what was copied is returned."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as source:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[os.write(target, view) :]
            sent(len(chunk))
    return digest.hexdigest()
