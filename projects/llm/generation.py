"""What generation_config.json may say: which tokens end an answer; how it is drawn each request says itself."""

from collections.abc import Callable, Mapping
from typing import Any

from .errors import ModelError
from .values import shown

FILE = "generation_config.json"
CACHES = ("static", "offloaded_static", "sliding_window", "hybrid", "hybrid_chunked", "offloaded_hybrid", "dynamic")
Fits = Callable[[Any], bool]


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


def _whole(value: Any) -> bool:
    return type(value) is int


def _real(value: Any) -> bool:
    return type(value) in (int, float) and value >= 0


def _token(value: Any) -> bool:
    return type(value) is int or (isinstance(value, list) and all(type(each) is int for each in value))


def _only(*values: Any) -> Fits:
    return lambda value: any(type(value) is type(each) and value == each for each in values)


# Null says nothing. Of the keys that change the choice of a token there stand here those that requests say themselves,
# by whatever default the server has, and others with the values that change none.
SAYS: Mapping[str, Fits] = {
    "eos_token_id": _token,
    **dict.fromkeys(("bos_token_id", "pad_token_id", "decoder_start_token_id"), _whole),
    **dict.fromkeys(("do_sample", "use_cache", "_from_model_config", "trust_remote_code"), _truth),
    **dict.fromkeys(("temperature", "top_p", "min_p", "typical_p"), _real),
    "repetition_penalty": lambda value: isinstance(value, float) and value > 0,
    **dict.fromkeys(("top_k", "max_length"), _whole),
    "max_new_tokens": lambda value: _whole(value) and value > 0,
    "cache_implementation": lambda value: value in CACHES,
    **dict.fromkeys(("output_attentions", "output_hidden_states", "output_scores", "output_logits"), _truth),
    "transformers_version": lambda value: isinstance(value, str),
    **dict.fromkeys(("return_dict_in_generate", "disable_compile", "low_memory"), _truth),
    **dict.fromkeys(("num_beams", "num_beam_groups", "num_return_sequences"), _only(1)),
    **dict.fromkeys(("min_length", "min_new_tokens"), _only(0)),
    **dict.fromkeys(("no_repeat_ngram_size", "encoder_no_repeat_ngram_size"), _only(0)),
    **dict.fromkeys(("length_penalty", "encoder_repetition_penalty", "guidance_scale"), _only(1, 1.0)),
    **dict.fromkeys(("diversity_penalty", "epsilon_cutoff", "eta_cutoff", "penalty_alpha"), _only(0, 0.0)),
    **dict.fromkeys(("early_stopping", "remove_invalid_values", "renormalize_logits", "token_healing"), _only(False)),
    "is_assistant": _only(False),
}


def ends_of(generation: Mapping[str, Any], config: Mapping[str, Any]) -> list[int]:
    """The tokens that end an answer, by generation_config.json, else by config.json. Raises ModelError for a key of the
    first that changes the answer and is not known here."""
    for name, value in generation.items():
        if value is not None and not SAYS.get(name, lambda _: False)(value):
            raise ModelError(f"{FILE} has {name!r}: {shown(value)}, which is not computed here: take another model")
    ends = generation.get("eos_token_id", config.get("eos_token_id"))
    if ends is not None and not _token(ends):
        raise ModelError(f"the model's 'eos_token_id' is {ends!r}, no token: fetch the folder again")
    return ends if isinstance(ends, list) else [] if ends is None else [ends]
