"""Tiny random checkpoints as files in Hugging Face's layout, and the batch that is asked of them.

The numbers are uniform ones of PCG64, with no logarithm or cosine in them, so they are the same bits on every machine:
what transformers answered for them once (reference.py) can be asked of Paddle anywhere.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY, START, END, IMAGE = 96, 90, 91, 92  # the last three: an image begins, ends, and each of its tokens
STEPS = 6  # tokens decoded after the prompts
SCALE = 0.15  # root mean square of a weight, so that logits differ by about 1

TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "hidden_act": "silu",
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "bos_token_id": 94,
    "eos_token_id": 95,
}
STRETCHED = {  # an old context so short that the 8 pairs of a head are kept, in between, and stretched
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
VISION = {
    "depth": 2,
    "embed_dim": 32,
    "hidden_size": 64,
    "num_heads": 2,
    "mlp_ratio": 2,
    "in_channels": 3,
    "patch_size": 4,
    "temporal_patch_size": 2,
    "spatial_merge_size": 2,
    "hidden_act": "quick_gelu",
}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama32": TEXT
    | {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "rope_scaling": STRETCHED, "rope_theta": 500000.0},
    "qwen2_vl": TEXT
    | {
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "model_type": "qwen2_vl",
        "tie_word_embeddings": False,
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
        "rope_theta": 10000.0,
        "vision_start_token_id": START,
        "vision_end_token_id": END,
        "image_token_id": IMAGE,
        "video_token_id": 93,
        "vision_config": VISION,
    },
    "qwen3": TEXT
    | {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 24, "rope_theta": 1000000.0},
}
PREPROCESSOR = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "min_pixels": 256,
    "max_pixels": 960,
    "patch_size": 4,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
# Height and width: as it is, too small, too large, rounded. And the merged rows and columns that follow.
IMAGES = {(24, 40): (3, 5), (9, 14): (2, 3), (90, 41): (5, 2), (27, 18): (3, 2)}


def write(folder: Path, architecture: str, shapes: Mapping[str, tuple[int, ...]], shards: int) -> str:
    """Write config.json and the weights of these shapes, in so many files; returns the weights' SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers, digest = np.random.default_rng(11), hashlib.sha256()
    weights = {}
    for name, shape in sorted(shapes.items()):
        weights[name] = (numbers.random(shape, np.float32) - np.float32(0.5)) * np.float32(SCALE * 12**0.5)
        if len(shape) == 1 and name.endswith("weight"):  # of a norm: around 1
            weights[name] += np.float32(1)
        digest.update(name.encode() + weights[name].tobytes())
    if shards == 1:
        write_safetensors(folder / "model.safetensors", weights)
    else:
        names = [f"model-{number + 1:05}-of-{shards:05}.safetensors" for number in range(shards)]
        where = {name: names[index % shards] for index, name in enumerate(weights)}
        for shard in names:
            write_safetensors(folder / shard, {name: weights[name] for name in weights if where[name] == shard})
        index = {"metadata": {"total_size": sum(w.nbytes for w in weights.values())}, "weight_map": where}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(CONFIGS[architecture], indent=1))
    if architecture == "qwen2_vl":
        (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=1))
    return digest.hexdigest()


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """The length of a header, the header in JSON, the data (https://huggingface.co/docs/safetensors)."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [end, end + tensor.nbytes]}
        end += tensor.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(tensor.tobytes() for tensor in tensors.values()))


def images() -> list[np.ndarray]:
    """The images, uint8 (height, width, 3)."""
    numbers = np.random.default_rng(12)
    return [numbers.integers(0, 256, (*size, 3), np.uint8) for size in IMAGES]


def batch(architecture: str) -> tuple[np.ndarray, np.ndarray]:
    """Prompts of different lengths: tokens (B, T), padded on the left with 0, and which are real (B, T).

    For Qwen2-VL the first has two images, the second two others, the third none.
    """
    numbers = np.random.default_rng(13)

    def words(count: int) -> list[int]:
        return numbers.integers(1, START, count).tolist()

    if architecture == "qwen2_vl":
        seen = [[START, *[IMAGE] * (rows * columns), END] for rows, columns in IMAGES.values()]
        prompts = [
            words(3) + seen[0] + words(2) + seen[1] + words(4),
            seen[2] + words(1) + seen[3] + words(2),
            words(9),
        ]
    else:
        prompts = [words(40), words(23), words(9)]
    longest = max(map(len, prompts))
    tokens = np.array([[0] * (longest - len(prompt)) + prompt for prompt in prompts])
    real = np.array([[False] * (longest - len(prompt)) + [True] * len(prompt) for prompt in prompts])
    return tokens, real
