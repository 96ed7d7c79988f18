"""Stores that somebody has meddled with: nothing of it is taken for a record, and nothing is written elsewhere."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from results_samples import a_sealed_record, contents, write_sealed
from whole import untold

from harness.evidence import hashing
from harness.stores import s3, transfer
from harness.stores.opening import open_store
from harness.stores.store import Store, object_key

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
    store.put(f"sealed/{place}/record.json", forged, hashlib.sha256(forged.read_bytes()).hexdigest(), untold)
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
