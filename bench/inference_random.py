"""Write a GGUF file of SmolLM2's architecture and tokenizer, of another size and with random weights in bfloat16.

PYTHON bench/inference_random.py SMOLLM2.gguf FILE 0.5B
"""

import sys
from pathlib import Path

import gguf
import numpy as np

# Width, layers, heads, heads of keys, width inside: those of Qwen2.5.
SIZES = {"0.5B": (896, 24, 14, 2, 4864), "1.5B": (1536, 28, 12, 2, 8960), "3B": (2048, 36, 16, 2, 11008)}


def main(like: str, made: str, size: str) -> None:
    width, layers, heads, kept, inside = SIZES[size]
    reader = gguf.GGUFReader(like)
    writer = gguf.GGUFWriter(f"{made}.part", "llama")
    changed = {
        "block_count": layers,
        "embedding_length": width,
        "feed_forward_length": inside,
        "attention.head_count": heads,
        "attention.head_count_kv": kept,
        "rope.dimension_count": width // heads,
        "attention.key_length": width // heads,
        "attention.value_length": width // heads,
    }
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name not in ("general.architecture", "general.file_type"):
            value = changed.get(name.removeprefix("llama."), field.contents())
            inner = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(name, value, field.types[0], inner)
    numbers = np.random.default_rng(0)
    shapes = {"token_embd.weight": (len(reader.fields["tokenizer.ggml.tokens"].data), width)}
    for layer in range(layers):
        of_keys = kept * width // heads
        for name, shape in (
            ("attn_q", (width, width)),
            ("attn_k", (of_keys, width)),
            ("attn_v", (of_keys, width)),
            ("attn_output", (width, width)),
            ("ffn_gate", (inside, width)),
            ("ffn_up", (inside, width)),
            ("ffn_down", (width, inside)),
        ):
            shapes[f"blk.{layer}.{name}.weight"] = shape
    norms = [f"blk.{layer}.{name}_norm.weight" for layer in range(layers) for name in ("attn", "ffn")]
    for name, shape in shapes.items():
        weight = numbers.standard_normal(shape, "float32") * np.float32(0.02)
        packed = gguf.quants.quantize(weight, gguf.GGMLQuantizationType.BF16)
        writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType.BF16)
    for name in [*norms, "output_norm.weight"]:
        writer.add_tensor(name, np.ones(width, "float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    Path(f"{made}.part").rename(made)


if __name__ == "__main__":
    main(*sys.argv[1:])
