"""Repair: every object that a store should have of the folders here is read back; what is damaged is put there anew."""

import hashlib
import tempfile
from collections.abc import Collection
from pathlib import Path

from harness.errors import UsageError, VerificationError
from harness.evidence import hashing
from harness.evidence.sealed import MOST_MANIFEST_BYTES, File, Sealed, here
from harness.stores.store import Store, object_key
from harness.stores.transfer import Outcome, another, each, refusals


def repair(results: Path, store: Store, parts: Collection[str] | None = None, dry_run: bool = False) -> Outcome:
    """Put anew what is damaged or absent of the sealed folders here; `moved` are those of which something was.

    Raises:
        StoreError: the store fails.
        UsageError: the keys may only write.
    """
    if not store.readable:
        raise UsageError("--repair: the keys may not read.", "It reads back what is there.", "Take keys that may.")
    outcome = Outcome()
    whole: set[str] = set()  # objects that were read back, for several folders may have one
    folders = [sealed for sealed in here(results) if parts is None or sealed.part in parts]
    for sealed, mending in each(folders, lambda sealed: _mend(results, store, sealed, whole, dry_run)):
        with refusals(outcome, sealed):
            size = mending.result()
            outcome.bytes += size
            outcome.moved += [sealed] if size else []
            outcome.there += not size
    return outcome


def _mend(results: Path, store: Store, sealed: Sealed, whole: set[str], dry_run: bool) -> int:
    """Read a folder back, files first; the bytes of what was put anew are returned."""
    path = results / sealed.place / sealed.kind.manifest
    content = path.read_bytes()
    damaged = [file for file in sealed.files(content) if file.sha256 not in whole and not _is_whole(store, file)]
    wanted = [(object_key(file.sha256), results / sealed.place / file.name, file.sha256) for file in damaged]
    if not _has_manifest(store, sealed, content):
        wanted.append((sealed.key, path, hashlib.sha256(content).hexdigest()))
    for key, file, sha256 in () if dry_run else wanted:
        store.put(key, file, sha256, lambda _: None, anew=True)
    whole.update(file.sha256 for file in sealed.files(content))
    return sum(file.stat().st_size for _, file, _ in wanted)


def _is_whole(store: Store, file: File) -> bool:
    with tempfile.TemporaryDirectory(prefix="paddlehomework-") as folder:
        path = Path(folder, "object")
        path.touch()
        try:
            store.get(object_key(file.sha256), path, file.bytes, lambda _: None)
        except VerificationError:  # not there, or of another size
            return False
        return hashing.sha256(path) == file.sha256


def _has_manifest(store: Store, sealed: Sealed, content: bytes) -> bool:
    """Whether the store has this manifest; one whose seal is broken counts for none.

    Raises:
        VerificationError: it has another whose seal is whole.
    """
    try:
        found = store.read(sealed.key, MOST_MANIFEST_BYTES)
        if found == content:
            return True
        sealed.files(found)
    except VerificationError:
        return False
    raise another(sealed, store)
