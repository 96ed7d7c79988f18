"""Tiny models of every family that is read, as files: what transformers and llama.cpp answered for them is kept.

The numbers are uniform ones of PCG64, the same bits on every machine. Neither torch nor Paddle is needed here: the
program that asks the peers (reference.py) and the tests both write the files with this.
"""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY, STEPS = 96, 6
SCALE = 0.15  # root mean square of a weight, so that logits differ by about 1
LONG, MIDDLE, SHORT = 40, 23, 9  # tokens of the prompts
STRIDE = 5  # of all tokens of the prompts, every so many are kept
TEXT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rms_norm_eps": 1e-6,
    "hidden_act": "silu",
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
    "bos_token_id": 94,
    "eos_token_id": 95,
    "pad_token_id": 0,
    "rope_theta": 10000.0,
}


def _model(architecture: str, kind: str, **changes: Any) -> dict[str, Any]:
    return {**TEXT, "architectures": [architecture], "model_type": kind, **changes}


def _llama(**changes: Any) -> dict[str, Any]:
    return _model("LlamaForCausalLM", "llama", **changes)


def _llama_rope(**rope: Any) -> dict[str, Any]:
    return _llama(rope_scaling=rope)


GEMMA = {"hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 16, "sliding_window": 8}
PHI3 = {"original_max_position_embeddings": 32, "sliding_window": None}
LONGROPE = {
    "type": "longrope",
    "short_factor": [1.0, 1.05, 1.1, 1.2, 1.3, 1.5, 1.7, 2.0],
    "long_factor": [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 9.0],
}
SLIDES = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
CASES: dict[str, dict[str, Any]] = {
    "llama": _llama(),
    "llama-untied": _llama(tie_word_embeddings=False, rms_norm_eps=1e-5),
    "llama-biases": _llama(attention_bias=True, mlp_bias=True),
    "llama-gelu": _llama(hidden_act="gelu"),
    "llama-head-24": _llama(head_dim=24),
    "llama-odd-sizes": _llama(intermediate_size=90, vocab_size=101),
    "llama-llama3": _llama_rope(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64
    ),
    "llama-linear": _llama_rope(type="linear", factor=4.0),
    "llama-dynamic": {**_llama_rope(rope_type="dynamic", factor=2.0), "max_position_embeddings": 32},
    "llama-yarn": _llama_rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=32),
    "llama-yarn-all": _llama_rope(
        rope_type="yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=16, beta_slow=2, truncate=False,
        attention_factor=1.3,
    ),
    "mistral": _model("MistralForCausalLM", "mistral", sliding_window=None),
    "mistral-window": _model("MistralForCausalLM", "mistral", sliding_window=8),
    "mixtral": _model(
        "MixtralForCausalLM", "mixtral", num_local_experts=4, num_experts_per_tok=2, sliding_window=None
    ),
    "qwen2": _model("Qwen2ForCausalLM", "qwen2"),
    "qwen2-window": _model(
        "Qwen2ForCausalLM", "qwen2", use_sliding_window=True, sliding_window=8, max_window_layers=2
    ),
    "qwen3": _model("Qwen3ForCausalLM", "qwen3", head_dim=24),
    "qwen3-window": _model(
        "Qwen3ForCausalLM", "qwen3", use_sliding_window=True, sliding_window=8, layer_types=SLIDES, attention_bias=True
    ),
    "qwen3-moe": _model(
        "Qwen3MoeForCausalLM", "qwen3_moe", num_experts=6, num_experts_per_tok=2, moe_intermediate_size=32,
        norm_topk_prob=True,
    ),
    "qwen3-moe-some": _model(
        "Qwen3MoeForCausalLM", "qwen3_moe", num_experts=6, num_experts_per_tok=3, moe_intermediate_size=32,
        norm_topk_prob=False, mlp_only_layers=[1], decoder_sparse_step=1,
    ),
    "gemma2": _model(
        "Gemma2ForCausalLM", "gemma2", **GEMMA, attn_logit_softcapping=2.0, final_logit_softcapping=3.0
    ),
    "gemma3": _model(
        "Gemma3ForCausalLM", "gemma3_text", **GEMMA, num_hidden_layers=7, rope_theta=1e6
    ),
    "gemma3-stretched": _model(
        "Gemma3ForCausalLM", "gemma3_text", **GEMMA, sliding_window_pattern=2, rope_local_base_freq=1000.0,
        rope_scaling={"rope_type": "linear", "factor": 8.0},
    ),
    "phi3": _model("Phi3ForCausalLM", "phi3", **PHI3, tie_word_embeddings=False),
    "phi3-window": _model("Phi3ForCausalLM", "phi3", **{**PHI3, "sliding_window": 8}),
    "phi3-longrope": _model("Phi3ForCausalLM", "phi3", **PHI3, rope_scaling=LONGROPE),
    "phi3-part": _model("Phi3ForCausalLM", "phi3", **PHI3, partial_rotary_factor=0.75),
    "smollm3": _model("SmolLM3ForCausalLM", "smollm3"),
    "smollm3-window": _model(
        "SmolLM3ForCausalLM", "smollm3", use_sliding_window=True, sliding_window=8, no_rope_layers=[1, 0, 0, 1]
    ),
}  # fmt: skip
for _name, _case in CASES.items():
    if _name.startswith("phi3"):
        _case.pop("head_dim")


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Numbers for tensors of these shapes; of a norm around 1, unless the family adds the 1 itself."""
    numbers = np.random.default_rng(11)
    found = {}
    for name, shape in sorted(shapes.items()):
        found[name] = (numbers.random(tuple(shape), np.float32) - np.float32(0.5)) * np.float32(SCALE * 12**0.5)
        if "norm" in name:
            found[name] += np.float32(1)
    return found


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """The length of a header, the header in JSON, the data (https://huggingface.co/docs/safetensors)."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [end, end + tensor.nbytes]}
        end += tensor.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(tensor.tobytes() for tensor in tensors.values()))


def write_folder(folder: Path, config: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """A model's folder, with a tokenizer of 96 words; returns its tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = weights(shapes)
    write_safetensors(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps(config))
    words = {f"w{number}": number for number in range(config["vocab_size"])}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "w0"},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return tensors


def prompts() -> tuple[np.ndarray, np.ndarray]:
    """Three prompts of different lengths: tokens (B, T), padded on the left with 0, and which are real (B, T)."""
    numbers = np.random.default_rng(13)
    found = [numbers.integers(1, 90, count).tolist() for count in (LONG, MIDDLE, SHORT)]
    tokens = np.array([[0] * (LONG - len(prompt)) + prompt for prompt in found])
    return tokens, np.arange(LONG) >= LONG - np.array([[len(prompt)] for prompt in found])


def blocks(numbers: int, size: int) -> tuple[np.ndarray, int]:
    """1,000 blocks of `numbers` numbers and `size` bytes, of random bytes, and how many numbers they hold."""
    return np.random.default_rng(17).integers(0, 256, 1000 * size, np.uint8), 1000 * numbers


def digest(numbers: np.ndarray) -> str:
    """SHA-256 of the bits of float32 numbers, of which every NaN counts as the same."""
    return hashlib.sha256(np.where(np.isnan(numbers), np.float32(np.nan), numbers).tobytes()).hexdigest()
