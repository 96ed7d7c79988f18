"""Many requests through one decoder: continuous batching, chunked prefill, shared beginnings, looked-up drafts.

Each step computes at most `budget` tokens: first one for every request that is answering (and its draft), then
pieces of the prompts that wait. So a long prompt does not hold up the answers beside it, and a request joins and
leaves without waiting for others (Orca, https://www.usenix.org/conference/osdi22/presentation/yu).
"""

import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import llm
import numpy as np
from blocks import Blocks, OutOfBlocks
from decoder import Decoder
from llm.sampling import likeliest, log_probabilities
from sight import Sight, seen_by

MOST_DRAFTED = 4  # tokens that a draft adds to a step
LEAST = -9999.0  # a log probability, where it would be infinite: JSON has no such number
LOOKED_UP = (3, 2)  # how many last tokens must have occurred before, for the draft to be what followed them


@dataclass(frozen=True)
class LogProb:
    """A token's log probability as the model gave it, and those of the likeliest in its place."""

    token: int
    value: float | None  # None: the first token of a text has nothing before it
    top: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, token: int, logits: np.ndarray, top: int) -> "LogProb":
        found = np.maximum(log_probabilities(logits), LEAST)
        if not np.isfinite(found[token]):
            raise llm.SamplingError("the model's logits are not numbers")
        likely = likeliest(found, top) if top else []
        return cls(token, float(found[token]), tuple((int(other), float(found[other])) for other in likely))


@dataclass(eq=False)
class Request:
    """A prompt to answer with at most `limit` tokens, and what became of it; times in seconds."""

    prompt: list[int]
    limit: int
    sampler: llm.Sampler = field(default_factory=llm.Sampler)  # of itself, it takes the likeliest token
    stops: frozenset[int] | None = None  # that end the answer; None: the engine's
    top: int | None = None  # how many log probabilities are wanted beside each token's; None: none at all
    echo: bool = False  # whether those of the prompt are wanted, too
    arrived: float = 0.0
    answer: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # when each token of the answer came
    logprobs: list[LogProb] = field(default_factory=list)  # of each token of the answer,
    prompt_logprobs: list[LogProb] = field(default_factory=list)  # and of each of the prompt but the first
    stopped: bool = False  # ended by itself, before its limit
    error: str = ""  # why no token could be chosen
    sight: Sight | None = None  # the prompt's pictures
    pooling: str = ""  # "mean" or "last": the prompt's vector is wanted instead of an answer
    vector: np.ndarray = field(default_factory=lambda: np.zeros(0))
    computed: int = 0  # positions whose keys and values are in the cache
    cached: int = 0  # of the prompt, when it was begun
    blocks: list[int] = field(default_factory=list)
    published: int = 0  # of these, as far as others may share them

    @property
    def tokens(self) -> list[int]:
        return self.prompt + self.answer

    @property
    def keys(self) -> list[int]:
        """By which others know what the cache has of it: its tokens, and each picture's own number."""
        return (self.sight.keys if self.sight else self.prompt) + self.answer

    @property
    def first_wanted(self) -> int:
        """From where on what the decoder finds is wanted: from the last token that is known, for it chooses the next,
        and a draft's judge the draft; or from the first, where a prompt is read for itself."""
        return 0 if self.reads_all else len(self.prompt) + len(self.answer) - 1

    @property
    def reads_all(self) -> bool:
        return self.echo or self.pooling == "mean"


Work = tuple[Request, tuple[list[int], int]]  # a draft, and up to where it is computed


def normed(vector: np.ndarray) -> tuple[np.ndarray, str]:
    """The vector of length 1, and what is wrong with it."""
    length = float(np.linalg.norm(np.asarray(vector, np.float64)))
    return vector / length if length else vector, "" if np.isfinite(length) else "the model's numbers are not finite"


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
        work, finished = self._plan(), []
        self.counts.steps += 1
        for pooled in (False, True):  # vectors of texts leave the decoder before its head
            part = [(request, span) for request, span in work if bool(request.pooling) == pooled]
            if part:
                finished += self._compute(part, self.decoder.hidden if pooled else self.decoder.step)
        return finished

    def _compute(self, work: list[Work], compute: Callable[..., np.ndarray]) -> list[Request]:
        rows = [(request, place) for request, drafted in work for place in range(request.computed, drafted[1])]
        tokens = np.array(
            [token for request, (draft, end) in work for token in (request.tokens + draft)[request.computed : end]]
        )
        wanted = [row for row, (request, place) in enumerate(rows) if place >= request.first_wanted]
        numbers = {id(request): number for number, (request, _) in enumerate(work)}
        seen = seen_by([(request.sight, request.computed, end) for request, (_, end) in work])
        found = compute(
            tokens,
            np.array([numbers[id(request)] for request, _ in rows]),
            np.array([place for _, place in rows]),
            [request.blocks for request, _ in work],
            np.array(wanted, dtype=np.int64),
            **({"seen": seen} if seen else {}),
        )
        numbered = zip((rows[row][1] for row in wanted), found, strict=False)  # kernels compute one row at least
        self.counts.computed += len(rows)
        now = time.perf_counter()
        finished = []
        for request, (draft, end) in work:
            known = len(request.tokens)
            own = [next(numbered) for _ in range(max(end - max(request.first_wanted, request.computed), 0))]
            request.computed = min(end, known)
            self._read(request, own)
            chosen_by = [row for place, row in own if place >= known - 1]
            done = bool(request.error or chosen_by) and self._accept(request, draft, chosen_by, now)
            if request.computed // self.pool.size > request.published:
                request.published = self.pool.publish(
                    request.blocks, request.keys[: request.computed], request.published
                )
            if done:
                finished.append(request)
                self.running.remove(request)
                self.pool.give_back(request.blocks)
        return finished

    def _read(self, request: Request, rows: list[tuple[int, np.ndarray]]) -> None:
        """Take what a prompt is read for: its vector, or its tokens' log probabilities, each from the row before it."""
        for place, row in rows if request.pooling else ():
            request.vector = row if place == 0 or request.pooling == "last" else request.vector + row
        for place, row in rows if request.echo else ():
            if len(request.prompt_logprobs) == place < len(request.prompt) - 1:  # once, if it begins again
                try:
                    request.prompt_logprobs.append(LogProb.of(request.prompt[place + 1], row, request.top or 0))
                except llm.SamplingError as error:
                    request.error = str(error)

    def _accept(self, request: Request, draft: list[int], logits: list[np.ndarray], now: float) -> bool:
        """Choose tokens as far as the draft foresaw them, and one more. Returns whether the answer ends."""
        self.counts.drafted += len(draft)
        if request.pooling:
            request.vector, request.error = normed(request.vector)
        if request.error or len(request.answer) == request.limit:  # nothing was to be answered
            return True
        for number, row in enumerate(logits):
            token = self._choose(request, row)
            if token is None or token in (self.stops if request.stops is None else request.stops):
                request.stopped = True
                return True
            request.answer.append(token)
            request.times.append(now)
            if request.top is not None:
                request.logprobs.append(LogProb.of(token, row, request.top))
            request.stopped = request.sampler.finished
            if request.stopped or len(request.answer) == request.limit:
                return True
            if number == len(draft) or draft[number] != token:
                return False
            self.counts.accepted += 1
            request.computed += 1
        return False

    def _choose(self, request: Request, logits: np.ndarray) -> int | None:
        """The next token, or None after an error, which is this request's alone."""
        try:
            return request.sampler.choose(logits)
        except Exception as error:
            if not isinstance(error, llm.SamplingError):
                traceback.print_exc()
            request.error = str(error) or type(error).__name__
            return None

    def _plan(self) -> list[Work]:
        """Who computes up to which position in this step, with which draft."""
        work: list[Work] = []
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
            request.blocks = [] if request.reads_all else self.pool.shared(request.keys)
            request.computed = len(request.blocks) * self.pool.size
            end = min(len(request.tokens), request.computed + budget)
            # The whole prompt must have room, or it would soon take blocks from those that are answering.
            need = -(-len(request.tokens) // self.pool.size) - len(request.blocks)
            if self.pool.free < need + (1 if self.running else 0):
                self.pool.give_back(request.blocks)
                request.blocks, request.computed = [], 0
                break
            self.counts.shared += request.computed
            request.cached = request.computed
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
        request.blocks, request.computed, request.published = [], 0, 0
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
