"""Opening a store: an address, or the settings, say which."""

from harness.errors import UsageError
from harness.stores.addresses import Bucket, resolve
from harness.stores.folder import FolderStore
from harness.stores.store import Store


def open_store(address: str = "", reading: bool = False) -> Store:
    """The store that an address, or without one the settings, name.

    Args:
        reading: a folder must be there already.

    Raises:
        UsageError: the address means nothing, or names a folder that is not there.
        StoreError: the store cannot be reached.
    """
    place = resolve(address)
    if isinstance(place, Bucket):
        from harness.stores.s3 import S3Store  # boto3 takes half a second

        return S3Store(place, reading)
    if reading and not place.is_dir():
        raise UsageError(
            f"{place}: no such folder.", "Nothing was uploaded to it.", "./inv upload --help shows addresses"
        )
    return FolderStore(place)
