"""What OpenAI's API says over HTTP: a request's JSON checked, and an answer's JSON.

https://platform.openai.com/docs/api-reference/chat and .../completions. Nothing here knows HTTP or the engine.
"""

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
COMPLETION_LIMIT = 16  # OpenAI's, for /v1/completions without max_tokens
MOST_STOPS = 4
# What would change the answer and is not done here, with the values that ask for nothing.
UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
}


class Refusal(Exception):
    """A request that is not answered: an HTTP status, and OpenAI's error object."""

    def __init__(self, status: int, message: str, parameter: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.parameter, self.code = status, message, parameter, code

    def body(self) -> dict[str, Any]:
        kinds = {401: "authentication_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.parameter, "code": self.code}}


@dataclass(frozen=True)
class Order:
    """A request's wishes. Of `messages`, `text` and `tokens` one is there."""

    messages: list[dict[str, str]] | None
    text: str | None
    tokens: list[int] | None
    limit: int | None  # None: as far as there is room
    temperature: float
    top_p: float
    top_k: int
    seed: int | None
    stops: tuple[str, ...]
    stream: bool
    include_usage: bool


def parse(body: bytes, chat: bool, model: str) -> Order:
    """Read a request's body. Raises Refusal: 400 for what is wrong or not done here, 404 for another model."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"The body is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise Refusal(400, "The body must be a JSON object")
    fields = {name: value for name, value in fields.items() if value is not None}  # null is as good as absent
    wanted = _text(fields, "model", None)
    if wanted != model:
        raise Refusal(404, f"The model {wanted!r} does not exist; there is {model!r}", "model", "model_not_found")
    for name, allowed in UNSUPPORTED.items():
        if name in fields and fields[name] not in allowed:
            raise Refusal(
                400, f"{name} is not supported, other than {json.dumps(allowed[0])}", name, "unsupported_parameter"
            )
    options = _mapping(fields, "stream_options")
    messages, text, tokens = (_messages(fields), None, None) if chat else (None, *_prompt(fields))
    return Order(
        messages=messages,
        text=text,
        tokens=tokens,
        limit=_limit(fields, chat),
        temperature=_number(fields, "temperature", 1.0, 0, 2),
        top_p=_number(fields, "top_p", 1.0, 0, 1),
        top_k=max(_whole(fields, "top_k", 0, -1), 0),  # -1 means all, as in vLLM
        seed=abs(_whole(fields, "seed", 0)) if "seed" in fields else None,
        stops=_stops(fields),
        stream=_flag(fields, "stream"),
        include_usage=_flag(options, "include_usage"),
    )


def _limit(fields: Mapping[str, Any], chat: bool) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        if name in fields:
            return _whole(fields, name, 1, 1)
    return None if chat else COMPLETION_LIMIT


def _messages(fields: Mapping[str, Any]) -> list[dict[str, str]]:
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refusal(400, "messages must be a list of at least one message", "messages")
    return [_message(message, f"messages[{number}]") for number, message in enumerate(messages)]


def _message(message: Any, where: str) -> dict[str, str]:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str) or message["role"] not in ROLES:
        raise Refusal(400, f"{where} must be an object whose role is one of {', '.join(ROLES)}", f"{where}.role")
    parts = message.get("content")
    if isinstance(parts, str):
        parts = [{"type": "text", "text": parts}]
    if not isinstance(parts, list) or not all(
        isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str) for part in parts
    ):
        raise Refusal(400, f"{where}.content must be a string, or a list of parts of type text", f"{where}.content")
    return {"role": ROLES[message["role"]], "content": "".join(part["text"] for part in parts)}


def _prompt(fields: Mapping[str, Any]) -> tuple[str | None, list[int] | None]:
    prompt = fields.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], (str, list)):
        prompt = prompt[0]
    if isinstance(prompt, str):
        return prompt, None
    if isinstance(prompt, list) and prompt and all(type(token) is int for token in prompt):
        return None, prompt
    raise Refusal(400, "prompt must be one string, or one list of token numbers", "prompt")


def _stops(fields: Mapping[str, Any]) -> tuple[str, ...]:
    stops = fields.get("stop", [])
    stops = [stops] if isinstance(stops, str) else stops
    if not isinstance(stops, list) or len(stops) > MOST_STOPS or not all(isinstance(s, str) and s for s in stops):
        raise Refusal(400, f"stop must be a string, or a list of at most {MOST_STOPS}, none of them empty", "stop")
    return tuple(stops)


def _text(fields: Mapping[str, Any], name: str, default: str | None) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise Refusal(400, f"{name} must be a string", name)
    return value


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise Refusal(400, f"{name} must be true or false", name)
    return value


def _mapping(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name, {})
    if not isinstance(value, dict):
        raise Refusal(400, f"{name} must be an object", name)
    return value


def _whole(fields: Mapping[str, Any], name: str, default: int, least: int | None = None) -> int:
    value = fields.get(name, default)
    if type(value) is not int or (least is not None and value < least):
        raise Refusal(400, f"{name} must be a whole number{'' if least is None else f', {least} at the least'}", name)
    return value


def _number(fields: Mapping[str, Any], name: str, default: float, least: float, most: float) -> float:
    value = fields.get(name, default)
    if type(value) not in (int, float) or not least <= value <= most:  # NaN is not between either
        raise Refusal(400, f"{name} must be a number from {least} to {most}", name)
    return float(value)


class Reply:
    """The JSON of one answer, whole or in the chunks of a stream."""

    def __init__(self, chat: bool, model: str) -> None:
        self._chat = chat
        self._kind = "chat.completion" if chat else "text_completion"
        prefix = "chatcmpl" if chat else "cmpl"
        self._head = {"id": f"{prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    def whole(self, text: str, reason: str, usage: dict[str, int]) -> dict[str, Any]:
        content = {"message": {"role": "assistant", "content": text}} if self._chat else {"text": text}
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": reason}
        return {**self._head, "object": self._kind, "choices": [choice], "usage": usage}

    def chunk(self, text: str, reason: str | None = None, first: bool = False) -> dict[str, Any]:
        """A piece of the text; the last one has the reason why the answer ends."""
        delta: dict[str, str] = {"role": "assistant"} if first else {}
        if text or first:
            delta["content"] = text
        content: dict[str, Any] = {"delta": delta} if self._chat else {"text": text}
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": reason}
        return self._chunk([choice])

    def usage(self, usage: dict[str, int]) -> dict[str, Any]:
        """The chunk after the last one, for those who asked for it."""
        return {**self._chunk([]), "usage": usage}

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        kind = f"{self._kind}.chunk" if self._chat else self._kind
        return {**self._head, "object": kind, "choices": choices}


def usage(prompt: int, answer: int) -> dict[str, int]:
    """Tokens of the prompt and of the answer."""
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


class Ending:
    """Text that ends before the first of some strings; what may be the beginning of one is held back."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops, self._held = stops, ""
        self.reached = False

    def add(self, text: str) -> str:
        """The text that is certain now."""
        text = self._held + text
        found = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            self.reached, self._held = True, ""
            return text[: min(found)]
        lengths = (length for stop in self._stops for length in range(1, len(stop)) if text.endswith(stop[:length]))
        kept = len(text) - max(lengths, default=0)
        self._held = text[kept:]
        return text[:kept]

    def finish(self) -> str:
        """What was held back, when no more comes."""
        held, self._held = self._held, ""
        return held
