"""The text of an answer as it grows: up to its stop string, told apart into words, thoughts and calls."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import llm
from asking import Asking, Order
from batching import Answer
from engine import LogProb
from stopping import StopStrings
from toolcalls import Piece


@dataclass
class Grown:
    """What an answer grew by."""

    index: int
    piece: Piece
    logprobs: list[LogProb]
    reason: str | None = None  # why the answer ends, with its last piece


class Writing:
    """One answer of an order, the `index`th; everything that it said when `pieces` is through."""

    def __init__(self, order: Order, index: int, answer: Answer, asking: Asking, echo: bool = False) -> None:
        self.answer, self.index, self._shown, self._single = answer, index, asking.shown, order.reading.single
        prompt = order.prompts[index * len(order.prompts) // len(order.requests)]
        self._stream, self._stops = llm.Stream(asking.tokenizer, prompt.tokens), StopStrings(order.stops)
        self._reader = order.reading.reader()
        self._echo = (prompt.text or asking.tokenizer.decode(prompt.tokens)) if echo else ""
        self.count, self.said = 0, Piece()
        self.reason, self.logprobs = "", list[LogProb]()

    async def pieces(self) -> AsyncIterator[Grown]:
        """Each piece, the last with the reason. Raises Failed."""
        pending: list[LogProb] = []
        async for text, logprobs in self._texts():
            pending += logprobs
            if piece := self._reader.add(text):
                yield self._grown(piece, pending)
                pending = []
            if self._single and self._reader.calls and self._reader.calls.complete:
                self.reason = "stop"
                break
        called = self._reader.calls is not None
        piece = self._reader.add("", last=True)
        if called and self._reader.calls.count and self.reason == "stop":
            self.reason = "tool_calls"
        yield self._grown(piece, pending, self.reason)

    def _grown(self, piece: Piece, logprobs: list[LogProb], reason: str | None = None) -> Grown:
        self.said.content += piece.content
        self.said.reasoning += piece.reasoning
        self.said.calls += piece.calls
        self.logprobs += logprobs
        return Grown(self.index, piece, logprobs, reason)

    async def _texts(self) -> AsyncIterator[tuple[str, list[LogProb]]]:
        begun = False
        async for token, logprob in self.answer.tokens():
            if not begun:
                begun = True
                yield self._prompt()
            self.count += 1
            yield self._stops.add(self._text(token)), [logprob] if logprob else []
            if self._stops.reached is not None:
                self.reason = "stop"
                return
        if not begun:
            yield self._prompt()
        yield self._stops.add(self._stream.finish()), []
        yield self._stops.finish(), []
        ended = self._stops.reached is not None or self.answer.request.stopped
        self.reason = "stop" if ended else "length"

    def _text(self, token: int) -> str:
        mark = self._shown.get(token)
        return self._stream.add(token) if mark is None else self._stream.finish() + mark

    def _prompt(self) -> tuple[str, list[LogProb]]:
        request = self.answer.request
        return self._echo, [LogProb(request.prompt[0], None, ()), *request.prompt_logprobs] if request.echo else []


async def merged(writings: Sequence[Writing]) -> AsyncIterator[Grown]:
    """The pieces of all, as they come. Raises Failed."""
    if len(writings) == 1:
        async for grown in writings[0].pieces():
            yield grown
        return
    news: asyncio.Queue[Grown | Exception] = asyncio.Queue()

    async def write(writing: Writing) -> None:
        try:
            async for grown in writing.pieces():
                news.put_nowait(grown)
        except Exception as error:
            news.put_nowait(error)

    tasks = [asyncio.create_task(write(writing)) for writing in writings]
    try:
        left = len(tasks)
        while left:
            grown = await news.get()
            if isinstance(grown, Exception):
                raise grown
            left -= grown.reason is not None
            yield grown
    finally:
        for task in tasks:
            task.cancel()
