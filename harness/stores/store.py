"""A store: what every one answers, whatever keeps its objects, and what is said where one is not as it should be."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Protocol

from harness.errors import VerificationError

PARALLEL = 16  # transfers at once
Count = Callable[[int], object]


class Source(Protocol):
    """What a download asks. Every method may be called from several threads.

    Raises:
        StoreError: by every method, where the whole of it fails.
    """

    address: str

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Every key below `prefix`, with its bytes."""

    def get(self, key: str, path: Path, size: int, got: Count) -> None:
        """Write the object of `size` bytes to `path`, going on where a file already there ends.

        Raises:
            VerificationError: the object is not there, or has another size.
        """

    def read(self, key: str, limit: int) -> bytes:
        """The content of a small object.

        Raises:
            VerificationError: the object is not there, or has more than `limit` bytes.
        """


class Store(Source, Protocol):
    """What an upload asks as well.

    Args:
        readable: whether what is there can be seen, and not only written.
    """

    readable: bool

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        """The bytes of each of the keys that is there."""

    def put(self, key: str, path: Path, sha256: str, sent: Count, anew: bool = False) -> bool:
        """Store a file under a key that is free; False, and nothing changed, if it is taken.

        Args:
            sha256: what the content must have; the far side checks what arrives as well.
            sent: is told the bytes as they go.
            anew: in place of what the key has, for that is damaged.

        Raises:
            VerificationError: the file has other content than `sha256` says.
        """


def object_key(sha256: str) -> str:
    return f"objects/sha256/{sha256[:2]}/{sha256[2:]}"


def changed(path: Path) -> VerificationError:
    return VerificationError(
        f"{path}: changed since it was sealed.",
        "Its hash is not the one in its manifest.",
        "./inv verify names every such file; run that cell again.",
    )


def absent(address: str, key: str) -> VerificationError:
    return VerificationError(
        f"{key} in {address}: not there.",
        "Something other than this program removed it, or named it without storing it.",
        "Upload again from a machine that has the record.",
    )


def wrong_size(address: str, key: str, found: int, expected: int) -> VerificationError:
    return VerificationError(
        f"{key} in {address}: {found} bytes instead of {expected}.",
        "Something other than this program wrote or cut that object; it has been left as it is.",
        "./inv upload --repair, on a machine that has the record, puts it there anew.",
    )
