"""Text to tokens and back, and a conversation to the text that the model was trained on, all from the model itself."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import tokenizers
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers

from .errors import ModelError

# How GGUF names the way that text is cut before byte-pair encoding (llama.cpp, llama-vocab.cpp).
GPT2 = "gpt-2"
SMOLLM = "smollm"
SPLITS = {
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
}
CONTROL, USER_DEFINED = 3, 4  # GGUF's types of pieces that text is never cut within


class Tokenizer:
    """A tokenizer with the model's chat template and the tokens that end an answer."""

    def __init__(
        self, tokenizer: tokenizers.Tokenizer, template: str | None, stops: Sequence[int], special: Mapping[str, str]
    ) -> None:
        self._tokenizer, self.stops, self._special = tokenizer, frozenset(stops), special
        self._template = template

    def encode(self, text: str) -> list[int]:
        """The tokens of `text`; the names of special tokens in it are those tokens."""
        found: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return found

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of `tokens` without special ones; a character that is not whole yet is U+FFFD."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The conversation as the model's chat template writes it, up to where the answer begins.

        `messages` are like {"role": "user", "content": "..."}. A model without a template gets the contents
        alone. Raises ModelError if the template refuses the conversation.
        """
        if self._template is None:
            return "\n".join(message["content"] for message in messages)
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _refuse
        try:
            template = environment.from_string(self._template)
            return template.render(messages=messages, add_generation_prompt=True, **self._special)
        except jinja2.TemplateError as error:
            raise ModelError(f"the model's chat template refuses this conversation: {error}") from None

    def chat(self, prompt: str) -> list[int]:
        """The tokens of a conversation that begins with `prompt`."""
        return self.encode(self.render([{"role": "user", "content": prompt}]))


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def from_gguf(metadata: Mapping[str, Any]) -> Tokenizer:
    """Build the tokenizer that GGUF's metadata describe: byte-level BPE. Raises ModelError for another kind."""
    kind, pre = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre", GPT2)
    if kind != "gpt2" or pre not in (GPT2, SMOLLM, *SPLITS):
        raise ModelError(
            f"the tokenizer {kind}/{pre} of the GGUF file is unknown here; "
            f"there is gpt2 with {', '.join((GPT2, SMOLLM, *SPLITS))}. Take the model's Hugging Face folder instead"
        )
    for name in ("tokenizer.ggml.tokens", "tokenizer.ggml.merges"):
        if name not in metadata:
            raise ModelError(f"the GGUF file's metadata has no {name!r}: fetch the file again")
    pieces = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ", 1)) for merge in metadata["tokenizer.ggml.merges"]]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    if pre in SPLITS:
        cut = [pre_tokenizers.Split(Regex(SPLITS[pre]), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    else:
        cut = [pre_tokenizers.Digits(individual_digits=True)] if pre == SMOLLM else []
        cut.append(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(cut)
    tokenizer.decoder = decoders.ByteLevel()
    kinds = metadata.get("tokenizer.ggml.token_type", [0] * len(pieces))
    whole = [piece for piece, kind in zip(pieces, kinds, strict=True) if kind in (CONTROL, USER_DEFINED)]
    tokenizer.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in whole])
    stops = [
        metadata[name] for name in ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id") if name in metadata
    ]
    special = {
        f"{name}_token": pieces[metadata[f"tokenizer.ggml.{name}_token_id"]]
        for name in ("bos", "eos")
        if f"tokenizer.ggml.{name}_token_id" in metadata
    }
    return Tokenizer(tokenizer, metadata.get("tokenizer.chat_template"), stops, special)


def from_folder(folder: Path) -> Tokenizer:
    """Read tokenizer.json, tokenizer_config.json, chat_template.jinja and generation_config.json of a folder."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(f"{folder} has no tokenizer.json: fetch the folder again")
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises Exception itself
        raise ModelError(f"{path} cannot be read ({error}): fetch the file again") from None
    settings, generation = _json(folder / "tokenizer_config.json"), _json(folder / "generation_config.json")
    template = settings.get("chat_template")
    if isinstance(template, list):  # several, by name
        template = {entry["name"]: entry["template"] for entry in template}.get("default")
    beside = folder / "chat_template.jinja"
    if beside.is_file():
        template = beside.read_text(encoding="utf-8")
    special = {name: _piece(settings[name]) for name in ("bos_token", "eos_token") if settings.get(name)}
    ends = generation.get("eos_token_id", _json(folder / "config.json").get("eos_token_id"))
    stops = ends if isinstance(ends, list) else [] if ends is None else [ends]
    if "eos_token" in special and (number := tokenizer.token_to_id(special["eos_token"])) is not None:
        stops = [*stops, number]
    return Tokenizer(tokenizer, template, stops, special)


def _piece(token: Any) -> str:
    """A token's text, which Hugging Face writes as it is or as {"content": ...}."""
    return str(token["content"]) if isinstance(token, dict) else str(token)


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ModelError(f"{path} is not JSON: fetch the file again") from None
    return found
