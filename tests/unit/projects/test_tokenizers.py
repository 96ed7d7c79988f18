"""Tokenizers and chat templates: as transformers and llama.cpp have them, for what earlier answers were wrong in."""

import json

import llm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from llm.gguf_tokenizer import from_gguf
from llm.template import Template
from llm.tokenizer import from_folder
from test_llm import write_folder
from tokenizers import AddedToken, Tokenizer, processors

# SentencePiece's BPE as GGUF has it: what is no piece is bytes.
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
WORDS = ["▁", "▁a", "b", "c", "bc", "▁abc", "▁abcabc", "a", "abc"]
PIECES = ["<unk>", "<s>", "</s>", *BYTES, *WORDS, "<|im_end|>"]
SENTENCES = {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": PIECES,
    "tokenizer.ggml.scores": [0.0] * 259 + [-float(number) for number in range(len(WORDS))] + [0.0],
    "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * len(WORDS) + [4],
    "tokenizer.ggml.unknown_token_id": 0,
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
}


@pytest.fixture
def folder(tmp_path):
    write_folder(tmp_path / "m")
    return tmp_path / "m"


def changed(folder, change):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    change(tokenizer)
    tokenizer.save(str(folder / "tokenizer.json"))
    return from_folder(folder)


def test_a_long_prompt_is_neither_cut_nor_filled_up(folder):
    def limits(tokenizer):
        tokenizer.enable_truncation(8)
        tokenizer.enable_padding(length=60)

    assert len(changed(folder, limits).encode("!" * 50)) == 50


def test_raw_text_begins_as_the_tokenizer_says_and_a_conversation_as_its_template(folder):
    def begins(tokenizer):
        tokenizer.add_special_tokens(["<s>"])
        rule = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])
        tokenizer.post_processor = rule

    found = changed(folder, begins)
    assert found.encode_raw("!") == [*found.encode("<s>"), *found.encode("!")]
    assert found.chat("!") == found.encode("!")


def test_an_answer_ends_at_the_names_of_ends_of_turns(folder):
    found = changed(folder, lambda tokenizer: tokenizer.add_special_tokens(["<|im_end|>", "<|other|>"]))
    (number,) = found.encode("<|im_end|>")
    assert number in found.stops and found.encode("<|other|>")[0] not in found.stops


def test_pieces_that_a_user_defined_are_shown_and_special_ones_are_not(folder):
    def add(tokenizer):
        tokenizer.add_tokens([AddedToken("<think>", special=False)])
        tokenizer.add_special_tokens(["<|end|>"])

    found = changed(folder, add)
    assert found.decode(found.encode("<think>!<|end|>")) == "<think>!"


def test_sentence_pieces_by_score_and_bytes(tmp_path):
    found = from_gguf(SENTENCES)
    names = [PIECES[token] for token in found.encode("abc abcabc ü")]
    assert names == ["▁abc", "▁abcabc", "▁", "<0xC3>", "<0xBC>"]
    assert found.decode(found.encode("abc abcabc ü")) == "abc abcabc ü"
    assert found.begins == [1] and found.encode_raw("a") == [1, PIECES.index("▁a")]
    assert found.decode(found.encode("a<|im_end|>")).startswith("a<|im_end|>")  # USER_DEFINED is shown


@given(text=some.text())
def test_sentence_pieces_come_back(text):
    found = from_gguf(SENTENCES)
    if "▁" not in text and "<" not in text and "\ufffd" not in text:
        assert found.decode(found.encode(text)) == text


def test_the_first_space_of_an_answer_is_kept():
    found = from_gguf(SENTENCES)
    stream = llm.Stream(found, found.encode("b"))
    assert [stream.add(PIECES.index(piece)) for piece in ("▁a", "<0xC3>", "<0xBC>")] == [" a", "", "ü"]
    assert llm.Stream(found).add(PIECES.index("▁a")) == "a"


def test_a_stream_of_bytes_that_are_no_text_goes_on():
    found = from_gguf(SENTENCES)
    stream = llm.Stream(found)
    told = "".join(stream.add(PIECES.index("<0xFF>")) for _ in range(100)) + stream.finish()
    assert told == stream.text and np.unique(list(told)).tolist() == ["\ufffd"] and len(told) == 100


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tokenizer.ggml.model": "t5"}, "tokenizer 't5'"),
        ({"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "brand-new"}, "gpt2/'brand-new'"),
        ({"tokenizer.ggml.scores": [0.0]}, "'tokenizer.ggml.scores'"),
        ({"tokenizer.ggml.eos_token_id": 10**6}, "'eos_token_id' is 1000000"),
    ],
)
def test_an_unknown_tokenizer_of_a_gguf_is_refused_by_its_name(changes, says):
    with pytest.raises(llm.ModelError, match=says):
        from_gguf({**SENTENCES, **changes})


# Templates

HELLO = [{"role": "user", "content": "<b>"}]


def rendered(text, **more):
    return Template({"default": text}, {"bos_token": "<s>"}).render(HELLO, **more)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ bos_token }}{{ messages[0]['content'] | tojson }}", '<s>"<b>"'),  # transformers escapes no HTML
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{% generation %}{{ messages[0].content }}{% endgeneration %}!", "<b>!"),
        ("{{ strftime_now('%Y') | length }}", "4"),
        ("{{ {'b': 1, 'a': 'ü'} | tojson(indent=1) }}", '{\n "b": 1,\n "a": "ü"\n}'),
        ("{% if tools is none %}no tools{% endif %}", "no tools"),
    ],
)
def test_a_template_is_given_what_transformers_gives_it(text, expected):
    assert rendered(text) == expected


@pytest.mark.parametrize(
    "text", ["{{ raise_exception('never') }}", "{{ 1 / 0 }}", "{{ messages[7].a }}", "{{ [] + 1 }}"]
)
def test_what_a_template_refuses_is_said(text):
    with pytest.raises(llm.ModelError, match="refuses this conversation"):
        rendered(text)


def test_templates_by_name_and_in_files(folder):
    (folder / "chat_template.jinja").unlink()
    named = [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    found = from_folder(folder)
    assert (found.render(HELLO), found.render(HELLO, tools=[{}])) == ("d", "t")
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": "file"}))
    assert from_folder(folder).render(HELLO) == "file"
    (folder / "chat_template.jinja").write_text("jinja")
    assert from_folder(folder).render(HELLO) == "jinja"


def test_a_missing_template_is_refused(folder):
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(llm.ModelError, match="no chat template"):
        from_folder(folder).chat("Hello")
