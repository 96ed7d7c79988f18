"""A team's results: the manifests of several stores in one folder, which the matrix reads like this machine's own.

A record that is in several stores is one record: it has one place. Only manifests are fetched, each once; they are
kept in .cache/stores, where a matrix of ten thousand records is then as quick as at home.
"""

import contextlib
import hashlib
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from harness import system
from harness.checkout import ROOT
from harness.errors import VerificationError
from harness.evidence import hashing
from harness.evidence.sealed import MOST_MANIFEST_BYTES, File, Sealed, here
from harness.stores import indexed
from harness.stores.store import Source, object_key
from harness.stores.transfer import another, each, listed
from harness.stores.web import WebStore

CACHE = ROOT / ".cache" / "stores"
Manifests = Mapping[str, bytes]  # compressed, by their keys


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
        kept: dict[Sealed, tuple[Source, ...]] = {}
        for store in stores:
            alone = (store,)  # one for all of its records
            for sealed, _ in listed(store):
                kept[sealed] = kept[sealed] + alone if sealed in kept else alone
        known = set(here(folder))
        for sealed in known - kept.keys():
            shutil.rmtree(folder / sealed.place)
        fresh = [pair for pair in kept.items() if pair[0] not in known]
        have = {
            store.address: indexed.manifests(store, (each.key for each, holders in fresh if store in holders), segments)
            for store in stores
            if not isinstance(store, WebStore)  # which has read its index
        }
        fetched = (fetching.result() for _, fetching in each(fresh, lambda pair: _fetch(folder, have, *pair)))
        damage = [line for line in fetched if line]
    return folder, damage


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


def _fetch(folder: Path, have: Mapping[str, Manifests], sealed: Sealed, holders: Sequence[Source]) -> str:
    """Fetch a manifest from all that have it, or from their indexes; what is wrong with it is returned."""
    contents = [_read(have.get(store.address, {}), store, sealed) for store in holders]
    try:
        sealed.files(contents[0])
        if any(content != contents[0] for content in contents):
            raise another(sealed, holders[-1])
    except VerificationError as error:
        return str(error).replace("\n", " ")
    path = folder / sealed.place / sealed.kind.manifest
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}")
    beside.write_bytes(contents[0])
    beside.replace(path)
    return ""


def _read(have: Manifests, store: Source, sealed: Sealed) -> bytes:
    packed = have.get(sealed.key)
    return zlib.decompress(packed) if packed else store.read(sealed.key, MOST_MANIFEST_BYTES)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / hashing.LOCK).open("w") as lock:
        system.lock(lock.fileno())
        yield
