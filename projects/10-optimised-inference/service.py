"""The endpoints of the server: a request's body is read and checked, the engine asked, and its answer written."""

import asyncio
import base64
import functools
import hmac
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

import llm
import protocol
import replies
import responses
import schemas
from asking import Asking, Order, Prompt
from batching import EngineThread, Failed, Full
from engine import Request as Asked
from gallery import Gallery, bytes_beside
from protocol import Parsed, Refusal
from replies import event
from sight import Picture
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from watching import Counts
from writing import Writing, merged

MOST_BYTES = 4 * 2**20  # of a request's body beside its pictures,
MOST_BYTES_WITH_PICTURES = 16 * 2**20  # and of all of it
BODY_SECONDS = 30  # until all of a body is there
Endpoint = Callable[["Service", Request], Coroutine[Any, Any, Response]]


def counted(endpoint: Endpoint) -> Endpoint:
    """Only for those who show a key, where one is wanted; how it ended is counted."""

    @functools.wraps(endpoint)
    async def answer(self: "Service", request: Request) -> Response:
        path, status = request.scope["route"].path, 500
        try:
            self.admit(request)
            response = await endpoint(self, request)
            status = response.status_code
            return response
        except Refusal as refusal:
            status = refusal.status
            raise
        finally:
            self.counts.request(path, status)

    return answer


class Service:
    """The endpoints. `model` answers under `name`, by `thread`; one of `keys` must be shown, if there are any.

    A model that sees reads pictures by its `gallery`.
    """

    def __init__(
        self,
        name: str,
        model: llm.Model,
        thread: EngineThread,
        keys: Sequence[str] = (),
        pooling: str = "mean",
        gallery: Gallery | None = None,
    ) -> None:
        self.name, self.thread, self.keys, self.pooling, self.gallery = name, thread, keys, pooling, gallery
        self.asking = Asking(model, thread.engine.room, thread.most)
        self.hidden = model.config.hidden
        self.counts = Counts(thread)
        self.created = int(time.time())

    def application(self, origins: Sequence[str] = ()) -> Starlette:
        posts = {"chat/completions": self.chat, "completions": self.completions, "responses": self.responses}
        posts["embeddings"] = self.embeddings
        gets = {"/health": self.health, "/metrics": self.metrics}
        gets |= {"/v1/models": self.models, "/v1/models/{name:path}": self.models}
        routes = [Route(path, endpoint) for path, endpoint in gets.items()]
        routes += [Route(f"/v1/{path}", endpoint, methods=["POST"]) for path, endpoint in posts.items()]
        beside = {"/tokenize": self.tokenize, "/detokenize": self.detokenize}  # in the place where vLLM has them
        routes += [Route(path, endpoint, methods=["POST"]) for path, endpoint in beside.items()]
        cors = Middleware(CORSMiddleware, allow_origins=list(origins), allow_methods=["*"], allow_headers=["*"])
        handlers: Any = {Refusal: refused, HTTPException: not_found}
        return Starlette(routes=routes, exception_handlers=handlers, middleware=[cors] if origins else [])

    def admit(self, request: Request) -> None:
        shown = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        if self.keys and not any(hmac.compare_digest(shown, key.encode()) for key in self.keys):
            raise Refusal(
                401, "Incorrect API key provided: send it as Authorization: Bearer KEY", code="invalid_api_key"
            )

    async def health(self, request: Request) -> Response:
        """Whether the engine lives, and how busy it is."""
        engine = self.thread.engine
        alive = self.thread.is_alive()
        state = {"open": self.thread.open, "running": len(engine.running), "waiting": len(engine.waiting)}
        blocks = {"free_blocks": engine.pool.free, "blocks": engine.decoder.blocks}
        return JSONResponse({"status": "ok" if alive else "failed", **state, **blocks}, 200 if alive else 503)

    async def metrics(self, request: Request) -> Response:
        return Response(self.counts.text(), media_type="text/plain; version=0.0.4")

    @counted
    async def models(self, request: Request) -> Response:
        model = {"id": self.name, "object": "model", "created": self.created, "owned_by": "local"}
        model |= {"max_model_len": self.asking.room, "pooling": self.pooling}
        model |= {"input_modalities": ["text", "image"] if self.gallery else ["text"]}
        name = request.path_params.get("name")
        if name not in (None, self.name):
            raise protocol.of_another_model(name, self.name)
        return JSONResponse(model if name else {"object": "list", "data": [model]})

    @counted
    async def chat(self, request: Request) -> Response:
        body, order = await self._read(request, schemas.Chat, self._without_pictures)
        order = order or await self._with_pictures(request, body)
        return await self._answer(request, body, order, body.logprobs) if isinstance(order, Order) else order

    @counted
    async def completions(self, request: Request) -> Response:
        body, order = await self._read(request, schemas.Completion, self.asking.completion)
        return await self._answer(request, body, order, body.logprobs is not None)

    @counted
    async def responses(self, request: Request) -> Response:
        body, (chat, order) = await self._read(request, schemas.Response, self._of_response)
        with responses.own_names(body):
            order = order or await self._with_pictures(request, chat)
        if isinstance(order, Response):
            return order
        (writing,) = self._submit(order, echo=False)
        reply = responses.Reply(body, self.name)

        async def events() -> AsyncIterator[str]:
            for each in reply.begin():
                yield each
            try:
                async for grown in writing.pieces():
                    for each in reply.add(grown):
                        yield each
            except Failed as error:
                yield reply.failed(str(error))
                return
            for each in reply.end(writing):
                yield each

        return await self._send(request, body.stream, [writing], events, lambda: reply.whole(writing))

    @counted
    async def embeddings(self, request: Request) -> Response:
        body, prompts = await self._read(request, schemas.Embedding, self._texts)
        requests = [Asked(prompt.tokens, 0, pooling=self.pooling) for prompt in prompts]
        writings = self._submit(Order(requests, prompts, ()), echo=False)
        return await self._send(request, False, writings, None, lambda: self._embedded(writings, body.encoding_format))

    @counted
    async def tokenize(self, request: Request) -> Response:
        body, tokens = await self._read(request, schemas.Tokenize, self.asking.tokens)
        found = {"count": len(tokens), "max_model_len": self.asking.room, "tokens": tokens}
        if body.return_token_strs:
            found["token_strs"] = [self.asking.tokenizer.decode([token], special=True) for token in tokens]
        return JSONResponse(found)

    @counted
    async def detokenize(self, request: Request) -> Response:
        _, text = await self._read(request, schemas.Detokenize, self.asking.text)
        return JSONResponse({"prompt": text})

    def _without_pictures(self, body: schemas.Chat) -> Order | None:
        """What a chat asks; None where it has pictures, which are to be read first."""
        return None if self.asking.pictures(body) else self.asking.chat(body)

    def _of_response(self, body: schemas.Response) -> tuple[schemas.Chat, Order | None]:
        """The chat that asks for the same, and what it asks, as above."""
        with responses.own_names(body):
            chat = responses.chat(body)
            body.input = ""  # its pictures are the chat's now
            return chat, self._without_pictures(chat)

    async def _with_pictures(self, request: Request, body: schemas.Chat) -> Order | Response:
        """What a chat asks whose pictures are read first; a Response that nobody reads if the client left."""
        pictures = await unless_gone(request, self._pictures(body))
        if isinstance(pictures, Response):
            return pictures
        return await asyncio.to_thread(asked, lambda: self.asking.chat(body, pictures))

    async def _pictures(self, body: schemas.Chat) -> list[Picture]:
        """The pictures of a chat, which keeps their megabytes no longer. Raises Refusal."""
        found = self.asking.pictures(body)
        assert self.gallery is not None  # or they were refused
        pictures = await self.gallery.read([(place, said.url) for place, said in found])
        for _, said in found:
            said.url = ""
        return pictures

    def _texts(self, body: schemas.Embedding) -> list[Prompt]:
        if body.dimensions not in (None, self.hidden):
            raise Refusal(400, f"Invalid 'dimensions': the model's vectors have {self.hidden}.", "dimensions")
        one = isinstance(body.input, str) or not body.input or isinstance(body.input[0], int)
        texts: Any = [body.input] if one else body.input
        self.asking.few(len(texts), "input")
        prompts = [self.asking.prompt(text, "input") for text in texts]
        if (longest := max(len(prompt.tokens) for prompt in prompts)) > self.asking.room:
            raise protocol.too_long(self.asking.room, str(longest), 0, "input")
        return prompts

    def _embedded(self, writings: Sequence[Writing], encoding: str) -> dict[str, Any]:
        data = []
        for writing in writings:
            vector = writing.answer.request.vector.astype("<f4")
            found = base64.b64encode(vector.tobytes()).decode() if encoding == "base64" else vector.tolist()
            data.append({"object": "embedding", "index": writing.index, "embedding": found})
        read = sum(len(writing.answer.request.prompt) for writing in writings)
        usage = {"prompt_tokens": read, "total_tokens": read}
        return {"object": "list", "data": data, "model": self.name, "usage": usage}

    async def _read(self, request: Request, schema: type[Parsed], then: Callable[[Parsed], Any]) -> tuple[Parsed, Any]:
        """The body, and what is asked by it; beside the event loop, for that takes a while with a long text."""
        content = await whole_body(request, MOST_BYTES if self.gallery is None else MOST_BYTES_WITH_PICTURES)

        def read() -> tuple[Parsed, Any]:
            if len(content) > MOST_BYTES and bytes_beside(content) > MOST_BYTES:
                raise Refusal(413, f"The body is larger than {MOST_BYTES} bytes beside its pictures")
            body = protocol.parse(schema, content)
            named = getattr(body, "model", "")
            if named and named != self.name:
                raise protocol.of_another_model(named, self.name)
            return body, asked(lambda: then(body))

        return await asyncio.to_thread(read)

    def _submit(self, order: Order, echo: bool) -> list[Writing]:
        try:
            answers = self.thread.submit(order.requests)
        except Full:
            message = f"{self.thread.most} requests are being answered or wait, and no more may: try again later"
            raise Refusal(429, message, code="queue_full") from None
        return [Writing(order, number, answer, self.asking, echo) for number, answer in enumerate(answers)]

    async def _answer(self, request: Request, body: schemas.Generation, order: Order, logprobs: bool) -> Response:
        chat = isinstance(body, schemas.Chat)
        pieces = replies.Pieces(await asyncio.to_thread(lambda: self.asking.guides.pieces)) if logprobs else None
        writings = self._submit(order, getattr(body, "echo", False))
        reply = replies.Reply(chat, self.name, pieces)

        async def events() -> AsyncIterator[str]:
            """Server-sent events, as OpenAI's: chunks, perhaps the usage, and [DONE]."""
            shown = writings if body.stream_options.continuous_usage_stats else []
            for writing in writings if chat else ():
                yield event(reply.first(writing.index, shown))
            try:
                async for grown in merged(writings):
                    large = len(grown.logprobs) > 256  # the prompt's own, of an echo
                    yield event(
                        await asyncio.to_thread(reply.chunk, grown, shown) if large else reply.chunk(grown, shown)
                    )
            except Failed as error:
                yield event(Refusal(500, str(error)).body())
                return
            if body.stream_options.include_usage:
                yield event(reply.usage(writings))
            yield "data: [DONE]\n\n"

        return await self._send(request, body.stream, writings, events, lambda: reply.whole(writings))

    async def _send(
        self,
        request: Request,
        stream: bool,
        writings: Sequence[Writing],
        events: Callable[[], AsyncIterator[str]] | None,
        whole: Callable[[], dict[str, Any]],
    ) -> Response:
        """The events as they come, or all of it at the end."""

        def done() -> None:
            for writing in writings:
                self.thread.cancel(writing.answer)
            self.counts.answered(writings)

        if stream and events is not None:
            return EventStream(events(), done)

        async def answer() -> Response:
            try:
                async for _ in merged(writings):
                    pass
            except Failed as error:
                raise Refusal(500, str(error)) from None
            return await asyncio.to_thread(lambda: JSONResponse(whole()))  # a long text's log probabilities: megabytes

        try:
            return await unless_gone(request, answer())
        finally:
            done()


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


def asked(read: Callable[[], Any]) -> Any:
    """What a body asks. Raises Refusal for a text that the model has no tokens for."""
    try:
        return read()
    except llm.ModelError as error:
        raise Refusal(400, str(error)) from None


async def whole_body(request: Request, most: int = MOST_BYTES) -> bytes:
    """The request's body. Raises Refusal if it is larger than that, does not come, or the client left meanwhile."""
    parts: list[bytes] = []
    if int(request.headers.get("content-length", 0)) > most:  # digits, or h11 would have refused them
        raise Refusal(413, f"The body is larger than {most} bytes")

    async def read() -> None:
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise Refusal(413, f"The body is larger than {most} bytes")
            parts.append(part)

    try:
        await asyncio.wait_for(read(), BODY_SECONDS)
    except asyncio.TimeoutError:
        raise Refusal(408, f"The body was not complete after {BODY_SECONDS} s") from None
    except ClientDisconnect:
        raise Refusal(400, "The body is not complete") from None
    return b"".join(parts)


async def unless_gone(request: Request, answering: Any) -> Any:
    """The answer, which is given up when the client leaves; then a Response that nobody reads."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    answer, leaving = asyncio.create_task(answering), asyncio.create_task(gone())
    try:
        await asyncio.wait([answer, leaving], return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else Response(status_code=499)
    finally:
        answer.cancel()
        leaving.cancel()


async def refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    headers = (
        {"Retry-After": "1"} if error.status == 429 else {"Connection": "close"} if error.status in (408, 413) else None
    )
    return JSONResponse(error.body(), error.status, headers)


async def not_found(request: Request, error: Exception) -> Response:
    """A wrong path or method, in OpenAI's shape too."""
    assert isinstance(error, HTTPException)
    refusal = Refusal(error.status_code, f"{request.method} {request.url.path}: {error.detail}")
    return JSONResponse(refusal.body(), error.status_code, error.headers)
