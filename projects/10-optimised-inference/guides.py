"""Answers held to a grammar: JSON, a JSON schema, a regular expression, some choices or a grammar in Lark's notation.

llguidance (https://github.com/guidance-ai/llguidance) says which tokens may come next; its limits bound what a
grammar may cost. JSON is written with a space behind each colon and comma, as models have mostly read it.
"""

import json
import threading
from collections.abc import Mapping
from typing import Any

import llm
import numpy as np
from llguidance import LLMatcher, LLTokenizer
from protocol import Refusal
from schemas import Generation, Tool

SPACES = {"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": False}
MOST = 2**18  # characters of a grammar


class GrammarGuide:
    """llm.sampling.Guide of one answer."""

    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        self._matcher, self._vocabulary = matcher, vocabulary

    @property
    def finished(self) -> bool:
        return bool(self._matcher.is_stopped())

    def allowed(self) -> np.ndarray:
        bits = np.unpackbits(np.frombuffer(self._matcher.compute_bitmask(), np.uint8), bitorder="little")
        if self._matcher.is_error():
            raise self._error()
        found = np.zeros(self._vocabulary, bool)
        found[: bits.size] = bits[: self._vocabulary]
        return found

    def accept(self, token: int) -> None:
        if not self._matcher.consume_token(token):
            raise self._error()

    def _error(self) -> llm.SamplingError:
        return llm.SamplingError(f"the grammar cannot be followed: {self._matcher.get_error().partition(chr(10))[0]}")

    def again(self) -> "GrammarGuide":
        """Another answer's, from the beginning."""
        return GrammarGuide(self._matcher.deep_copy(), self._vocabulary)


class Guides:
    """Makes guides for a model's tokens; what that takes is prepared when the first is asked for."""

    def __init__(self, tokenizer: llm.Tokenizer, vocabulary: int) -> None:
        self._tokenizer, self._vocabulary = tokenizer, vocabulary
        self._lock, self._made = threading.Lock(), None

    @property
    def pieces(self) -> LLTokenizer:
        """The bytes of each token. Raises Refusal for a tokenizer that the library cannot read them from."""
        with self._lock:
            if self._made is None:
                stops = sorted(stop for stop in self._tokenizer.stops if stop < self._vocabulary)
                serialised = self._tokenizer.serialised()
                try:
                    self._made = LLTokenizer(serialised, n_vocab=self._vocabulary, eos_token=stops or None)
                except ValueError as error:
                    message = f"This model answers in no format and with no log probabilities: {error}."
                    raise Refusal(400, message) from None
            return self._made

    def guide(self, grammar: str, parameter: str) -> GrammarGuide:
        """Raises Refusal for what is no grammar."""
        if len(grammar) > MOST:
            raise Refusal(400, f"Invalid '{parameter}': it has more than {MOST} characters.", parameter)
        matcher = LLMatcher(self.pieces, grammar, log_level=0)
        if matcher.is_error():
            raise Refusal(400, f"Invalid '{parameter}': {matcher.get_error()[:500]}", parameter, "invalid_value")
        return GrammarGuide(matcher, self._vocabulary)


def of_json(schema: Mapping[str, Any]) -> str:
    return str(LLMatcher.grammar_from_json_schema(dict(schema), defaults=SPACES))


def of_calls(tools: list[Tool], arguments: str) -> str:
    """A call of one of the tools, whose arguments stand under this name."""
    calls = []
    for tool in tools:
        head = json.dumps(f'{{"name": "{tool.function.name}", "{arguments}": ')
        schema = {**tool.function.parameters, "x-guidance": SPACES}
        calls.append(f'{head} %json {json.dumps(schema)} "}}"')
    return str(LLMatcher.grammar_from_lark("start: " + "\n  | ".join(calls)))


def asked(body: Generation) -> tuple[str, str] | None:
    """The grammar that a request holds its answer to, and the parameter that says so. Raises Refusal."""
    wanted, format = body.structured_outputs, body.response_format
    if format is not None and format.type != "text":
        if wanted is not None:
            raise Refusal(400, "response_format and structured_outputs exclude each other.", "structured_outputs")
        schema = format.json_schema.schema_ if format.json_schema else {"type": "object"}
        return of_json(schema), "response_format"
    if wanted is None:
        return None
    if wanted.json_ is not None:
        return of_json(wanted.json_), "structured_outputs.json"
    if wanted.regex is not None:
        return str(LLMatcher.grammar_from_regex(wanted.regex)), "structured_outputs.regex"
    if wanted.choice is not None:
        choices = " | ".join(json.dumps(choice) for choice in wanted.choice)
        return str(LLMatcher.grammar_from_lark(f"start: {choices}")), "structured_outputs.choice"
    return str(LLMatcher.grammar_from_lark(wanted.grammar or "")), "structured_outputs.grammar"
