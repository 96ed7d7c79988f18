"""A store in a bucket of any service that speaks S3, by boto3.

Whatever is sent carries its checksum, which the service holds against what arrives. Failed requests are repeated by
boto3 with growing pauses; what it does not repeat (a checksum that did not fit, a body that broke off), here.
"""

import base64
import hashlib
import os
import random
import time
import zlib
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)
from urllib3.exceptions import HTTPError

from harness.stores import PARALLEL, Count, absent, changed, wrong_size
from harness.stores.addresses import Bucket
from harness.stores.failures import explain, is_damaged, is_missing, is_taken
from harness.stores.multipart import PART, Multipart

ATTEMPTS = int(os.environ.get("AWS_MAX_ATTEMPTS", "8"))
SIGNATURES = {"v4": "s3v4", "v2": "s3"}
BODY_BROKEN_OFF = (IncompleteReadError, ResponseStreamingError, ConnectionError)
BROKEN_OFF = (*BODY_BROKEN_OFF, HTTPClientError, HTTPError)
CHUNK = 2**20
DENSE = 8  # wanted keys on a page of a thousand: with fewer, asking for each is quicker than listing
Answer = TypeVar("Answer")


class S3Store:
    """A bucket, or what is below a prefix of it."""

    def __init__(self, bucket: Bucket) -> None:
        """Reach the bucket.

        Raises:
            StoreError: no credentials, no network, no such bucket, …
        """
        self.bucket = bucket
        self.address = f"{bucket} at {bucket.endpoint}" if bucket.endpoint else str(bucket)
        self.part_pool = ThreadPoolExecutor(PARALLEL)
        try:
            session = boto3.session.Session(profile_name=bucket.profile or None)
            greeter = self._client(session, attempts=min(3, ATTEMPTS))  # a wrong address should not take a minute
            self.address = f"{bucket} at {greeter.meta.endpoint_url}"
            greeter.list_objects_v2(Bucket=bucket.name, Prefix=self._name("sealed/"), MaxKeys=1)
            self.client = self._client(session, ATTEMPTS)
        except (BotoCoreError, ClientError, Boto3Error, ValueError) as error:
            raise explain(self.address, error) from error

    def _client(self, session: Any, attempts: int) -> Any:
        service = self.bucket.service
        config = Config(
            s3={"addressing_style": service.addressing, "payload_signing_enabled": service.checksum != "crc32"},
            signature_version=SIGNATURES[service.signature],
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=2 * PARALLEL,
            connect_timeout=10,
            read_timeout=60,
        )
        region = self.bucket.region or session.region_name or "us-east-1"
        return session.client("s3", region_name=region, endpoint_url=self.bucket.endpoint, config=config)

    # What a store does

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        """By listing while the wanted keys stand close together, else by asking for each, several at once."""
        wanted = sorted(keys)
        found: dict[str, int] = {}
        position, dense = 0, True
        while position < len(wanted) and dense:
            page = self._page(Prefix=self._name(""), StartAfter=self._name(wanted[position])[:-1])
            listed = {item["Key"]: item["Size"] for item in page.get("Contents", [])}
            last = max(listed, default="") if page["IsTruncated"] else "\uffff"
            first, position = position, position + 1
            while position < len(wanted) and self._name(wanted[position]) <= last:
                position += 1
            names = {key: self._name(key) for key in wanted[first:position]}
            found.update({key: listed[name] for key, name in names.items() if name in listed})
            dense = position - first >= DENSE
        rest = wanted[position:]
        with ThreadPoolExecutor(PARALLEL) as pool:
            sizes = pool.map(lambda key: self.asked(lambda: self.size_of(self._name(key))), rest)
            found.update({key: size for key, size in zip(rest, sizes, strict=True) if size is not None})
        return found

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        more: dict[str, str] = {}
        while True:
            page = self._page(Prefix=self._name(prefix), **more)
            for item in page.get("Contents", []):
                yield item["Key"][len(self._name("")) :], item["Size"]
            if not page["IsTruncated"]:
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def put(self, key: str, path: Path, sha256: str, sent: Count) -> bool:
        if path.stat().st_size > PART:
            return self.asked(lambda: Multipart(self, self._name(key), path, sha256).send(sent))
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise changed(path)
        free = self.asked(lambda: self._put_small(self._name(key), content))
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
                _pause(tries)

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
        place = {"Bucket": self.bucket.name, "Key": self._name(key)}
        address: str = self.client.generate_presigned_url("get_object", Params=place, ExpiresIn=seconds)
        return address

    # How

    def asked(self, ask: Callable[[], Answer]) -> Answer:
        """The answer to a request, which is repeated where boto3 does not; a failure is explained."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return ask()
            except ClientError as error:
                failure: Exception = error
                if not is_damaged(error) and not is_taken(error):
                    break
            except BODY_BROKEN_OFF as error:
                failure = error
            except BotoCoreError as error:  # boto3 has repeated it
                failure = error
                break
            if attempt < ATTEMPTS:
                _pause(attempt)
        raise explain(self.address, failure) from failure

    def checksum(self, content: bytes) -> dict[str, str]:
        """The parameter that makes the service check what arrives."""
        if self.bucket.service.checksum == "md5":
            return {"ContentMD5": base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()}
        return {"ChecksumCRC32": base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()}

    @property
    def if_free(self) -> dict[str, str]:
        """The parameter that refuses a key which is taken, where the service knows it."""
        return {"IfNoneMatch": "*"} if self.bucket.service.conditional == "yes" else {}

    def size_of(self, name: str) -> int | None:
        """The bytes of an object, by its name in the bucket."""
        try:
            return int(self.client.head_object(Bucket=self.bucket.name, Key=name)["ContentLength"])
        except ClientError as error:
            if is_missing(error):
                return None
            raise

    def _opened(self, key: str, **more: str) -> Any:
        try:
            return self.client.get_object(Bucket=self.bucket.name, Key=self._name(key), **more)
        except ClientError as error:
            if is_missing(error):
                raise absent(self.address, key) from error
            raise

    def _name(self, key: str) -> str:
        return f"{self.bucket.prefix}/{key}" if self.bucket.prefix else key

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


def _pause(attempt: int) -> None:
    time.sleep(random.random() * min(20, 2**attempt / 2))
