"""From a request's body to what the engine is asked: prompts as tokens, samplers, and how the answer is to be read.

Runs beside the event loop: a long text takes a while to become tokens. What cannot fit is refused by its characters,
before it is any.
"""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import guides
import llm
import protocol
import schemas
import toolcalls
from engine import Request
from llm.sampling import Changes
from protocol import Refusal
from schemas import Chat, Completion, Detokenize, Generation, Message, Tokenize
from sight import Picture, Sight

COMPLETION_LIMIT = 16  # OpenAI's, for /v1/completions without max_tokens
EFFORTS = {"none": False}  # of reasoning; every other one is some


@dataclass(frozen=True)
class Prompt:
    """A text to go on with; `text` as it was written, for an echo."""

    tokens: list[int]
    text: str = ""
    sight: Sight | None = None  # its pictures


@dataclass(frozen=True)
class Reading:
    """How a chat's answer is to be read: see toolcalls.Reader."""

    format: toolcalls.Format | None = None
    begun: bool = False
    reasons: bool = False
    thinking: bool = False
    single: bool = False  # at most one call

    def reader(self) -> toolcalls.Reader:
        return toolcalls.Reader(self.format, self.begun, self.reasons, self.thinking)


@dataclass(frozen=True)
class Order:
    """What is asked: `requests` are the answers of each prompt in turn, `n` for each."""

    requests: list[Request]
    prompts: list[Prompt]
    stops: tuple[str, ...]
    reading: Reading = field(default_factory=Reading)


class Asking:
    """Reads requests for a model with room for so many tokens in an answer and its prompt."""

    def __init__(self, model: llm.Model, room: int, most: int) -> None:
        self.tokenizer, self.vocabulary, self.room = model.tokenizer, model.config.vocabulary, room
        self.most = most  # answers that may be asked for at once
        self.vision = model.vision
        self.guides = guides.Guides(self.tokenizer, self.vocabulary)
        self.format = toolcalls.format_of(self.tokenizer)
        self.shown = toolcalls.shown(self.tokenizer, self.format)
        self.reasons = self.tokenizer.template_says(toolcalls.THINK)
        self._most = room * self.tokenizer.longest

    def completion(self, body: Completion) -> Order:
        texts = (
            [body.prompt]
            if isinstance(body.prompt, str) or not body.prompt or isinstance(body.prompt[0], int)
            else body.prompt
        )
        self.few(len(texts) * body.n, "prompt")
        prompts = [self.prompt(text, "prompt") for text in texts]
        limit = COMPLETION_LIMIT if body.max_tokens is None else body.max_tokens
        return self._order(body, prompts, limit, Reading(), body.logprobs, echo=body.echo)

    def prompt(self, text: str | Sequence[int], parameter: str) -> Prompt:
        """A text that no template wrote, or tokens. Raises Refusal."""
        if isinstance(text, str):
            self._fits([text], parameter)
            tokens = self.tokenizer.encode_raw(text)
        else:
            tokens = list(text)
        self._known(tokens, parameter)  # a tokenizer may have pieces that the model knows nothing of
        self._sight(tokens, (), parameter)
        if not tokens:
            raise Refusal(400, f"Invalid '{parameter}': it is empty.", parameter, "invalid_value")
        return Prompt(tokens, text if isinstance(text, str) else "")

    def tokens(self, body: Tokenize) -> list[int]:
        """Of a text, with what the model has before every one, or without."""
        self._fits([body.prompt], "prompt")
        return (self.tokenizer.encode_raw if body.add_special_tokens else self.tokenizer.encode)(body.prompt)

    def text(self, body: Detokenize) -> str:
        """Of tokens, special ones by their names."""
        return self.tokenizer.decode(self._known(body.tokens, "tokens"), special=True)

    def few(self, count: int, parameter: str) -> None:
        if count > self.most:
            raise Refusal(
                400, f"Invalid '{parameter}': {count} answers are more than {self.most}, which may wait.", parameter
            )

    def pictures(self, body: Chat) -> list[tuple[str, schemas.ImageURL]]:
        """The pictures of a chat, with their places in its body. Raises Refusal."""
        found = []
        for number, message in enumerate(body.messages):
            for at, part in enumerate(message.content if isinstance(message.content, list) else ()):
                if part.image_url is not None:
                    found.append((f"messages[{number}].content[{at}].image_url.url", part.image_url))
        if found and self.vision is None:
            raise Refusal(400, f"Invalid '{found[0][0]}': the model reads text alone.", found[0][0], "invalid_value")
        return found

    def chat(self, body: Chat, pictures: Sequence[Picture] = ()) -> Order:
        """What a chat asks, of which the `pictures` are read already. Raises Refusal."""
        self.few(body.n, "n")
        texts = [text_of(message) for message in body.messages]
        self._fits(texts, "messages")
        grammar, choice = guides.asked(body), body.tool_choice or ("auto" if body.tools else "none")
        forced = [tool for tool in body.tools if choice == "required" or named(choice) == tool.function.name]
        if forced and grammar:
            raise Refusal(400, "A call that is required and a format of the answer exclude each other.", grammar[1])
        tools = [] if choice == "none" else body.tools
        text = self._render(body, tools, thinks=not (grammar or forced))
        thinking = self.reasons and text.rstrip().endswith(toolcalls.THINK)
        if thinking and (grammar or forced):
            text, thinking = f"{text.rstrip()}\n\n{toolcalls.THOUGHT}\n\n", False
        reading = Reading(
            self.format if tools and not grammar else None,
            bool(forced),
            self.reasons and not grammar and not forced,
            thinking,
            single=bool(forced) or not body.parallel_tool_calls,
        )
        if forced:
            text += self.format.begin + "\n" if self.format.end else self.format.begin if not self.format.bare else ""
            grammar = guides.of_calls(forced, self.format.arguments), "tools"
        prompt = self.prompt_of_chat(text, pictures)
        limit = body.max_completion_tokens or body.max_tokens
        if limit is None:
            limit = max(self.room - len(prompt.tokens), 1)
        elif limit == 0:
            raise Refusal(400, "Invalid 'max_tokens': a chat is answered with 1 token at the least.", "max_tokens")
        return self._order(body, [prompt], limit, reading, body.top_logprobs if body.logprobs else None, grammar)

    def prompt_of_chat(self, text: str, pictures: Sequence[Picture] = ()) -> Prompt:
        tokens = self._known(self.tokenizer.encode(text), "messages")
        if not tokens:
            raise Refusal(400, "Invalid 'messages': the conversation is empty.", "messages", "invalid_value")
        tokens, sight = self._sight(tokens, pictures, "messages")
        return Prompt(tokens, sight=sight)

    def _sight(self, tokens: list[int], pictures: Sequence[Picture], parameter: str) -> tuple[list[int], Sight | None]:
        """The tokens with as many in a picture's place as it has, and the pictures. Raises Refusal."""
        if self.vision is None:
            return tokens, None
        mark, film = self.vision.image_token, self.vision.film_token
        if tokens.count(mark) != len(pictures) or film in tokens:
            named = " and ".join(self.tokenizer.decode([token], special=True) for token in (mark, film))
            message = f"{tokens.count(mark)} places of pictures for {len(pictures)}: {named} cannot stand in a text."
            raise Refusal(400, f"Invalid '{parameter}': {message}", parameter, "invalid_value")
        if not pictures:
            return tokens, None
        counts = iter([len(picture.vectors) for picture in pictures])
        whole = [each for token in tokens for each in [token] * (next(counts) if token == mark else 1)]
        return whole, Sight(whole, mark, pictures)

    def _render(self, body: Chat, tools: Sequence[schemas.Tool], thinks: bool) -> str:
        given: dict[str, Any] = dict(body.chat_template_kwargs)
        taken = {"messages", "tools", "documents", "add_generation_prompt"} & set(given)
        if taken:
            raise Refusal(400, f"Invalid 'chat_template_kwargs': {taken.pop()} is not for it.", "chat_template_kwargs")
        for name in given:
            if not self.tokenizer.template_reads(name):
                place = f"chat_template_kwargs.{name}"[:200]
                message = f"Unknown parameter: '{place}'. The model's chat template does not read it."
                raise Refusal(400, message, place, "unknown_parameter")
        if body.reasoning_effort is not None:
            if not self.reasons and body.reasoning_effort != "none":
                raise Refusal(
                    400,
                    "Unknown parameter: 'reasoning_effort'. The model does not reason.",
                    "reasoning_effort",
                    "unknown_parameter",
                )
            given["enable_thinking"] = EFFORTS.get(body.reasoning_effort, True)
            given["reasoning_effort"] = body.reasoning_effort
        if self.reasons and not thinks:
            given["enable_thinking"] = False
        described = [tool.model_dump(exclude_unset=True) for tool in tools]
        messages = [plain(message, number) for number, message in enumerate(body.messages)]
        try:
            if self.format.described:
                messages = toolcalls.described(messages, described)
            elif described:
                given["tools"] = described
            return self.tokenizer.render(messages, **given)
        except llm.ModelError as error:
            raise Refusal(400, str(error), "messages") from None

    def _fits(self, texts: Sequence[str], parameter: str) -> None:
        size = sum(map(len, texts))
        if size > self._most:
            raise protocol.too_long(self.room, f"at least {size // self.tokenizer.longest}", 1, parameter)

    def _order(
        self,
        body: Generation,
        prompts: list[Prompt],
        limit: int,
        reading: Reading,
        top: int | None,
        grammar: tuple[str, str] | None = None,
        echo: bool = False,
    ) -> Order:
        longest = max(len(prompt.tokens) for prompt in prompts)
        if longest + limit > self.room:
            parameter = "messages" if isinstance(body, Chat) else "prompt"
            raise protocol.too_long(self.room, str(longest), limit, parameter)
        if limit == 0 and not echo:
            raise Refusal(400, "Invalid 'max_tokens': 0 answers nothing, unless echo is true.", "max_tokens")
        grammar = grammar or guides.asked(body)
        if grammar and (body.ignore_eos or body.min_tokens):
            raise Refusal(400, "ignore_eos and min_tokens exclude a format of the answer.", "ignore_eos")
        guide = self.guides.guide(*grammar) if grammar else None
        stops = frozenset(self._known(body.stop_token_ids, "stop_token_ids"))
        ends = stops if body.ignore_eos else stops | self.tokenizer.stops
        barred = [token for token in ends if token < self.vocabulary]
        bias = {int(token): value for token, value in body.logit_bias.items()}
        self._known(bias, "logit_bias")
        seed = secrets.randbits(64) if body.seed is None else body.seed
        requests = []
        for prompt in prompts:
            changes = Changes(
                body.presence_penalty,
                body.frequency_penalty,
                body.repetition_penalty,
                bias,
                prompt.tokens if body.repetition_penalty != 1 else (),
                barred,
                body.min_tokens,
            )
            for number in range(body.n):
                sampler = llm.Sampler(
                    body.temperature,
                    max(body.top_k, 0),
                    body.top_p,
                    seed + number,
                    body.min_p,
                    changes if changes != Changes(barred=barred) else None,
                    guide.again() if guide else None,
                )
                wanted = echo and top is not None
                requests.append(Request(prompt.tokens, limit, sampler, ends, top, wanted, sight=prompt.sight))
        strings = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop)
        return Order(requests, prompts, strings, reading)

    def _known(self, tokens: Any, parameter: str) -> Any:
        if any(token >= self.vocabulary for token in tokens):
            raise Refusal(400, f"Invalid '{parameter}': a token is none of the model's {self.vocabulary}.", parameter)
        return tokens


def named(choice: Any) -> str | None:
    return choice.function.name if isinstance(choice, schemas.NamedTool) else None


def text_of(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(part.text or "" for part in message.content or ())


def content_of(message: Message) -> str | list[dict[str, str]]:
    """What a message holds, as templates read it: text, or where it has pictures a list of parts."""
    parts = [] if isinstance(message.content, str) else message.content or []
    if not any(part.image_url for part in parts):
        return text_of(message)
    return [{"type": "image"} if part.image_url else {"type": "text", "text": part.text or ""} for part in parts]


def plain(message: Message, number: int) -> dict[str, Any]:
    """The message as templates read it: with the arguments of its calls as objects. Raises Refusal."""
    role = "system" if message.role == "developer" else message.role
    found: dict[str, Any] = {"role": role, "content": content_of(message)}
    for name in ("name", "tool_call_id", "reasoning_content"):
        if getattr(message, name):
            found[name] = getattr(message, name)
    calls = []
    for call in message.tool_calls:
        try:
            arguments = json.loads(call.function.arguments or "{}")
        except (ValueError, RecursionError):
            arguments = None
        if not isinstance(arguments, dict):
            place = f"messages[{number}].tool_calls"
            raise Refusal(400, f"Invalid '{place}': the arguments of {call.function.name} are no JSON object.", place)
        calls.append(
            {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": arguments}}
        )
    if calls:
        found["tool_calls"] = calls
    return found
