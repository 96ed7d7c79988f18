"""An HTTP server that speaks the protocol of OpenAI's chat completions, and says what a test wants it to say."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def block(code: str) -> str:
    return f"Here it is.\n```python\n{code}```\n"


class Endpoint(ThreadingHTTPServer):
    """Answers in turn with `answers`: a text, raw bytes, a status (or with a text), 'broken', 'endless' or 'busy'."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Any] = []
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.server.keys.append(self.headers["Authorization"])
        answer = self.server.answers.pop(0)
        if isinstance(answer, int):
            answer = (answer, f"refused {self.headers['Authorization']}")
        if isinstance(answer, tuple):
            self.send_response(answer[0])
            self.end_headers()
            self.wfile.write(answer[1].encode())
            return
        self.send_response(200)
        if isinstance(answer, bytes) and answer[:1] in b"{[":
            self.send_header("Content-Type", "application/json")
        self.end_headers()
        if answer == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
            answer = "a word more " * 20
        if isinstance(answer, bytes):
            self.wfile.write(answer)
            return
        try:
            while answer == "endless":
                self._send("x" * 10_000)
            while answer == "busy":
                self.wfile.write(b": still thinking\n\n")
            for start in range(0, len(answer), 7):
                self._send(answer[start : start + 7])
            if answer != "broken":
                self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            pass  # the client has heard enough

    def _send(self, text: str) -> None:
        self.wfile.write(b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n")

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[Endpoint]:
    with Endpoint() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
