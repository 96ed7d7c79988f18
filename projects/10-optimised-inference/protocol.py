"""A request's JSON checked, and what is refused, in the shape and the words that clients of OpenAI's API know.

Nothing here knows HTTP or the engine.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import schemas
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

# Of a body: each may begin an object or a list, and a million take a second in which nothing else runs.
MOST_BRACKETS = 2**16
Parsed = TypeVar("Parsed", bound=BaseModel)
KINDS = {401: "authentication_error", 429: "rate_limit_error"}


class Refusal(Exception):
    """A request that is not answered: an HTTP status, and OpenAI's error object."""

    def __init__(self, status: int, message: str, parameter: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.parameter, self.code = status, message, parameter, code

    def body(self) -> dict[str, Any]:
        kind = KINDS.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.parameter, "code": self.code}}


def parse(schema: type[Parsed], body: bytes | Mapping[str, Any]) -> Parsed:
    """Read a request's body, or what stands in one. Raises Refusal."""
    if isinstance(body, bytes) and body.count(b"[") + body.count(b"{") > MOST_BRACKETS:
        raise Refusal(400, f"The body has more than {MOST_BRACKETS} brackets, in its texts or outside them.")
    try:
        return schema.model_validate_json(body) if isinstance(body, bytes) else schema.model_validate(body)
    except ValidationError as error:
        raise _refusal(error.errors(include_url=False, include_input=False)) from None


def of_another_model(name: str, served: str) -> Refusal:
    return Refusal(404, f"The model `{name}` does not exist; there is `{served}`.", "model", "model_not_found")


def too_long(room: int, prompt: str, answer: int, parameter: str) -> Refusal:
    """In the words that clients look for, to shorten a conversation by themselves."""
    return Refusal(
        400,
        f"This model's maximum context length is {room} tokens. However, your {parameter} resulted in {prompt} tokens "
        f"and {answer} are wanted as the answer. Please reduce the length of the {parameter} or of the answer.",
        parameter,
        "context_length_exceeded",
    )


def _fields() -> set[str]:
    models = [model for model in vars(schemas).values() if isinstance(model, type) and issubclass(model, BaseModel)]
    return {field.alias or name for model in models for name, field in model.model_fields.items()}


FIELDS = _fields()


def _place(error: ErrorDetails) -> str:
    """messages[0].content: where the error is, without the kinds that pydantic tried there."""
    place, last = "", len(error["loc"]) - 1
    for number, step in enumerate(error["loc"]):
        unknown = error["type"] == "extra_forbidden" and number == last
        if isinstance(step, int):
            place += f"[{step}]"
        elif step in FIELDS or unknown or (place in ("logit_bias", "metadata") and step != "[key]"):
            place += f".{step}" if place else step
    return place


def _refusal(errors: list[ErrorDetails]) -> Refusal:
    """Of several errors the one that lies deepest: what another kind of value would lack is none of the sender's."""
    first = next((error for error in errors if error["type"] == "extra_forbidden"), None)
    if first is not None:
        name = _place(first)[:200]
        return Refusal(400, f"Unknown parameter: '{name}'. It is not supported here.", name, "unknown_parameter")
    long = [error for error in errors if error["type"] == "too_long"]  # of the kind that it is, whatever else it is not
    deepest = max(long or errors, key=lambda error: len(error["loc"]))
    if deepest["type"] == "json_invalid":
        return Refusal(400, f"The body is not JSON: {deepest['msg']}")
    place = _place(deepest)
    if not place and deepest["type"] == "model_type":
        return Refusal(400, "The body must be a JSON object.")
    said = [error["msg"].removeprefix("Value error, ")[:500] for error in errors if _place(error) == place]
    if deepest["type"] == "missing":
        return Refusal(400, f"Missing required parameter: '{place}'.", place, "missing_required_parameter")
    message = " or ".join(dict.fromkeys(said))
    return Refusal(400, f"Invalid '{place}': {message}." if place else f"{message}.", place or None, "invalid_value")
