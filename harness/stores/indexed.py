"""Manifests read from a store's index: a segment has thousands, which would cost a request each.

What the index lacks, as of an upload by an earlier program, is read by itself; segments never change, and are kept.
"""

import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from harness.checkout import ROOT
from harness.errors import HomeworkError
from harness.stores import index
from harness.stores.store import Source

CACHE = ROOT / ".cache" / "stores" / "segments"
FROM = 64  # manifests that are new; fewer are read one by one


def segment(read: Callable[[str, int], bytes], name: str, cache: Path = CACHE) -> bytes:
    """A segment, which is fetched once."""
    kept = cache / name.removeprefix(index.SEGMENTS)
    if kept.is_file():
        return kept.read_bytes()
    content = read(name, index.MOST_SEGMENT_BYTES)
    kept.parent.mkdir(parents=True, exist_ok=True)
    beside = kept.with_name(f".{kept.name}")
    beside.write_bytes(content)
    beside.replace(kept)
    return content


def manifests(store: Source, wanted: Iterable[str], cache: Path = CACHE) -> dict[str, bytes]:
    """Those of the manifests that the store's index has, by their keys, compressed; none where it has no sound index.

    No more segments are read than are needed.
    """
    left, found = set(wanted), dict[str, bytes]()
    try:
        head = index.read_head(store.read(index.HEAD, index.MOST_HEAD_BYTES)) if len(left) >= FROM else []
        for name in head:
            for key, text in index.entries(segment(store.read, name, cache), name) if left else ():
                if key in left:
                    left.discard(key)
                    found[key] = zlib.compress(text, 1)
    except HomeworkError:
        return found  # what is lacking is read from the records themselves
    return found
