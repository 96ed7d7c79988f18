"""A store in a bucket of any service that speaks S3, by boto3.

Whatever is sent carries its checksum, and is signed with the request, so that the service holds both against what
arrives. Some ignore one or the other: what an answer does not prove to be there is read back. Failed requests are
repeated by boto3 with growing pauses; what it does not repeat (a checksum that did not fit, a broken body), here.
"""

import contextlib
import hashlib
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, HTTPClientError
from urllib3.exceptions import HTTPError

from harness.stores.bucket import ATTEMPTS, BODY_BROKEN_OFF, BucketClient, pause, require_list
from harness.stores.failures import Damaged, NotS3, explain, is_denied, is_missing, is_taken
from harness.stores.multipart import PART, Multipart
from harness.stores.store import PARALLEL, Count, absent, changed, wrong_size

BROKEN_OFF = (*BODY_BROKEN_OFF, HTTPClientError, HTTPError)
CHUNK = 2**20
DENSE = 8  # wanted keys on a page of a thousand: with fewer, asking for each is quicker than listing


class S3Store(BucketClient):
    """A bucket, or what is below a prefix of it, as a store."""

    # What a store does

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        """By listing while the wanted keys stand close together, else by asking for each, several at once.

        Keys that may only write see nothing: each put then finds out by itself.
        """
        if not self.readable:
            return {}
        wanted = sorted(keys)
        found: dict[str, int] = {}
        position, dense = 0, len(wanted) >= DENSE
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

    def put(self, key: str, path: Path, sha256: str, sent: Count, anew: bool = False) -> bool:
        if path.stat().st_size > PART:
            return self.asked(lambda: self._put_big(self.name_of(key), path, sha256, sent, anew))
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise changed(path)
        free = self.asked(lambda: self._put_small(self.name_of(key), content, anew))
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
        def ask() -> Any:
            page = self.client.list_objects_v2(Bucket=self.bucket.name, **where)
            require_list(page)
            if page.get("NextContinuationToken", "") == where.get("ContinuationToken"):
                raise NotS3("the list goes on where it began")
            return page

        return self.asked(ask)

    def _put_small(self, name: str, content: bytes, anew: bool) -> bool:
        if not anew and name not in self.damaged and not self.if_free and self.size_of(name) is not None:
            return False
        condition = {} if anew or name in self.damaged else self.if_free
        try:
            answer = self.client.put_object(
                Bucket=self.bucket.name, Key=name, Body=content, **self.checksum(content), **condition
            )
        except ClientError as error:
            if is_taken(error) and (not self.readable or self.size_of(name) is not None):
                return False
            raise
        if not self.is_proven(answer, content):
            self._require_there(name, hashlib.sha256(content).hexdigest())
        return True

    def _put_big(self, name: str, path: Path, sha256: str, sent: Count, anew: bool) -> bool:
        upload = Multipart(self, name, path, sha256, anew or name in self.damaged)
        free = upload.send(sent)
        if free and not upload.proven:
            self._require_there(name, sha256)
        return free

    def _require_there(self, name: str, sha256: str) -> None:
        """Read an object back that no answer proved to be what was sent; one that is not does not stay.

        Raises:
            Damaged: it is not so.
        """
        try:
            body = self.client.get_object(Bucket=self.bucket.name, Key=name)["Body"]
        except ClientError as error:
            if is_denied(error):  # keys that may only write: the signature of the request has to do
                return
            raise
        digest = hashlib.sha256()
        for chunk in body.iter_chunks(CHUNK):
            digest.update(chunk)
        if digest.hexdigest() != sha256:
            self.damaged.add(name)
            with contextlib.suppress(ClientError):  # without that right it is put anew
                self.client.delete_object(Bucket=self.bucket.name, Key=name)
            raise Damaged(f"{name} is not there as it was sent")

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
