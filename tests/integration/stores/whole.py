"""What a store must be after whatever happened: whole; and a way that damages what goes along it."""

from collections.abc import Callable

from faults import Harm, Request

from harness.stores import transfer
from harness.stores.store import Store, object_key


def address_of(bucket: str, endpoint: str) -> str:
    return f"s3://{bucket}?service=seaweedfs&endpoint={endpoint}"


def is_whole(store: Store) -> int:
    """Every manifest in the store has all that it names; their number is returned."""
    manifests = [one for one, _ in transfer.listed(store)]
    named = [file for one in manifests for file in one.files(store.read(one.key, 10**7))]
    expected = {object_key(file.sha256): file.bytes for file in named}
    assert store.sizes(list(expected)) == expected
    return len(manifests)


def untold(_: int) -> None:
    """Progress that nobody is told."""


def spoiling_each_first() -> Callable[[Request], Harm]:
    """A proxy's harm: each body arrives changed the first time, and whole when it is sent again."""
    seen: set[str] = set()

    def spoil(request: Request) -> Harm:
        fresh = request.method == "PUT" and request.path not in seen
        seen.add(request.path)
        return Harm(spoil_up=fresh)

    return spoil
