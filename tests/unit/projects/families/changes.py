"""Changes of one key of a config.json at a time, for changes_reference.py, which asks transformers, and the tests."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import cases
import numpy as np
import vision_cases

GONE = "GONE"  # the key is missing
TEXT = """
    llama-biases llama-llama3 llama-linear llama-dynamic llama-yarn-all mistral-window mixtral qwen2-window qwen3-window
    qwen3-moe-some gemma2 gemma3-stretched phi3-longrope phi3-part smollm3-window
"""
CASES: dict[str, dict[str, Any]] = {name: cases.CASES[name] for name in TEXT.split()}
CASES |= {name: vision_cases.CASES[name] for name in ("qwen2-vl-window", "qwen2.5-vl-yarn")}
NEW = {"rope_type": "yarn", "rope_theta": 500.0, "factor": 4.0, "original_max_position_embeddings": 32}
CASES["qwen3-new"] = {**cases.CASES["qwen3"], "rope_parameters": NEW, "rope_theta": GONE}
CASES["gemma3-new"] = {
    **cases.CASES["gemma3"],
    "num_hidden_layers": 3,
    "rope_theta": GONE,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 5000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
    },
}
for _case in CASES.values():
    for _name in [name for name, value in _case.items() if value == GONE]:
        del _case[_name]

VALUES: list[Any] = [
    GONE, None, True, False, -1, 0, 1, 2, 3, 0.5, 1.5, 1e400, "", "x", "8", [], [1], ["x"], {}, {"a": 1},
]  # fmt: skip
# Keys that a file may have, with what else than VALUES it may say.
FULL, SLIDING = "full_attention", "sliding_attention"
LINEAR = {"rope_type": "linear", "factor": 2.0}
MORE: dict[str, list[Any]] = {
    "hidden_act": ["gelu", "relu", "gelu_new", "swish", "gelu_fast", "SiLU"],
    "hidden_activation": ["gelu", "silu"],
    "rope_scaling": [
        LINEAR, {"type": "linear", "factor": 2}, {"type": "linear", "factor": "2"}, {"rope_type": "linear"},
        {"factor": 2.0}, {"rope_type": "x", "factor": 2.0}, {**LINEAR, "x": 1}, {**LINEAR, "factor": 0.5},
        {"rope_type": "default", "factor": 2.0}, {"rope_type": "yarn", "factor": 2.0}, {"rope_type": "longrope"},
        {"rope_type": "dynamic"}, {"rope_type": "llama3", "factor": 8.0}, {"rope_type": ["linear"], "factor": 2.0},
        {"rope_type": "proportional", "partial_rotary_factor": 0.5}, {"rope_type": "default", "rope_theta": 100.0},
        {"type": "default"}, {"rope_type": "mrope", "mrope_section": [2, 3, 3]}, {"rope_type": None, "factor": 2.0},
    ],
    "layer_types": [[FULL] * 4, [SLIDING] * 4, [FULL] * 3, [SLIDING, FULL] * 2, ["x"] * 4, ["chunked_attention"] * 4],
    "torch_dtype": ["float32", "bfloat16", "float16", "torch.bfloat16", "float8_e4m3fn", "nonsense"],
    "dtype": ["float32", "bfloat16", "torch.float16", "nonsense"],
    "architectures": [["LlamaModel"], ["Qwen2ForSequenceClassification"], ["x", "y"]],
    "model_type": ["llama", "mistral", "phi3", "gemma3"],
    "quantization_config": [
        {"quant_method": "awq", "bits": 4}, {"quant_method": "fp8"}, {"load_in_8bit": True}, {"quant_method": "x"},
    ],
    "num_attention_heads": [6, 8, 5, 64], "num_key_value_heads": [4, 8, 1], "head_dim": [8, 15, 32, 16.0],
    "hidden_size": [63, 65, 128, 64.0], "intermediate_size": [97, 96.0], "vocab_size": [95, 97, 96.0],
    "num_hidden_layers": [5, 4.0], "rms_norm_eps": [1e-30, 1e-2, 1], "rope_theta": [100, 1e30],
    "max_position_embeddings": [16, 64, 128.0], "eos_token_id": [[1, 2], 95, 96, 1000], "bos_token_id": [96],
    "pad_token_id": [96, 1000, -100, -97], "id2label": [{"0": "x"}], "num_labels": [5],
    "attention_dropout": [0.1], "mlp_only_layers": [[0], [1, 9], [-1], [1.0], [True]],
    "no_rope_layers": [[1] * 4, [1] * 5, [0] * 3, [0] * 4, [2] * 4, ["x"] * 4, [True] * 4, [1.0] * 4],
    "vision_config": [{"depth": 1}], "text_config": [{"hidden_size": 64}, {"rms_norm_eps": 0.1}],
    "mrope_section": [[8], [4, 2, 2], [1, 3, 4], [2, 3, 3, 0], [2, 3, 4], [2.0, 3.0, 3.0], [8, 0, 0], [-1, 4, 5]],
    "short_factor": [[1.0] * 8, [1.0] * 7, ["x"] * 8, [0.0] * 8, [-1.0] * 8, [1] * 8, [True] * 8],
    "long_factor": [[1.0] * 8, [1.0] * 7, ["x"] * 8, [0.0] * 8, [-1.0] * 8, [1] * 8, [None] * 8],
    "rope_type": ["default", "linear", "dynamic", "yarn", "longrope", "llama3", "su", "mrope", "LINEAR"],
    "type": ["default", "linear", "dynamic", "yarn", "longrope", "su", "mrope"],
    "fullatt_block_indexes": [[0, 1, 2], [9], [-1], [1.0], [True]], "window_size": [8, 17, 32],
    "cache_implementation": ["hybrid", "static", "dynamic", "sliding_window"],
    "_attn_implementation": ["eager", "sdpa"], "_experts_implementation": ["eager"],
    "num_heads": [4, 5, 8], "depth": [4], "patch_size": [8], "mlp_ratio": [2.5, 4],
}  # fmt: skip
MORE["rope_parameters"] = MORE["rope_scaling"]
OF_ROPE_ALONE = ("llama-llama3", "llama-linear", "llama-dynamic", "llama-yarn-all", "phi3-part")
SEVERAL = ("llama-biases", "gemma3-new", "qwen2-vl-window", "phi3-longrope")  # in which keys of every family change
EVERYWHERE = """
    torch_dtype dtype num_labels id2label label2id attention_dropout initializer_range use_cache pretraining_tp
    output_hidden_states output_attentions return_dict problem_type transformers_version auto_map _attn_implementation
    _name_or_path _experts_implementation attn_implementation decoder_start_token_id sep_token_id tokenizer_class
    max_length num_logits_to_keep task_specific_params embd_pdrop resid_pdrop hidden_dropout is_llama_config
    cache_implementation model_max_length finetuning_task bos_token_id eos_token_id pad_token_id
    cross_attention_hidden_size temperature do_sample per_layer_config architectures model_type
"""
OTHERS = """
    rope_parameters rope_scaling layer_types torch_dtype dtype quantization_config num_labels id2label label2id
    attention_dropout attention_bias mlp_bias head_dim partial_rotary_factor sliding_window use_sliding_window
    max_window_layers initializer_range use_cache pretraining_tp is_decoder add_cross_attention is_encoder_decoder
    chunk_size_feed_forward per_layer_config tie_last_hidden_states output_hidden_states output_attentions return_dict
    problem_type transformers_version auto_map _attn_implementation _name_or_path _sliding_window_pattern
    _experts_implementation attn_implementation _rope_type_labels decoder_start_token_id sep_token_id tokenizer_class
    cross_attention_hidden_size original_max_position_embeddings rope_interleaved use_bidirectional_attention
    no_rope_layers mlp_only_layers num_experts num_local_experts text_config vision_config temperature do_sample
    max_length num_logits_to_keep task_specific_params embd_pdrop resid_pdrop hidden_dropout is_llama_config
    cache_implementation model_max_length finetuning_task is_causal hidden_activation logit_scale
"""
OF_ROPE = """
    rope_theta rope_type type factor partial_rotary_factor original_max_position_embeddings low_freq_factor
    high_freq_factor attention_factor beta_fast beta_slow mscale mscale_all_dim truncate short_factor long_factor
    mrope_section unknown
"""
OF_VISION = "hidden_act intermediate_size window_size fullatt_block_indexes mlp_ratio embed_dim in_channels unknown"
Change = tuple[str, Any]


def changes(case: str) -> Iterator[Change]:
    """Each place of a change, as 'rope_scaling.factor', and the value there."""
    config = CASES[case]
    names = [*config, *([] if case in OF_ROPE_ALONE else OTHERS.split())]
    for name in dict.fromkeys(names):
        if name not in EVERYWHERE.split() or case in SEVERAL:
            yield from ((name, value) for value in [*VALUES, *MORE.get(name, [])])
    inner = {"rope_scaling": OF_ROPE, "rope_parameters": OF_ROPE, "vision_config": OF_VISION}
    for outer, names in inner.items():
        if not isinstance(config.get(outer), dict):
            continue
        parts = [f"{outer}.{name}" for name in config[outer] if isinstance(config[outer][name], dict)]
        for place in parts or [outer]:
            for name in dict.fromkeys([*at(config, place), *names.split()]):
                yield from ((f"{place}.{name}", value) for value in [*VALUES, *MORE.get(name, [])])


def at(config: Any, place: str) -> Any:
    for name in place.split("."):
        config = config[name]
    return config


def changed(config: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """The config.json with this change."""
    found = copy.deepcopy(config)
    *outer, name = place.split(".")
    inner = at(found, ".".join(outer)) if outer else found
    if value == GONE:
        inner.pop(name, None)
    else:
        inner[name] = value
    return found


def key(place: str, value: Any) -> str:
    return f"{place} {json.dumps(value)}"


PROMPT = cases.prompts()[0][0]


def kept(logits: np.ndarray) -> np.ndarray:
    """Of a text's logits (T, V) those that are compared, past the windows and at the end, (2, 10)."""
    return np.asarray(logits, "float32")[[13, 39]][:, np.arange(0, 90, 9) % logits.shape[1]]
