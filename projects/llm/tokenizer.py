"""Text to tokens and back, and a conversation to the text that the model was trained on, all from the model itself."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken

from .errors import ModelError
from .generation import ends_of
from .template import Template
from .values import read_object, shown

# Names of tokens that end a turn: llama.cpp ends an answer at each of them, whatever the file says beside.
ENDS_OF_TURNS = (
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<EOT>", "_<EOT>",
    "<|end_of_text|>",
)  # fmt: skip


class Tokenizer:
    """A tokenizer with the model's chat template and the tokens that end an answer."""

    def __init__(
        self,
        tokenizer: tokenizers.Tokenizer,
        template: Template | None,
        stops: Sequence[int],
        begins: Sequence[int] = (),
    ) -> None:
        self._tokenizer, self._template = tokenizer, template
        self.stops, self.begins = frozenset(stops), list(begins)

    def encode(self, text: str) -> list[int]:
        """The tokens of `text`; the names of special tokens in it are those tokens. Other threads go on meanwhile.

        Raises ModelError for a text that the model has no tokens for.
        """
        return _encoded(self._tokenizer, text, special=False)

    def encode_raw(self, text: str) -> list[int]:
        """The tokens of text that no template wrote: with what the model has before every text."""
        return [*self.begins, *self.encode(text)]

    def decode(self, tokens: Sequence[int], special: bool = False) -> str:
        """The text of `tokens`, of special ones only if wanted; a character that is not whole yet is U+FFFD."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=not special))

    def render(self, messages: Sequence[Mapping[str, Any]], **more: Any) -> str:
        """The conversation as the model's chat template writes it, up to where the answer begins.

        `messages` are like {"role": "user", "content": "..."}; `more` the template is given, too, as `tools`. Raises
        ModelError if the model has no template, or it refuses the conversation.
        """
        if self._template is None:
            raise ModelError("the model has no chat template: ask it to go on with a text instead, or add one")
        return self._template.render(messages, **more)

    def number(self, piece: str) -> int | None:
        """The token that is this piece, if one is."""
        found: int | None = self._tokenizer.token_to_id(piece)
        return found

    @property
    def longest(self) -> int:
        """The most characters that a token stands for."""
        return max(map(len, self._tokenizer.get_vocab()))

    def serialised(self) -> str:
        """It as a tokenizer.json."""
        return str(self._tokenizer.to_str())

    def template_says(self, words: str) -> bool:
        """Whether one of the model's chat templates has these words in it."""
        return self._template is not None and self._template.says(words)

    def template_reads(self, name: str) -> bool:
        """Whether one of the model's chat templates asks for the variable of this name."""
        return self._template is not None and self._template.reads(name)

    def chat(self, prompt: str) -> list[int]:
        """The tokens of a conversation that begins with `prompt`. Raises ModelError without a template."""
        return self.encode(self.render([{"role": "user", "content": prompt}]))


def from_folder(folder: Path) -> Tokenizer:
    """Read tokenizer.json, tokenizer_config.json, the chat template and generation_config.json of a folder."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(f"{folder} has no tokenizer.json: fetch the folder again")
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except BaseException as error:  # the library raises Exception itself, and panics beside it
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise ModelError(f"{path} cannot be read ({error}): fetch the file again") from None
    tokenizer.no_truncation()  # as transformers asks for none, whatever the file has
    tokenizer.no_padding()
    settings = _optional(folder / "tokenizer_config.json")
    for name, fits in SETTINGS.items():
        if name in settings and not fits(settings[name]):
            raise ModelError(f"tokenizer_config.json has {name!r}: {shown(settings[name])}: fetch the file again")
    if settings.get("add_prefix_space") and str(settings.get("tokenizer_class")).startswith("Qwen2"):
        raise ModelError("tokenizer_config.json has 'add_prefix_space', which is not computed here: set it to false")
    _add_pieces(tokenizer, settings)
    special = _special(tokenizer, settings)
    template = Template.from_folder(folder, settings, special)
    return Tokenizer(tokenizer, template, _ends(folder, tokenizer, special), _begins(tokenizer))


SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# What transformers ends with an error for, where it is another, or takes in another way than tokenizer.json has it.
SETTINGS: Mapping[str, Callable[[Any], bool]] = {
    "split_special_tokens": lambda value: value is False,
    **dict.fromkeys(("padding_side", "truncation_side"), lambda value: value in ("left", "right")),
    "model_max_length": lambda value: value is None or isinstance(value, (int, float)),
    "added_tokens_decoder": lambda value: isinstance(value, Mapping),
    "auto_map": lambda value: isinstance(value, Mapping),
    "tokenizer_class": lambda value: value is None or isinstance(value, str),
    "model_input_names": lambda value: isinstance(value, list),
    **dict.fromkeys(
        ("add_prefix_space", "add_bos_token", "add_eos_token"), lambda value: value is None or isinstance(value, bool)
    ),
}


def _special(tokenizer: tokenizers.Tokenizer, settings: Mapping[str, Any]) -> dict[str, str]:
    """The special tokens by name, which are so in the tokenizer, too. Raises ModelError for one that it has not."""
    found = {name: _piece(name, settings[name]) for name in SPECIAL if settings.get(name) is not None}
    named: dict[str, str] = {name: said for name, said in found.items() if said}
    others = {name: said for name, said in settings.items() if name.endswith("_token") and isinstance(said, str)}
    for name in ("additional_special_tokens", "extra_special_tokens"):
        said = settings.get(name)
        if said is not None and not isinstance(said, (list, Mapping)):
            raise ModelError(f"tokenizer_config.json has {name!r}: {shown(said)}, which are no tokens: fetch it again")
        more = said.items() if isinstance(said, Mapping) else enumerate(said or ())
        others |= {f"{name}[{key!r}]": _piece(name, piece) for key, piece in more}
    added = {piece.content: piece.special for piece in tokenizer.get_added_tokens_decoder().values()}
    for name, piece in {**others, **named}.items():
        if piece and tokenizer.token_to_id(piece) is None:
            raise ModelError(
                f"tokenizer_config.json's {name} is {shown(piece)}, no token of tokenizer.json: add it there"
            )
        if piece and not added.get(piece):
            tokenizer.add_special_tokens([AddedToken(piece, normalized=False, special=True)])
    return named


def _add_pieces(tokenizer: tokenizers.Tokenizer, settings: Mapping[str, Any]) -> None:
    """Pieces that tokenizer_config.json has and tokenizer.json lacks. Raises ModelError where their numbers differ."""
    pieces, added = settings.get("added_tokens_decoder", {}), tokenizer.get_added_tokens_decoder()
    for number, piece in sorted(pieces.items(), key=lambda item: str(item[0]).zfill(12)):
        if not isinstance(piece, Mapping) or not isinstance(piece.get("content"), str) or not str(number).isdigit():
            raise ModelError(f"tokenizer_config.json's token {number!r} is {piece!r}: fetch the file again")
        if (there := added.get(int(number))) and there.content == piece["content"]:
            for name in ("lstrip", "rstrip", "single_word", "normalized"):
                if piece.get(name, getattr(there, name)) != getattr(there, name):
                    raise ModelError(f"tokenizer_config.json's token {number} has {name!r}, tokenizer.json otherwise")
        if tokenizer.token_to_id(piece["content"]) is not None:
            continue
        known = {
            name: piece[name] for name in ("lstrip", "rstrip", "single_word", "normalized", "special") if name in piece
        }
        tokenizer.add_tokens([AddedToken(piece["content"], **known)])
        if tokenizer.token_to_id(piece["content"]) != int(number):
            raise ModelError(
                f"tokenizer_config.json has {piece['content']!r} as token {number}, tokenizer.json otherwise"
            )


def _ends(folder: Path, tokenizer: tokenizers.Tokenizer, special: Mapping[str, str]) -> list[int]:
    stops = ends_of(_optional(folder / "generation_config.json"), _optional(folder / "config.json"))
    number = tokenizer.token_to_id(special["eos_token"]) if "eos_token" in special else None
    return [*stops, *([] if number is None else [number]), *_named_ends(tokenizer)]


def _named_ends(tokenizer: tokenizers.Tokenizer) -> list[int]:
    """Added tokens that end a turn by their names."""
    added = tokenizer.get_added_tokens_decoder()
    return [number for number, piece in added.items() if piece.content in ENDS_OF_TURNS and piece.special]


def _begins(tokenizer: tokenizers.Tokenizer) -> list[int]:
    """What the tokenizer's own rules put before a text, as the token that begins one."""
    whole, bare = (_encoded(tokenizer, "a", special) for special in (True, False))
    before = len(whole) - len(bare)
    return whole[:before] if before and whole[before:] == bare else []


def _encoded(tokenizer: tokenizers.Tokenizer, text: str, special: bool) -> list[int]:
    try:
        (found,) = tokenizer.encode_batch([text], add_special_tokens=special)  # encode would hold other threads up
    except Exception as error:  # the library raises no other: as for a piece that is unknown where none stands for it
        raise ModelError(f"the model's tokenizer has no tokens for {shown(text)}: {error}") from None
    return list(found.ids)


def _piece(name: str, token: Any) -> str:
    """A token's text, which Hugging Face writes as it is or as {"content": ...}. Raises ModelError."""
    text = token.get("content") if isinstance(token, Mapping) and token.get("__type") == "AddedToken" else token
    if not isinstance(text, str):
        raise ModelError(f"tokenizer_config.json's {name!r} is {token!r}, no text: fetch the file again")
    return text


def _optional(path: Path) -> dict[str, Any]:
    return read_object(path) if path.is_file() else {}
