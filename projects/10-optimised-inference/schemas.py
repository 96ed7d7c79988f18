"""What a request may say: the bodies of OpenAI's API, and what vLLM adds to them, as pydantic's models.

https://platform.openai.com/docs/api-reference and https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html.
A field that stands here is obeyed, or changes no answer (`Passed`); every other is refused by its name.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

MOST_MESSAGES, MOST_TOOLS, MOST_STOPS, MOST_STOP, MOST_CHOICES, MOST_TOP = 4096, 128, 16, 4096, 128, 20
MOST_TEXTS, MOST_PARTS, MOST_METADATA = 2048, 4096, 16  # the first and the last are OpenAI's
Schema = dict[str, JsonValue]
Token = Annotated[int, Field(ge=0)]
Tokens = Annotated[list[Token], Field(fail_fast=True)]
Several = Field(min_length=1, max_length=MOST_TEXTS, fail_fast=True)
Texts = str | Tokens | Annotated[list[str], Several] | Annotated[list[Tokens], Several]
Stop = Annotated[str, Field(min_length=1, max_length=MOST_STOP)]
Penalty = Annotated[float, Field(ge=-2, le=2)]


class Body(BaseModel):
    """An object of a request. null is as good as absent."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, fields: Any) -> Any:
        return (
            {name: value for name, value in fields.items() if value is not None} if isinstance(fields, dict) else fields
        )


class Passed(Body):
    """What changes no answer: who asks, and how OpenAI keeps or bills it."""

    user: str = ""
    safety_identifier: str = ""
    prompt_cache_key: str = ""
    metadata: Annotated[dict[str, str], Field(max_length=MOST_METADATA)] = {}
    service_tier: Literal["auto", "default"] = "auto"
    store: Literal[False] = False


class StreamOptions(Body):
    include_usage: bool = False
    continuous_usage_stats: bool = False  # vLLM's: in every chunk what was used so far
    include_obfuscation: Literal[False] = False


class JSONSchema(Body):
    name: str
    description: str = ""
    schema_: Schema = Field({}, alias="schema")
    strict: bool = True  # false only lets OpenAI's own engine do less


class ResponseFormat(Body):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JSONSchema | None = None

    @model_validator(mode="after")
    def _with_its_schema(self) -> "ResponseFormat":
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema belongs to the type json_schema, and to no other")
        return self


class StructuredOutputs(Body):
    """vLLM's: one of these holds for the answer."""

    json_: Schema | None = Field(None, alias="json")
    regex: str | None = None
    choice: Annotated[list[str], Field(min_length=1, max_length=1024)] | None = None
    grammar: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "StructuredOutputs":
        if sum(value is not None for value in (self.json_, self.regex, self.choice, self.grammar)) != 1:
            raise ValueError("one of json, regex, choice and grammar is wanted")
        return self


class Generation(Passed):
    """What chats and completions share."""

    model: str = ""
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] = 1
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(ge=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=-1)] = 0  # -1 means all, as in vLLM
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    seed: int | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=MOST_STOPS, fail_fast=True)] = []
    stop_token_ids: Annotated[Tokens, Field(max_length=1024)] = []
    ignore_eos: bool = False
    min_tokens: Annotated[int, Field(ge=0)] = 0
    presence_penalty: Penalty = 0.0
    frequency_penalty: Penalty = 0.0
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] = 1.0
    logit_bias: Annotated[
        dict[Annotated[str, Field(pattern=r"^\d{1,9}$")], Annotated[float, Field(ge=-100, le=100)]],
        Field(max_length=4096),
    ] = {}
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None


Detail = Literal["auto", "high"]  # both are all that the model sees; "low" would be a smaller picture


class ImageURL(Body):
    url: Annotated[str, Field(min_length=1)]
    detail: Detail = "auto"


class Part(Body):
    """A piece of a message."""

    type: Literal["text", "image_url"]
    text: str | None = None
    image_url: ImageURL | None = None

    @model_validator(mode="after")
    def _with_its_content(self) -> "Part":
        if (self.type == "text") != (self.text is not None) or (self.type == "image_url") != (
            self.image_url is not None
        ):
            raise ValueError(f"a part of the type {self.type} has the field {self.type}, and no other")
        return self


class Called(Body):
    name: str
    arguments: str


class ToolCall(Body):
    id: str
    type: Literal["function"] = "function"
    function: Called
    index: int | None = None


class Message(Body):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[Part], Field(max_length=MOST_PARTS, fail_fast=True)] | None = None
    name: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=MOST_TOOLS, fail_fast=True)] = []
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    annotations: Annotated[list[JsonValue], Field(max_length=0)] = []

    @model_validator(mode="after")
    def _says_something(self) -> "Message":
        if self.content is None and not self.tool_calls:
            raise ValueError("content must be a string or a list of parts, unless there are tool_calls")
        if self.tool_calls and self.role != "assistant":
            raise ValueError("tool_calls belong to the role assistant")
        shows = isinstance(self.content, list) and any(part.image_url for part in self.content)
        if shows and self.role != "user":
            raise ValueError("pictures belong to the role user")
        if (self.role == "tool") != (self.tool_call_id is not None):
            raise ValueError("a message has a tool_call_id if its role is tool, and only then")
        return self


class Function(Body):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str = ""
    parameters: Schema = {"type": "object", "properties": {}}
    strict: bool = False


class Tool(Body):
    type: Literal["function"]
    function: Function


class Named(Body):
    name: str


class NamedTool(Body):
    type: Literal["function"]
    function: Named


class Chat(Generation):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES, fail_fast=True)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_TOP)] = 0
    tools: Annotated[list[Tool], Field(max_length=MOST_TOOLS, fail_fast=True)] = []
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool = True
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    chat_template_kwargs: dict[str, JsonValue] = {}
    modalities: list[Literal["text"]] = ["text"]
    verbosity: Literal["medium"] = "medium"

    @model_validator(mode="after")
    def _fits_together(self) -> "Chat":
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs is only there with logprobs: true")
        if None not in (self.max_tokens, self.max_completion_tokens) and self.max_tokens != self.max_completion_tokens:
            raise ValueError("max_tokens and max_completion_tokens differ, and are the same limit: give one of them")
        if self.tool_choice not in (None, "none") and not self.tools:
            raise ValueError("tool_choice is only there with tools")
        names = [tool.function.name for tool in self.tools]
        if len(set(names)) != len(names):
            raise ValueError("two tools have the same name")
        if isinstance(self.tool_choice, NamedTool) and self.tool_choice.function.name not in names:
            raise ValueError(f"tool_choice names {self.tool_choice.function.name!r}, which is none of tools")
        return self


class Completion(Generation):
    """POST /v1/completions."""

    prompt: Texts
    echo: bool = False
    logprobs: Annotated[int, Field(ge=0, le=MOST_TOP)] | None = None
    best_of: int | None = None

    @model_validator(mode="after")
    def _all_are_returned(self) -> "Completion":
        if self.best_of is not None and self.best_of != self.n:
            raise ValueError("best_of is n here: all answers are returned")
        if self.echo and (self.response_format or self.structured_outputs):
            raise ValueError("echo and a format of the answer exclude each other")
        return self


class Embedding(Passed):
    """POST /v1/embeddings."""

    model: str = ""
    input: Texts
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None


class Tokenize(Body):
    """POST /tokenize, as vLLM has it."""

    model: str = ""
    prompt: str
    add_special_tokens: bool = True
    return_token_strs: bool = False


class Detokenize(Body):
    """POST /detokenize, as vLLM has it."""

    model: str = ""
    tokens: Tokens


class InputPart(Body):
    type: Literal["input_text", "output_text", "input_image"]
    text: str | None = None
    image_url: Annotated[str, Field(min_length=1)] | None = None
    detail: Detail | None = None
    annotations: Annotated[list[JsonValue], Field(max_length=0)] = []
    logprobs: Annotated[list[JsonValue], Field(max_length=0)] = []

    @model_validator(mode="after")
    def _with_its_content(self) -> "InputPart":
        shows = self.type == "input_image"
        if shows != (self.image_url is not None) or shows != (self.text is None):
            raise ValueError(f"a part of the type {self.type} has the field {'image_url' if shows else 'text'} alone")
        if self.detail and not shows:
            raise ValueError("detail belongs to the type input_image")
        return self


class InputMessage(Body):
    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[InputPart], Field(max_length=MOST_PARTS, fail_fast=True)]
    id: str = ""
    status: str = ""
    phase: str = ""

    @model_validator(mode="after")
    def _shows_what_a_user_may(self) -> "InputMessage":
        if self.role != "user" and not isinstance(self.content, str) and any(part.image_url for part in self.content):
            raise ValueError("pictures belong to the role user")
        return self


class TextFormat(Body):
    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str = ""
    description: str = ""
    schema_: Schema | None = Field(None, alias="schema")
    strict: bool = True

    @model_validator(mode="after")
    def _with_its_schema(self) -> "TextFormat":
        if (self.type == "json_schema") != (self.schema_ is not None):
            raise ValueError("schema belongs to the type json_schema, and to no other")
        return self


class TextOptions(Body):
    format: TextFormat = TextFormat()
    verbosity: Literal["medium"] = "medium"


class Response(Passed):
    """POST /v1/responses, of text and pictures."""

    model: str = ""
    input: str | Annotated[list[InputMessage], Field(min_length=1, max_length=MOST_MESSAGES, fail_fast=True)]
    instructions: str = ""
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(ge=0, le=1)] = 1.0
    stream: bool = False
    text: TextOptions = TextOptions()
    tools: Annotated[list[JsonValue], Field(max_length=0)] = []
    tool_choice: Literal["auto", "none"] = "auto"
    parallel_tool_calls: bool = True
    truncation: Literal["disabled"] = "disabled"
    include: Annotated[list[JsonValue], Field(max_length=0)] = []
    background: Literal[False] = False
