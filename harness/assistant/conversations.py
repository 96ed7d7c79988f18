"""Conversations with a model behind an OpenAI-compatible endpoint: POST ENDPOINT/chat/completions.

Streamed where the endpoint can. What a model thinks aloud stands in <think>…</think> before its answer. The key
comes from the environment (OPENAI_API_KEY) alone.
"""

import io
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from harness.errors import EngineError, UsageError
from harness.evidence.redaction import Redactor, secret_values

KEY = "OPENAI_API_KEY"
LONGEST = 200_000  # characters of one answer
SILENCE = 120  # seconds
LONGEST_SECONDS = 1800  # of one answer, whatever comes meanwhile
LONGEST_EVENT = 2**20  # bytes of one line


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirection would carry the key to another server."""

    def redirect_request(self, *_: Any) -> None:
        return None


def redactor() -> Redactor:
    """One that knows the key, however short it is."""
    key = os.environ.get(KEY, "")
    return Redactor([*secret_values(os.environ), *([key] if key else [])], os.path.expanduser("~").rstrip("/"))


def check(endpoint: str) -> None:
    """Refuse what is no endpoint.

    Raises:
        UsageError: it is not an http address, or holds a secret.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"--endpoint {endpoint}: not an address.",
            "It begins with http:// or https://",
            "For example http://127.0.0.1:8000/v1",
        )
    if parts.username or parts.password or parts.query or redactor().text(endpoint) != endpoint:
        raise UsageError("--endpoint: the address holds more than a place.", "It is recorded.", f"Export {KEY} instead")


def ask(endpoint: str, model: str, messages: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """The answer, piece by piece.

    Raises:
        EngineError: no endpoint answers, it refuses, breaks off, or does not end.
    """
    length = 0
    try:
        for piece in _asked(endpoint, {"model": model, "messages": list(messages), "stream": True}):
            length += len(piece)
            if length > LONGEST:
                why = f"It passed {LONGEST:,} characters."
                raise EngineError(f"{model}: the answer does not end.", why, "Ask for less.")
            yield piece
    except urllib.error.HTTPError as error:
        raise _refused(error, endpoint, model) from error
    except (OSError, HTTPException, ValueError, RecursionError) as error:
        raise EngineError(
            f"{endpoint}: no whole answer came.", f"{redactor().text(str(error))}.", "Is it running? Then ask again."
        ) from error


def _asked(endpoint: str, body: dict[str, Any]) -> Iterator[str]:
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
    if os.environ.get(KEY):
        headers["Authorization"] = f"Bearer {os.environ[KEY]}"
    request = urllib.request.Request(f"{endpoint.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers)
    try:
        answer = urllib.request.build_opener(_NoRedirect).open(request, timeout=SILENCE)
    except urllib.error.HTTPError as error:
        said = error.read(2000)
        if body["stream"] and error.code in (400, 422, 501) and b"stream" in said.lower():
            yield from _asked(endpoint, {**body, "stream": False})
            return
        error.fp = io.BytesIO(said)
        raise
    with answer:
        whole = answer.headers.get_content_type() == "application/json"
        yield from _thought(_whole(answer) if whole else _pieces(answer))


def _thought(messages: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The text of messages or of their parts, with what is only thought in <think>…</think>."""
    thinking = False
    for message in messages:
        thought = _text(message.get("reasoning_content") or message.get("reasoning"))
        said = _text(message.get("content"))
        if thought:
            yield thought if thinking else f"<think>{thought}"
            thinking = True
        if said:
            yield f"</think>\n\n{said}" if thinking else said
            thinking = False
    if thinking:
        yield "</think>"


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _whole(answer: Any) -> Iterator[Mapping[str, Any]]:
    """The message of an answer that does not come in pieces."""
    text = answer.read(8 * LONGEST)
    document = json.loads(text)
    choices = document.get("choices") if isinstance(document, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise ValueError(f"the endpoint says {text[:300].decode('utf-8', 'replace')}")
    yield choices[0].get("message") or {}


def _pieces(answer: Any) -> Iterator[Mapping[str, Any]]:
    end, finished = time.monotonic() + LONGEST_SECONDS, False
    while line := answer.readline(LONGEST_EVENT):
        if time.monotonic() > end:
            raise ValueError(f"it did not end within {LONGEST_SECONDS} s")
        if not line.startswith(b"data:"):
            continue
        if line[5:].strip() == b"[DONE]":
            return
        event = json.loads(line[5:])
        if not isinstance(event, dict) or "error" in event:
            raise ValueError(f"the endpoint says {str(event)[:300]}")
        for choice in event.get("choices") or []:
            finished = finished or bool(choice.get("finish_reason"))
            yield choice.get("delta") or {}
    if finished:  # some endpoints send no [DONE]
        return
    raise ValueError("the stream broke off before its [DONE]")


def _refused(error: urllib.error.HTTPError, endpoint: str, model: str) -> EngineError:
    said = redactor().text(error.read(2000).decode("utf-8", "replace")).strip()
    remedies = {
        401: f"Export the key as {KEY}; it is never an argument.",
        403: f"The key in {KEY} may not use this model.",
        404: f"Is {model} a model of this endpoint, and does the address end in /v1?",
        429: "Wait, or look at the account's limits; then ask again.",
    }
    return EngineError(f"{endpoint}: HTTP {error.code}.", said[:500], remedies.get(error.code, "Ask again later."))
