"""What a model's files say and nothing here computes with: it is refused by its name, never passed over."""

from collections.abc import Collection, Mapping
from typing import Any

from .errors import ModelError

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
    use_return_dict
"""
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
}
ROPE = ("rope_type", "type", "rope_theta")
# Of GGUF's metadata, behind "llama.": what `config.from_gguf` reads, and the rest with what changes nothing.
GGUF_READ = """
    block_count embedding_length feed_forward_length attention.head_count attention.head_count_kv attention.key_length
    context_length rope.freq_base attention.layer_norm_rms_epsilon vocab_size rope.scaling.type
    rope.scaling.original_context_length rope.scaling.finetuned
"""
GGUF_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "rope.scale_linear": (1.0, 0.0),
    "rope.scaling.factor": (1.0, 0.0),
    "expert_count": (0,),
    "expert_used_count": (0,),
    "attention.causal": (True,),
    "attention.sliding_window": (0,),
    "use_parallel_residual": (False,),
    "tensor_data_layout": ("Meta AI original pth",),
}


def refuse_keys(config: Mapping[str, Any], known: Collection[str] = ()) -> None:
    """Raise ModelError for a key of config.json that may change the computation; the caller computes with `known`."""
    read = {*READ.split(), *DESCRIPTIVE.split(), *known}
    neutral = dict(NEUTRAL)
    if config.get("use_sliding_window") is False:  # then transformers leaves these aside, too
        read |= {"sliding_window", "max_window_layers"}
    full = ["full_attention"] * int(config.get("num_hidden_layers") or 0)
    for name, value in config.items():
        harmless = name in read or name.startswith("_") or (name in neutral and value in neutral[name])
        if not harmless and not (name == "layer_types" and value == full):
            raise ModelError(f"config.json has {name!r}: {value!r}, which is not computed here: take another model")


def refuse_rope(rope: Mapping[str, Any], known: Collection[str] = ()) -> None:
    """Raise ModelError for a number of the rotary embedding that is not computed with."""
    for name, value in rope.items():
        if name not in ROPE and name not in known and not (name == "partial_rotary_factor" and value == 1.0):
            raise ModelError(f"rope's {name!r}: {value!r} in config.json is not computed here: take another model")


def refuse_metadata(metadata: Mapping[str, Any], head_dim: int) -> None:
    """Raise ModelError for GGUF metadata of the architecture that may change the computation."""
    equal = {"rope.dimension_count": (head_dim,), "attention.value_length": (head_dim,)}
    neutral, read = {**GGUF_NEUTRAL, **equal}, GGUF_READ.split()
    for name, value in metadata.items():
        section, _, key = name.partition(".")
        if section == "llama" and key not in read and not (key in neutral and value in neutral[key]):
            raise ModelError(f"the GGUF file has {name} = {value!r}, which is not computed here: take another model")


def refuse_tensors(where: Any, found: Collection[str], known: Collection[str]) -> None:
    """Raise ModelError for a tensor of a file that no layer here would use, as a bias would be."""
    for name in found:
        # Frequencies of the rotary embedding that follow from the configuration, which some old files repeat.
        if name not in known and not name.endswith("rotary_emb.inv_freq"):
            raise ModelError(f"{where} has the tensor {name}, which is not computed with here: take another model")
