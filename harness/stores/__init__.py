"""Stores: where records go beyond this machine. A folder, or a bucket of any service that speaks S3.

    objects/sha256/ab/cdef…                    a file, named by the hash of its content
    sealed/<part>/<kind>/<run id>/record.json  a record, put when all of its files are there

A key is written once, and never changed or deleted: what two machines send under one name is the same, or refused.
"""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Protocol

from harness.errors import StoreError, VerificationError
from harness.stores.addresses import Bucket, resolve

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
    """What an upload asks as well."""

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        """The bytes of each of the keys that is there."""

    def put(self, key: str, path: Path, sha256: str, sent: Count) -> bool:
        """Store a file under a key that is free; False, and nothing changed, if it is taken.

        Args:
            sha256: what the content must have; the far side checks what arrives as well.
            sent: is told the bytes as they go.

        Raises:
            VerificationError: the file has other content than `sha256` says.
        """


def open_store(address: str = "", reading: bool = False) -> Store:
    """The store that an address, or without one the settings, name.

    Args:
        reading: a folder must be there already.

    Raises:
        WordsError: the address means nothing.
        StoreError: the store cannot be reached.
    """
    place = resolve(address)
    if isinstance(place, Bucket):
        from harness.stores.s3 import S3Store  # boto3 takes half a second

        return S3Store(place)
    from harness.stores.folder import FolderStore

    if reading and not place.is_dir():
        raise StoreError(
            f"{place}: no such folder.", "Nothing was uploaded to it.", "./inv upload --help shows addresses"
        )
    return FolderStore(place)


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
        "Its owner can remove it; then upload again from a machine that has the record.",
    )
