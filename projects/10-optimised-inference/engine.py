"""Many requests through one decoder: continuous batching, chunked prefill, shared beginnings, looked-up drafts.

Each step computes at most `budget` tokens: first one for every request that is answering (and its draft), then
pieces of the prompts that wait. So a long prompt does not hold up the answers beside it, and a request joins and
leaves without waiting for others (Orca, https://www.usenix.org/conference/osdi22/presentation/yu).
"""

import itertools
import time
from collections import deque
from dataclasses import dataclass, field

import llm
import numpy as np
from blocks import Blocks, OutOfBlocks
from decoder import Decoder

MOST_DRAFTED = 4  # tokens that a draft adds to a step
LOOKED_UP = (3, 2)  # how many last tokens must have occurred before, for the draft to be what followed them


@dataclass(eq=False)
class Request:
    """A prompt to answer with at most `limit` tokens, and what became of it; times in seconds."""

    prompt: list[int]
    limit: int
    sampler: llm.Sampler = field(default_factory=llm.Sampler)  # of itself, it takes the likeliest token
    arrived: float = 0.0
    answer: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # when each token of the answer came
    computed: int = 0  # positions whose keys and values are in the cache
    blocks: list[int] = field(default_factory=list)

    @property
    def tokens(self) -> list[int]:
        return self.prompt + self.answer


@dataclass
class Counts:
    """What the engine did."""

    steps: int = 0
    computed: int = 0
    shared: int = 0  # prompt tokens that another request's blocks held
    drafted: int = 0
    accepted: int = 0
    postponed: int = 0  # times that a request had to give its blocks back and begin again


class Engine:
    """Answers requests; see the module. `batch` requests at once, `budget` tokens in a step.

    Raises ValueError for a request that the cache could not hold even alone.
    """

    def __init__(
        self,
        decoder: Decoder,
        stops: frozenset[int],
        batch: int = 8,
        budget: int = 128,
        sharing: bool = True,
        lookup: bool = False,
    ) -> None:
        self.decoder, self.stops, self.lookup = decoder, stops, lookup
        self.batch, self.budget = batch, max(budget, batch * (1 + MOST_DRAFTED if lookup else 1))
        self.pool = Blocks(decoder.blocks, decoder.block_size, sharing)
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []
        self.counts = Counts()

    @property
    def room(self) -> int:
        """The most tokens, of prompt and answer together, that a request may have."""
        return min(self.decoder.blocks * self.decoder.block_size, self.decoder.config.longest)

    def add(self, request: Request) -> None:
        """Queue a request."""
        if len(request.prompt) + request.limit > self.room:
            raise ValueError(f"{len(request.prompt)} + {request.limit} tokens: the cache has room for {self.room}")
        request.arrived = time.perf_counter()
        self.waiting.append(request)

    def cancel(self, request: Request) -> None:
        """Forget a request, wherever it is; its blocks are free again."""
        if request in self.waiting:
            self.waiting.remove(request)
        elif request in self.running:
            self.running.remove(request)
            self.pool.give_back(request.blocks)

    def run(self) -> None:
        """Step until every request is answered."""
        while self.waiting or self.running:
            self.step()

    def step(self) -> list[Request]:
        """Compute once; returns the requests that it finished."""
        work = self._plan()
        rows = [(request, place) for request, drafted in work for place in range(request.computed, drafted[1])]
        tokens = np.array(
            [token for request, (draft, end) in work for token in (request.tokens + draft)[request.computed : end]]
        )
        # Logits are wanted from the last token that is known on: it chooses the next, and a draft's judge the draft.
        wanted = [
            row for row, (request, place) in enumerate(rows) if place >= len(request.prompt) + len(request.answer) - 1
        ]
        numbers = {id(request): number for number, (request, _) in enumerate(work)}
        logits = self.decoder.step(
            tokens,
            np.array([numbers[id(request)] for request, _ in rows]),
            np.array([place for _, place in rows]),
            [request.blocks for request, _ in work],
            np.array(wanted, dtype=np.int64),
        )
        rows_of_logits = iter(logits)
        self.counts.steps += 1
        self.counts.computed += len(rows)
        now = time.perf_counter()
        finished = []
        for request, (draft, end) in work:
            known = len(request.tokens)
            own = list(itertools.islice(rows_of_logits, max(end - known + 1, 0)))
            request.computed = min(end, known)
            done = bool(own) and self._accept(request, draft, own, now)
            self.pool.publish(request.blocks, request.tokens[: request.computed])
            if done:
                finished.append(request)
                self.running.remove(request)
                self.pool.give_back(request.blocks)
        return finished

    def _accept(self, request: Request, draft: list[int], logits: list[np.ndarray], now: float) -> bool:
        """Choose tokens as far as the draft foresaw them, and one more. Returns whether the answer ends."""
        self.counts.drafted += len(draft)
        for number, row in enumerate(logits):
            token = request.sampler.choose(row)
            if token in self.stops:
                return True
            request.answer.append(token)
            request.times.append(now)
            if len(request.answer) == request.limit:
                return True
            if number == len(draft) or draft[number] != token:
                return False
            self.counts.accepted += 1
            request.computed += 1
        return False

    def _plan(self) -> list[tuple[Request, tuple[list[int], int]]]:
        """Who computes up to which position in this step, with which draft."""
        work: list[tuple[Request, tuple[list[int], int]]] = []
        budget = self.budget
        for request in list(self.running):
            if request not in self.running or budget <= 0:
                continue  # had to give way to one before it
            answering = request.computed == len(request.tokens) - 1
            draft = self._draft(request) if self.lookup and answering else []
            end = min(len(request.tokens), request.computed + budget) + len(draft)
            if self._reserve(request, end, {id(other) for other, _ in work}):
                budget -= end - request.computed
                work.append((request, (draft, end)))
        while self.waiting and len(self.running) < self.batch and budget > 0:
            request = self.waiting[0]
            request.blocks = self.pool.shared(request.tokens)
            request.computed = len(request.blocks) * self.pool.size
            end = min(len(request.tokens), request.computed + budget)
            # The whole prompt must have room, or it would soon take blocks from those that are answering.
            need = -(-len(request.tokens) // self.pool.size) - len(request.blocks)
            if self.pool.free < need + (1 if self.running else 0):
                self.pool.give_back(request.blocks)
                request.blocks, request.computed = [], 0
                break
            self.counts.shared += request.computed
            self.waiting.popleft()
            self.running.append(request)
            self._reserve(request, end, set())
            budget -= end - request.computed
            work.append((request, ([], end)))
        return work

    def _reserve(self, request: Request, end: int, planned: set[int]) -> bool:
        """Give the request blocks up to position `end`, taking them from the youngest others where none is free."""
        while len(request.blocks) * self.pool.size < end:
            try:
                request.blocks.append(self.pool.take())
            except OutOfBlocks:
                youngest = next(other for other in reversed(self.running) if id(other) not in planned)
                self._postpone(youngest)
                if youngest is request:
                    return False
        return True

    def _postpone(self, request: Request) -> None:
        """Take the request's blocks; it begins again, with what it has answered so far, when there is room."""
        self.pool.give_back(request.blocks)
        request.blocks, request.computed = [], 0
        self.running.remove(request)
        self.waiting.appendleft(request)
        self.counts.postponed += 1

    def _draft(self, request: Request) -> list[int]:
        """What followed the last tokens when they occurred before: text often repeats its prompt.

        Prompt lookup (https://github.com/apoorvumang/prompt-lookup-decoding): speculative decoding
        (https://arxiv.org/abs/2211.17192) without a second model.
        """
        tokens, room = request.tokens, min(MOST_DRAFTED, request.limit - len(request.answer) - 1)
        for length in LOOKED_UP:
            last = tokens[-length:]
            for start in range(len(tokens) - length - 1, -1, -1):
                if tokens[start : start + length] == last:
                    return tokens[start + length : start + length + max(room, 0)]
        return []
