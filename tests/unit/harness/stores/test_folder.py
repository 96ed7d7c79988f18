"""A store in a folder: what is there is never overwritten, and only plain files are its objects."""

import hashlib
import os
from pathlib import Path

import pytest

from harness.errors import StoreError, VerificationError
from harness.stores.folder import UNFINISHED, FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def put(store: FolderStore, key: str, content: bytes, said: bytes | None = None) -> list[int]:
    """Store that content under a key, as what `said` hashes to; the steps in which it went are returned."""
    path = store.folder.parent / "file"
    path.write_bytes(content)
    steps: list[int] = []
    assert store.put(key, path, hashlib.sha256(content if said is None else said).hexdigest(), steps.append)
    return steps


def ignore(count: int) -> None:
    pass


def test_what_is_stored_is_found_by_its_key_and_read_back(store, tmp_path):
    assert sum(put(store, "a/b/c", b"content")) == 7
    assert store.sizes(["a/b/c", "a/b", "a/x", "a/b/c/d"]) == {"a/b/c": 7}
    assert store.read("a/b/c", 7) == b"content"
    store.get("a/b/c", tmp_path / "here", 7, ignore)
    assert (tmp_path / "here").read_bytes() == b"content"


def test_keys_are_listed_in_order_below_a_prefix_without_what_is_under_way(store):
    for key in ("b/2", "b/1", "a/3", "b/1x/4"):
        put(store, key, b"12")
    (store.folder / "b" / "link").symlink_to("1")
    assert list(store.list("b/")) == [("b/1", 2), ("b/2", 2), ("b/1x/4", 2)]
    assert list(store.list("nowhere/")) == []


def test_a_key_that_is_taken_is_left_as_it_is(store, tmp_path):
    put(store, "key", b"first")
    (tmp_path / "second").write_bytes(b"second")
    assert store.put("key", tmp_path / "second", hashlib.sha256(b"second").hexdigest(), ignore) is False
    assert store.read("key", 9) == b"first" and os.listdir(store.folder / UNFINISHED) == []


def test_what_is_not_what_it_is_said_to_be_is_not_stored(store):
    with pytest.raises(VerificationError, match="changed since it was sealed"):
        put(store, "key", b"content", said=b"other")
    assert store.sizes(["key"]) == {}
    put(store, "key", b"more")
    assert store.read("key", 9) == b"more", "nothing of the first is left in it"


def test_a_file_that_is_half_there_is_completed(store, tmp_path):
    put(store, "key", b"0123456789")
    (tmp_path / "here").write_bytes(b"0123")
    got: list[int] = []
    store.get("key", tmp_path / "here", 10, got.append)
    assert (tmp_path / "here").read_bytes() == b"0123456789" and sum(got) == 6


def test_what_is_not_there_or_has_another_size_is_refused(store, tmp_path):
    put(store, "key", b"content")
    for call in (lambda: store.read("other", 9), lambda: store.get("other", tmp_path / "here", 9, ignore)):
        with pytest.raises(VerificationError, match=r"other in .*: not there"):
            call()
    with pytest.raises(VerificationError, match=r"key in .*: 7 bytes instead of 6"):
        store.read("key", 6)
    with pytest.raises(VerificationError, match=r"key in .*: 7 bytes instead of 8"):
        store.get("key", tmp_path / "here", 8, ignore)


def test_only_a_plain_file_is_read(store):
    """Otherwise a link leads out of the store, and a pipe is an empty file or waits for ever."""
    put(store, "key", b"content")
    (store.folder / "link").symlink_to("key")
    os.mkfifo(store.folder / "pipe")
    for key in ("link", "pipe", "."):
        with pytest.raises(StoreError, match="the store's folder refused it"):
            store.read(key, 9)
        assert store.sizes([key]) == {}
