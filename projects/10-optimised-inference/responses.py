"""POST /v1/responses: asked as a chat, and its answer in the shape of OpenAI's newer API.

https://platform.openai.com/docs/api-reference/responses. Nothing is kept, so that `previous_response_id` is unknown.
"""

import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import protocol
import replies
from protocol import Refusal
from schemas import Chat, InputPart, Response, TextFormat
from writing import Grown, Writing

PLACE = re.compile(r"messages\[(\d+)\](\.content\[\d+\]\.image_url)\.url")  # of a picture in a chat


def chat(body: Response) -> Chat:
    """The chat that asks for the same."""
    messages: list[dict[str, Any]] = []
    if body.instructions:
        messages.append({"role": "system", "content": body.instructions})
    if isinstance(body.input, str):
        messages.append({"role": "user", "content": body.input})
    else:
        for said in body.input:
            parts = said.content if isinstance(said.content, str) else [_part(part) for part in said.content]
            messages.append({"role": said.role, "content": parts})
    fields = {"messages": messages, "temperature": body.temperature, "top_p": body.top_p}
    fields |= {"max_completion_tokens": body.max_output_tokens, "response_format": _format(body.text.format)}
    return protocol.parse(Chat, {"model": body.model, "stream": body.stream, **fields})


@contextmanager
def own_names(body: Response) -> Iterator[None]:
    """A refusal of the chat that asks for the same is one of `body`: its `input` are the chat's `messages`."""
    before = int(bool(body.instructions))

    def own(found: re.Match[str]) -> str:
        return f"input[{int(found[1]) - before}]{found[2]}"

    try:
        yield
    except Refusal as error:
        if not (error.parameter or "").startswith("messages"):
            raise
        texts = [PLACE.sub(own, text) for text in (error.message, error.parameter or "")]
        message, parameter = (re.sub(r"\bmessages\b", "input", text) for text in texts)
        raise Refusal(error.status, message, parameter, error.code) from None


def _part(part: InputPart) -> dict[str, Any]:
    if part.image_url is None:
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": part.image_url, "detail": part.detail}}


def _format(said: TextFormat) -> dict[str, Any] | None:
    if said.type != "json_schema":
        return {"type": said.type}
    return {"type": said.type, "json_schema": {"name": said.name, "schema": said.schema_ or {}}}


class Reply:
    """The response to one request."""

    def __init__(self, body: Response, model: str) -> None:
        self._body, self._number = body, 0
        self._head = {"id": f"resp_{uuid.uuid4().hex}", "object": "response", "created_at": int(time.time())}
        self._model = model
        self._items: list[dict[str, Any]] = []

    def whole(self, writing: Writing) -> dict[str, Any]:
        said = writing.said
        for kind, text in (("reasoning", said.reasoning), ("message", said.content)):
            if text or kind == "message":
                self._items.append(self._item(kind, text, "completed"))
        return self._response("incomplete" if writing.reason == "length" else "completed", writing)

    def begin(self) -> Iterator[str]:
        for name in ("created", "in_progress"):
            yield self._event(f"response.{name}", response=self._response("in_progress", None))

    def add(self, grown: Grown) -> Iterator[str]:
        """The events of a piece."""
        for kind, text in (("reasoning", grown.piece.reasoning), ("message", grown.piece.content)):
            if not text and not (grown.reason and kind == "message" and not self._open("message")):
                continue
            if not self._open(kind):
                yield from self._close("completed")
                yield from self._start(kind)
            item = self._items[-1]
            item["content"][0]["text"] += text
            if text:
                yield self._event(self._name(item, "delta"), **self._place(item), delta=text, **self._logprobs(item))

    def end(self, writing: Writing) -> Iterator[str]:
        status = "incomplete" if writing.reason == "length" else "completed"
        yield from self._close(status)
        yield self._event(f"response.{status}", response=self._response(status, writing))

    def failed(self, message: str) -> str:
        error = {"code": "server_error", "message": message}
        return self._event("response.failed", response={**self._response("failed", None), "error": error})

    def _open(self, kind: str) -> bool:
        return bool(self._items) and self._items[-1]["type"] == kind

    def _start(self, kind: str) -> Iterator[str]:
        item = self._item(kind, "", "in_progress")
        self._items.append(item)
        index = len(self._items) - 1
        yield self._event("response.output_item.added", output_index=index, item={**item, "content": []})
        yield self._event("response.content_part.added", **self._place(item), part=dict(item["content"][0]))

    def _close(self, status: str) -> Iterator[str]:
        if not self._items:
            return
        item = self._items[-1]
        item["status"] = status
        text = item["content"][0]["text"]
        yield self._event(self._name(item, "done"), **self._place(item), text=text, **self._logprobs(item))
        yield self._event("response.content_part.done", **self._place(item), part=item["content"][0])
        yield self._event("response.output_item.done", output_index=len(self._items) - 1, item=item)

    def _item(self, kind: str, text: str, status: str) -> dict[str, Any]:
        head = {"type": kind, "status": status}
        if kind == "reasoning":
            content: dict[str, Any] = {"type": "reasoning_text", "text": text}
            return {"id": f"rs_{uuid.uuid4().hex}", **head, "summary": [], "content": [content]}
        content = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        return {"id": f"msg_{uuid.uuid4().hex}", **head, "role": "assistant", "content": [content]}

    @staticmethod
    def _name(item: dict[str, Any], what: str) -> str:
        return f"response.{item['content'][0]['type']}.{what}"

    @staticmethod
    def _logprobs(item: dict[str, Any]) -> dict[str, Any]:
        return {"logprobs": []} if item["type"] == "message" else {}

    def _place(self, item: dict[str, Any]) -> dict[str, Any]:
        return {"item_id": item["id"], "output_index": len(self._items) - 1, "content_index": 0}

    def _event(self, kind: str, **fields: Any) -> str:
        number, self._number = self._number, self._number + 1
        return replies.event({"type": kind, "sequence_number": number, **fields}, kind)

    def _response(self, status: str, writing: Writing | None) -> dict[str, Any]:
        body = self._body
        incomplete = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            **self._head,
            "status": status,
            "model": self._model,
            "output": self._items if writing else [],
            "usage": usage([writing]) if writing else None,
            "error": None,
            "incomplete_details": incomplete,
            "instructions": body.instructions or None,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata,
            "parallel_tool_calls": body.parallel_tool_calls,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": False,
            "temperature": body.temperature,
            "text": body.text.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
            | {"format": self._said()},
            "tool_choice": body.tool_choice,
            "tools": [],
            "top_p": body.top_p,
            "truncation": body.truncation,
        }

    def _said(self) -> dict[str, Any]:
        format = self._body.text.format
        more = (
            {"name": format.name, "schema": format.schema_, "strict": format.strict}
            if format.type == "json_schema"
            else {}
        )
        return {"type": format.type, **more}


def usage(writings: Sequence[Writing]) -> dict[str, Any]:
    """In the names of this API."""
    found = replies.usage(writings)
    return {
        "input_tokens": found["prompt_tokens"],
        "input_tokens_details": found["prompt_tokens_details"],
        "output_tokens": found["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": found["total_tokens"],
    }
