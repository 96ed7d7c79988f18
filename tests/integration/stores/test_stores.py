"""Stores, for real: a folder, and SeaweedFS on loopback. What is there is there once, whole and unchanged."""

import hashlib
import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import s3_server
from results_samples import a_sealed_record, contents, write_sealed
from whole import address_of, is_whole, untold

from harness.errors import VerificationError
from harness.evidence import hashing, records
from harness.stores import transfer
from harness.stores.opening import open_store
from harness.stores.store import Store

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
    for result in ThreadPoolExecutor(16).map(lambda key: store.put(key, tmp_path / "file", sha256, untold), keys):
        assert result
    everything = store.sizes(keys)
    assert everything == dict.fromkeys(keys, 1)
    few = ["objects/0000", "objects/0001x", "objects/0777", "objects/1299", "objects/9"]
    assert set(store.sizes(few)) == {"objects/0000", "objects/0777", "objects/1299"}
    assert len(list(store.list("objects/"))) == 1300
