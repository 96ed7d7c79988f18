"""Calls of tools in the text of an answer, by the way that a family of models writes them, and what it thought before.

A model says in its chat template how it was trained to call; where the template knows of no tools, they are described
in the words of Hermes (https://github.com/NousResearch/Hermes-Function-Calling), which many models have read.
"""

import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import llm


@dataclass(frozen=True)
class Format:
    """How a family writes a call: JSON between two marks."""

    name: str
    signs: tuple[str, ...]  # of which one stands in the family's templates
    begin: str
    end: str = ""  # nothing: until the answer ends
    arguments: str = "arguments"
    bare: bool = False  # an answer that is JSON from its first character is a call, without the mark
    described: bool = False  # by us, because the template does not


FORMATS = (
    Format("hermes", ("<tool_call>",), "<tool_call>", "</tool_call>"),
    Format("phi", ("<|tool_call|>",), "<|tool_call|>", "<|/tool_call|>"),
    Format("mistral", ("[TOOL_CALLS]",), "[TOOL_CALLS]"),
    Format("llama", ("<|python_tag|>", "Environment: ipython"), "<|python_tag|>", arguments="parameters", bare=True),
)
GENERIC = Format("generic", (), "<tool_call>", "</tool_call>", described=True)
OTHERS = ("[ARGS]", "<function=", "<arg_key>", "<start_function_call>")  # ways to call that are not JSON between marks
THINK, THOUGHT = "<think>", "</think>"


def format_of(tokenizer: llm.Tokenizer) -> Format:
    """The family's way, as its templates show it."""
    if any(tokenizer.template_says(sign) for sign in OTHERS):
        return GENERIC
    return next((each for each in FORMATS if any(map(tokenizer.template_says, each.signs))), GENERIC)


def described(messages: list[dict[str, Any]], tools: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conversation for a template that knows no tools: all of it in plain messages."""
    words = (
        "You may call functions to answer. Their signatures stand in <tools></tools>:\n<tools>\n"
        + "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
        + "\n</tools>\nTo call one, write its name and arguments as JSON:\n"
        '<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
    )
    plain: list[dict[str, Any]] = [{"role": "system", "content": words}] if tools else []
    for message in messages:
        content = message.get("content") or ""
        if message["role"] == "system" and plain and plain[-1]["role"] == "system":
            plain[-1]["content"] = f"{content}\n\n{plain[-1]['content']}"
        elif message["role"] == "tool":
            plain.append({"role": "user", "content": f"<tool_response>\n{content}\n</tool_response>"})
        elif isinstance(content, list):  # with pictures
            plain.append(message)
        else:
            calls = [json.dumps(call["function"], ensure_ascii=False) for call in message.get("tool_calls", ())]
            written = [content, *(f"<tool_call>\n{call}\n</tool_call>" for call in calls)]
            plain.append({"role": message["role"], "content": "\n".join(text for text in written if text)})
    return plain


@dataclass
class Call:
    """A piece of a call; its first has an id and the name."""

    index: int
    arguments: str
    id: str = ""
    name: str = ""


@dataclass
class Piece:
    """What a piece of text adds to an answer."""

    content: str = ""
    reasoning: str = ""
    calls: list[Call] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.content or self.reasoning or self.calls)


def held(text: str, mark: str) -> int:
    """How many of the last characters may be the beginning of `mark`."""
    return next((n for n in range(min(len(mark) - 1, len(text)), 0, -1) if text.endswith(mark[:n])), 0)


class Reasoning:
    """Tells what a model thinks from what it says; `inside`: the prompt has begun the thought."""

    def __init__(self, inside: bool) -> None:
        self._inside, self._before, self._buffer = inside, not inside, ""
        self._thought = False  # and nothing was said since

    def add(self, text: str, last: bool = False) -> Piece:
        self._buffer += text
        piece = Piece()
        if self._before:  # whether it begins to think is still open
            begun = self._buffer.lstrip()
            if not last and len(begun) < len(THINK) and THINK.startswith(begun):
                return piece
            self._before, self._inside = False, begun.startswith(THINK)
            self._buffer = begun[len(THINK) :] if self._inside else self._buffer
        if not self._inside:
            piece.content, self._buffer = self._buffer.lstrip("\n") if self._thought else self._buffer, ""
            self._thought = self._thought and not piece.content
            return piece
        thought, mark, said = self._buffer.partition(THOUGHT)
        if mark:
            self._inside, self._thought, self._buffer = False, True, said
            return Piece(self.add("", last).content, thought)
        kept = len(thought) - (0 if last else held(thought, THOUGHT))
        piece.reasoning, self._buffer = thought[:kept], thought[kept:]
        return piece


class Calls:
    """Takes calls out of a text as it grows; `begun`: the prompt has written the first mark."""

    HEAD = re.compile(r'\{\s*"name"\s*:\s*"([^"\\]+)"\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)')
    BETWEEN = " \t\r\n[],;"

    def __init__(self, format: Format, begun: bool = False) -> None:
        self._format, self._inside, self._buffer = format, begun, ""
        self._bare = format.bare and not begun
        self.count, self._open = 0, False  # calls, and whether the last one's arguments are being written
        self._depth, self._quoted, self._escaped, self._read = 0, False, False, 0
        self._sent, self._inner_end = 0, 0  # of the arguments: what was given on, and where they end

    @property
    def complete(self) -> bool:
        """Whether there was a call, and none is being written."""
        return self.count > 0 and self._read == 0

    def add(self, text: str, last: bool = False) -> Piece:
        self._buffer += text
        piece = Piece()
        while self._inside or not self._bare:
            more = self._call(piece, last) if self._inside else self._text(piece, last)
            if not more:
                return piece
        begun = self._buffer.lstrip()
        if begun or last:
            self._bare, self._inside = False, begun.startswith("{")
            after = self.add("", last)
            piece.content += after.content
            piece.calls += after.calls
        return piece

    def _text(self, piece: Piece, last: bool) -> bool:
        before, mark, after = self._buffer.partition(self._format.begin)
        if mark:
            piece.content += before.rstrip("\n") if self.count == 0 else before.strip("\n")
            self._inside, self._buffer = True, after
            return True
        kept = len(before) - (0 if last else held(before, self._format.begin))
        kept = kept if last else len(before[:kept].rstrip("\n"))  # lines between words and a mark are the mark's
        said, self._buffer = before[:kept], before[kept:]
        piece.content += said if self.count == 0 else said.strip("\n")
        return False

    def _call(self, piece: Piece, last: bool) -> bool:
        """Read on inside marks. Returns whether there may be more to read."""
        if self._depth == 0 and not self._read:
            self._buffer = self._buffer.lstrip(self.BETWEEN)
            end = self._format.end
            if end and self._buffer.startswith(end):
                self._inside, self._buffer = False, self._buffer[len(end) :]
                return True
            if not self._buffer or (end and not last and end.startswith(self._buffer)):
                return False
            if not self._buffer.startswith("{"):  # no call after all: nothing of it is lost
                piece.content, self._buffer, self._inside = piece.content + self._buffer, "", False
                return False
        complete = self._scan()
        if not self._open and (head := self.HEAD.match(self._buffer)):
            self._open, self._sent = True, head.end()
            piece.calls.append(Call(self.count, "", f"call_{uuid.uuid4().hex[:24]}", head[1]))
            self.count += 1
        if self._open:
            end_of_arguments = self._arguments_end(complete)
            if end_of_arguments > self._sent:
                piece.calls.append(Call(self.count - 1, self._buffer[self._sent : end_of_arguments]))
                self._sent = end_of_arguments
        elif complete:
            self._whole(self._buffer[: self._read], piece)
        elif last:
            piece.content, self._buffer = piece.content + self._buffer, ""
        if complete:
            self._buffer, self._read, self._depth, self._open, self._sent = self._buffer[self._read :], 0, 0, False, 0
            self._inner_end = 0
        return complete

    def _scan(self) -> bool:
        """Read brackets and strings on to the end of the object; whether it is complete."""
        while self._read < len(self._buffer):
            character = self._buffer[self._read]
            self._read += 1
            if self._quoted:
                self._quoted = self._escaped or character != '"'
                self._escaped = character == "\\" and not self._escaped
            elif character == '"':
                self._quoted = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth == 1 and not self._inner_end:
                    self._inner_end = self._read
                if self._depth == 0:
                    return True
        return False

    def _arguments_end(self, complete: bool) -> int:
        """Where the arguments end, as far as they are read."""
        if complete or self._depth == 1:
            return max(self._inner_end, self._sent)
        return self._read

    def _whole(self, text: str, piece: Piece) -> None:
        """A complete object that is not written as most are."""
        try:
            call = json.loads(text)
            name = call["name"]
            arguments = call.get("arguments", call.get("parameters", {}))
            if not isinstance(name, str) or not isinstance(arguments, (dict, str)):
                raise TypeError
        except (ValueError, KeyError, TypeError, RecursionError):
            piece.content += text
            return
        written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        piece.calls.append(Call(self.count, written, f"call_{uuid.uuid4().hex[:24]}", name))
        self.count += 1


class Reader:
    """The text of an answer told apart: thoughts, words, calls. `format` None: no tools may be called."""

    def __init__(self, format: Format | None, begun: bool, reasons: bool, thinking: bool) -> None:
        self._reasoning = Reasoning(thinking) if reasons else None
        self.calls = Calls(format, begun) if format else None

    def add(self, text: str, last: bool = False) -> Piece:
        thought = self._reasoning.add(text, last) if self._reasoning else Piece(text)
        if self.calls is None:
            return thought
        said = self.calls.add(thought.content, last)
        return Piece(said.content, thought.reasoning, said.calls)


def shown(tokenizer: llm.Tokenizer, format: Format) -> dict[int, str]:
    """Marks that are special tokens, which a text would pass over."""
    marks = {mark: tokenizer.number(mark) for mark in (format.begin, format.end, THINK, THOUGHT) if mark}
    return {number: mark for mark, number in marks.items() if number is not None and not tokenizer.decode([number])}


def deltas(calls: Sequence[Call]) -> Iterator[dict[str, Any]]:
    """As OpenAI streams them."""
    for call in calls:
        head = {"id": call.id, "type": "function"} if call.id else {}
        name = {"name": call.name} if call.id else {}
        yield {"index": call.index, **head, "function": {**name, "arguments": call.arguments}}


def whole(calls: Sequence[Call]) -> list[dict[str, Any]]:
    """The calls put together from their pieces."""
    found: list[dict[str, Any]] = []
    for call in calls:
        if call.id:
            found.append({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}})
        found[call.index]["function"]["arguments"] += call.arguments
    return found
