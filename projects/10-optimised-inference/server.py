"""An HTTP server that speaks OpenAI's API, over the engine of this folder: what ./inv serve starts.

    ./inv python projects/10-optimised-inference/server.py --model smollm2 --port 8000

The endpoints stand in service.py. What a request may say is in schemas.py; it becomes tokens and samplers in asking.py,
is answered with all others by one engine (engine.py) in a thread of its own (batching.py), read as words, thoughts and
calls (writing.py, toolcalls.py), and written as JSON (replies.py, responses.py).

The first SIGINT or SIGTERM lets every answer that was begun come to its end, then the exit code is 0; a second one
stops at once.
"""

import os

# How long the kernels' threads wait for each other awake: see main.py.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "100000")
from server_options import KEY, POOLING, arguments

if __name__ == "__main__" and (threads := arguments().threads):  # also read when the libraries are loaded
    os.environ["OMP_NUM_THREADS"] = str(threads)

import asyncio
import contextlib
import gc
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paddle
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit
import kit.device
import llm
from batching import EngineThread
from decoder import BLOCK
from engine import Engine, Request
from gallery import Gallery
from loading import open_decoder
from native import NoKernels, make_kernels
from protocol import Refusal
from service import Service

FILES = 65536  # connections are open files: as many as the system lets us, up to this
HEAD_SECONDS = 15  # until a request's headers are there
# Bytes of a connection that are read before others have their turn. Each piece of a chunked body takes a while, and
# asyncio alone reads 43,690 pieces of one byte at once.
TURN = 2**14


class Connection(H11Protocol, asyncio.BufferedProtocol):
    """uvicorn's connection, which ends where a request's headers do not come, or only half of them.

    It is read in small turns, as asyncio does with a BufferedProtocol.
    """

    _late: asyncio.TimerHandle | None = None

    def get_buffer(self, sizehint: int) -> bytearray:
        self._read = bytearray(TURN)
        return self._read

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self._read[:nbytes]))

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget()

    def _expect(self) -> None:
        """Count from the first byte of a request on, until its headers are complete."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class Server(uvicorn.Server):
    """uvicorn's server, with the signals of this program: see the module."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # uvicorn's way would end the process by the signal, not with 0

    def _stop(self, number: int) -> None:
        if self.should_exit:
            os._exit(128 + number)
        self.should_exit = True
        print("stopping: answers that were begun come to their end; once more stops at once", flush=True)


def listen(host: str, port: int) -> socket.socket:
    """The socket, bound. Raises ValueError if that cannot be."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ValueError(f"cannot listen on {host} port {port}: {error.strerror}; choose another --port") from None


def first_token(thread: EngineThread, prompt: list[int]) -> float:
    """Answer one token, so that all is compiled and read in; the seconds that it took."""

    async def answer() -> None:
        (answer,) = thread.submit([Request(prompt, 1)])
        async for _ in answer.tokens():
            pass

    began = time.perf_counter()
    asyncio.run(answer())
    return time.perf_counter() - began


def age() -> float:
    """Seconds since this process began, with the time that ./inv and the interpreter took (proc(5))."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    chosen = arguments()
    bound = listen(chosen.host, chosen.port)  # first, so that a port in use is known before the model is read
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    kit.device.take(chosen.device)
    model = llm.open_model(chosen.model)
    name = chosen.name or Path(chosen.model).name
    kernels = make_kernels(chosen.isa)
    decoder = open_decoder(model, kernels, chosen.weights, chosen.cache, chosen.blocks)
    engine = Engine(decoder, model.tokenizer.stops, chosen.batch, chosen.chunk)
    begin = lambda: paddle.set_device(chosen.device)  # noqa: E731
    thread = EngineThread(engine, chosen.queue, begin)
    gallery = Gallery(model.vision, chosen.blocks * BLOCK, engine.room, begin) if model.vision else None
    thread.start()
    took = first_token(thread, model.tokenizer.encode_raw("Hello") or [0])

    def ready() -> None:
        address = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
        print(f"first token: {took:.2f} s, {age():.2f} s after the start")
        print(f"{name}, {chosen.weights}, a context of {engine.room} tokens, {chosen.batch} requests at the same time")
        print(f"ready: http://{address}:{bound.getsockname()[1]}/v1  (Ctrl-C stops)", flush=True)

    keys = [key for key in os.environ.get(KEY, "").split(",") if key]
    service = Service(name, model, thread, keys, chosen.pooling, gallery)
    try:
        assert service.asking.guides.pieces  # made now: no other thread runs meanwhile, for a large vocabulary a second
    except Refusal as refusal:
        print(f"NOTE: {refusal.message}")
    gc.freeze()  # what is there stays: to look through it takes 0.06 s, in which no other thread runs either
    print(f"tools as {service.asking.format.name}, embeddings are {POOLING[chosen.pooling]}", flush=True)
    config = uvicorn.Config(
        service.application(chosen.cors),
        http=Connection,
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=60,
    )
    asyncio.run(Server(config, ready).serve([bound]))
    print("stopped", flush=True)


if __name__ == "__main__":
    try:
        main()
    except (llm.ModelError, NoKernels, ValueError) as error:
        said = getattr(error, "exit_code", 2)
        kit.refuse(str(error), "So nothing is served.", "What may be named: ./inv serve --help", exit_code=said)
