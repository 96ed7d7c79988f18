"""The index of a store: every manifest in a handful of objects, for who reads it over plain HTTP and cannot list.

    index/head.json                 {"schema": 1, "segments": […]}: which segments hold everything
    index/segments/<sha256>.gz      a line for each manifest: [key, text]; it never changes
    index/covered.json              the same of segments that others cover, for those who write

Each upload writes one segment; a job leaves the head to the next upload by a person. Where there are many, the
smallest become one, which covers them. Whoever writes the head lists the segments once more after it, so that of two at
once the later one names both.
"""

import contextlib
import gzip
import hashlib
import io
import json
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from harness.errors import StoreError, VerificationError
from harness.evidence.sealed import MOST_MANIFEST_BYTES, Sealed
from harness.stores.store import Store
from harness.stores.transfer import listed

HEAD, COVERED, SEGMENTS = "index/head.json", "index/covered.json", "index/segments/"
SCHEMA = 1
MOST_SEGMENTS = 16
MOST_HEAD_BYTES, MOST_SEGMENT_BYTES = 64 * 2**20, 2**30
REMEDY = "./inv upload --repair, by who may write there, makes the index anew."
Entry = tuple[str, bytes]


def update(results: Path, store: Store, moved: Sequence[Sealed], job: bool = False) -> None:
    """Add what was uploaded. A store without an index gets one of all that it has; jobs and keys that only write leave
    a segment alone.

    Raises:
        StoreError: the store fails.
    """
    if moved:
        _write(store, ((each.key, (results / each.place / each.kind.manifest).read_bytes()) for each in moved))
    if job or not store.readable:
        return
    if HEAD not in store.sizes([HEAD]):
        complete(store)
    elif moved:
        publish(store)


def complete(store: Store) -> None:
    """Add the manifests that the store has and no segment names: those of before, or of another program."""
    known = {key for name, _ in store.list(SEGMENTS) for key, _ in _read(store, name)}
    lacking = [sealed.key for sealed, _ in listed(store) if sealed.key not in known]
    if lacking:
        _write(store, ((key, store.read(key, MOST_MANIFEST_BYTES)) for key in lacking))
    publish(store)


def publish(store: Store) -> None:
    """Write the head, until it names every segment that is there."""
    segments = dict(store.list(SEGMENTS))
    while True:
        covered = set(_covered(store))
        live = sorted((name for name in segments if name not in covered), key=lambda name: segments[name])
        if len(live) > MOST_SEGMENTS:
            some = live[: len(live) - MOST_SEGMENTS + 1]
            merged = _write(store, {key: text for name in some for key, text in _read(store, name)}.items())
            covered |= set(some) - {merged}
            live = [merged, *live[len(some) :]]
            _put(store, COVERED, _document(covered), anew=True)
        _put(store, HEAD, _document(live), anew=True)
        again = dict(store.list(SEGMENTS))
        if again.keys() <= set(live) | covered:
            return
        segments = again


def _covered(store: Store) -> list[str]:
    """The segments that others cover; should that be lost, they are covered once more."""
    if COVERED in store.sizes([COVERED]):
        with contextlib.suppress(StoreError):
            return read_head(store.read(COVERED, MOST_HEAD_BYTES))
    return []


def _document(segments: Iterable[str]) -> bytes:
    return json.dumps({"schema": SCHEMA, "segments": sorted(set(segments))}).encode()


def read_head(content: bytes) -> list[str]:
    """The segments that a head names, which may be a stranger's.

    Raises:
        StoreError: it is none.
    """
    try:
        document: Any = json.loads(content)
        found: list[str] = document["segments"]
        sound = document["schema"] == SCHEMA and all(isinstance(name, str) and is_segment(name) for name in found)
    except (ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound:
        why = f"Its {HEAD} is no index of schema {SCHEMA}."
        raise StoreError("The store's index cannot be read.", why, "./inv upload --repair writes it anew.")
    return found


def is_segment(name: str) -> bool:
    """Whether a name, which may be a stranger's, is a segment's."""
    sha256 = name.removeprefix(SEGMENTS).removesuffix(".gz")
    return name == _name(sha256) and len(sha256) == 64 and set(sha256) <= set("0123456789abcdef")


def entries(file: Path | IO[bytes], name: str) -> Iterator[Entry]:
    """The manifests of a segment, in the order of their keys, read line by line.

    Raises:
        VerificationError: it is no segment.
    """
    before = ""
    try:
        with gzip.open(file) as lines:
            while line := lines.readline(2 * MOST_MANIFEST_BYTES):
                key, text = json.loads(line)
                if key < before:
                    raise ValueError("its keys are not in order")
                before = key
                yield key, text.encode()
    except (ValueError, TypeError, AttributeError, OSError, EOFError, zlib.error, RecursionError) as error:
        raise VerificationError(f"{name}: no segment of an index.", f"{error}.", REMEDY) from error


def require_named(name: str, sha256: str) -> None:
    """Refuse a segment whose hash is not its name.

    Raises:
        VerificationError: it is not.
    """
    if _name(sha256) != name:
        raise VerificationError(f"{name}: changed since it was written.", "Its hash is not its name.", REMEDY)


def _name(sha256: str) -> str:
    return f"{SEGMENTS}{sha256}.gz"


def _read(store: Store, name: str) -> Iterator[Entry]:
    content = store.read(name, MOST_SEGMENT_BYTES)
    require_named(name, hashlib.sha256(content).hexdigest())
    return entries(io.BytesIO(content), name)


def _write(store: Store, found: Iterable[Entry]) -> str:
    """Write a segment; its name."""
    lines = b"".join(json.dumps([key, text.decode()]).encode() + b"\n" for key, text in sorted(found))
    content = gzip.compress(lines, mtime=0)
    name = _name(hashlib.sha256(content).hexdigest())
    _put(store, name, content)
    return name


def _put(store: Store, key: str, content: bytes, anew: bool = False) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        store.put(key, Path(file.name), hashlib.sha256(content).hexdigest(), lambda count: None, anew)
