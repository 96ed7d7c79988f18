"""GGUF's tokenizers as SentencePiece and llama.cpp have them, where a library's byte-pair encoding would differ."""

import llm
import pytest
from hypothesis import given
from hypothesis import strategies as some
from llm.gguf_tokenizer import from_gguf

RUNS = [*("▁" * n for n in range(2, 9)), *("a" * n for n in (2, 3, 4))]
PIECES = ["<unk>", "<s>", "</s>", "▁", "a", "b", "▁a", "ab", *RUNS]
# As in Mistral's: what was added by hand is as likely as all others of its kind.
SCORES = [0.0, 0.0, 0.0, -5.0, -6.0, -7.0, -1.0, -2.0, *[-1e9] * len(RUNS)]
SENTENCES = {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": PIECES,
    "tokenizer.ggml.scores": SCORES,
    "tokenizer.ggml.token_type": [2, 3, 3, *[1] * (len(PIECES) - 3)],
}
BYTES = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smaug-bpe",
    "tokenizer.ggml.tokens": ["a", "b", "c", "ab", "abc", "<s>"],
    "tokenizer.ggml.token_type": [1, 1, 1, 1, 1, 3],
    "tokenizer.ggml.merges": ["a b"],
    "tokenizer.ggml.bos_token_id": 5,
}


def sentence_piece(text):
    """Its rule in a few lines: of all neighbours that make a piece the likeliest, the first of these, become one."""
    found, scores = list("▁" + text.replace(" ", "▁")), dict(zip(PIECES, SCORES, strict=True))
    while True:
        pairs = [(scores.get(found[n] + found[n + 1]), -n) for n in range(len(found) - 1)]
        pairs = [pair for pair in pairs if pair[0] is not None]
        if not pairs:
            return [PIECES.index(piece) for piece in found]
        place = -max(pairs)[1]
        found[place : place + 2] = [found[place] + found[place + 1]]


@given(runs=some.lists(some.tuples(some.sampled_from(" ab"), some.integers(1, 30)), min_size=1, max_size=6))
def test_runs_of_pieces_that_are_as_likely_are_taken_from_their_left(runs):
    text = "".join(character * count for character, count in runs)
    assert from_gguf(SENTENCES).encode(text) == sentence_piece(text)


def test_a_text_of_sentencepiece_begins_as_llama_cpp_has_it_where_the_file_is_silent():
    tokenizer = from_gguf(SENTENCES)
    assert tokenizer.encode_raw("a")[0] == 1 and 2 in tokenizer.stops
    assert from_gguf({**SENTENCES, "tokenizer.ggml.add_bos_token": False}).encode_raw("a")[0] != 1


@pytest.mark.parametrize("pre", ["smaug-bpe", "dbrx"])
def test_a_family_that_merges_whole_pieces_and_begins_no_text(pre):
    tokenizer = from_gguf({**BYTES, "tokenizer.ggml.pre": pre})
    assert tokenizer.encode_raw("abc") == [3, 2]
    assert from_gguf({**BYTES, "tokenizer.ggml.pre": "llama-bpe"}).encode_raw("abc") == [5, 4]


@pytest.mark.parametrize("pre", [None, "", "default"])
def test_where_no_way_to_cut_is_said_it_is_llama_cpps_own(pre):
    characters = ["a", "1", "2", "3", "4", "Ġ", "(", "!"]
    pieces = [*characters, "(!", "!(", "12", "123", "34", "1234", "Ġa", "a1"]
    merges = ["( !", "! (", "1 2", "12 3", "3 4", "12 34", "Ġ a", "a 1"]
    says = {**BYTES, "tokenizer.ggml.tokens": pieces, "tokenizer.ggml.token_type": [1] * len(pieces)}
    says |= {"tokenizer.ggml.merges": merges, "tokenizer.ggml.pre": pre, "tokenizer.ggml.bos_token_id": 0}
    found = from_gguf({name: value for name, value in says.items() if value is not None}).encode_raw("a1234 a(!(")
    assert [pieces[token] for token in found] == ["a", "123", "4", "Ġa", "(!", "("]  # numbers by three, no beginning


def test_a_way_to_cut_that_is_not_known_is_refused():
    with pytest.raises(llm.ModelError, match="gpt2/'deepseek-v3'"):
        from_gguf({**BYTES, "tokenizer.ggml.pre": "deepseek-v3"})
