"""A store in a bucket of any service that speaks S3, by boto3.

Whatever is sent carries its checksum, which the service holds against what arrives. Failed requests are repeated by
boto3 with growing pauses; what it does not repeat (a checksum that did not fit, a body that broke off), here.
"""

import hashlib
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, HTTPClientError
from urllib3.exceptions import HTTPError

from harness.stores.bucket import ATTEMPTS, BODY_BROKEN_OFF, BucketClient, pause
from harness.stores.failures import explain, is_missing, is_taken
from harness.stores.multipart import PART, Multipart
from harness.stores.store import PARALLEL, Count, absent, changed, wrong_size

BROKEN_OFF = (*BODY_BROKEN_OFF, HTTPClientError, HTTPError)
CHUNK = 2**20
DENSE = 8  # wanted keys on a page of a thousand: with fewer, asking for each is quicker than listing


class S3Store(BucketClient):
    """A bucket, or what is below a prefix of it, as a store."""

    # What a store does

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        """By listing while the wanted keys stand close together, else by asking for each, several at once."""
        wanted = sorted(keys)
        found: dict[str, int] = {}
        position, dense = 0, True
        while position < len(wanted) and dense:
            page = self._page(Prefix=self.name_of(""), StartAfter=self.name_of(wanted[position])[:-1])
            listed = {item["Key"]: item["Size"] for item in page.get("Contents", [])}
            last = max(listed, default="") if page["IsTruncated"] else "\uffff"
            first, position = position, position + 1
            while position < len(wanted) and self.name_of(wanted[position]) <= last:
                position += 1
            names = {key: self.name_of(key) for key in wanted[first:position]}
            found.update({key: listed[name] for key, name in names.items() if name in listed})
            dense = position - first >= DENSE
        rest = wanted[position:]
        with ThreadPoolExecutor(PARALLEL) as pool:
            sizes = pool.map(lambda key: self.asked(lambda: self.size_of(self.name_of(key))), rest)
            found.update({key: size for key, size in zip(rest, sizes, strict=True) if size is not None})
        return found

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        more: dict[str, str] = {}
        while True:
            page = self._page(Prefix=self.name_of(prefix), **more)
            for item in page.get("Contents", []):
                yield item["Key"][len(self.name_of("")) :], item["Size"]
            if not page["IsTruncated"]:
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def put(self, key: str, path: Path, sha256: str, sent: Count) -> bool:
        if path.stat().st_size > PART:
            return self.asked(lambda: Multipart(self, self.name_of(key), path, sha256).send(sent))
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise changed(path)
        free = self.asked(lambda: self._put_small(self.name_of(key), content))
        sent(len(content))
        return free

    def get(self, key: str, path: Path, size: int, got: Count) -> None:
        tries = 0
        while True:
            before = path.stat().st_size if path.exists() else 0
            try:
                return self._get_rest(key, path, before, size, got)
            except BROKEN_OFF as error:
                tries = 1 if path.stat().st_size > before else tries + 1
                if tries >= ATTEMPTS:
                    raise explain(self.address, error) from error
                pause(tries)

    def read(self, key: str, limit: int) -> bytes:
        def ask() -> bytes:
            answer = self._opened(key)
            if answer["ContentLength"] > limit:
                raise wrong_size(self.address, key, answer["ContentLength"], limit)
            content: bytes = answer["Body"].read()
            return content

        return self.asked(ask)

    def signed_address(self, key: str, seconds: int) -> str:
        """An address that anyone can read this object from, for so long."""
        place = {"Bucket": self.bucket.name, "Key": self.name_of(key)}
        address: str = self.client.generate_presigned_url("get_object", Params=place, ExpiresIn=seconds)
        return address

    # How

    def _opened(self, key: str, **more: str) -> Any:
        try:
            return self.client.get_object(Bucket=self.bucket.name, Key=self.name_of(key), **more)
        except ClientError as error:
            if is_missing(error):
                raise absent(self.address, key) from error
            raise

    def _page(self, **where: str) -> Any:
        return self.asked(lambda: self.client.list_objects_v2(Bucket=self.bucket.name, **where))

    def _put_small(self, name: str, content: bytes) -> bool:
        if not self.if_free and self.size_of(name) is not None:
            return False
        try:
            self.client.put_object(
                Bucket=self.bucket.name, Key=name, Body=content, **self.checksum(content), **self.if_free
            )
        except ClientError as error:
            if is_taken(error) and self.size_of(name) is not None:
                return False
            raise
        return True

    def _get_rest(self, key: str, path: Path, start: int, size: int, got: Count) -> None:
        if start >= size > 0:
            return
        more = {"Range": f"bytes={start}-"} if start else {}
        answer = self.asked(lambda: self._opened(key, **more))
        total = start + answer["ContentLength"]
        if total != size or (start and answer["ResponseMetadata"]["HTTPStatusCode"] != 206):
            raise wrong_size(self.address, key, total, size)
        with path.open("ab") as file:
            for chunk in answer["Body"].iter_chunks(CHUNK):
                file.write(chunk)
                got(len(chunk))
        if path.stat().st_size < size:
            raise ConnectionError("the answer ended before its end")
