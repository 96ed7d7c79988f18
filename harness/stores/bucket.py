"""A bucket's client: requests that are repeated where boto3 does not, and what differs from service to service."""

import base64
import hashlib
import os
import random
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError, ResponseStreamingError

from harness.stores.addresses import Bucket
from harness.stores.failures import explain, is_damaged, is_missing, is_taken
from harness.stores.store import PARALLEL

ATTEMPTS = int(os.environ.get("AWS_MAX_ATTEMPTS", "8"))
SIGNATURES = {"v4": "s3v4", "v2": "s3"}
BODY_BROKEN_OFF = (IncompleteReadError, ResponseStreamingError, ConnectionError)
Answer = TypeVar("Answer")


class BucketClient:
    """A bucket that answers, or what is below a prefix of it."""

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
            greeter.list_objects_v2(Bucket=bucket.name, Prefix=self.name_of("sealed/"), MaxKeys=1)
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
                pause(attempt)
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

    def name_of(self, key: str) -> str:
        """A key's name in the bucket."""
        return f"{self.bucket.prefix}/{key}" if self.bucket.prefix else key


def pause(attempt: int) -> None:
    time.sleep(random.random() * min(20, 2**attempt / 2))
