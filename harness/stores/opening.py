"""Opening a store: an address, or the settings, say which."""

from collections.abc import Callable
from pathlib import Path

from harness.errors import UsageError
from harness.stores.addresses import DEFAULT, Bucket, Web, resolve
from harness.stores.folder import FolderStore
from harness.stores.store import Source, Store


def open_store(address: str = "", reading: bool = False, make: Callable[[Path], None] | None = None) -> Store:
    """The store that an address, or without one the settings, name.

    Args:
        reading: a folder must be there already.
        make: asked before a folder is made that was typed, and neither stands in the settings nor is the checkout's
            own; it may refuse.

    Raises:
        UsageError: the address means nothing, or names a folder that is not there.
        StoreError: the store cannot be reached.
    """
    place = resolve(address)
    if isinstance(place, Bucket):
        from harness.stores.s3 import S3Store  # boto3 takes half a second

        return S3Store(place, reading)
    if isinstance(place, Web):
        why = "Over HTTP a store is read: ./inv download --from, ./inv matrix --from."
        raise UsageError(
            f"{place.address}: nothing can be sent there.", why, "Upload to the folder or bucket behind it."
        )
    if reading and not place.is_dir():
        raise UsageError(
            f"{place}: no such folder.", "Nothing was uploaded to it.", "./inv upload --help shows addresses"
        )
    typed = bool(address) and place == Path(address).expanduser().absolute()
    if make and typed and place != DEFAULT and not place.is_dir():
        make(place)
    return FolderStore(place)


def open_source(address: str = "") -> Source:
    """The store that is only read, which may also be one on a static host.

    Raises:
        UsageError: the address means nothing, or names a folder that is not there.
        StoreError: the store cannot be reached, or cannot be read over HTTP.
    """
    place = resolve(address)
    if isinstance(place, Web):
        from harness.stores.web import WebStore

        return WebStore(place.address)
    return open_store(address, reading=True)
