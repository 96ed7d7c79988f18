"""The engine in a thread of its own: tasks of an event loop hand requests in, and await their tokens.

One thread calls the engine, so that the engine needs no locks. Between two of its steps it takes in who came and lets
go who left; after a step it hands all new tokens to the event loop in one call.
"""

import asyncio
import threading
import traceback
from collections.abc import AsyncIterator, Callable

from engine import Engine, Request


class Full(Exception):
    """As many requests wait as may."""


class Failed(Exception):
    """The engine could not compute an answer; its log says why."""


class Answer:
    """A request's tokens as they come. Made by EngineThread.submit."""

    def __init__(self, request: Request) -> None:
        self.request, self.sent = request, 0
        self.loop = asyncio.get_running_loop()
        self._news: asyncio.Queue[tuple[list[int], bool, bool]] = asyncio.Queue()

    async def tokens(self) -> AsyncIterator[int]:
        """Each token of the answer. Raises Failed."""
        while True:
            tokens, last, failed = await self._news.get()
            for token in tokens:
                yield token
            if failed:
                raise Failed("the engine failed at this request")
            if last:
                return

    def receive(self, tokens: list[int], last: bool, failed: bool = False) -> None:
        """In the event loop: news from the engine."""
        self._news.put_nowait((tokens, last, failed))


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
        """Requests that are being answered, or wait for it."""
        return len(self._open)

    def submit(self, request: Request) -> Answer:
        """Hand in a request, from the event loop. Raises Full."""
        with self._changed:
            if len(self._open) >= self.most:
                raise Full
            answer = self._open[request] = Answer(request)
            self._arrived.append(answer)
            self._changed.notify()
        return answer

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
            finished, failed = self.engine.step(), False
        except Exception:  # one bad step must not end the service of everybody else
            traceback.print_exc()
            finished, failed = [*self.engine.running, *self.engine.waiting], True
            for request in finished:
                self.engine.cancel(request)
        with self._changed:
            news = []
            for request in {*self.engine.running, *finished}:
                answer, last = self._open[request], request in finished
                if new := request.answer[answer.sent :] or last:
                    tokens = request.answer[answer.sent :] if new else []
                    news.append((answer, tokens, last, failed))
                    answer.sent = len(request.answer)
                if last:
                    del self._open[request]
        if news:
            news[0][0].loop.call_soon_threadsafe(_deliver, news)


def _deliver(news: list[tuple[Answer, list[int], bool, bool]]) -> None:
    for answer, tokens, last, failed in news:
        answer.receive(tokens, last, failed)
