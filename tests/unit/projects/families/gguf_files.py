"""The tiny models of cases.py as GGUF files, laid out as llama.cpp's convert_hf_to_gguf.py does."""

from pathlib import Path
from typing import Any

import cases
import gguf
import numpy as np

# By model_type: GGUF's architecture, whether pairs lie side by side, and whether norms are kept less 1.
ARCHITECTURES = {
    "llama": ("llama", True, False),
    "mistral": ("llama", True, False),
    "mixtral": ("llama", True, False),
    "qwen2": ("qwen2", False, False),
    "qwen3": ("qwen3", False, False),
    "qwen3_moe": ("qwen3moe", False, False),
    "gemma2": ("gemma2", False, True),
    "gemma3_text": ("gemma3", False, True),
    "phi3": ("phi3", False, False),
    "smollm3": ("smollm3", True, False),
}
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.qkv_proj": "attn_qkv", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate": "ffn_gate_inp",
    "block_sparse_moe.gate": "ffn_gate_inp", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
SANDWICH = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
EXPERTS = {"gate_proj": "gate", "w1": "gate", "up_proj": "up", "w3": "up", "down_proj": "down", "w2": "down"}
# Those that llama.cpp has another way for, or none: windows that it leaves aside, layers that it fixes, dense layers
# among experts, shares that are not renormalised, scaling by the longest text.
NOT_ITS_OWN = (
    "llama-gelu", "llama-dynamic", "llama-yarn-all", "mistral-window", "qwen2-window", "qwen3-window", "qwen3-moe-some",
    "phi3-window", "smollm3-window", "gemma3-stretched", "llama-odd-sizes",
)  # fmt: skip
CASES = [case for case in cases.CASES if case not in NOT_ITS_OWN]


def permuted(tensor: np.ndarray, heads: int) -> np.ndarray:
    """LlamaModel.permute."""
    return tensor.reshape(heads, 2, len(tensor) // heads // 2, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)


def tensors_of(config: dict[str, Any], tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors under GGUF's names, in its order."""
    _, permutes, less = ARCHITECTURES[config["model_type"]]
    names = NAMES | (SANDWICH if less else {})
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    found: dict[str, np.ndarray] = {}
    experts: dict[str, dict[int, np.ndarray]] = {}
    for name, tensor in tensors.items():
        stem, _, end = name.rpartition(".")
        last = stem.rpartition(".")[2]
        if less and "norm" in last:
            tensor = tensor + np.float32(1)
        if permutes and last in heads:
            tensor = permuted(tensor, heads[last])
        if not stem.startswith("model.layers."):
            outside = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
            found[f"{outside[stem]}.{end}"] = tensor
            continue
        _, _, layer, inside = stem.split(".", 3)
        if ".experts." in inside:
            _, _, expert, own = inside.split(".")
            experts.setdefault(f"blk.{layer}.ffn_{EXPERTS[own]}_exps.weight", {})[int(expert)] = tensor
        else:
            found[f"blk.{layer}.{names[inside]}.{end}"] = tensor
    found |= {name: np.stack([each[number] for number in sorted(each)]) for name, each in experts.items()}
    return found


def add_rope(writer: gguf.GGUFWriter, config: dict[str, Any], size: int) -> dict[str, np.ndarray]:
    """What the file says of rotary embedding; returns the tensors that belong to it."""
    rope, pairs = config.get("rope_scaling") or {}, size // 2
    turning = int(size * config.get("partial_rotary_factor", 1))
    writer.add_rope_dimension_count(turning)
    theta = {"smollm3": 10000.0}.get(config["model_type"], config["rope_theta"])
    writer.add_rope_freq_base(theta)
    kind = rope.get("rope_type", rope.get("type"))
    if kind in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(kind))
        writer.add_rope_scaling_factor(rope["factor"])
        if kind == "yarn":
            writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if kind == "llama3":
        turns = theta ** (-np.arange(0, size, 2) / size)
        waves, old = 2 * np.pi / turns, rope["original_max_position_embeddings"]
        low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
        smooth = (old / waves - low) / (high - low)
        between = 1 / ((1 - smooth) / factor + smooth)
        factors = np.where(waves < old / high, 1, np.where(waves > old / low, factor, between))
        return {"rope_freqs.weight": factors.astype("float32")}
    if kind == "longrope":
        old = config["original_max_position_embeddings"]
        stretched = config["max_position_embeddings"] / old
        writer.add_rope_scaling_orig_ctx_len(old)
        writer.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(stretched) / np.log(old))))
        return {f"rope_factors_{name}.weight": np.float32(rope[f"{name}_factor"]) for name in ("long", "short")}
    assert pairs
    return {}


def write(
    path: Path, case: str, tensors: dict[str, np.ndarray], kind: str = "F32", quantize: Any = gguf.quantize
) -> None:
    """The file; matrices as GGML's `kind`."""
    config = cases.CASES[case]
    architecture, _, _ = ARCHITECTURES[config["model_type"]]
    writer = gguf.GGUFWriter(path, architecture)
    size = config.get("head_dim", config["hidden_size"] // config["num_attention_heads"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    more = add_rope(writer, config, size)
    if architecture.startswith("gemma"):
        writer.add_sliding_window(config["sliding_window"])
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    if experts := config.get("num_experts", config.get("num_local_experts")):
        writer.add_expert_count(experts)
        writer.add_expert_used_count(config["num_experts_per_tok"])
    if "moe_intermediate_size" in config:
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    add_tokenizer(writer, config["vocab_size"])
    for name, tensor in {**tensors_of(config, tensors), **more}.items():
        block = gguf.GGMLQuantizationType[kind if tensor.ndim > 1 and "gate_inp" not in name else "F32"]
        writer.add_tensor(name, quantize(np.ascontiguousarray(tensor), block), raw_dtype=block)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_tokenizer(writer: gguf.GGUFWriter, vocabulary: int) -> None:
    """Byte-pair encoding without a merge that matters."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*(chr(33 + number) for number in range(vocabulary - 3)), "!#", "<s>", "</s>"])
    writer.add_token_types([1] * (vocabulary - 2) + [3, 3])
    writer.add_token_merges(["! #"])
    writer.add_bos_token_id(vocabulary - 2)
    writer.add_eos_token_id(vocabulary - 1)
