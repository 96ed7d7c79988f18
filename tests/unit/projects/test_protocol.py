"""What a request may say: what is known is read, and everything else refused by its name."""

import gc
import json
import time

import pytest


@pytest.fixture(scope="module")
def protocol(load):
    return load("10-optimised-inference/protocol.py")


def refused(protocol, **fields):
    body = {"messages": [{"role": "user", "content": "Hi"}], **fields}
    with pytest.raises(protocol.Refusal) as refusal:
        protocol.parse(protocol.schemas.Chat, json.dumps(body).encode())
    return refusal.value


TOOL = {"type": "function", "function": {"name": "a"}}
WRONG = [
    ({"functions": []}, "unknown_parameter", "functions"),
    ({"stop": 5}, "invalid_value", "stop"),
    ({"messages": []}, "invalid_value", "messages"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "invalid_value", "messages[0].content[0]"),
    ({"messages": [{"role": "king", "content": "x"}]}, "invalid_value", "messages[0].role"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "invalid_value", "messages[0]"),
    ({"messages": [{"role": "user"}]}, "invalid_value", "messages[0]"),
    ({"response_format": {"type": "json_schema"}}, "invalid_value", "response_format"),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "invalid_value", "tools[0].function.name"),
    ({"logit_bias": {"x": 1}}, "invalid_value", "logit_bias.x"),
    ({"top_p": "1"}, "invalid_value", "top_p"),
    ({"n": 0}, "invalid_value", "n"),
]


@pytest.mark.parametrize(("fields", "code", "parameter"), WRONG)
def test_what_is_wrong_is_refused_where_it_stands(protocol, fields, code, parameter):
    refusal = refused(protocol, **fields)
    assert (refusal.status, refusal.code) == (400, code)
    assert (refusal.parameter or "").startswith(parameter)


def test_what_does_not_fit_together_is_said(protocol):
    assert "only there with logprobs" in refused(protocol, top_logprobs=2).message
    assert "only there with tools" in refused(protocol, tool_choice="required").message
    assert "same name" in refused(protocol, tools=[TOOL, TOOL]).message
    named = {"type": "function", "function": {"name": "b"}}
    assert "none of tools" in refused(protocol, tools=[TOOL], tool_choice=named).message


def test_null_is_as_good_as_absent_and_what_changes_nothing_is_read(protocol):
    message = {"role": "assistant", "content": None, "refusal": None, "audio": None, "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "a", "arguments": "{}"}}]}  # fmt: skip
    body = {"messages": [message], "user": "me", "functions": None, "temperature": None, "store": False}
    assert protocol.parse(protocol.schemas.Chat, json.dumps(body).encode()).temperature == 1


@pytest.mark.parametrize("body", [b"", b"[1]", b"3", b'{"messages": "\xff"}', b'{"temperature": NaN}', b"[" * 100_000])
def test_what_is_no_object_is_refused(protocol, body):
    with pytest.raises(protocol.Refusal) as refusal:
        protocol.parse(protocol.schemas.Chat, body)
    assert refusal.value.status == 400 and refusal.value.body()["error"]["type"] == "invalid_request_error"


def bodies(count):
    """By what they have so many of: bodies of a completion."""
    plain = {"prompt": "x"}
    return {
        "lists of tokens": {"prompt": [[1]] * count},
        "texts": {"prompt": [""] * count},
        "objects of an unknown field": {**plain, "wish": [{}] * count},
        "lists in a schema": {**plain, "structured_outputs": {"json": {"a": [[]] * count}}},
        "metadata": {**plain, "metadata": {str(number): "" for number in range(count)}},
    }


SENT = {kind: json.dumps(body).encode() for kind, body in bodies(300_000).items()}
MOST_SECONDS = 0.25  # of processor time, in which no other thread runs: what a stall of /health may last


@pytest.fixture
def frozen():
    """As in the server, what lives for ever is not searched for garbage: here all that other tests brought."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize("kind", SENT)
def test_a_hostile_body_takes_no_time_that_others_would_wait_for(protocol, kind):
    began = time.thread_time()
    with pytest.raises(protocol.Refusal) as refusal:
        protocol.parse(protocol.schemas.Completion, SENT[kind])
    assert time.thread_time() - began < MOST_SECONDS
    assert refusal.value.status == 400


@pytest.mark.usefixtures("frozen")
def test_brackets_up_to_the_limit_are_read_in_time(protocol):
    count = protocol.MOST_BRACKETS - 10
    sent = json.dumps(bodies(count)["lists in a schema"]).encode()
    began = time.thread_time()
    body = protocol.parse(protocol.schemas.Completion, sent)
    assert time.thread_time() - began < MOST_SECONDS
    assert len(body.structured_outputs.json_["a"]) == count
    text = "[" * count
    assert protocol.parse(protocol.schemas.Completion, json.dumps({"prompt": text}).encode()).prompt == text


def test_too_many_of_a_kind_are_said_so(protocol):
    with pytest.raises(protocol.Refusal, match=r"'prompt': .* List should have at most 2048 items"):
        protocol.parse(protocol.schemas.Completion, SENT["texts"])
    with pytest.raises(protocol.Refusal, match="'metadata': Dictionary should have at most 16 items"):
        protocol.parse(protocol.schemas.Completion, SENT["metadata"])
