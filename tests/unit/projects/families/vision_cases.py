"""Tiny models that see, as files, and conversations with pictures: what transformers answered is kept beside them.

As cases.py, whose random numbers these are: vision_reference.py asks transformers, test_vision.py asks this project.
"""

import base64
import io
import json
from pathlib import Path
from typing import Any

import cases
import numpy as np
from PIL import Image

STEPS = 12
BYTES = 256
SPECIAL = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
NUMBERS = {name: BYTES + number for number, name in enumerate(SPECIAL)}
# As the published models have it, but for films.
TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nSee.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT = {
    **{name: value for name, value in cases.TEXT.items() if name not in ("head_dim", "pad_token_id")},
    "vocab_size": BYTES + len(SPECIAL),
    "max_position_embeddings": 512,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
    "vision_start_token_id": 258,
    "vision_end_token_id": 259,
    "image_token_id": 260,
    "video_token_id": 261,
}
TOWER = {"depth": 3, "num_heads": 2, "patch_size": 4, "temporal_patch_size": 2, "spatial_merge_size": 2}
TOWERS: dict[str, dict[str, Any]] = {
    "qwen2_vl": {
        **TOWER,
        "embed_dim": 32,
        "hidden_size": 64,
        "mlp_ratio": 2,
        "in_channels": 3,
        "spatial_patch_size": 4,
    },
    "qwen2_5_vl": {
        **TOWER,
        "hidden_size": 32,
        "out_hidden_size": 64,
        "intermediate_size": 44,
        "hidden_act": "silu",
        "window_size": 16,  # pixels: 2 x 2 tokens
        "fullatt_block_indexes": [1],
        "tokens_per_second": 2,
        "in_chans": 3,
    },
}
ARCHITECTURES = {
    "qwen2_vl": "Qwen2VLForConditionalGeneration",
    "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
}


def _model(kind: str, **changes: Any) -> dict[str, Any]:
    named = {"architectures": [ARCHITECTURES[kind]], "model_type": kind, "vision_config": TOWERS[kind]}
    return {**TEXT, **named, **changes}


YARN = {"type": "yarn", "mrope_section": [2, 3, 3], "factor": 4.0, "original_max_position_embeddings": 64}
CASES = {
    "qwen2-vl": _model("qwen2_vl", tie_word_embeddings=False),
    "qwen2-vl-window": _model(  # tied, with heads of 24 numbers
        "qwen2_vl",
        hidden_size=96,
        rope_scaling={"type": "mrope", "mrope_section": [4, 3, 5]},
        vision_config={**TOWERS["qwen2_vl"], "hidden_size": 96},
        use_sliding_window=True,
        sliding_window=40,
        max_window_layers=2,
    ),
    "qwen2.5-vl": _model("qwen2_5_vl"),
    "qwen2.5-vl-yarn": _model("qwen2_5_vl", tie_word_embeddings=False, rope_scaling=YARN),
}
PREPROCESSOR = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "min_pixels": 256,
    "max_pixels": 3000,
    "patch_size": 4,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
# Height and width: 3 x 5 tokens, the same again, enlarged, reduced, and rounded.
SIZES = [(24, 40), (24, 40), (9, 14), (90, 41), (44, 35)]


def pictures() -> list[Image.Image]:
    """Coloured squares, so that pictures differ in more than noise."""
    numbers = np.random.default_rng(21)
    small = [numbers.integers(0, 256, (4, 5, 3), np.uint8) for _ in SIZES]
    return [Image.fromarray(each).resize(size[::-1], Image.Resampling.NEAREST) for each, size in zip(small, SIZES)]  # noqa: B905


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def said(role: str, *parts: str | int) -> dict[str, Any]:
    """A message: of text alone, or of texts and numbers of pictures."""
    if all(isinstance(part, str) for part in parts):
        return {"role": role, "content": "".join(map(str, parts))}
    return {"role": role, "content": list(parts)}


CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "text": [said("user", "How many apples?")],
    "a picture": [said("user", 0, "What is it?")],
    "another of its size": [said("user", 1, "What is it?")],
    "two": [said("user", "Here: ", 2, " and ", 3, ". Which?")],
    "two others": [said("user", "Here: ", 3, " and ", 2, ". Which?")],
    "side by side": [said("user", 4, 0)],
    "turns": [said("user", 0, "What is it?"), said("assistant", "A red one."), said("user", "And this? ", 3)],
    "a system": [
        said("system", "Be brief."),
        said("user", "Look ", 4),
        said("assistant", "Yes."),
        said("user", "Why?"),
    ],
}


def for_templates(conversation: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As transformers' templates read it."""

    def parts(content: Any) -> Any:
        if isinstance(content, str):
            return content
        return [{"type": "text", "text": each} if isinstance(each, str) else {"type": "image"} for each in content]

    return [{**message, "content": parts(message["content"])} for message in conversation]


def for_clients(conversation: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As clients of OpenAI's API send it."""
    urls = [f"data:image/png;base64,{base64.b64encode(png(each)).decode()}" for each in pictures()]

    def parts(content: Any) -> Any:
        if isinstance(content, str):
            return content
        return [
            {"type": "text", "text": each}
            if isinstance(each, str)
            else {"type": "image_url", "image_url": {"url": urls[each]}}
            for each in content
        ]

    return [{**message, "content": parts(message["content"])} for message in conversation]


def shown(conversation: list[dict[str, Any]]) -> list[Image.Image]:
    """The pictures of a conversation, in order."""
    found, every = [], pictures()
    for message in conversation:
        found += [every[each] for each in message["content"] if isinstance(each, int)]
    return found


def write_folder(folder: Path, config: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> None:
    """A model's folder: weights, tokenizer of bytes, template, and how pictures are prepared."""
    cases.write_folder(folder, config, shapes)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    # GPT-2's characters for bytes: those that print are themselves, the others follow from 256 on.
    prints = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    vocabulary = {chr(byte if byte in prints else next(others)): byte for byte in range(BYTES)}
    added = [
        {"id": number, "content": name, "special": True, "normalized": False, "single_word": False}
        | {"lstrip": False, "rstrip": False}
        for name, number in NUMBERS.items()
    ]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": level, "post_processor": None, "decoder": level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    names = {"eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **names}))
