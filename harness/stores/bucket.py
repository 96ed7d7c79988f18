"""A bucket's client: requests that are repeated where boto3 does not, and what differs from service to service."""

import base64
import hashlib
import os
import random
import time
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

import boto3
import botocore.session
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError, ResponseStreamingError
from botocore.parsers import ResponseParserError
from botocore.utils import determine_content_length, parse_timestamp

from harness.stores.addresses import Bucket, masked
from harness.stores.failures import (
    Damaged,
    NotS3,
    explain,
    is_damaged,
    is_denied,
    is_missing,
    is_taken,
)
from harness.stores.store import PARALLEL

ATTEMPTS = int(os.environ.get("AWS_MAX_ATTEMPTS", "8"))
AT_ONCE = 2**20  # bytes of a body that is sent together with its request
SIGNATURES = {"v4": "s3v4", "v2": "s3"}
NO_ANSWER_OF_S3 = (NotS3, ResponseParserError, RecursionError, KeyError)
BODY_BROKEN_OFF = (IncompleteReadError, ResponseStreamingError, ConnectionError)
Answer = TypeVar("Answer")


class BucketClient:
    """A bucket that answers, or what is below a prefix of it; not `readable` where the keys may only write."""

    def __init__(self, bucket: Bucket, reading: bool = True) -> None:
        """Reach the bucket; to write alone, keys do that may not list it.

        Raises:
            StoreError: no credentials, no network, no such bucket, …
        """
        self.bucket = bucket
        self.address = masked(f"{bucket} at {bucket.endpoint}") if bucket.endpoint else str(bucket)
        self.part_pool = ThreadPoolExecutor(PARALLEL)
        self.readable = True
        self.damaged: set[str] = set()  # names that a put left with another content
        try:
            session = _session(bucket.profile)
            greeter = self._client(session, attempts=min(3, ATTEMPTS))  # a wrong address should not take a minute
            self.address = masked(f"{bucket} at {greeter.meta.endpoint_url}")
            self._greet(greeter, reading)
            self.client = self._client(session, ATTEMPTS)
        except (BotoCoreError, ClientError, Boto3Error, ValueError, *NO_ANSWER_OF_S3) as error:
            raise explain(self.address, error) from error

    def _greet(self, client: Any, reading: bool) -> None:
        try:
            require_list(client.list_objects_v2(Bucket=self.bucket.name, Prefix=self.name_of("sealed/"), MaxKeys=1))
        except ClientError as error:
            if reading or not is_denied(error):
                raise
            self.readable = False

    def _client(self, session: Any, attempts: int) -> Any:
        service = self.bucket.service
        config = Config(
            s3={"addressing_style": service.addressing, "payload_signing_enabled": True},
            signature_version=SIGNATURES[service.signature],
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=2 * PARALLEL,
            connect_timeout=10,
            read_timeout=60,
        )
        region = self.bucket.region or session.region_name or "us-east-1"
        client = session.client("s3", region_name=region, endpoint_url=self.bucket.endpoint, config=config)
        client.meta.events.register_first("before-parse.s3.ListObjectsV2", require_xml)
        client.meta.events.register_last("before-call.s3", send_at_once)
        return client

    def asked(self, ask: Callable[[], Answer]) -> Answer:
        """The answer to a request, which is repeated where boto3 does not; a failure is explained."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return ask()
            except ClientError as error:
                failure: Exception = error
                if not is_damaged(error) and not is_taken(error):
                    break
            except Damaged as error:
                failure = error
            except BODY_BROKEN_OFF as error:
                failure = error
            except (BotoCoreError, *NO_ANSWER_OF_S3) as error:  # boto3 has repeated it
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

    def is_proven(self, answer: Mapping[str, Any], content: bytes) -> bool:
        """Whether an answer shows that the service has this content: by its tag, an MD5. A checksum may be an echo."""
        return bool(str(answer.get("ETag", "")).strip('"') == hashlib.md5(content, usedforsecurity=False).hexdigest())

    @property
    def if_free(self) -> dict[str, str]:
        """The parameter that refuses a key which is taken, where the service knows it."""
        return {"IfNoneMatch": "*"} if self.bucket.service.conditional == "yes" else {}

    def size_of(self, name: str) -> int | None:
        """The bytes of an object, by its name in the bucket."""
        try:
            return int(self.client.head_object(Bucket=self.bucket.name, Key=name)["ContentLength"])
        except ClientError as error:
            if is_missing(error) or (is_denied(error) and not self.readable):
                return None
            raise

    def name_of(self, key: str) -> str:
        """A key's name in the bucket."""
        return f"{self.bucket.prefix}/{key}" if self.bucket.prefix else key


def _session(profile: str) -> Any:
    core = botocore.session.get_session()
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=moment)
    return boto3.session.Session(botocore_session=core, profile_name=profile or None)


def moment(written: Any) -> datetime:
    """A moment as services write it; botocore's own way takes longer than all the rest of a list of objects."""
    try:
        return datetime.fromisoformat(written.replace("Z", "+00:00"))
    except (AttributeError, TypeError, ValueError):
        found: datetime = parse_timestamp(written)
        return found


def pause(attempt: int) -> None:
    time.sleep(random.random() * min(20, 2**attempt / 2))


def send_at_once(params: Mapping[str, Any], **_: Any) -> None:
    """Take boto3's "Expect: 100-continue" from a small body: to wait for leave costs a round trip for every object."""
    if (determine_content_length(params.get("body", b"")) or 0) <= AT_ONCE:
        params["headers"].pop("Expect", None)


def require_xml(response_dict: Mapping[str, Any], **_: Any) -> None:
    """Refuse a page for a browser, which boto3 takes for a defect of the service (500).

    Raises:
        NotS3: it is one, or nothing.
    """
    status, body = response_dict["status_code"], response_dict["body"]
    if b"<Error" not in body and (status == 200 or (status == 500 and body)) and b"<ListBucketResult" not in body:
        raise NotS3("the answer is no list of a bucket")


def require_list(page: Mapping[str, Any]) -> None:
    """Refuse what is no list of S3's second version.

    Raises:
        NotS3: it is not.
    """
    if "IsTruncated" not in page:
        raise NotS3("the answer is no list of a bucket")
    if page["IsTruncated"] and not page.get("NextContinuationToken"):
        raise NotS3("the list goes on and does not say where: only its first version (ListObjects) is known there")
