"""A store read over plain HTTP(S): any static host of a folder store or bucket, by the index that uploads write.

All manifests come with the index, whose segments never change and are kept in .cache/stores; files come one by one.
"""

import zlib
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
        self._manifests: dict[str, bytes] = {}
        for name in index.read_head(self._whole(index.HEAD, index.MOST_HEAD_BYTES)):
            for key, text in index.entries(segment(self._whole, name, cache), name):
                self._manifests[key] = zlib.compress(text, 1)  # there may be a hundred thousand

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        for key, packed in self._manifests.items():
            if key.startswith(prefix):
                yield key, len(zlib.decompress(packed))

    def read(self, key: str, limit: int) -> bytes:
        if key in self._manifests:
            content = zlib.decompress(self._manifests[key])
            if len(content) > limit:
                raise wrong_size(self.address, key, len(content), limit)
            return content
        return self._whole(key, limit)

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

    def _whole(self, key: str, limit: int) -> bytes:
        with self._asked(key, {}) as answer:
            pieces, size = [], 0
            for chunk in self._chunks(answer):
                pieces.append(chunk)
                size += len(chunk)
                if size > limit:
                    raise wrong_size(self.address, key, size, limit)
        return b"".join(pieces)

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
        if answer.status in (403, 404, 410) and key == index.HEAD:
            why = f"There is no {index.HEAD} ({answer.status})."
            remedy = "Whoever may write there: ./inv upload makes one. The address is that of the store's own folder."
            raise StoreError(f"{self.address}: no store that can be read over HTTP.", why, remedy)
        if answer.status in (404, 410):
            raise absent(self.address, key)
        if answer.status >= 300:
            raise self._silent(f"{key}: {answer.status} {answer.reason or ''}".strip())
        return answer

    def _silent(self, why: str) -> StoreError:
        return StoreError(f"{self.address} does not answer.", f"{why}.", "Open the address in a browser; call again.")


def _cause(error: HTTPError) -> str:
    """What failed at last, without the names of urllib3's own classes before it."""
    return str(getattr(error, "reason", None) or error).split("): ", 1)[-1]
