"""Big files, and bad luck on the way: no record is lost, none is half there, and a second call completes."""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import s3_server
from faults import NONE, Harm, Proxy, Request
from results_samples import a_sealed_record, contents
from whole import address_of, is_whole, spoiling_each_first, untold

from harness.errors import HomeworkError, StoreError, VerificationError
from harness.evidence import hashing
from harness.stores import s3, transfer
from harness.stores.multipart import PART
from harness.stores.opening import open_store
from harness.stores.store import Store, object_key

ROOT = Path(__file__).resolve().parents[3]
KILLS = int(os.environ.get("HOMEWORK_KILLS", "6"))  # 200 take six minutes


# Big files


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """Results with one record of a file that goes in four parts."""
    a_sealed_record(tmp_path / "results", weights=3 * PART + 12_345)
    return tmp_path / "results"


def test_a_big_file_goes_in_parts_and_comes_back_as_it_was(store: Store, big: Path, tmp_path: Path) -> None:
    counted: list[int] = []
    path = next(big.rglob("weights"))
    sha256 = hashing.sha256(path)
    assert store.put(object_key(sha256), path, sha256, counted.append)
    assert not store.put(object_key(sha256), path, sha256, untold)
    assert sum(counted) == path.stat().st_size
    transfer.upload(big, store)
    transfer.download(tmp_path / "elsewhere", store)
    assert contents(tmp_path / "elsewhere") == contents(big)


def test_a_big_file_that_was_changed_never_shows(store: Store, big: Path) -> None:
    path = next(big.rglob("weights"))
    with path.open("r+b") as file:
        file.seek(2 * PART)
        file.write(b"changed")
    assert len(transfer.upload(big, store).refused) == 1
    assert all(size < PART for _, size in store.list("objects/"))


def test_machines_that_send_the_same_big_file_at_once_agree(store: Store, big: Path, tmp_path: Path) -> None:
    shutil.copytree(big, tmp_path / "other")
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda at: transfer.upload(at, store), (big, tmp_path / "other")))
    assert [outcome.refused for outcome in outcomes] == [{}, {}]
    transfer.download(tmp_path / "elsewhere", store)
    assert contents(tmp_path / "elsewhere") == contents(big)


def test_a_big_upload_goes_on_with_the_parts_it_lacks(proxy: Proxy, behind_proxy: str, big: Path, monkeypatch) -> None:
    monkeypatch.setattr(s3, "ATTEMPTS", 1)

    def third_part_fails(request: Request) -> Harm:
        return Harm(refuse=(500, "InternalError")) if "partNumber=3" in request.path else NONE

    proxy.harm = third_part_fails
    with pytest.raises(StoreError):
        transfer.upload(big, open_store(behind_proxy))
    time.sleep(0.5)
    proxy.harm, before = (lambda request: NONE), len(proxy.requests)
    store = open_store(behind_proxy)
    assert transfer.upload(big, store).refused == {} and is_whole(store) == 1
    again = [request for request in proxy.requests[before:] if "partNumber=" in request.path]
    assert len(again) < 4 and any("partNumber=3" in request.path for request in again)


# Bad luck on the way


@pytest.mark.parametrize("tenth", range(10))
def test_a_connection_cut_at_any_tenth_of_an_upload(proxy: Proxy, behind_proxy: str, results: Path, tenth: int) -> None:
    """Each object's first try is cut there, on its way up or, every second one, on the answer's way back."""
    seen: set[str] = set()

    def cut(request: Request) -> Harm:
        if request.method != "PUT" or request.path in seen:
            return NONE
        seen.add(request.path)
        return Harm(cut_up=tenth / 10) if len(seen) % 2 else Harm(cut_down=0)

    proxy.harm = cut
    store = open_store(behind_proxy)
    outcome = transfer.upload(results, store)
    proxy.harm = lambda request: NONE
    assert outcome.refused == {} and is_whole(store) == 4 and len(seen) > 10


@pytest.mark.parametrize("tenth", range(10))
def test_an_upload_that_dies_at_any_tenth_is_completed_by_a_second(
    proxy: Proxy, behind_proxy: str, results: Path, tmp_path: Path, tenth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From that tenth of the requests on, nothing goes through any more."""
    monkeypatch.setattr(s3, "ATTEMPTS", 1)
    store = open_store(behind_proxy)
    start, total = len(proxy.requests), 17
    proxy.harm = lambda request: Harm(cut_up=0.5) if request.number >= start + total * tenth / 10 else NONE
    with pytest.raises(StoreError) as caught:
        transfer.upload(results, store)
    assert caught.value.code == 7 and caught.value.why and caught.value.remedy
    time.sleep(0.2)  # what was on its way arrives or fails
    proxy.harm = lambda request: NONE
    is_whole(store)
    assert transfer.upload(results, store).refused == {}
    transfer.download(tmp_path / "elsewhere", store)
    assert contents(tmp_path / "elsewhere") == contents(results)


@pytest.mark.parametrize("tenth", range(10))
def test_a_download_cut_at_any_tenth_goes_on_where_it_was(
    proxy: Proxy, behind_proxy: str, tmp_path: Path, tenth: int
) -> None:
    a_sealed_record(tmp_path / "results", trace=3_000_000)
    store = open_store(behind_proxy)
    transfer.upload(tmp_path / "results", store)
    seen: set[str] = set()

    def cut(request: Request) -> Harm:
        fresh = request.method == "GET" and "/objects/" in request.path and request.path not in seen
        seen.add(request.path)
        return Harm(cut_down=tenth / 10) if fresh else NONE

    proxy.harm = cut
    assert transfer.download(tmp_path / "elsewhere", store).refused == {}
    assert contents(tmp_path / "elsewhere") == contents(tmp_path / "results")


def test_a_download_that_died_leaves_nothing_half_and_a_second_completes(
    proxy: Proxy, behind_proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_sealed_record(tmp_path / "results", trace=3_000_000)
    store = open_store(behind_proxy)
    transfer.upload(tmp_path / "results", store)
    monkeypatch.setattr(s3, "ATTEMPTS", 1)
    proxy.harm = lambda request: Harm(cut_down=0.7) if "/objects/" in request.path else NONE
    with pytest.raises(StoreError):
        transfer.download(tmp_path / "elsewhere", store)
    assert contents(tmp_path / "elsewhere") == {}
    proxy.harm, before = (lambda request: NONE), len(proxy.requests)
    transfer.download(tmp_path / "elsewhere", store)
    assert contents(tmp_path / "elsewhere") == contents(tmp_path / "results")
    assert any("/objects/" in request.path for request in proxy.requests[before:])


@pytest.mark.parametrize("refusal", [(500, "InternalError"), (503, "SlowDown"), (503, "ServiceUnavailable")])
def test_a_service_that_is_overloaded_for_a_while_is_asked_again(
    proxy: Proxy, behind_proxy: str, results: Path, refusal: tuple[int, str]
) -> None:
    proxy.harm = lambda request: Harm(refuse=refusal) if request.number % 4 == 1 else NONE
    store = open_store(behind_proxy)
    assert transfer.upload(results, store).refused == {}
    proxy.harm = lambda request: NONE
    assert is_whole(store) == 4


@pytest.mark.parametrize("checksum", ["crc32", "md5"])
def test_what_arrives_changed_is_refused_by_the_far_side_and_sent_again(
    proxy: Proxy, behind_proxy: str, results: Path, checksum: str
) -> None:
    proxy.harm = spoiling_each_first()
    store = open_store(f"{behind_proxy}&checksum={checksum}")
    assert transfer.upload(results, store).refused == {}
    proxy.harm = lambda request: NONE
    assert is_whole(store) == 4


def test_what_arrives_changed_every_time_is_an_error(
    proxy: Proxy, behind_proxy: str, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "ATTEMPTS", 2)
    proxy.harm = lambda request: Harm(spoil_up=True) if request.method == "PUT" else NONE
    with pytest.raises(StoreError, match="differs from what is sent"):
        transfer.upload(results, open_store(behind_proxy))


def test_a_download_that_arrives_changed_is_refused(
    proxy: Proxy, behind_proxy: str, results: Path, tmp_path: Path
) -> None:
    store = open_store(behind_proxy)
    transfer.upload(results, store)
    proxy.harm = lambda request: Harm(spoil_down=True) if "/objects/" in request.path else NONE
    assert transfer.download(tmp_path / "elsewhere", store).moved == []
    assert contents(tmp_path / "elsewhere") == {}


def test_slow_answers_are_waited_for(proxy: Proxy, behind_proxy: str, results: Path) -> None:
    proxy.harm = lambda request: Harm(wait=0.3)
    store = open_store(behind_proxy)
    assert transfer.upload(results, store).refused == {}


# kill -9


@pytest.mark.slow
@pytest.mark.parametrize("where", ["folder", "s3"])
def test_an_uploader_that_is_killed_at_any_moment_harms_nothing(
    where: str, server: s3_server.Server, bucket: str, tmp_path: Path
) -> None:
    """HOMEWORK_KILLS times: kill, look whether the store is whole; then one upload completes, all is as it was."""
    address = str(tmp_path / "store") if where == "folder" else address_of(bucket, server.endpoint)
    results = tmp_path / "results"
    for _ in range(20):
        a_sealed_record(results)
    a_sealed_record(results, weights=2 * PART + 1)
    before = contents(results)
    script = tmp_path / "uploader.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from harness.stores import transfer\nfrom harness.stores.opening import open_store\n"
        "store = open_store(sys.argv[2])\n"
        "print('go', flush=True)\n"
        "transfer.upload(Path(sys.argv[1]), store)\n"
    )
    store = open_store(address)
    ended = 0
    for _ in range(KILLS):
        uploader = subprocess.Popen(
            [sys.executable, script, results, address], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert uploader.stdout and uploader.stdout.readline() == b"go\n"
        with contextlib.suppress(subprocess.TimeoutExpired):
            ended += uploader.wait(random.uniform(0, 0.25)) == 0
        uploader.kill()
        uploader.communicate()
        is_whole(store)
        if ended:
            a_sealed_record(results)
            before = contents(results)
    assert contents(results) == before
    assert transfer.upload(results, store).refused == {}
    transfer.download(tmp_path / "elsewhere", store)
    assert contents(tmp_path / "elsewhere") == before


def test_every_error_of_this_module_is_one_of_the_project() -> None:
    assert issubclass(StoreError, HomeworkError) and StoreError("a").code == 7 and VerificationError("a").code == 6
