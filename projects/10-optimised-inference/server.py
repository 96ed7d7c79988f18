"""An HTTP server that speaks OpenAI's API, over the engine of this folder: what ./inv serve starts.

    ./inv python projects/10-optimised-inference/server.py --model smollm2 --port 8000

POST /v1/chat/completions and /v1/completions, streaming or not, GET /v1/models and GET /health. Requests are checked by
protocol.py and answered together by one engine (engine.py) in a thread of its own (batching.py).

The first SIGINT or SIGTERM lets every answer that was begun come to its end, then the exit code is 0; a second one
stops at once.
"""

import os

# How long the kernels' threads wait for each other awake: see main.py.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "100000")
from server_options import KEY, arguments

if __name__ == "__main__" and (threads := arguments().threads):  # also read when the libraries are loaded
    os.environ["OMP_NUM_THREADS"] = str(threads)

import asyncio
import contextlib
import hmac
import json
import resource
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import paddle
import protocol
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit
import kit.device
import llm
from batching import Answer, EngineThread, Failed, Full
from engine import Engine
from engine import Request as Prompt
from loading import open_decoder
from native import NoKernels, make_kernels
from protocol import Refusal

MOST_BYTES = 4 * 2**20  # of a request's body
FILES = 65536  # connections are open files: as many as the system lets us, up to this


class Service:
    """The endpoints. `model` answers under `name`, by `thread`; `key` must be shown if it is not empty."""

    def __init__(self, name: str, model: llm.Model, thread: EngineThread, key: str) -> None:
        self.name, self.tokenizer, self.vocabulary = name, model.tokenizer, model.config.vocabulary
        self.thread, self.key = thread, key
        self.created = int(time.time())

    def application(self) -> Starlette:
        routes = [
            Route("/health", self.health),
            Route("/v1/models", self.models),
            Route("/v1/models/{name:path}", self.models),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/completions", self.completions, methods=["POST"]),
        ]
        return Starlette(routes=routes, exception_handlers={Refusal: refused, HTTPException: not_found})

    async def health(self, request: Request) -> Response:
        """Whether the engine lives, and how busy it is."""
        engine = self.thread.engine
        alive = self.thread.is_alive()
        state = {"open": self.thread.open, "running": len(engine.running), "waiting": len(engine.waiting)}
        blocks = {"free_blocks": engine.pool.free, "blocks": engine.decoder.blocks}
        return JSONResponse({"status": "ok" if alive else "failed", **state, **blocks}, 200 if alive else 503)

    async def models(self, request: Request) -> Response:
        self._admit(request)
        model = {"id": self.name, "object": "model", "created": self.created, "owned_by": "local"}
        name = request.path_params.get("name")
        if name not in (None, self.name):
            raise Refusal(404, f"The model {name!r} does not exist; there is {self.name!r}", "model", "model_not_found")
        return JSONResponse(model if name else {"object": "list", "data": [model]})

    async def chat(self, request: Request) -> Response:
        return await self._answer(request, chat=True)

    async def completions(self, request: Request) -> Response:
        return await self._answer(request, chat=False)

    async def _answer(self, request: Request, chat: bool) -> Response:
        self._admit(request)
        order = protocol.parse(await body(request), chat, self.name)
        tokens = await asyncio.to_thread(self._tokens, order)  # a long text takes a while
        prompt = Prompt(tokens, self._limit(order, len(tokens)), sampler(order))
        try:
            answer = self.thread.submit(prompt)
        except Full:
            message = f"{self.thread.most} requests are being answered or wait, and no more may: try again later"
            raise Refusal(429, message, code="queue_full") from None
        writing = Writing(order, answer, protocol.Reply(chat, self.name), self.tokenizer)
        if order.stream:
            return EventStream(writing.events(), lambda: self.thread.cancel(answer))
        try:
            return await unless_gone(request, writing.whole())
        finally:
            self.thread.cancel(answer)

    def _admit(self, request: Request) -> None:
        shown = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.key and not hmac.compare_digest(shown.encode(), self.key.encode()):
            raise Refusal(401, "Incorrect API key: send it as Authorization: Bearer KEY", code="invalid_api_key")

    def _tokens(self, order: protocol.Order) -> list[int]:
        if order.tokens is not None:
            if not all(0 <= token < self.vocabulary for token in order.tokens):
                raise Refusal(400, f"prompt has a token that is none of the model's {self.vocabulary}", "prompt")
            return order.tokens
        try:
            if order.messages is None:
                tokens = self.tokenizer.encode_raw(order.text or "")
            else:
                tokens = self.tokenizer.encode(self.tokenizer.render(order.messages))
        except llm.ModelError as error:
            raise Refusal(400, str(error), "messages") from None
        if not tokens:
            raise Refusal(400, "the prompt is empty", "prompt" if order.messages is None else "messages")
        return tokens

    def _limit(self, order: protocol.Order, length: int) -> int:
        room = self.thread.engine.room
        wanted = order.limit or 1
        if length + wanted > room:
            raise Refusal(
                400,
                f"This model's context is {room} tokens, and the prompt of {length} tokens with an answer of "
                f"{wanted} is longer: shorten either",
                "prompt" if order.messages is None else "messages",
                "context_length_exceeded",
            )
        return order.limit or room - length


class Writing:
    """The text of an answer as it grows, up to its stop string."""

    def __init__(self, order: protocol.Order, answer: Answer, reply: protocol.Reply, tokenizer: llm.Tokenizer) -> None:
        self.order, self.answer, self.reply = order, answer, reply
        self._stream = llm.Stream(tokenizer, answer.request.prompt)
        self._ending = protocol.Ending(order.stops)
        self.count, self.reason = 0, ""

    async def _texts(self) -> AsyncIterator[str]:
        async for token in self.answer.tokens():
            self.count += 1
            yield self._ending.add(self._stream.add(token))
            if self._ending.reached:
                self.reason = "stop"
                return
        yield self._ending.add(self._stream.finish())
        yield self._ending.finish()
        ended = self._ending.reached or self.count < self.answer.request.limit
        self.reason = "stop" if ended else "length"

    @property
    def usage(self) -> dict[str, int]:
        return protocol.usage(len(self.answer.request.prompt), self.count)

    async def whole(self) -> Response:
        try:
            text = "".join([text async for text in self._texts()])
        except Failed as error:
            raise Refusal(500, str(error)) from None
        return JSONResponse(self.reply.whole(text, self.reason, self.usage))

    async def events(self) -> AsyncIterator[str]:
        """Server-sent events, as OpenAI's: chunks, perhaps the usage, and [DONE]."""
        if self.order.messages is not None:
            yield event(self.reply.chunk("", first=True))
        try:
            async for text in self._texts():
                if text:
                    yield event(self.reply.chunk(text))
        except Failed as error:
            yield event(Refusal(500, str(error)).body())
            return
        yield event(self.reply.chunk("", self.reason))
        if self.order.include_usage:
            yield event(self.reply.usage(self.usage))
        yield "data: [DONE]\n\n"


class EventStream(StreamingResponse):
    """A stream after which `done` is called, also if the client left before its first event."""

    def __init__(self, events: AsyncIterator[str], done: Callable[[], None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        self._done = done

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._done()


def event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


def sampler(order: protocol.Order) -> llm.Sampler:
    """Without a seed another answer each time."""
    seed = secrets.randbits(64) if order.seed is None else order.seed
    return llm.Sampler(order.temperature, order.top_k, order.top_p, seed)


async def body(request: Request) -> bytes:
    """The request's body. Raises Refusal if it is too large to be one, or the client left meanwhile."""
    content = b""
    try:
        async for part in request.stream():
            content += part
            if len(content) > MOST_BYTES:
                raise Refusal(413, f"The body is larger than {MOST_BYTES} bytes")
    except ClientDisconnect:
        raise Refusal(400, "The body is not complete") from None
    return content


async def unless_gone(request: Request, answering: Any) -> Response:
    """The answer, which is given up when the client leaves."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    answer, leaving = asyncio.create_task(answering), asyncio.create_task(gone())
    try:
        await asyncio.wait([answer, leaving], return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else Response(status_code=499)  # nobody reads this one
    finally:
        answer.cancel()
        leaving.cancel()


async def refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return JSONResponse(error.body(), error.status, {"Retry-After": "1"} if error.status == 429 else None)


async def not_found(request: Request, error: Exception) -> Response:
    """A wrong path or method, in OpenAI's shape too."""
    assert isinstance(error, HTTPException)
    refusal = Refusal(error.status_code, f"{request.method} {request.url.path}: {error.detail}")
    return JSONResponse(refusal.body(), error.status_code, error.headers)


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
        async for _ in thread.submit(Prompt(prompt, 1)).tokens():
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
    thread = EngineThread(engine, chosen.queue, lambda: paddle.set_device(chosen.device))
    thread.start()
    took = first_token(thread, model.tokenizer.encode_raw("Hello") or [0])

    def ready() -> None:
        address = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
        print(f"first token: {took:.2f} s, {age():.2f} s after the start")
        print(f"{name}, {chosen.weights}, a context of {engine.room} tokens, {chosen.batch} requests at the same time")
        print(f"ready: http://{address}:{bound.getsockname()[1]}/v1  (Ctrl-C stops)", flush=True)

    service = Service(name, model, thread, os.environ.get(KEY, ""))
    config = uvicorn.Config(
        service.application(), lifespan="off", log_level="warning", access_log=False, timeout_keep_alive=60
    )
    asyncio.run(Server(config, ready).serve([bound]))
    print("stopped", flush=True)


if __name__ == "__main__":
    kit.main(main, llm.ModelError, NoKernels, ValueError)
