"""The JSON of answers, whole or in the chunks of a stream, as OpenAI's API has it."""

import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

import toolcalls
from engine import LogProb
from llguidance import LLTokenizer
from writing import Grown, Writing


def event(content: dict[str, Any], name: str = "") -> str:
    """A server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(content, ensure_ascii=False)}\n\n"


def usage(writings: Sequence[Writing]) -> dict[str, Any]:
    """Tokens of the prompts, each counted once, and of all answers."""
    prompts = {id(writing.answer.request.prompt): writing.answer.request for writing in writings}
    read = sum(len(request.prompt) for request in prompts.values())
    cached = sum(request.cached for request in prompts.values())
    made = sum(writing.count for writing in writings)
    counts = {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}
    return {**counts, "prompt_tokens_details": {"cached_tokens": cached}}


class Pieces:
    """Tokens as the lists of log probabilities show them."""

    def __init__(self, pieces: LLTokenizer) -> None:
        self._pieces = pieces

    def chat(self, logprobs: Sequence[LogProb]) -> dict[str, Any]:
        content = [
            {**self._entry(each.token, each.value or 0.0), "top_logprobs": [self._entry(*other) for other in each.top]}
            for each in logprobs
        ]
        return {"content": content, "refusal": None}

    def completion(self, logprobs: Sequence[LogProb], offset: int) -> dict[str, Any]:
        found: dict[str, list[Any]] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for each in logprobs:
            text = self._text(each.token)
            top = {self._text(token): value for token, value in ((each.token, each.value), *each.top)}
            values = (text, each.value, None if each.value is None else top, offset)
            for name, value in zip(found, values, strict=True):
                found[name].append(value)
            offset += len(text)
        return found

    def length(self, logprobs: Sequence[LogProb]) -> int:
        return sum(len(self._text(each.token)) for each in logprobs)

    def _entry(self, token: int, value: float) -> dict[str, Any]:
        data = self._pieces.decode_bytes([token])
        return {"token": self._text(token), "logprob": value, "bytes": list(data)}

    def _text(self, token: int) -> str:
        data = bytes(self._pieces.decode_bytes([token]))
        try:
            return data.decode()
        except UnicodeDecodeError:  # a part of a character, as OpenAI writes it
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)


class Reply:
    """The answers to one request; `pieces` None: without log probabilities."""

    def __init__(self, chat: bool, model: str, pieces: Pieces | None) -> None:
        self._chat, self._pieces = chat, pieces
        self._kind = "chat.completion" if chat else "text_completion"
        prefix = "chatcmpl" if chat else "cmpl"
        self._head = {"id": f"{prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}
        self._offsets: dict[int, int] = {}

    def whole(self, writings: Sequence[Writing]) -> dict[str, Any]:
        choices = []
        for writing in writings:
            content = {"message": self._message(writing)} if self._chat else {"text": writing.said.content}
            choices.append(self._choice(writing.index, content, writing.logprobs, writing.reason))
        return {**self._head, "object": self._kind, "choices": choices, "usage": usage(writings)}

    def _message(self, writing: Writing) -> dict[str, Any]:
        said, calls = writing.said, toolcalls.whole(writing.said.calls)
        message: dict[str, Any] = {"role": "assistant", "content": said.content or (None if calls else "")}
        if said.reasoning:
            message["reasoning_content"] = said.reasoning
        return {**message, "tool_calls": calls} if calls else message

    def first(self, index: int, counted: Sequence[Writing] = ()) -> dict[str, Any]:
        """The chunk that begins an answer of a chat, with what those that are `counted` have used so far."""
        return self._chunk([self._choice(index, {"delta": {"role": "assistant", "content": ""}}, [], None)], counted)

    def chunk(self, grown: Grown, counted: Sequence[Writing] = ()) -> dict[str, Any]:
        """A piece of an answer; the last one has the reason why it ends. `counted` as for the first."""
        content: dict[str, Any] = {"text": grown.piece.content}
        if self._chat:
            named = {"content": grown.piece.content, "reasoning_content": grown.piece.reasoning}
            delta: dict[str, Any] = {name: text for name, text in named.items() if text}
            if grown.piece.calls:
                delta["tool_calls"] = list(toolcalls.deltas(grown.piece.calls))
            content = {"delta": delta}
        return self._chunk([self._choice(grown.index, content, grown.logprobs, grown.reason)], counted)

    def usage(self, writings: Sequence[Writing]) -> dict[str, Any]:
        """The chunk after the last one, for those who asked for it."""
        return self._chunk([], writings)

    def _choice(
        self, index: int, content: dict[str, Any], logprobs: Sequence[LogProb], reason: str | None
    ) -> dict[str, Any]:
        found = None
        if self._pieces is not None and (logprobs or reason):
            offset = self._offsets.get(index, 0)
            found = self._pieces.chat(logprobs) if self._chat else self._pieces.completion(logprobs, offset)
            self._offsets[index] = offset + self._pieces.length(logprobs)
        return {"index": index, **content, "logprobs": found, "finish_reason": reason}

    def _chunk(self, choices: list[dict[str, Any]], counted: Sequence[Writing] = ()) -> dict[str, Any]:
        kind = f"{self._kind}.chunk" if self._chat else self._kind
        used = {"usage": usage(counted)} if counted else {}
        return {**self._head, "object": kind, "choices": choices, **used}
