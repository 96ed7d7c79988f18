"""A small HTTP proxy that does harm: it cuts, delays, changes or answers in the server's place, as a test tells it."""

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REFUSAL = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}, says the test.</Message></Error>"


@dataclass(frozen=True)
class Request:
    """What a client asked; `number` counts all requests from 0."""

    number: int
    method: str
    path: str
    bytes: int


@dataclass(frozen=True)
class Harm:
    """What to do to one request; the default does nothing.

    Args:
        cut_up: pass so much of the request's body on (a fraction), then drop both connections.
        cut_down: pass so much of the answer's body back, then drop the connection.
        spoil_up: change the last byte of the request's body.
        spoil_down: change the last byte of the answer's body.
        wait: seconds before the answer.
        refuse: answer so (status, code) without asking the server.
    """

    cut_up: float | None = None
    cut_down: float | None = None
    spoil_up: bool = False
    spoil_down: bool = False
    wait: float = 0
    refuse: tuple[int, str] | None = None


NONE = Harm()


class Proxy:
    """Stands before a server; `harm` decides about each request, and `requests` remembers them."""

    def __init__(self, port: int) -> None:
        self.upstream = port
        self.harm: Callable[[Request], Harm] = lambda request: NONE
        self.requests: list[Request] = []
        self.lock = threading.Lock()
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.proxy = self

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def asked(self, method: str, path: str, size: int) -> Harm:
        with self.lock:
            request = Request(len(self.requests), method, path, size)
            self.requests.append(request)
            return self.harm(request)


@contextlib.contextmanager
def proxy_before(port: int) -> Iterator[Proxy]:
    proxy = Proxy(port)
    thread = threading.Thread(target=proxy.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.server.shutdown()
        proxy.server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    proxy: Proxy

    def handle_error(self, *_: Any) -> None:
        """A client that goes away is expected here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        harm = self.server.proxy.asked(self.command, self.path, size)
        body = self.rfile.read(size)
        time.sleep(harm.wait)
        if harm.refuse:
            status, code = harm.refuse
            return self._answer(status, [("Content-Type", "application/xml")], REFUSAL.format(code=code).encode())
        if harm.spoil_up and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        if harm.cut_up is not None:
            return self._cut_up(body[: int(size * harm.cut_up)])
        status, headers, content = self._ask(body)
        if harm.spoil_down and content:
            content = content[:-1] + bytes([content[-1] ^ 1])
        self._answer(status, headers, content, harm.cut_down)

    do_PUT = do_POST = do_HEAD = do_DELETE = do_GET

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.proxy.upstream, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.getheaders(), content

    def _cut_up(self, part: bytes) -> None:
        """Send the head and a part of the body to the server, then vanish from both."""
        with socket.create_connection(("127.0.0.1", self.server.proxy.upstream)) as upstream:
            head = f"{self.command} {self.path} HTTP/1.1\r\n"
            lines = [f"{name}: {value}\r\n" for name, value in self.headers.items() if name.lower() != "expect"]
            upstream.sendall((head + "".join(lines) + "\r\n").encode() + part)
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, cut: float | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        length = dict(headers).get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content if cut is None else content[: int(len(content) * cut)])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        """Tests read `requests` instead."""
