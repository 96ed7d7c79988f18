"""The engine in a thread of its own: tasks of an event loop hand requests in, and await their tokens.

One thread calls the engine, so that the engine needs no locks. Between two of its steps it takes in who came and lets
go who left; after a step it hands all new tokens to the event loop in one call.
"""

import asyncio
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from engine import Engine, LogProb, Request


class Full(Exception):
    """As many requests wait as may."""


class Failed(Exception):
    """An answer could not be computed; the text says why."""


@dataclass(frozen=True)
class News:
    """What a step brought to an answer."""

    tokens: Sequence[int]
    logprobs: Sequence[LogProb]  # one of each token, if they are wanted
    last: bool = False
    error: str = ""


class Answer:
    """A request's tokens as they come. Made by EngineThread.submit."""

    def __init__(self, request: Request) -> None:
        self.request, self.sent = request, 0
        self.loop = asyncio.get_running_loop()
        self._news: asyncio.Queue[News] = asyncio.Queue()

    async def tokens(self) -> AsyncIterator[tuple[int, LogProb | None]]:
        """Each token of the answer. Raises Failed."""
        while True:
            news = await self._news.get()
            for number, token in enumerate(news.tokens):
                yield token, news.logprobs[number] if news.logprobs else None
            if news.error:
                raise Failed(news.error)
            if news.last:
                return

    def receive(self, news: News) -> None:
        """In the event loop: news from the engine."""
        self._news.put_nowait(news)


class EngineThread(threading.Thread):
    """Steps `engine` while somebody waits for an answer; at most `queue` requests wait beside a full batch.

    `begin` is called first in the thread, for what Paddle keeps for each thread.
    """

    def __init__(self, engine: Engine, queue: int, begin: Callable[[], object]) -> None:
        super().__init__(name="engine", daemon=True)
        self.engine, self.most, self._begin = engine, engine.batch + queue, begin
        self._changed = threading.Condition()
        self._open: dict[Request, Answer] = {}
        self._arrived: list[Answer] = []
        self._left: list[Answer] = []

    @property
    def open(self) -> int:
        """Requests that are being answered or wait."""
        return len(self._open)

    def submit(self, requests: Sequence[Request]) -> list[Answer]:
        """Ask for answers, of all or of none. Raises Full."""
        with self._changed:
            if len(self._open) + len(requests) > self.most:
                raise Full
            answers = [Answer(request) for request in requests]
            self._open.update(zip(requests, answers, strict=True))
            self._arrived += answers
            self._changed.notify()
        return answers

    def cancel(self, answer: Answer) -> None:
        """Nobody waits for the answer any more; nothing happens if it is complete."""
        with self._changed:
            if answer.request in self._open:
                self._left.append(answer)
                self._changed.notify()

    def run(self) -> None:
        self._begin()
        while True:
            self._exchange()
            if self.engine.running or self.engine.waiting:
                self._step()

    def _exchange(self) -> None:
        """Take in who came, let go who left; wait while there is nothing to do."""
        with self._changed:
            while not (self._arrived or self._left or self.engine.running or self.engine.waiting):
                self._changed.wait()
            for answer in self._arrived:
                self.engine.add(answer.request)
            for answer in self._left:
                self.engine.cancel(answer.request)
                self._open.pop(answer.request, None)
            self._arrived, self._left = [], []

    def _step(self) -> None:
        try:
            finished, error = self.engine.step(), ""
        except Exception:  # one bad step must not end the service of everybody else
            traceback.print_exc()
            finished, error = [*self.engine.running, *self.engine.waiting], "the engine failed; its log says why"
            for request in finished:
                self.engine.cancel(request)
        with self._changed:
            news = []
            for request in {*self.engine.running, *finished}:
                answer, last = self._open[request], request in finished
                if len(request.answer) > answer.sent or last:
                    new = slice(answer.sent, None)
                    news.append(
                        (
                            answer,
                            News(
                                request.answer[new],
                                request.logprobs[new],
                                last,
                                (error or request.error) if last else "",
                            ),
                        )
                    )
                    answer.sent = len(request.answer)
                if last:
                    del self._open[request]
        if news:
            news[0][0].loop.call_soon_threadsafe(_deliver, news)


def _deliver(news: list[tuple[Answer, News]]) -> None:
    for answer, each in news:
        answer.receive(each)
