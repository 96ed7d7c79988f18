"""What people ask a server of OpenAI's API with: each client's own ways, against the address that is given.

    python clients.py http://127.0.0.1:8000/v1 MODEL [CLIENT ...]

Prints a line for each that passed; the first that does not ends it with its traceback.
"""

import asyncio
import os
import sys
from typing import Literal

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch prices
import litellm
import openai
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from pydantic import BaseModel, ConfigDict, Field
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

ADDRESS, MODEL = sys.argv[1:3]
KEY = "none"
QUESTION = [{"role": "user", "content": "What is the weather in Paris?"}]


class Exact(BaseModel):
    """What has no fields beside its own: a model of random weights would write many."""

    model_config = ConfigDict(extra="forbid")


class Weather(Exact):
    """Ask for the weather."""

    city: Literal["Paris", "Rome"]
    days: int = Field(ge=1, le=5)


class Town(Exact):
    name: Literal["Paris", "Rome"]
    place: "Place"


class Place(Exact):
    side: Literal["north", "south"]


TOOL = openai.pydantic_function_tool(Weather, name="weather")
CLIENT = openai.OpenAI(base_url=ADDRESS, api_key=KEY, max_retries=0, timeout=120)


def of_openai() -> None:
    forced = CLIENT.chat.completions.create(
        model=MODEL, messages=QUESTION, tools=[TOOL], tool_choice="required", max_tokens=100
    )
    (call,) = forced.choices[0].message.tool_calls
    Weather.model_validate_json(call.function.arguments)
    assert forced.choices[0].finish_reason == "tool_calls" and forced.choices[0].message.content is None
    result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    asked = [*QUESTION, forced.choices[0].message.model_dump(), result]
    again = CLIENT.chat.completions.create(model=MODEL, messages=asked, tools=[TOOL], max_tokens=8)
    assert again.usage.completion_tokens
    parsed = CLIENT.chat.completions.parse(model=MODEL, messages=QUESTION, response_format=Town, max_tokens=100)
    assert isinstance(parsed.choices[0].message.parsed, Town)


def of_openai_streamed() -> None:
    named = {"type": "function", "function": {"name": "weather"}}
    with CLIENT.chat.completions.stream(
        model=MODEL, messages=QUESTION, tools=[TOOL], tool_choice=named, max_tokens=100
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert kinds.count("tool_calls.function.arguments.delta") > 2
    assert isinstance(final.choices[0].message.tool_calls[0].function.parsed_arguments, Weather)


def of_openai_responses() -> None:
    whole = CLIENT.responses.create(model=MODEL, input="Say hello.", instructions="Be brief.", max_output_tokens=12)
    assert whole.output_text and whole.usage.output_tokens <= 12
    with CLIENT.responses.stream(model=MODEL, input="Say hello.", max_output_tokens=12, temperature=0) as stream:
        events = list(stream)
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said == events[-1].response.output_text != "" and events[-1].type == "response.incomplete"
    parsed = CLIENT.responses.parse(model=MODEL, input="Where?", text_format=Town, max_output_tokens=100)
    assert isinstance(parsed.output_parsed, Town)


def of_openai_beside_chats() -> None:
    texts = ["A cat sleeps.", "A cat is asleep.", "Prices rose in May."]
    data = CLIENT.embeddings.create(model=MODEL, input=texts).data  # asks for base64
    a, b, c = (each.embedding for each in data)
    assert abs(sum(x * x for x in a) - 1) < 1e-3 and a != b != c and len(a) == len(c)
    found = CLIENT.chat.completions.create(
        model=MODEL, messages=QUESTION, n=2, logprobs=True, top_logprobs=3, max_tokens=4, temperature=0
    )
    one, two = (choice.logprobs.content for choice in found.choices)
    assert [each.token for each in one] == [each.token for each in two] and len(one[0].top_logprobs) == 3
    assert one[0].logprob == max(each.logprob for each in one[0].top_logprobs)


def of_multiple_choice() -> None:
    """As lm-eval's local-completions scores an answer: the log probabilities of the prompt."""

    def score(context: str, answer: str) -> float:
        reply = CLIENT.completions.create(
            model=MODEL, prompt=context + answer, echo=True, logprobs=1, max_tokens=1, temperature=0
        )
        logprobs = reply.choices[0].logprobs
        assert logprobs.token_logprobs[0] is None and "".join(logprobs.tokens[:-1]) == context + answer
        begin = next(n for n, offset in enumerate(logprobs.text_offset) if offset >= len(context))
        return sum(logprobs.token_logprobs[begin:-1])

    question = "The capital of France is"
    assert score(question, " Paris") != score(question, " Oslo")
    assert score(question, " Paris") == score(question, " Paris") < 0


def of_litellm() -> None:
    given = {"model": f"openai/{MODEL}", "api_base": ADDRESS, "api_key": KEY}
    assert litellm.completion(**given, messages=QUESTION, max_tokens=8, temperature=0).choices[0].message.content
    asked = {"messages": QUESTION, "tools": [TOOL], "tool_choice": "required", "max_tokens": 100}
    built = litellm.stream_chunk_builder(list(litellm.completion(**given, **asked, stream=True)))
    Weather.model_validate_json(built.choices[0].message.tool_calls[0].function.arguments)
    try:
        litellm.completion(**given, messages=[{"role": "user", "content": "word " * 20_000}])
    except litellm.ContextWindowExceededError:
        return
    raise AssertionError("litellm does not know the error of a context that is too long")


def of_langchain() -> None:
    given = {"base_url": ADDRESS, "api_key": KEY, "model": MODEL, "max_retries": 0}
    chat = ChatOpenAI(**given, max_tokens=100, temperature=0)
    bound = chat.bind_tools([Weather], tool_choice="any").invoke("What is the weather in Rome?")
    assert bound.tool_calls[0]["name"] == "Weather" and bound.tool_calls[0]["args"]["city"] in ("Paris", "Rome")
    for method in ("json_schema", "function_calling"):
        assert isinstance(chat.with_structured_output(Town, method=method).invoke("Where?"), Town)
    assert "".join(chunk.content for chunk in chat.stream("Say hello."))
    assert OpenAI(**given, max_tokens=4, temperature=0).invoke("One two")
    assert len(OpenAIEmbeddings(**given, check_embedding_ctx_length=False).embed_query("a text")) > 0


def of_pydantic_ai() -> None:
    provider = OpenAIProvider(base_url=ADDRESS, api_key=KEY)
    settings = {"max_tokens": 100, "temperature": 0}
    for model in (OpenAIChatModel(MODEL, provider=provider), OpenAIResponsesModel(MODEL, provider=provider)):
        assert Agent(model, model_settings=settings).run_sync("Say hello.").output
    chat = OpenAIChatModel(MODEL, provider=provider)
    assert isinstance(Agent(chat, output_type=Town, model_settings=settings).run_sync("Where?").output, Town)
    native = Agent(chat, output_type=NativeOutput(Town), model_settings=settings)
    assert isinstance(native.run_sync("Where?").output, Town)

    async def streamed() -> str:
        async with Agent(chat, model_settings=settings).run_stream("Say hello.") as run:
            return await run.get_output()

    assert asyncio.run(streamed())


def main() -> None:
    for name, check in list(globals().items()):
        if name.startswith("of_") and (len(sys.argv) < 4 or name.removeprefix("of_") in sys.argv[3:]):
            check()
            print(f"passed: {name.removeprefix('of_')}", flush=True)


if __name__ == "__main__":
    main()
