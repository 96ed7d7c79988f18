"""What a server counts, for GET /metrics: https://prometheus.io/docs/instrumenting/exposition_formats/."""

import time
from collections.abc import Sequence

from batching import EngineThread
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from writing import Writing

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Counts:
    """Requests and tokens since the start, and how busy the engine is."""

    def __init__(self, thread: EngineThread) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("paddlehomework_requests", "Requests.", ["path", "status"], registry=self._registry)
        self._read = Counter("paddlehomework_prompt_tokens", "Tokens of prompts.", registry=self._registry)
        self._made = Counter("paddlehomework_generation_tokens", "Tokens of answers.", registry=self._registry)
        help = "Seconds from a request to its first token"
        self._first = Histogram(
            "paddlehomework_time_to_first_token_seconds", help, buckets=SECONDS, registry=self._registry
        )
        self._whole = Histogram(
            "paddlehomework_request_seconds",
            "Seconds from a request to its end",
            buckets=SECONDS,
            registry=self._registry,
        )
        engine = thread.engine
        for name, help, value in (
            ("requests_running", "Requests that are being answered.", lambda: len(engine.running)),
            ("requests_waiting", "Requests that wait.", lambda: thread.open - len(engine.running)),
            ("cache_blocks", "Blocks of the cache.", lambda: engine.decoder.blocks),
            ("cache_blocks_free", "Blocks that hold nobody's text.", lambda: engine.pool.free),
        ):
            Gauge(f"paddlehomework_{name}", help, registry=self._registry).set_function(value)

    def request(self, path: str, status: int) -> None:
        self._requests.labels(path, str(status)).inc()

    def answered(self, writings: Sequence[Writing]) -> None:
        """All of a request's answers have come to their end, or were left."""
        now = time.perf_counter()
        requests = [writing.answer.request for writing in writings]
        self._read.inc(sum({id(request.prompt): len(request.prompt) for request in requests}.values()))
        self._made.inc(sum(writing.count for writing in writings))
        for request in requests:
            if request.times:
                self._first.observe(request.times[0] - request.arrived)
                self._whole.observe(now - request.arrived)

    def text(self) -> bytes:
        return bytes(generate_latest(self._registry))
