"""The tokenizer that GGUF's metadata describe: byte-level BPE, and SentencePiece's with byte fallback."""

from collections.abc import Mapping
from typing import Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from .errors import ModelError
from .template import DEFAULT, Template
from .tokenizer import ENDS_OF_TURNS, Tokenizer
from .values import flag, integer, shown

# How GGUF names the way that text is cut before byte-pair encoding (llama.cpp, llama-vocab.cpp).
GPT2, SMOLLM = "gpt-2", "smollm"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
ENGLISH = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
DEFAULT_PRE = "default"  # also where the file names none
SPLITS = {
    "llama-bpe": [LLAMA3],
    "llama3": [LLAMA3],
    "llama-v3": [LLAMA3],
    "smaug-bpe": [LLAMA3],
    "dbrx": [LLAMA3],
    "qwen2": [QWEN2],
    "deepseek-r1-qwen": [QWEN2],
    "gpt-4o": [GPT4O],
    "tekken": [TEKKEN],
    DEFAULT_PRE: [r"[\p{P}\$\+<=>\^~\|]+", ENGLISH, r"\p{N}+", "[0-9][0-9][0-9]"],
}
IGNORES_MERGES = ("llama-bpe", "llama3", "llama-v3", "tekken")  # a piece that is whole is not merged
UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 2, 3, 4, 5, 6  # GGUF's types of pieces
SPACE = "▁"
ENDS = ("eos_token_id", "eot_token_id", "eom_token_id")
# What is read here, and what changes no token of a text; of others, the values that change none.
READ = """
    model pre tokens token_type scores merges bos_token_id eos_token_id eot_token_id eom_token_id unknown_token_id
    add_bos_token add_space_prefix
    padding_token_id seperator_token_id separator_token_id mask_token_id cls_token_id token_type_count
    prefix_token_id suffix_token_id middle_token_id fim_pre_token_id fim_suf_token_id fim_mid_token_id
    fim_pad_token_id fim_rep_token_id fim_sep_token_id
"""
NEUTRAL = {"add_eos_token": False, "add_sep_token": False, "remove_extra_whitespaces": False}
UNSAID = {"bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0}  # what llama.cpp takes for SentencePiece
TEMPLATE = "tokenizer.chat_template"


def from_gguf(metadata: Mapping[str, Any]) -> Tokenizer:
    """Build the tokenizer. Raises ModelError for another kind, and for what is missing."""
    says = {name.removeprefix("tokenizer.ggml."): value for name, value in metadata.items()}
    _refuse_keys(metadata)
    pieces = _pieces(says)
    kind = says.get("model")
    if kind == "gpt2":
        tokenizer = _byte_level(says, pieces)
    elif kind == "llama":
        says = {**UNSAID, **says}
        tokenizer = _sentence_piece(says, pieces)
    else:
        raise ModelError(
            f"the tokenizer {shown(kind)} of the GGUF file is unknown here; there is gpt2 and llama. "
            "Take the model's Hugging Face folder instead"
        )
    types = _types(says, len(pieces))
    for piece, each in zip(pieces, types, strict=True):  # what the model writes for people to see is shown
        if each in (CONTROL, USER_DEFINED):
            tokenizer.add_tokens([AddedToken(piece, special=each == CONTROL, normalized=False)])
    numbers = {name: _token(says, name, len(pieces)) for name in (*ENDS, "bos_token_id") if name in says}
    named = [number for number, piece in enumerate(pieces) if types[number] == CONTROL and piece in ENDS_OF_TURNS]
    special = {
        f"{name}_token": pieces[numbers[f"{name}_token_id"]] for name in ("bos", "eos") if f"{name}_token_id" in numbers
    }
    texts = _templates(metadata)
    template = Template(texts, special) if texts else None
    begins = flag(says, "add_bos_token", kind == "llama" or says.get("pre") in IGNORES_MERGES)
    begin = [numbers["bos_token_id"]] if begins and "bos_token_id" in numbers else []
    return Tokenizer(tokenizer, template, [*(numbers[name] for name in ENDS if name in numbers), *named], begin)


def _refuse_keys(metadata: Mapping[str, Any]) -> None:
    """Raise ModelError for a key that may change the tokens of a text in a way that is not known here."""
    for key, value in metadata.items():
        name = key.removeprefix("tokenizer.ggml.")
        if name != key and name not in READ.split() and not (name in NEUTRAL and value is NEUTRAL[name]):
            raise ModelError(f"the GGUF file has {key} = {shown(value)}, which is not known here: take another model")


def _templates(metadata: Mapping[str, Any]) -> dict[str, str]:
    """The chat templates by name. Raises ModelError for one that is no text."""
    found = {}
    for key, text in metadata.items():
        if key == TEMPLATE or key.startswith(f"{TEMPLATE}."):
            if not isinstance(text, str):
                raise ModelError(f"the GGUF file's {key} is {shown(text)}, no text: fetch the file again")
            found[key.removeprefix(TEMPLATE)[1:] or DEFAULT] = text
    return {name: text for name, text in found.items() if text}


def _pieces(says: Mapping[str, Any]) -> list[str]:
    pieces = says.get("tokens")
    if not isinstance(pieces, list) or any(not isinstance(piece, str) for piece in pieces):
        raise ModelError("the GGUF file's metadata has no 'tokenizer.ggml.tokens': fetch the file again")
    return pieces


def _types(says: Mapping[str, Any], count: int) -> list[int]:
    types = says.get("token_type", [1] * count)
    if not isinstance(types, list) or len(types) != count:
        raise ModelError("the GGUF file's tokens and their types are not as many: fetch the file again")
    return types


def _token(says: Mapping[str, Any], name: str, count: int) -> int:
    number = integer(says, name, least=0)
    if number >= count:
        raise ModelError(f"the GGUF file's {name!r} is {number}, and it has {count} tokens: fetch the file again")
    return number


def _byte_level(says: Mapping[str, Any], pieces: list[str]) -> tokenizers.Tokenizer:
    pre = says.get("pre") or DEFAULT_PRE
    if pre not in (GPT2, SMOLLM, *SPLITS):
        raise ModelError(
            f"the tokenizer gpt2/{shown(pre)} of the GGUF file is unknown here; there is gpt2 with "
            f"{', '.join((GPT2, SMOLLM, *SPLITS))}. Take the model's Hugging Face folder instead"
        )
    merges = says.get("merges")
    if not isinstance(merges, list) or any(not isinstance(merge, str) or " " not in merge for merge in merges):
        raise ModelError("the GGUF file's metadata has no 'tokenizer.ggml.merges': fetch the file again")
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    pairs = [(first, second) for first, second in (_pair(merge) for merge in merges)]
    try:
        model = models.BPE(vocab=vocabulary, merges=pairs, ignore_merges=pre in IGNORES_MERGES)
    except Exception as error:  # the library raises Exception itself
        raise ModelError(f"the GGUF file's merges do not fit its tokens ({error}): fetch the file again") from None
    tokenizer = tokenizers.Tokenizer(model)
    if pre in SPLITS:
        cut = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in SPLITS[pre]]
        cut.append(pre_tokenizers.ByteLevel(False, use_regex=False))
    else:
        cut = [pre_tokenizers.Digits(individual_digits=True)] if pre == SMOLLM else []
        cut.append(pre_tokenizers.ByteLevel(add_prefix_space=flag(says, "add_space_prefix", False)))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(cut)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _pair(merge: str) -> tuple[str, str]:
    first, _, second = merge.partition(" ")
    return first, second


def _sentence_piece(says: Mapping[str, Any], pieces: list[str]) -> tokenizers.Tokenizer:
    """SentencePiece's BPE: the likeliest piece that two neighbours make comes first, and what is no piece is bytes."""
    scores = says.get("scores")
    if not isinstance(scores, list) or len(scores) != len(pieces):
        raise ModelError("the GGUF file's metadata has no 'tokenizer.ggml.scores': fetch the file again")
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    merges = []
    for piece, score in zip(pieces, scores, strict=True):
        halves = ((piece[:cut], piece[cut:]) for cut in range(1, len(piece)))
        pairs = [(left, right) for left, right in halves if left in vocabulary and right in vocabulary]
        # Of pieces that are as likely the first in the text comes first: so a run of spaces is taken from its left.
        merges += [(-score, -len(piece), vocabulary[left], vocabulary[right], left, right) for left, right in pairs]
    ordered = [(left, right) for *_, left, right in sorted(merges)]
    unknown = pieces[_token(says, "unknown_token_id", len(pieces))]
    fallback = all(f"<0x{byte:02X}>" in vocabulary for byte in range(256))
    model = models.BPE(vocab=vocabulary, merges=ordered, unk_token=unknown, fuse_unk=True, byte_fallback=fallback)
    tokenizer = tokenizers.Tokenizer(model)
    prefix = flag(says, "add_space_prefix", True)
    steps = [normalizers.Prepend(SPACE)] if prefix else []
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", SPACE)])
    shown_as = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*shown_as, *([decoders.Strip(" ", 1, 0)] if prefix else [])])
    return tokenizer
