"""A team's results: the manifests of several stores in one folder, which the matrix reads like this machine's own.

A record that is in several stores is one record: it has one place. Only manifests are fetched, each once; they are
kept in .cache/stores, where a matrix of ten thousand records is then as quick as at home.
"""

import contextlib
import hashlib
import heapq
import itertools
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from harness import system
from harness.checkout import ROOT
from harness.errors import VerificationError
from harness.evidence import hashing
from harness.evidence.sealed import MOST_MANIFEST_BYTES, File, Sealed, here, of_key
from harness.stores import indexed
from harness.stores.store import Source, object_key
from harness.stores.transfer import another, each, listed
from harness.stores.web import WebStore

CACHE = ROOT / ".cache" / "stores"
Holder = tuple[Source, bytes | None]  # a store that has a manifest, and that, where its index has it
Offer = tuple[str, Holder | None]  # by its key; of the folder itself None


def gather(stores: Sequence[Source], cache: Path = CACHE, segments: Path = indexed.CACHE) -> tuple[Path, list[str]]:
    """The manifests of all the stores.

    Returns:
        A folder shaped like results/, and a line for each manifest that cannot be counted.

    Raises:
        StoreError: a store cannot be reached.
    """
    name = hashlib.sha256("\n".join(sorted({store.address for store in stores})).encode()).hexdigest()[:16]
    folder = cache / name
    with _held(folder):
        fresh = _fresh(folder, [_offered(store, folder, segments) for store in stores])
        fetched = (fetching.result() for _, fetching in each(fresh, lambda pair: _fetch(folder, *pair)))
        damage = [line for line in fetched if line]
    return folder, damage


def _offered(store: Source, folder: Path, segments: Path) -> Iterator[Offer]:
    """What a store has, in the order of the keys; manifests that are new come with it where its index has them."""
    if isinstance(store, WebStore):
        yield from ((key, (store, text)) for key, text in store.manifests() if of_key(key))
        return
    there = sorted({sealed.key: sealed for sealed, _ in listed(store)}.items())
    new = (key for key, sealed in there if not (folder / sealed.place / sealed.kind.manifest).is_file())
    have = indexed.manifests(store, new, segments)
    yield from ((key, (store, zlib.decompress(have[key]) if key in have else None)) for key, _ in there)


def _fresh(folder: Path, offered: Sequence[Iterator[Offer]]) -> Iterator[tuple[Sealed, Sequence[Holder]]]:
    """What the stores have and the folder lacks, with who has it; what none of them has any more is taken away.

    All are in the order of the keys and read side by side, so that millions take no more memory than a thousand.
    """
    own: Iterator[Offer] = ((sealed.key, None) for sealed in here(folder))
    for key, offers in itertools.groupby(heapq.merge(own, *offered, key=itemgetter(0)), itemgetter(0)):
        found = [holder for _, holder in offers]
        holders, sealed = [holder for holder in found if holder], of_key(key)
        assert sealed, "only such keys are offered"
        if not holders:
            shutil.rmtree(folder / sealed.place)
        elif None not in found:
            yield sealed, holders


def reader(stores: Sequence[Source]) -> Callable[[Sealed, File], bytes]:
    """Reads a small file of a sealed folder from the first of the stores that has it."""

    def read(sealed: Sealed, file: File) -> bytes:
        failure: VerificationError | None = None
        for store in stores:
            try:
                return store.read(object_key(file.sha256), min(file.bytes, MOST_MANIFEST_BYTES))
            except VerificationError as error:
                failure = error
        assert failure, "there is a store"
        raise failure

    return read


def _fetch(folder: Path, sealed: Sealed, holders: Sequence[Holder]) -> str:
    """Fetch a manifest from all that have it, where it did not come with their index; what is wrong is returned."""
    contents = [store.read(sealed.key, MOST_MANIFEST_BYTES) if text is None else text for store, text in holders]
    try:
        sealed.files(contents[0])
        if any(content != contents[0] for content in contents):
            raise another(sealed, holders[-1][0])
    except VerificationError as error:
        return str(error).replace("\n", " ")
    path = folder / sealed.place / sealed.kind.manifest
    path.parent.mkdir(parents=True, exist_ok=True)
    hashing.write_whole(path, contents[0])
    return ""


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / hashing.LOCK).open("w") as lock:
        system.lock(lock.fileno())
        yield
