"""Stores, for real: a folder, and SeaweedFS on loopback, behind a proxy that does harm.

Whatever goes wrong on the way, no record is lost, none is half there, none is changed, and a second call completes.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import boto3
import pytest
import s3_server
from faults import NONE, Harm, Proxy, Request, proxy_before
from results_samples import a_sealed_record, an_attachment, contents, write_sealed

from harness.catalogue import entries
from harness.errors import HomeworkError, StoreError, VerificationError
from harness.evidence import attachments, hashing, records
from harness.points import matrix
from harness.stores import s3, team, transfer
from harness.stores.multipart import PART
from harness.stores.opening import open_store
from harness.stores.store import Store, object_key

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("HOMEWORK_KILLS", "6"))  # 200 take six minutes


@pytest.fixture(scope="module")
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


def address_of(bucket: str, endpoint: str) -> str:
    return f"s3://{bucket}?service=seaweedfs&endpoint={endpoint}"


def is_whole(store: Store) -> int:
    """Every manifest in the store has all that it names; their number is returned."""
    manifests = [one for one, _ in transfer.listed(store)]
    named = [file for one in manifests for file in one.files(store.read(one.key, 10**7))]
    expected = {object_key(file.sha256): file.bytes for file in named}
    assert store.sizes(list(expected)) == expected
    return len(manifests)


# What is there


def test_everything_arrives_as_it_was(store: Store, results: Path, tmp_path: Path) -> None:
    before = contents(results)
    sent = transfer.upload(results, store)
    assert (len(sent.moved), sent.there, sent.refused) == (4, 0, {})
    got = transfer.download(tmp_path / "elsewhere", store)
    assert (len(got.moved), got.there, got.refused) == (4, 0, {})
    assert contents(tmp_path / "elsewhere") == before == contents(results)


def test_what_is_there_is_not_moved_again(store: Store, results: Path, tmp_path: Path) -> None:
    transfer.upload(results, store)
    a_sealed_record(results)
    again = transfer.upload(results, store)
    assert (len(again.moved), again.there) == (1, 4)
    transfer.download(tmp_path / "elsewhere", store)
    assert transfer.download(tmp_path / "elsewhere", store).there == 5


def test_parts_are_chosen_and_a_dry_run_moves_nothing(store: Store, results: Path, tmp_path: Path) -> None:
    assert len(transfer.upload(results, store, ["8-1"], dry_run=True).moved) == 1
    assert is_whole(store) == 0
    transfer.upload(results, store, ["8-1"])
    assert is_whole(store) == 1
    transfer.upload(results, store)
    assert len(transfer.download(tmp_path / "elsewhere", store, ["4"], dry_run=True).moved) == 3
    assert contents(tmp_path / "elsewhere") == {}


def test_of_one_content_in_many_records_one_object_is_stored(store: Store, tmp_path: Path) -> None:
    first = a_sealed_record(tmp_path / "results", trace=3000)
    for _ in range(3):
        folder = tmp_path / "results" / ".making"
        shutil.copytree(first, folder)
        record = json.loads((folder / "record.json").read_text())
        (folder / "record.json").unlink()
        records.seal_folder(tmp_path / "results", folder, {**record, "id": hashing.new_id()})
    transfer.upload(tmp_path / "results", store)
    assert len(list(store.list("objects/"))) == 2 and is_whole(store) == 4


def test_a_record_that_was_changed_is_refused_and_the_others_go(store: Store, results: Path) -> None:
    for number, path in enumerate(sorted(results.glob("4/cpu/*"))):
        if number == 0:
            (path / "trace").write_bytes(os.urandom(5000))
        else:
            (path / "trace").unlink()
            (path / "trace").symlink_to("/etc/passwd")
    outcome = transfer.upload(results, store)
    assert len(outcome.moved) == 2 and is_whole(store) == 2
    assert sorted(text.split(": ")[1].split(".")[0] for text in outcome.refused.values()) == [
        "a link",
        "changed since it was sealed",
    ]
    with pytest.raises(VerificationError, match="2 not uploaded; the others were"):
        transfer.require_all(outcome, "uploaded")


def test_another_record_of_the_same_name_is_never_overwritten(store: Store, results: Path) -> None:
    transfer.upload(results, store)
    before = {key: store.read(key, 10**6) for key, _ in store.list("")}
    path = next(results.glob("8-1/cpu/*")) / "record.json"
    write_sealed(path, {**json.loads(path.read_text()), "seed": 1})
    outcome = transfer.upload(results, store)
    assert "another one of that name" in next(iter(outcome.refused.values()))
    assert {key: store.read(key, 10**6) for key, _ in store.list("")} == before


def test_machines_that_send_the_same_at_once_agree(store: Store, results: Path, tmp_path: Path) -> None:
    machines = [tmp_path / f"machine-{number}" for number in range(4)]
    for machine in machines:
        shutil.copytree(results, machine)
    outcomes: list[transfer.Outcome] = []
    threads = [threading.Thread(target=lambda at=at: outcomes.append(transfer.upload(at, store))) for at in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome.refused for outcome in outcomes] == [{}] * 4 and is_whole(store) == 4


def test_of_machines_with_different_records_of_one_name_one_wins(
    server: s3_server.Server, bucket: str, tmp_path: Path
) -> None:
    store = open_store(address_of(bucket, server.endpoint))
    first = a_sealed_record(tmp_path / "0")
    for number in range(1, 6):
        shutil.copytree(tmp_path / "0", tmp_path / str(number))
        path = tmp_path / str(number) / first.relative_to(tmp_path / "0") / "record.json"
        write_sealed(path, {**json.loads(path.read_text()), "seed": number})
    outcomes = {}
    threads = [
        threading.Thread(target=lambda n=n: outcomes.update({n: transfer.upload(tmp_path / str(n), store)}))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [number for number, outcome in outcomes.items() if outcome.moved]
    assert len(winners) == 1 and sum(len(outcome.refused) for outcome in outcomes.values()) == 5
    ((one, _),) = transfer.listed(store)
    assert store.read(one.key, 10**6) == (tmp_path / str(winners[0]) / one.place / "record.json").read_bytes()


def test_sizes_are_found_one_by_one_and_among_thousands(server: s3_server.Server, bucket: str, tmp_path: Path) -> None:
    store = open_store(address_of(bucket, server.endpoint))
    (tmp_path / "file").write_bytes(b"x")
    sha256 = hashlib.sha256(b"x").hexdigest()
    keys = [f"objects/{number:04}" for number in range(1300)]
    for result in ThreadPoolExecutor(16).map(lambda key: store.put(key, tmp_path / "file", sha256, len_), keys):
        assert result
    everything = store.sizes(keys)
    assert everything == dict.fromkeys(keys, 1)
    few = ["objects/0000", "objects/0001x", "objects/0777", "objects/1299", "objects/9"]
    assert set(store.sizes(few)) == {"objects/0000", "objects/0777", "objects/1299"}
    assert len(list(store.list("objects/"))) == 1300


def len_(_: int) -> None:
    """Nobody watches."""


# Hostile stores


def hostile(results: Path, store: Store, change: Callable[[dict], None], name: str = "") -> transfer.Outcome:
    """Put a record whose manifest was changed, and sealed again, into the store, and download all."""
    folder = a_sealed_record(results)
    manifest = json.loads((folder / "record.json").read_text())
    change(manifest)
    transfer.upload(results, store)
    forged = results / "forged.json"
    write_sealed(forged, manifest)
    place = name or f"4/cpu/{hashing.new_id()}"
    if not name:
        manifest["id"] = place.split("/")[-1]
        write_sealed(forged, manifest)
    store.put(f"sealed/{place}/record.json", forged, hashlib.sha256(forged.read_bytes()).hexdigest(), len_)
    return transfer.download(results.parent / "victim", store)


@pytest.mark.parametrize("name", ["a\nb", "x" * 300, "\x1b[31mred", "metrics/inside", "half \ud83d"])
def test_a_name_that_no_file_here_should_have_is_refused(tmp_path: Path, name: str) -> None:
    outcome = hostile(tmp_path / "results", open_store(str(tmp_path / "store")), renamed(name))
    assert len(outcome.refused) == 1 and len(outcome.moved) == 1


def renamed(name: str) -> Callable[[dict], None]:
    def change(manifest: dict) -> None:
        manifest["artefacts"][name] = manifest["artefacts"].pop("trace")

    return change


@pytest.mark.parametrize(
    "name",
    ["../../escaped", "/etc/escaped", "a/../../escaped", "", ".", "a//b", "record.json", ".lock", "record.json/inside"],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    store = open_store(str(tmp_path / "store"))
    outcome = hostile(tmp_path / "results", store, renamed(name))
    assert len(outcome.refused) == 1 and len(outcome.moved) == 1
    assert not list(tmp_path.rglob("escaped"))
    assert contents(tmp_path / "victim").keys() == {
        name for name in contents(tmp_path / "results") if name != "forged.json"
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest["artefacts"]["trace"].update(sha256="0" * 64),
        lambda manifest: manifest["artefacts"]["trace"].update(sha256="../" * 21 + "a"),
        lambda manifest: manifest["artefacts"]["trace"].update(bytes=4999),
        lambda manifest: manifest["artefacts"]["trace"].update(bytes=-1),
        lambda manifest: manifest["artefacts"].update(trace=manifest["artefacts"]["metrics"] | {"bytes": 10**15}),
        lambda manifest: manifest.update(artefacts=[]),
        lambda manifest: manifest.update(artefacts={"trace": None}),
        lambda manifest: manifest.update(cell={"part": "8-1", "hardware": "cpu"}),
        lambda manifest: manifest.update(cell="{id}"),
        lambda manifest: manifest.pop("cell"),
    ],
)
def test_a_manifest_that_lies_is_refused(store: Store, tmp_path: Path, change: Callable[[dict], None]) -> None:
    outcome = hostile(tmp_path / "results", store, change)
    assert len(outcome.refused) == 1 and len(outcome.moved) == 1, outcome
    assert len(list((tmp_path / "victim").glob("*/*/*/record.json"))) == 1


@pytest.mark.parametrize("content", [b"", b"[]", b"nonsense", b'{"seal": 1}', b"[" * 100_000, b'{"seal": NaN}'])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    store = open_store(str(tmp_path / "store"))
    path = tmp_path / "store" / f"sealed/4/cpu/{hashing.new_id()}/record.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    outcome = transfer.download(tmp_path / "victim", store)
    assert len(outcome.refused) == 1 and contents(tmp_path / "victim") == {}


def test_keys_of_odd_places_links_and_pipes_are_left_alone(tmp_path: Path, results: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    transfer.upload(results, store)
    below = tmp_path / "store" / "sealed"
    for place in ("4/cpu/x/record.json", "../record.json", "4/cpu/record.json", "readme.txt"):
        (below / place).parent.mkdir(parents=True, exist_ok=True)
        (below / place).write_text("{}")
    link, pipe = (below / "4/cpu" / hashing.new_id() / "record.json" for _ in range(2))
    link.parent.mkdir()
    link.symlink_to("/etc/passwd")
    pipe.parent.mkdir()
    os.mkfifo(pipe)
    outcome = transfer.download(tmp_path / "victim", store)
    assert len(outcome.moved) == 4 and outcome.refused == {}


def test_an_object_that_was_changed_or_removed_is_refused_and_the_others_come(
    store: Store, results: Path, tmp_path: Path
) -> None:
    transfer.upload(results, store)
    paths = sorted(results.glob("*/cpu/*/trace"))
    victims = [object_key(hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths[:2]]
    meddle(store, victims[0], b"z" * 5000)
    meddle(store, victims[1], None)
    outcome = transfer.download(tmp_path / "victim", store)
    assert len(outcome.moved) == 2 and len(outcome.refused) == 2
    assert contents(tmp_path / "victim").items() <= contents(results).items()


def meddle(store: Store, key: str, content: bytes | None) -> None:
    """Change or remove an object behind the back of this program."""
    if isinstance(store, s3.S3Store):
        where = {"Bucket": store.bucket.name, "Key": f"{store.bucket.prefix}/{key}"}
        store.client.delete_object(**where) if content is None else store.client.put_object(**where, Body=content)
    elif content is None:
        (store.folder / key).unlink()
    else:
        (store.folder / key).write_bytes(content)


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
    assert not store.put(object_key(sha256), path, sha256, len_)
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
    seen: set[str] = set()

    def spoil(request: Request) -> Harm:
        fresh = request.method == "PUT" and request.path not in seen
        seen.add(request.path)
        return Harm(spoil_up=fresh)

    proxy.harm = spoil
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


# What a person reads


def refused(address: str) -> StoreError:
    with pytest.raises(StoreError) as caught:
        open_store(address)
    assert caught.value.code == 7 and caught.value.what and caught.value.why and caught.value.remedy
    return caught.value


def test_a_wrong_secret(server: s3_server.Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert "secret does not belong" in refused(address_of(bucket, server.endpoint)).why


def test_an_unknown_access_key(server: s3_server.Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    assert "does not know this access key" in refused(address_of(bucket, server.endpoint)).why


def test_no_credentials(server: s3_server.Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert "no credentials" in refused(address_of(bucket, server.endpoint)).why


def test_an_unknown_profile(server: s3_server.Server, bucket: str) -> None:
    assert "no such profile" in refused(address_of(bucket, server.endpoint) + "&profile=nobody").why


def test_keys_of_a_profile(
    server: s3_server.Server, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = "".join(f"{name.lower()} = {value}\n" for name, value in s3_server.KEYS.items())
    (tmp_path / "credentials").write_text(f"[team]\n{keys}")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    for name in s3_server.KEYS:
        monkeypatch.delenv(name)
    assert open_store(address_of(bucket, server.endpoint) + "&profile=team").sizes([]) == {}


def test_a_missing_bucket(server: s3_server.Server) -> None:
    assert "does not exist" in refused(address_of("nowhere", server.endpoint)).why


def test_an_endpoint_where_nobody_listens() -> None:
    (port,) = s3_server.free_ports(1)
    assert "Nothing answers" in refused(address_of("team", f"http://127.0.0.1:{port}")).why


def test_a_clock_that_is_wrong(server: s3_server.Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import botocore.auth

    now = botocore.auth.get_current_datetime
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *args: now(*args) - timedelta(hours=1))
    assert "clock is wrong" in refused(address_of(bucket, server.endpoint)).why


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own with 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_no_space_in_a_folder_store(small_disk: Path, tmp_path: Path) -> None:
    small = a_sealed_record(tmp_path / "results")
    a_sealed_record(tmp_path / "results", trace=2 * 2**20)
    store = open_store(str(small_disk / "store"))
    with pytest.raises(StoreError, match=r"refused it\.\nNo space left on device\."):
        transfer.upload(tmp_path / "results", store)
    is_whole(store)
    subprocess.run(["mount", "-o", "remount,size=9m", small_disk], check=True)
    assert transfer.upload(tmp_path / "results", store).refused == {} and is_whole(store) == 2
    assert small.exists()


def test_no_space_for_a_download(small_disk: Path, tmp_path: Path) -> None:
    a_sealed_record(tmp_path / "results", trace=2 * 2**20)
    store = open_store(str(tmp_path / "store"))
    transfer.upload(tmp_path / "results", store)
    with pytest.raises(StoreError, match="No space left"):
        transfer.download(small_disk / "results", store)
    assert contents(small_disk / "results") == {}
    subprocess.run(["mount", "-o", "remount,size=9m", small_disk], check=True)
    assert transfer.download(small_disk / "results", store).refused == {}
    assert contents(small_disk / "results") == contents(tmp_path / "results")


def test_a_service_without_space(
    proxy: Proxy, behind_proxy: str, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "ATTEMPTS", 1)
    proxy.harm = lambda request: Harm(refuse=(507, "InsufficientStorage")) if request.method == "PUT" else NONE
    with pytest.raises(StoreError, match="quota is used up"):
        transfer.upload(results, open_store(behind_proxy))


# A whole team


def test_a_record_in_several_stores_is_gathered_once(
    server: s3_server.Server, bucket: str, results: Path, tmp_path: Path
) -> None:
    first, second = open_store(str(tmp_path / "store")), open_store(address_of(bucket, server.endpoint))
    transfer.upload(results, first, ["4"])
    transfer.upload(results, second)
    folder, damage = team.gather([first, second], tmp_path / "cache")
    assert damage == []
    expected = {name for name in contents(results) if name.endswith(("record.json", "attachment.json"))}
    assert contents(folder).keys() == expected


ATTACHED = {
    "photo": {"name": "hill.jpg", "date": "2026-11-20"}, "track": {"name": "track.gpx", "date": "2026-11-21"},
    "conversation": {"name": "chat.md"}, "link": {"url": "https://aistudio.baidu.com/projectdetail/1"},
    "article": {"url": "https://example.org/post"}, "pull request": {"url": "https://github.com/a/b/pull/1"},
}  # fmt: skip


def test_every_kind_of_evidence_counts_from_a_store_and_none_is_called_changed(store: Store, tmp_path: Path) -> None:
    for kind, fields in ATTACHED.items():
        files = {} if "url" in fields else {"file": kind.encode()}
        attachments.write(tmp_path / "own", "15", {"kind": kind, "checked": "answered 200", **fields}, files)
    transfer.upload(tmp_path / "own", store)
    folder, damage = team.gather([store], tmp_path / "cache")
    found, changed = attachments.standing(folder, files=False)
    assert (damage, changed) == ([], []) and {each.kind for each in found["15"]} == set(ATTACHED)
    assert matrix.build(entries.load(), folder, files=False).tally.earned == 2  # the days of the photo and the track


def test_what_leaves_a_store_leaves_the_team_and_a_forgery_is_named(tmp_path: Path, results: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    transfer.upload(results, store)
    team.gather([store], tmp_path / "cache")
    gone, forged = sorted((tmp_path / "store" / "sealed").glob("4/cpu/*/record.json"))
    gone.unlink()
    other = open_store(str(tmp_path / "other"))
    shutil.copytree(results, tmp_path / "others")
    path = tmp_path / "others" / forged.relative_to(tmp_path / "store" / "sealed")
    write_sealed(path, {**json.loads(path.read_text()), "seed": 1})
    transfer.upload(tmp_path / "others", other, ["4"])
    assert len(list(team.gather([store], tmp_path / "cache")[0].glob("*/cpu/*"))) == 2
    _, damage = team.gather([store, other], tmp_path / "cache")
    assert len(damage) == 1 and "another one of that name" in damage[0]


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
