"""What the tests of real stores share: SeaweedFS on loopback, a bucket of it, and a proxy before it that does harm."""

import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import s3_server
from faults import Proxy, proxy_before
from results_samples import a_sealed_record, an_attachment
from whole import address_of

from harness.stores.opening import open_store
from harness.stores.store import Store


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_server.Server]:
    with s3_server.running(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keys of the server, a home without profiles, few and quick repeats."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "HOMEWORK_STORE"))]:
        monkeypatch.delenv(name)
    for name, value in {**s3_server.KEYS, "HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(server: s3_server.Server) -> str:
    """A fresh prefix of the server's one bucket: each bucket takes volumes, and the server has few."""
    client = boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1")
    with contextlib.suppress(client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket="team")
    return f"team/{random.randrange(10**12)}"


@pytest.fixture
def proxy(server: s3_server.Server) -> Iterator[Proxy]:
    with proxy_before(server.port) as proxy:
        yield proxy


@pytest.fixture
def behind_proxy(proxy: Proxy, bucket: str) -> str:
    """The address of a bucket behind the proxy."""
    return address_of(bucket, proxy.endpoint)


@pytest.fixture(params=["folder", "s3", "s3 by MD5"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each kind of store; the second S3 one as services are spoken to that know neither SHA-256 nor If-None-Match."""
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    server = request.getfixturevalue("server")
    more = "" if request.param == "s3" else "&checksum=md5&conditional=no"
    return open_store(address_of(request.getfixturevalue("bucket"), server.endpoint) + more)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Three records and an attachment."""
    folder = tmp_path / "results"
    for part in ("4", "4", "8-1"):
        a_sealed_record(folder, part)
    an_attachment(folder)
    return folder
