"""What a model's files say and nothing here computes with: it is refused by its name, never passed over."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from .errors import ModelError
from .generation import CACHES
from .values import shown

# Of config.json: what `config.numbers` and the checks of rope read, and what changes no logits.
READ = """
    architectures model_type num_hidden_layers hidden_size intermediate_size num_attention_heads num_key_value_heads
    head_dim vocab_size max_position_embeddings rope_theta rope_scaling rope_parameters rms_norm_eps tie_word_embeddings
"""
DESCRIPTIVE = """
    attention_dropout auto_map bos_token_id decoder_start_token_id dtype eos_token_id finetuning_task hidden_dropout
    id2label initializer_range is_llama_config label2id max_length model_max_length name_or_path output_attentions
    output_hidden_states pad_token_id pretraining_tp problem_type resid_pdrop return_dict task_specific_params
    tokenizer_class torch_dtype transformers.js_config transformers_version unsloth_fixed unsloth_version use_cache
    use_return_dict cache_implementation embd_pdrop num_logits_to_keep _name_or_path _commit_hash
    _attn_implementation _attn_implementation_autoset _experts_implementation _sliding_window_pattern
"""


def _whole(value: Any) -> bool:
    return type(value) is int


def _real(value: Any) -> bool:
    return type(value) in (int, float)


def _share(value: Any) -> bool:
    return _real(value) and 0 <= value <= 1


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


def _one_of(*names: str | None) -> Callable[[Any], bool]:
    return lambda value: value is None or value in names


# What these must be though they change no logits: transformers has an error for anything else, or takes it otherwise.
ATTENTIONS = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")
KINDS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("dtype", "torch_dtype"), _one_of("float32", "bfloat16", "float16")),
    **dict.fromkeys(("bos_token_id", "pad_token_id", "sliding_window"), lambda value: value is None or _whole(value)),
    "eos_token_id": lambda value: value is None or all(map(_whole, value if isinstance(value, list) else [value])),
    **dict.fromkeys(("pretraining_tp", "num_logits_to_keep"), lambda value: value is None or _whole(value)),
    **dict.fromkeys(("vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id"), _whole),
    "max_window_layers": lambda value: value is None or _whole(value),
    "attention_dropout": _real,
    "original_max_position_embeddings": _whole,
    **dict.fromkeys(("embd_pdrop", "resid_pdrop"), _share),
    "initializer_range": lambda value: isinstance(value, float) and 0 <= value <= 1,
    **dict.fromkeys(("return_dict", "use_return_dict"), lambda value: value is True),
    **dict.fromkeys(("use_cache", "_attn_implementation_autoset"), _truth),
    **dict.fromkeys(("output_attentions", "output_hidden_states"), lambda value: value is None or _truth(value)),
    "auto_map": lambda value: isinstance(value, Mapping),
    "id2label": lambda value: value is None or (isinstance(value, Mapping) and all(map(str.isdigit, value))),
    **dict.fromkeys(("_attn_implementation", "_experts_implementation"), _one_of(*ATTENTIONS)),
    "cache_implementation": _one_of(*CACHES),
    "use_bidirectional_attention": lambda value: value is None or _truth(value),
}
# What may be said only in the way that changes nothing.
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "hidden_act": ("silu", "swish"),
    "hidden_activation": ("silu", "swish", None),
    "attention_bias": (False, None),
    "mlp_bias": (False, None),
    "rope_interleaved": (False,),
    "partial_rotary_factor": (1.0, None),
    "use_sliding_window": (False, None),
    "sliding_window": (None,),
    "layer_types": (None,),
    "quantization_config": (None,),
    "is_decoder": (True, False),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "logits_soft_cap": (None,),
    "use_mrope": (False,),
    "lm_head_bias": (False,),
    "chunk_size_feed_forward": (0,),  # of the library's own, as every config that is written whole has it
    "full_attn_mod": (1,),
    "interpolate_factor": (1,),
}
ROPE = ("rope_type", "type", "rope_theta")


def refuse_keys(config: Mapping[str, Any], known: Collection[str] = ()) -> None:
    """Raise ModelError for a key of config.json that may change the computation; the caller computes with `known`."""
    read = {*READ.split(), *DESCRIPTIVE.split(), *known}
    neutral = dict(NEUTRAL)
    for name, fits in KINDS.items():
        if name in config and name in read and not fits(config[name]):
            raise ModelError(f"config.json has {name!r}: {shown(config[name])}, which is none: copy the folder again")
    if config.get("use_sliding_window") is False:  # then transformers leaves these aside, too
        read |= {"sliding_window", "max_window_layers"}
    types, layers = config.get("layer_types"), config.get("num_hidden_layers")
    if isinstance(types, list) and isinstance(layers, int) and len(types) != layers:
        raise ModelError(f"config.json has {len(types)} 'layer_types' for {layers} layers: copy the folder again")
    for name, value in config.items():
        harmless = name in read or (name in neutral and value in neutral[name])
        all_full = name == "layer_types" and isinstance(value, list) and set(map(str, value)) == {"full_attention"}
        if not harmless and not (all_full and _no_window(config, known)):
            raise ModelError(f"config.json has {name!r}: {value!r}, which is not computed here: take another model")


def _no_window(config: Mapping[str, Any], known: Collection[str]) -> bool:
    """Whether no layer slides, so that types of layers which are all full say nothing new."""
    asked = "use_sliding_window" not in known or config.get("use_sliding_window") is True
    return "sliding_window" not in known or config.get("sliding_window", 0) is None or not asked


def refuse_rope(rope: Mapping[str, Any], known: Collection[str] = ()) -> None:
    """Raise ModelError for a number of the rotary embedding that is not computed with."""
    for name, value in rope.items():
        if name not in ROPE and name not in known and not (name == "partial_rotary_factor" and value == 1.0):
            raise ModelError(f"rope's {name!r}: {value!r} in config.json is not computed here: take another model")


def refuse_tensors(where: Any, found: Collection[str], known: Collection[str]) -> None:
    """Raise ModelError for a tensor of a file that no layer here would use, as a bias would be."""
    for name in found:
        # Frequencies of the rotary embedding that follow from the configuration, which some old files repeat.
        if name not in known and not name.endswith("rotary_emb.inv_freq"):
            raise ModelError(f"{where} has the tensor {name}, which is not computed with here: take another model")


def refuse_settings(
    file: str, settings: Mapping[str, Any], read: Collection[str], says: Mapping[str, Collection[Any]]
) -> None:
    """Raise ModelError for what a file of settings says, is not `read`, and is none of what it may say."""
    for name, value in settings.items():
        if name not in read and value is not None and value not in says.get(name, ()):
            raise ModelError(f"{file} has {name!r}: {value!r}, which is not computed here: take another model")
