"""Ceph's gateway of Debian, which does not look at x-amz-checksum-*: what is sent arrives whole, or is refused."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import ceph_server
import pytest
import s3_server
from faults import Harm, Proxy
from results_samples import a_sealed_record, contents
from whole import spoiling_each_first

from harness.errors import StoreError
from harness.stores import bucket, repairing, s3, transfer
from harness.stores.multipart import PART
from harness.stores.opening import open_store
from harness.stores.store import Store

pytestmark = pytest.mark.skipif(bool(ceph_server.missing()), reason=f"no {ceph_server.missing()}: apt install radosgw")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_server.Server]:
    with ceph_server.running(tmp_path_factory.mktemp("ceph")) as running:
        yield running


@pytest.fixture
def place(bucket: str) -> str:
    return f"s3://{bucket}?service=ceph"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    a_sealed_record(tmp_path / "results")
    a_sealed_record(tmp_path / "results", weights=PART + 9)
    return tmp_path / "results"


def opened(place: str, server: s3_server.Server | Proxy, *more: str) -> Store:
    return open_store("&".join([place, f"endpoint={server.endpoint}", *more]))


def test_everything_arrives_as_it_was(server: s3_server.Server, place: str, results: Path, tmp_path: Path) -> None:
    store = opened(place, server)
    assert len(transfer.upload(results, store).moved) == 2
    assert transfer.upload(results, store).there == 2
    assert transfer.download(tmp_path / "elsewhere", store).refused == {}
    assert contents(tmp_path / "elsewhere") == contents(results)


@pytest.mark.parametrize("checksum", ["md5", "crc32"])
def test_a_body_that_is_damaged_on_its_way_is_sent_again(
    server: s3_server.Server, proxy: Proxy, place: str, results: Path, tmp_path: Path, checksum: str
) -> None:
    proxy.harm = spoiling_each_first()
    assert transfer.upload(results, opened(place, proxy, f"checksum={checksum}")).refused == {}
    transfer.download(tmp_path / "elsewhere", opened(place, server))
    assert contents(tmp_path / "elsewhere") == contents(results)


def test_one_that_is_damaged_each_time_is_an_error(
    proxy: Proxy, place: str, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (bucket, s3):
        monkeypatch.setattr(module, "ATTEMPTS", 2)
    proxy.harm = lambda request: Harm(spoil_up=request.method == "PUT")
    with pytest.raises(StoreError, match="differs from what is sent"):
        transfer.upload(results, opened(place, proxy, "checksum=crc32"))


def test_an_object_that_was_damaged_there_is_repaired(
    server: s3_server.Server, place: str, results: Path, tmp_path: Path
) -> None:
    store = opened(place, server)
    transfer.upload(results, store)
    key = min(key for key, size in store.list("objects/") if size)
    name = f"{place.split('/')[3].partition('?')[0]}/{key}"
    client = boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1")
    size = client.head_object(Bucket="team", Key=name)["ContentLength"]
    client.put_object(Bucket="team", Key=name, Body=bytes(size))
    assert len(transfer.download(tmp_path / "damaged", store).refused) == 1
    assert len(repairing.repair(results, store).moved) == 1
    assert transfer.download(tmp_path / "whole", store).refused == {}
