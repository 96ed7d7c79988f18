"""Big files go to a bucket in parts, several at once, and an upload that broke off goes on with the parts it lacks.

The parts of an upload are kept by the service until it is completed. The next machine that sends the same content, or
this one after a break, finds them and sends only what is missing: the same content has the same parts.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from threading import Semaphore
from typing import Any

from botocore.exceptions import ClientError

from harness.stores.bucket import BucketClient
from harness.stores.failures import code_of, is_taken
from harness.stores.store import Count, changed

PART = 16 * 2**20
MOST_PARTS = 10_000
IN_MEMORY = Semaphore(16)  # parts, over all files


class Multipart:
    """One big file on its way."""

    def __init__(self, store: BucketClient, name: str, path: Path, sha256: str, anew: bool = False) -> None:
        self.store = store
        self.client = store.client
        self.where = {"Bucket": store.bucket.name, "Key": name}
        self.path = path
        self.sha256 = sha256
        self.anew = anew
        self.proven = True  # whether the answer to each part shows that it arrived as it was sent
        self.part_bytes = PART * -(-path.stat().st_size // (PART * MOST_PARTS))

    def send(self, sent: Count) -> bool:
        """Send the file; False if the key is taken.

        Raises:
            VerificationError: the file has other content than its hash says; nothing shows in the store.
        """
        for _ in range(3):
            if not self.anew and self.store.size_of(self.where["Key"]) is not None:
                return False
            upload = self._found() or self._begun()
            try:
                parts = self._send_parts(upload, sent)
                self.client.complete_multipart_upload(
                    **self.where, UploadId=upload, MultipartUpload={"Parts": parts}, **self._condition()
                )
                return True
            except ClientError as error:
                if is_taken(error):
                    self.client.abort_multipart_upload(**self.where, UploadId=upload)
                    if not self.store.readable:
                        return False
                elif code_of(error) != "NoSuchUpload":  # another machine completed it
                    raise
                last = error
        raise last

    def _condition(self) -> dict[str, str]:
        return {} if self.anew else self.store.if_free

    def _found(self) -> str | None:
        """The latest upload of this content that was begun and not completed."""
        if not self.store.readable:
            return None
        page = self.client.list_multipart_uploads(Bucket=self.where["Bucket"], Prefix=self.where["Key"])
        uploads = [upload for upload in page.get("Uploads", []) if upload["Key"] == self.where["Key"]]
        return max(uploads, key=lambda upload: upload["Initiated"])["UploadId"] if uploads else None

    def _begun(self) -> str:
        algorithm = {"ChecksumAlgorithm": "CRC32"} if self.store.bucket.service.checksum == "crc32" else {}
        return str(self.client.create_multipart_upload(**self.where, **algorithm)["UploadId"])

    def _send_parts(self, upload: str, sent: Count) -> list[dict[str, Any]]:
        """Read the file once, in order, while others send what was read; what the parts are called is returned."""
        there = self._parts_there(upload)
        digest = hashlib.sha256()
        futures: list[Future[dict[str, Any]]] = []
        try:
            for number, content in enumerate(self._contents(), start=1):
                digest.update(content)
                future = self.store.part_pool.submit(self._send_part, upload, number, content, there.get(number), sent)
                future.add_done_callback(lambda _: IN_MEMORY.release())
                futures.append(future)
            if digest.hexdigest() != self.sha256:
                raise changed(self.path)
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def _contents(self) -> Iterator[bytes]:
        """The parts' contents; each holds a place of IN_MEMORY until it was sent."""
        with self.path.open("rb") as file:
            while True:
                IN_MEMORY.acquire()
                try:
                    content = file.read(self.part_bytes)
                except OSError:
                    IN_MEMORY.release()
                    raise
                if not content:
                    return IN_MEMORY.release()
                yield content

    def _parts_there(self, upload: str) -> dict[int, dict[str, Any]]:
        if not self.store.readable:
            return {}
        pages = self.client.get_paginator("list_parts").paginate(**self.where, UploadId=upload)
        return {part["PartNumber"]: part for page in pages for part in page.get("Parts", [])}

    def _send_part(
        self, upload: str, number: int, content: bytes, there: dict[str, Any] | None, sent: Count
    ) -> dict[str, Any]:
        checksum = self.store.checksum(content)
        kept = {name: value for name, value in checksum.items() if name == "ChecksumCRC32"}
        if there is None or not _same(there, content, kept):
            there = self.client.upload_part(**self.where, UploadId=upload, PartNumber=number, Body=content, **checksum)
        if not self.store.is_proven(there, content):
            self.proven = False
        sent(len(content))
        return {"PartNumber": number, "ETag": there["ETag"], **kept}


def _same(part: dict[str, Any], content: bytes, checksum: dict[str, str]) -> bool:
    """Whether the service's part has this content: by its checksum, or its tag, the MD5 on most services."""
    if part["Size"] != len(content):
        return False
    if "ChecksumCRC32" in part:
        return bool(part["ChecksumCRC32"] == checksum.get("ChecksumCRC32"))
    return bool(part["ETag"].strip('"') == hashlib.md5(content, usedforsecurity=False).hexdigest())
