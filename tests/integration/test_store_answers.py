"""Answers that are not S3's, or not all of it: each is explained, and no damage goes unnoticed."""

import gc
import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from results_samples import a_sealed_record, contents

from harness.errors import StoreError, UsageError
from harness.stores import bucket, repairing, s3, transfer
from harness.stores.opening import open_store

XML = "<?xml version='1.0' encoding='UTF-8'?>"
PAGE = "<!doctype html><html><head><title>Log in<br></title></head><body>Welcome & hello</body></html>"
Answer = tuple[int, dict[str, str], bytes]


class Fake:
    """A bucket in memory that keeps what it is sent and looks at nothing, and does harm as a test tells it."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.answer: Callable[[str, str], Answer | None] = lambda method, path: None
        self.spoil: Callable[[str], bool] = lambda key: False
        self.tags = True
        self.deletes = True
        self.write_only = False
        self.conditional = True

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if answer := self.answer(method, path):
            return answer
        key, _, query = path.removeprefix("/team").lstrip("/").partition("?")
        if self.write_only and method != "PUT":
            return self.error(403, "AccessDenied", method)
        if method == "PUT":
            if self.conditional and "if-none-match" in headers and key in self.objects:
                return self.error(412, "PreconditionFailed", method)
            self.objects[key] = body[:-1] + bytes([body[-1] ^ 1]) if body and self.spoil(key) else body
            tag = hashlib.md5(self.objects[key]).hexdigest() if self.tags else "no-md5"
            echo = {name: value for name, value in headers.items() if name == "x-amz-checksum-crc32"}
            return 200, {"ETag": f'"{tag}"', **echo}, b""
        if method == "DELETE":
            if not self.deletes:
                return self.error(403, "AccessDenied", method)
            self.objects.pop(key, None)
            return 204, {}, b""
        if "list-type" in query:
            return 200, {}, self.listed()
        if key not in self.objects:
            return self.error(404, "NoSuchKey", method)
        return 200, {}, self.objects[key]

    def listed(self) -> bytes:
        found = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(content)}</Size></Contents>"
            for key, content in sorted(self.objects.items())
        )
        return f"{XML}<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode()

    @staticmethod
    def error(status: int, code: str, method: str) -> Answer:
        return status, {}, b"" if method == "HEAD" else f"{XML}<Error><Code>{code}</Code></Error>".encode()


@pytest.fixture
def fake() -> Iterator[Fake]:
    gc.collect()  # else what other tests left may be finalised where boto3 has followed redirects to the stack's end
    fake = Fake()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, content = fake.ask(self.command, self.path, headers, body)
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_PUT = do_POST = do_HEAD = do_DELETE = do_GET

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    fake.address = f"s3://team?service=minio&endpoint=http://127.0.0.1:{server.server_address[1]}"  # type: ignore[attr-defined]
    yield fake
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    for module in (bucket, s3):
        monkeypatch.setattr(module, "ATTEMPTS", 2)
    monkeypatch.setattr(bucket, "pause", lambda attempt: None)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for _ in range(2):
        a_sealed_record(tmp_path / "results")
    return tmp_path / "results"


def address(fake: Fake) -> str:
    return str(fake.address)  # type: ignore[attr-defined]


# What is sent


def test_only_a_large_body_waits_for_leave_to_be_sent(fake: Fake, tmp_path: Path) -> None:
    """A small file is one round trip; boto3 would ask first, and wait for 100 Continue."""
    waited, ask = {}, fake.ask

    def watched(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if method == "PUT":
            waited[len(body)] = "expect" in headers
        return ask(method, path, headers, body)

    fake.ask = watched  # type: ignore[method-assign]
    store = open_store(address(fake))
    for size in (0, 1000, bucket.AT_ONCE, bucket.AT_ONCE + 1):
        path = tmp_path / str(size)
        path.write_bytes(b"a" * size)
        assert store.put(str(size), path, hashlib.sha256(path.read_bytes()).hexdigest(), lambda count: None)
    assert waited == {0: False, 1000: False, bucket.AT_ONCE: False, bucket.AT_ONCE + 1: True}


# What is no S3


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((200, {"Content-Type": "text/html"}, PAGE.encode()), "no S3"),
        ((200, {"Content-Type": "text/html"}, b"<html><body/></html>"), "no S3"),
        ((200, {}, b""), "no S3"),
        ((200, {}, b'{"ok": true}'), "no S3"),
        ((200, {}, f"{XML}<ListBucketResult/>".encode()), "no S3"),
        ((200, {}, b"<ListBucketResult><IsTruncated>true</IsTruncated><Marker/></ListBucketResult>"), "first version"),
        ((302, {"Location": "http://127.0.0.1:1/login"}, PAGE.encode()), "no S3"),
        ((307, {"Location": "http://127.0.0.1:1/"}, b""), "another region"),
        ((301, {}, b""), "another region"),
        ((404, {}, PAGE.encode()), "not there"),
        ((429, {}, b""), "fewer requests"),
        ((429, {}, f"{XML}<Error><Code>TooManyRequests</Code></Error>".encode()), "fewer requests"),
        ((501, {}, f"{XML}<Error><Code>NotImplemented</Code></Error>".encode()), "does not know"),
        ((501, {}, b""), "does not know"),
        ((405, {}, PAGE.encode()), "does not know"),
        ((502, {}, PAGE.encode()), "overloaded"),
        ((200, {}, b"\x1b[2J<html>"), "no S3"),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_s3s_is_explained(fake: Fake, answer: Answer, says: str) -> None:
    fake.answer = lambda method, path: answer
    with pytest.raises(StoreError) as caught:
        open_store(address(fake), reading=True)
    assert says in caught.value.why and caught.value.remedy
    assert all(line.isprintable() for line in str(caught.value).split("\n"))


def test_a_list_that_goes_on_where_it_began_ends(fake: Fake) -> None:
    store = open_store(address(fake))
    page = f"{XML}<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>a</NextContinuationToken>"
    fake.answer = lambda method, path: (200, {}, f"{page}</ListBucketResult>".encode())
    with pytest.raises(StoreError, match="where it began"):
        list(store.list("sealed/"))


# Checksums that nobody looks at


@pytest.mark.parametrize("checksum", ["crc32", "md5"])
@pytest.mark.parametrize("tags", [True, False])
@pytest.mark.parametrize("deletes", [True, False])
def test_a_body_that_was_damaged_is_noticed_and_sent_again(
    fake: Fake, results: Path, tmp_path: Path, checksum: str, tags: bool, deletes: bool
) -> None:
    seen: set[str] = set()
    fake.tags, fake.deletes = tags, deletes
    fake.spoil = lambda key: key not in seen and not seen.add(key)
    assert transfer.upload(results, open_store(f"{address(fake)}&checksum={checksum}")).refused == {}
    fake.spoil = lambda key: False
    transfer.download(tmp_path / "elsewhere", open_store(address(fake)))
    assert contents(tmp_path / "elsewhere") == contents(results)


def test_a_body_that_is_damaged_each_time_is_an_error_and_does_not_stay(fake: Fake, results: Path) -> None:
    fake.spoil = lambda key: True
    with pytest.raises(StoreError, match="differs from what is sent"):
        transfer.upload(results, open_store(address(fake)))
    assert not any(key.startswith("sealed/") for key in fake.objects)


def test_every_body_is_signed(fake: Fake, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    asked = fake.ask

    def ask(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if method == "PUT":
            seen.append(headers["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest())
        return asked(method, path, headers, body)

    monkeypatch.setattr(fake, "ask", ask)
    transfer.upload(results, open_store(address(fake)))
    assert seen and all(seen)


# Repair


@pytest.mark.parametrize("where", ["folder", "s3"])
@pytest.mark.parametrize("kind", ["changed", "cut", "gone", "manifest"])
def test_what_is_damaged_in_a_store_is_put_there_anew(
    fake: Fake, results: Path, tmp_path: Path, where: str, kind: str
) -> None:
    store = open_store(str(tmp_path / "store") if where == "folder" else address(fake))
    transfer.upload(results, store)
    harm(fake if where == "s3" else tmp_path / "store", kind)
    if kind != "gone" or where == "folder":
        assert transfer.download(tmp_path / "damaged", store).refused
    assert len(repairing.repair(results, store, dry_run=True).moved) == 1
    assert len(repairing.repair(results, store).moved) == 1
    assert repairing.repair(results, store).moved == []
    assert transfer.download(tmp_path / "whole", store).refused == {}
    assert contents(tmp_path / "whole") == contents(results)


def harm(store: Fake | Path, kind: str) -> None:
    if isinstance(store, Path):
        keys = [path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file()]
    else:
        keys = list(store.objects)
    key = min(key for key in keys if key.startswith("sealed/" if kind == "manifest" else "objects/"))
    content = (store / key).read_bytes() if isinstance(store, Path) else store.objects[key]
    other = {"cut": content[:-1], "gone": None}.get(kind, bytes([content[0] ^ 1]) + content[1:])
    if isinstance(store, Path):
        (store / key).unlink() if other is None else (store / key).write_bytes(other)
    elif other is None:
        del store.objects[key]
    else:
        store.objects[key] = other


def test_a_repair_does_not_take_what_is_whole_away(results: Path, tmp_path: Path) -> None:
    import json

    from harness.evidence.hashing import seal_of

    store = open_store(str(tmp_path / "store"))
    transfer.upload(results, store)
    path = next((tmp_path / "store/sealed").rglob("record.json"))
    other = {**json.loads(path.read_text()), "seed": 7}
    path.write_text(json.dumps({**other, "seal": seal_of(other)}))
    assert "another one of that name" in next(iter(repairing.repair(results, store).refused.values()))


# Keys that may only write


@pytest.mark.parametrize("conditional", [True, False])
def test_keys_that_may_only_write_upload(fake: Fake, results: Path, tmp_path: Path, conditional: bool) -> None:
    a_sealed_record(results)
    fake.write_only, fake.conditional = True, conditional
    where = address(fake) + ("" if conditional else "&conditional=no")
    sent = transfer.upload(results, open_store(where))
    assert len(sent.moved) == 3 and sent.refused == {}
    again = transfer.upload(results, open_store(where))
    assert again.refused == {} and (again.there == 3 or not conditional)
    with pytest.raises(StoreError, match="lack a right"):
        open_store(where, reading=True)
    with pytest.raises(UsageError, match="may not read"):
        repairing.repair(results, open_store(where))
    fake.write_only = False
    transfer.download(tmp_path / "elsewhere", open_store(where))
    assert contents(tmp_path / "elsewhere") == contents(results)


def test_a_wrong_secret_is_no_right_that_lacks(fake: Fake) -> None:
    fake.answer = lambda method, path: fake.error(403, "SignatureDoesNotMatch", method)
    with pytest.raises(StoreError, match="secret does not belong"):
        open_store(address(fake))


# What is shown


def test_a_password_of_a_proxy_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:geheim@127.0.0.1:1")
    with pytest.raises(StoreError) as caught:
        open_store("s3://team?service=minio&endpoint=http://example.invalid:9000")
    assert "geheim" not in str(caught.value)


def test_a_password_of_the_variable_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://me:geheim@127.0.0.1:1")
    with pytest.raises(StoreError) as caught:
        open_store("s3://team")
    assert "geheim" not in str(caught.value)
