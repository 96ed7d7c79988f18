"""What a person reads of stores, and a whole team at one."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import s3_server
from faults import NONE, Harm, Proxy
from results_samples import a_sealed_record, contents, write_sealed
from whole import address_of, is_whole

from harness.catalogue import entries
from harness.errors import StoreError
from harness.evidence import attachments
from harness.points import matrix
from harness.stores import s3, team, transfer
from harness.stores.opening import open_store
from harness.stores.store import Store

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
