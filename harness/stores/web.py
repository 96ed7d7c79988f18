"""A store read over plain HTTP(S): any static host of a folder store or bucket, by the index that uploads write.

All manifests come with the index, whose segments never change and are kept in .cache/stores; there they are read line
by line, all of them side by side, so that a million records take no more memory than a thousand. Files come one by one.
"""

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from harness.errors import StoreError
from harness.stores import index
from harness.stores.indexed import CACHE, segment
from harness.stores.store import Count, absent, wrong_size

CHUNK = 2**20
RETRIES = urllib3.Retry(total=4, backoff_factor=0.2, status_forcelist=(429, 500, 502, 503, 504))
TIMEOUT = urllib3.Timeout(connect=10, read=60)


class WebStore:
    """What a download and a matrix ask; nothing can be written."""

    def __init__(self, address: str, cache: Path = CACHE) -> None:
        """Read the index.

        Raises:
            StoreError: nothing answers there, or it has no index.
        """
        self.address = address.rstrip("/")
        self._pool = urllib3.PoolManager(retries=RETRIES, timeout=TIMEOUT)
        names = index.read_head(self.read(index.HEAD, index.MOST_HEAD_BYTES))
        self._segments = {name: segment(self._pieces, name, cache) for name in names}

    def manifests(self) -> Iterator[index.Entry]:
        """Every manifest that the index has, in the order of the keys; twice where two segments have it.

        Raises:
            VerificationError: a segment is none.
        """
        return heapq.merge(*(index.entries(path, name) for name, path in self._segments.items()))

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        before = None
        for key, text in self.manifests():
            if key.startswith(prefix) and key != before:
                yield key, len(text)
            before = key

    def read(self, key: str, limit: int) -> bytes:
        return b"".join(self._pieces(key, limit))

    def get(self, key: str, path: Path, size: int, got: Count) -> None:
        with path.open("ab") as target:
            start = target.tell()
            with self._asked(key, {"Range": f"bytes={start}-"} if start else {}) as answer:
                if start and answer.status != 206:  # a host that does not know ranges sends all of it
                    target.truncate(0)
                for chunk in self._chunks(answer):
                    target.write(chunk)
                    got(len(chunk))
                    if target.tell() > size:
                        break
            if target.tell() != size:
                raise wrong_size(self.address, key, target.tell(), size)

    def _pieces(self, key: str, limit: int) -> Iterator[bytes]:
        size = 0
        with self._asked(key, {}) as answer:
            for chunk in self._chunks(answer):
                size += len(chunk)
                if size > limit:
                    raise wrong_size(self.address, key, size, limit)
                yield chunk

    def _chunks(self, answer: Any) -> Iterator[bytes]:
        try:
            yield from answer.stream(CHUNK, decode_content=False)  # of a .gz some hosts say that it is encoded so
        except HTTPError as error:
            raise self._silent(_cause(error)) from error

    def _asked(self, key: str, headers: dict[str, str]) -> Any:
        try:
            answer = self._pool.request(
                "GET",
                f"{self.address}/{key}",
                headers={"Accept-Encoding": "identity", **headers},
                preload_content=False,
            )
        except HTTPError as error:
            raise self._silent(_cause(error)) from error
        if key == index.HEAD and (found := _no_store(answer)):
            raise StoreError(f"{self.address}: no store that can be read over HTTP.", *found)
        if answer.status in (404, 410):
            raise absent(self.address, key)
        if answer.status >= 300:
            raise self._silent(f"{key}: {answer.status} {answer.reason or ''}".strip())
        return answer

    def _silent(self, why: str) -> StoreError:
        return StoreError(f"{self.address} does not answer.", f"{why}.", "Open the address in a browser; call again.")


def _no_store(answer: Any) -> tuple[str, str] | None:
    """What came in the place of an index, and what to do; None where it may be one, or comes later."""
    if answer.status in (403, 404, 410):
        why = f"There is no {index.HEAD} ({answer.status})."
        return why, "Whoever may write there: ./inv upload makes one. The address is that of the store's own folder."
    if answer.status in (401, 407):
        why = f"It wants a login ({answer.status}), and an address for reading has none."
        return why, "Ask its owner for one that is public, or with keys name the bucket itself: s3://BUCKET/FOLDER"
    if answer.status < 300 and answer.headers.get("Content-Type", "").startswith("text/html"):
        why = f"In the place of {index.HEAD} a page came: of a login, or of the network that this machine is in."
        return why, "Open the address in a browser; call again."
    return None


def _cause(error: HTTPError) -> str:
    """What failed at last, without the names of urllib3's own classes before it."""
    return str(getattr(error, "reason", None) or error).split("): ", 1)[-1]
