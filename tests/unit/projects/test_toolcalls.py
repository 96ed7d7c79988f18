"""Calls, thoughts and words told apart, however the text comes."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as some


@pytest.fixture(scope="module")
def toolcalls(load):
    return load("10-optimised-inference/toolcalls.py")


def named(toolcalls, name):
    return next((each for each in toolcalls.FORMATS if each.name == name), toolcalls.GENERIC)


def read(toolcalls, text, format="hermes", cuts=(), reasons=False, thinking=False, begun=False):
    """Content, thoughts and calls of the text, cut into pieces at these places."""
    reader = toolcalls.Reader(format and named(toolcalls, format), begun, reasons, thinking)
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [reader.add(text[a:b]) for a, b in itertools.pairwise(places)] + [reader.add("", last=True)]
    calls = toolcalls.whole([call for piece in pieces for call in piece.calls])
    content = "".join(piece.content for piece in pieces)
    thoughts = "".join(piece.reasoning for piece in pieces)
    return content, thoughts, [(call["function"]["name"], call["function"]["arguments"]) for call in calls]


ONE = '{"name": "add", "arguments": {"a": 1, "b": "}\\"{"}}'
TEXTS = {
    "hermes": (f"Well.\n<tool_call>\n{ONE}\n</tool_call>", "Well.", 1),
    "two": (f"<tool_call>{ONE}</tool_call>\n<tool_call>\n{ONE}</tool_call>", "", 2),
    "a list": (f"<tool_call>[{ONE}, {ONE}]</tool_call>", "", 2),
    "text behind": (f"<tool_call>{ONE}</tool_call>So.", "So.", 1),
    "no call": ("a < b <tool and {x}", "a < b <tool and {x}", 0),
}


@pytest.mark.parametrize("name", TEXTS)
@given(cuts=some.lists(some.integers(0, 160), max_size=20))
def test_a_call_is_found_however_it_comes(toolcalls, name, cuts):
    text, content, count = TEXTS[name]
    assert read(toolcalls, text, cuts=cuts) == (content, "", [("add", '{"a": 1, "b": "}\\"{"}')] * count)


@given(cuts=some.lists(some.integers(0, 120), max_size=12))
def test_the_other_families_calls_are_found(toolcalls, cuts):
    assert read(toolcalls, f"[TOOL_CALLS][{ONE}]", "mistral", cuts)[2] == [("add", '{"a": 1, "b": "}\\"{"}')]
    llama = ' {"name": "add", "parameters": {"a": [1, {}]}}'
    assert read(toolcalls, llama, "llama", cuts) == ("", "", [("add", '{"a": [1, {}]}')])
    assert read(toolcalls, f"<|python_tag|>{llama}", "llama", cuts)[2] == [("add", '{"a": [1, {}]}')]
    assert read(toolcalls, "No {call}.", "llama", cuts)[0] == "No {call}."


def test_a_call_in_another_order_is_found_when_it_is_whole(toolcalls):
    text = '<tool_call>{"arguments": {"a": 1}, "name": "add"}</tool_call>'
    assert read(toolcalls, text, cuts=range(60)) == ("", "", [("add", '{"a": 1}')])
    assert json.loads(read(toolcalls, text.replace("{", "{ "))[2][0][1]) == {"a": 1}


def test_what_is_no_call_after_all_is_not_lost(toolcalls):
    assert read(toolcalls, "<tool_call>[1, 2]</tool_call>", cuts=range(30))[0].startswith("1, 2")
    assert read(toolcalls, '<tool_call>{"nam": 1}</tool_call>')[0] == '{"nam": 1}'
    assert read(toolcalls, '<tool_call>{"nam')[0] == '{"nam'


def test_arguments_that_were_cut_off_are_given_as_they_are(toolcalls):
    assert read(toolcalls, '<tool_call>{"name": "add", "arguments": {"a": 1')[2] == [("add", '{"a": 1')]


def test_the_first_piece_of_a_call_has_its_name_and_the_others_more_arguments(toolcalls):
    reader = toolcalls.Reader(named(toolcalls, "hermes"), False, False, False)
    pieces = [
        reader.add(text) for text in ('<tool_call>{"name": "add", "arg', 'uments": {"a"', ": 1", "}}</tool_call>")
    ]
    found = [list(toolcalls.deltas(piece.calls)) for piece in pieces]
    assert [[delta["function"] for delta in each] for each in found] == [
        [],
        [{"name": "add", "arguments": ""}, {"arguments": '{"a"'}],
        [{"arguments": ": 1"}],
        [{"arguments": "}"}],
    ]
    assert found[1][0]["id"].startswith("call_") and "id" not in found[2][0]


@given(cuts=some.lists(some.integers(0, 60), max_size=12))
def test_thoughts_are_told_from_words(toolcalls, cuts):
    said = read(toolcalls, "<think>\nHm </b>.\n</think>\n\nYes <think>.", None, cuts, reasons=True)
    assert said == ("Yes <think>.", "\nHm </b>.\n", [])
    assert read(toolcalls, "Hm.</think>\nYes", None, cuts, reasons=True, thinking=True)[:2] == ("Yes", "Hm.")
    assert read(toolcalls, "Just words", None, cuts, reasons=True)[:2] == ("Just words", "")
    assert read(toolcalls, "<thi", None, cuts, reasons=True)[:2] == ("<thi", "")
    assert read(toolcalls, "<think>without end", None, cuts, reasons=True)[:2] == ("", "without end")
