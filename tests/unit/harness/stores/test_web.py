"""A store on a static host: a matrix of many records costs a handful of requests, and what is damaged is refused."""

import gzip
import hashlib
import http.server
import json
import threading

import pytest
from samples import a_record

from harness.errors import StoreError, UsageError, VerificationError
from harness.stores import index, indexed, team, transfer
from harness.stores.folder import FolderStore
from harness.stores.opening import open_source, open_store
from harness.stores.web import WebStore


@pytest.fixture
def store(tmp_path):
    (tmp_path / "store").mkdir()
    return FolderStore(tmp_path / "store")


@pytest.fixture
def host(store):
    """The folder of the store, served as any static host would; `asked` holds the paths."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *words):
            super().__init__(*words, directory=str(store.folder))

        def log_message(self, *words):
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def upload(results, store):
    outcome = transfer.upload(results, store)
    index.update(results, store, outcome.moved)
    return outcome


def test_a_matrix_over_many_uploads_costs_a_handful_of_requests(results, store, host, tmp_path):
    address, asked = host
    for seed in range(40):
        a_record(results, "4", "cpu", seed=seed, day=f"2026-{10 + seed // 28}-{1 + seed % 28:02}")
        upload(results, store)
    web = WebStore(address, tmp_path / "segments")
    folder, damage = team.gather([web], tmp_path / "cache")
    assert damage == [] and len(list(folder.glob("4/cpu/*/record.json"))) == 40
    assert len(asked) <= 1 + index.MOST_SEGMENTS
    asked.clear()
    team.gather([WebStore(address, tmp_path / "segments")], tmp_path / "cache")
    assert asked == ["/index/head.json".join(['"GET ', ' HTTP/1.1" 200 -'])] or len(asked) == 1, "nothing twice"


def test_a_record_comes_whole_from_a_static_host(results, store, host, tmp_path):
    place = a_record(results)
    upload(results, store)
    outcome = transfer.download(tmp_path / "other", WebStore(host[0], tmp_path / "segments"))
    assert len(outcome.moved) == 1 and outcome.refused == {}
    assert (tmp_path / "other" / place.relative_to(results) / "record.json").is_file()


def test_a_store_of_before_gets_an_index_of_all_that_it_has(results, store):
    a_record(results)
    transfer.upload(results, store)
    a_record(results, "4", "cpu", seed=1, day="2026-11-02")
    upload(results, store)
    assert len(named(store)) == 2


def test_of_two_uploads_at_once_both_are_in_the_head(results, store, monkeypatch):
    a_record(results)
    upload(results, store)
    other, put = [], index._put

    def put_late(store, key, content, anew=False):
        put(store, key, content, anew)
        if key == index.HEAD and not other:
            other.append(index._write(store, [("sealed/x", b"{}")]))

    monkeypatch.setattr(index, "_put", put_late)
    index.publish(store)
    assert other[0] in index.read_head(store.read(index.HEAD, 2**20))


def named(store):
    segments = index.read_head(store.read(index.HEAD, 2**20))
    return {key for name in segments for key, _ in index._read(store, name)}


def test_a_job_leaves_the_head_to_whoever_uploads_next(results, store):
    a_record(results)
    upload(results, store)
    a_record(results, "4", "cpu", seed=1, day="2026-11-02")
    index.update(results, store, transfer.upload(results, store).moved, job=True)
    assert len(named(store)) == 1
    a_record(results, "4", "cpu", seed=2, day="2026-11-03")
    upload(results, store)
    assert len(named(store)) == 3


def test_many_segments_become_few_and_lose_nothing(store):
    for number in range(50):
        index._write(store, [(f"sealed/{number}", b"{}")])
        index.publish(store)
    segments = index.read_head(store.read(index.HEAD, 2**20))
    assert len(segments) <= index.MOST_SEGMENTS and named(store) == {f"sealed/{number}" for number in range(50)}


@pytest.mark.parametrize(
    "content", [b"<html>", b"[]", b'{"schema": 2}', b'{"schema": 1, "segments": ["../../etc/passwd"]}']
)
def test_an_index_that_is_none_is_refused(store, host, content):
    (store.folder / "index").mkdir()
    (store.folder / "index" / "head.json").write_bytes(content)
    with pytest.raises(StoreError, match="index cannot be read"):
        WebStore(host[0])


def test_a_segment_that_was_changed_is_refused(results, store, host, tmp_path):
    a_record(results)
    upload(results, store)
    (segment,) = (store.folder / "index" / "segments").iterdir()
    segment.write_bytes(gzip.compress(json.dumps(["sealed/x", "{}"]).encode()))
    with pytest.raises(VerificationError, match="changed since it was written"):
        WebStore(host[0], tmp_path / "segments")


def test_what_leaves_a_board_leaves_its_matrix_and_two_of_a_name_are_damage(results, store, host, tmp_path):
    first = a_record(results)
    upload(results, store)
    (own,) = index.read_head(store.read(index.HEAD, 2**20))
    key = f"sealed/{first.relative_to(results)}/record.json"
    other = index._write(store, [(key, (first / "record.json").read_bytes() + b" ")])
    second = a_record(results, seed=1)
    rest = index._write(store, [(key.replace(first.name, second.name), (second / "record.json").read_bytes())])

    def gathered(*segments):
        index._put(store, index.HEAD, index._document(segments), anew=True)
        folder, damage = team.gather([WebStore(host[0], tmp_path / "segments")], tmp_path / "cache")
        return sorted(path.parent.name for path in folder.glob("4/cpu/*/record.json")), damage

    assert gathered(own, rest) == ([first.name, second.name], [])
    assert gathered(rest) == ([second.name], [])
    names, (line,) = gathered(own, other, rest)
    assert names == [second.name] and "another one of that name" in line


def test_a_kept_segment_that_is_damaged_is_fetched_again(results, store, host, tmp_path):
    a_record(results)
    upload(results, store)
    (kept,) = WebStore(host[0], tmp_path / "segments")._segments.values()
    kept.write_bytes(b"half of it")
    assert len(list(WebStore(host[0], tmp_path / "segments").list(""))) == 1


@pytest.mark.parametrize("lines", [b'["sealed/b", "{}"]\n["sealed/a", "{}"]\n', b"[1, 2]\n", b"{}\n", b"\xff\n"])
def test_a_segment_that_is_none_is_refused(store, host, tmp_path, lines):
    content = gzip.compress(lines)
    name = index._name(hashlib.sha256(content).hexdigest())
    index._put(store, name, content)
    index._put(store, index.HEAD, index._document([name]), anew=True)
    with pytest.raises(VerificationError, match="no segment of an index"):
        list(WebStore(host[0], tmp_path / "segments").list(""))


def test_a_host_without_an_index_and_one_that_is_off_are_said(host):
    with pytest.raises(StoreError, match="no store that can be read over HTTP"):
        WebStore(host[0])
    with pytest.raises(StoreError, match="does not answer") as raised:
        WebStore("http://127.0.0.1:1")
    assert raised.value.why.endswith("Connection refused.") and "HTTPConnection" not in raised.value.why


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [(401, "text/plain", "wants a login"), (200, "text/html; charset=utf-8", "a page came"), (403, "", "There is no")],
)
def test_what_stands_before_a_store_is_said(status, kind, said):
    class Gate(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gate) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with pytest.raises(StoreError, match="no store that can be read over HTTP") as raised:
            WebStore(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert said in raised.value.why and raised.value.remedy


def test_nothing_is_sent_there_and_no_secret_stands_in_an_address(host):
    with pytest.raises(UsageError, match="nothing can be sent"):
        open_store("https://board.example.org/homework")
    for address in ("https://anna:word@board.example.org", "https://board.example.org/?key=1"):
        with pytest.raises(UsageError) as raised:
            open_source(address)
        assert "word" not in str(raised.value)


class Counting(FolderStore):
    """A folder or bucket whose reads are counted."""

    def __init__(self, folder):
        super().__init__(folder)
        self.asked = []

    def read(self, key, limit):
        self.asked.append(key)
        return super().read(key, limit)


@pytest.fixture
def many(results, store, monkeypatch):
    monkeypatch.setattr(indexed, "FROM", 10)
    for seed in range(20):
        a_record(results, "4", "cpu", seed=seed)
        if seed in (7, 14, 19):
            upload(results, store)
    return Counting(store.folder)


def gathered(store, tmp_path):
    folder, damage = team.gather([store], tmp_path / "cache", tmp_path / "segments")
    return len(list(folder.glob("4/cpu/*/record.json"))), damage


def test_of_a_folder_or_bucket_too_a_matrix_reads_the_index(many, tmp_path):
    assert gathered(many, tmp_path) == (20, []) and len(many.asked) <= 1 + 3


def test_what_the_index_lacks_is_read_by_itself(many, results, store, tmp_path):
    a_record(results, "4", "cpu")
    transfer.upload(results, store)  # as an earlier program did
    assert gathered(many, tmp_path) == (21, []) and len(many.asked) <= 1 + 3 + 1


@pytest.mark.parametrize("key", ["index/head.json", "segment"])
def test_an_index_that_is_damaged_costs_requests_and_no_record(many, store, tmp_path, key):
    places = [*(store.folder / "index" / "segments").glob("*")] if key == "segment" else [store.folder / key]
    for place in places:
        place.chmod(0o644)
        place.write_bytes(b"{}")
    assert gathered(many, tmp_path) == (20, []) and len(many.asked) >= 20
