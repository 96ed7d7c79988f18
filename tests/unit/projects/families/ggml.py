"""Write ggml.json: what GGML's own code makes of blocks of random bytes; and print how far llama.cpp is from the truth.

    PYTHON tests/unit/projects/families/ggml.py [FILE]

with a Python that has xllamacpp, gguf and numpy: its library exports GGML's and llama.cpp's functions. The truth is the
decoder of llm/exact.py in float64, with the file's weights. llama.cpp rounds what each product is given, to what goes
with the weight's type (`ROUNDED`): with the same rounding put into the truth, the distance must nearly vanish where no
number lies so close to the middle of two that float32 rounds it to the other side.
"""

import ctypes
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import cases
import gguf
import gguf_files
import numpy as np
import xllamacpp
from xllamacpp import llama_flash_attn_type
from xllamacpp import xllamacpp as extension

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "projects"))
import llm.gguf_file
from llm import exact, gguf_config
from llm.tensors import Weights, expected_shapes, in_gguf

LIBRARY = ctypes.CDLL(extension.__file__)
POINTER, LONG = ctypes.c_void_p, ctypes.c_int64
LIBRARY.ggml_quantize_chunk.argtypes = [ctypes.c_int, POINTER, POINTER, LONG, LONG, LONG, POINTER]
TYPES = [
    "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ1_S", "IQ1_M", "IQ2_XXS",
    "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0", "MXFP4", "NVFP4",
]  # fmt: skip
ASKED = [
    "F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
    "IQ4_XS", "IQ3_S", "MXFP4",
]  # fmt: skip
WIDE = cases.TEXT | {
    "hidden_size": 256,
    "intermediate_size": 512,
    "head_dim": 64,
    "architectures": ["LlamaForCausalLM"],
}
WIDE |= {"model_type": "llama"}  # rows of whole blocks of 256


def c_function(kind: str) -> str:
    stem, _, end = kind.partition("_")
    return f"dequantize_row_{stem.lower()}" + (f"_{end if end == 'K' else end.lower()}" if end else "")


def digest(kind: str) -> str:
    """SHA-256 of what GGML makes of the type's random blocks; every NaN counts as the same."""
    raw, numbers = cases.blocks(*gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]])
    function = getattr(LIBRARY, c_function(kind))
    function.argtypes, found = [POINTER, POINTER, LONG], np.zeros(numbers, np.float32)
    function(raw.ctypes.data, found.ctypes.data, numbers)
    return cases.digest(found)


def quantised(tensor: np.ndarray, kind: gguf.GGMLQuantizationType) -> np.ndarray:
    """By GGML's own code, which knows more types than the package."""
    if kind.name in ("F32", "F16", "BF16"):
        return gguf.quantize(tensor, kind)
    block, size = gguf.GGML_QUANT_SIZES[kind]
    found, weights = np.zeros(tensor.size // block * size, np.uint8), np.ones(tensor.shape[-1], np.float32)
    LIBRARY.ggml_quantize_init(int(kind))
    places = [each.ctypes.data for each in (tensor, found)]
    LIBRARY.ggml_quantize_chunk(int(kind), *places, 0, *tensor.shape, weights.ctypes.data)
    return found.reshape(len(tensor), -1)


def to_8_bits(x: np.ndarray) -> np.ndarray:
    """quantize_row_q8_0: blocks of 32 with a scale in float16."""
    blocks = x.astype(np.float32).reshape(-1, 32)
    scale = np.abs(blocks).max(-1, keepdims=True) / np.float32(127)
    whole = np.round(blocks * (1 / np.maximum(scale, np.float32(1e-30))))
    return (whole * scale.astype(np.float16).astype(np.float32)).reshape(x.shape)


def sums_in_16_bits(x: np.ndarray) -> np.ndarray:
    """quantize_row_q8_1 keeps each block's sum in float16, for weights with a minimum: how far off it is."""
    blocks = x.astype(np.float32).reshape(*x.shape[:-1], -1, 32)
    scale = np.abs(blocks).max(-1, keepdims=True) / np.float32(127)
    whole = np.round(blocks * (1 / np.maximum(scale, np.float32(1e-30))))
    return to_16_bits((scale * whole).sum(-1, dtype=np.float32)) - to_8_bits(x).reshape(blocks.shape).sum(-1)


class WithMinima(exact.Decoder):
    """Products of Q4_1 and Q5_1: a weight is a scale times a number, plus a minimum, which meets the sums."""

    minima: Weights

    def product(self, x: np.ndarray, *names: str) -> list[np.ndarray]:
        off, found = sums_in_16_bits(x), super().product(x, *names)
        return [y + off @ self.minima[f"{name}.weight"][:, ::32].T for y, name in zip(found, names, strict=True)]


def to_8_bits_of_256(x: np.ndarray) -> np.ndarray:
    """quantize_row_q8_K: blocks of 256 with a scale in float32, by the number that is the largest."""
    blocks = x.astype(np.float32).reshape(-1, 256)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[:, None], -1)
    inverse = np.float32(-127) / largest
    return (np.minimum(np.round(blocks * inverse), 127) / inverse).reshape(x.shape)


def to_16_bits(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float16).astype(np.float32)


def to_bfloat16(x: np.ndarray) -> np.ndarray:
    raw = gguf.quantize(np.ascontiguousarray(x, np.float32), gguf.GGMLQuantizationType.BF16)
    return llm.gguf_file.dequantise(raw, 30, x.shape)


ROUNDED = {"F32": exact.unchanged, "F16": to_16_bits, "BF16": to_bfloat16}
ROUNDED |= {kind: to_8_bits_of_256 for kind in ASKED if kind.endswith("_K") or kind in ("IQ4_XS", "IQ3_S")}


def log_shares(logits: np.ndarray) -> np.ndarray:
    found = logits - logits.max(-1, keepdims=True)
    return found - np.log(np.exp(found).sum(-1, keepdims=True))


def asked(file: Path, prompts: list[list[int]]) -> np.ndarray:
    """llama.cpp's log-probabilities of the token behind each prompt; its cache in float32, its products as they are."""
    p, plain = xllamacpp.CommonParams(), xllamacpp.ggml_type.GGML_TYPE_F32
    p.model.path, p.n_ctx, p.n_parallel, p.warmup, p.no_extra_bufts = str(file), 128, 1, False, True
    p.cache_type_k, p.cache_type_v, p.verbosity = plain, plain, 0
    p.flash_attn_type = llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    server, found = xllamacpp.Server(p), np.full((len(prompts), cases.VOCABULARY), np.nan)
    for row, prompt in zip(found, prompts, strict=True):
        wanted = {"prompt": prompt, "n_predict": 1, "n_probs": row.size, "temperature": 0, "cache_prompt": False}
        said = server.handle_completions(wanted)["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        for token in said:
            row[token["id"]] = token["logprob"]
    return found


def read(file: Path, tensors: dict[str, np.ndarray], kind: str, quantize: Any) -> tuple[llm.Config, Weights]:
    """Write the file, and open it."""
    gguf_files.write(file, "wide", tensors, kind, quantize)
    opened = llm.gguf_file.GGUFFile(file)
    config = gguf_config.from_gguf(opened.metadata, opened)
    shapes = expected_shapes(config)
    return config, Weights(file, opened, shapes, in_gguf("llama", config, shapes, permuted=True))


def without_scales(tensor: np.ndarray, kind: gguf.GGMLQuantizationType) -> np.ndarray:
    """The blocks with scales of 0: what is left of a weight is its minimum."""
    found = quantised(tensor, kind)
    if kind.name.endswith("_1"):
        found.reshape(-1, gguf.GGML_QUANT_SIZES[kind][1])[:, :2] = 0
    return found


def compare(kind: str, file: Path, tensors: dict[str, np.ndarray], prompts: list[list[int]]) -> None:
    config, weights = read(file, tensors, kind, quantised)
    plain = exact.Decoder
    if kind.endswith("_1"):
        _, WithMinima.minima = read(file.with_suffix(".minima"), tensors, kind, without_scales)

    def answer(rounding: exact.Rounding) -> np.ndarray:
        exact.Decoder = WithMinima if kind.endswith("_1") and rounding is not exact.unchanged else plain
        rows = [exact.logits(config, weights, np.array(prompt), inputs=rounding)[-1] for prompt in prompts]
        exact.Decoder = plain
        return log_shares(np.array(rows))

    theirs, truth, rounded = asked(file, prompts), answer(exact.unchanged), answer(ROUNDED.get(kind, to_8_bits))
    off, left = (np.abs(theirs - each).max(-1) for each in (truth, rounded))
    print(f"{kind:8}{off.max():14.1e}{left.max():22.1e}{np.median(left):12.1e}{left.min():12.1e}", flush=True)


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("ggml.json")
    made = {"version": f"xllamacpp {xllamacpp.__version__}", "blocks": {kind: digest(kind) for kind in TYPES}}
    target.write_text(json.dumps(made, indent=1) + "\n")
    numbers = np.random.default_rng(3)
    prompts = [numbers.integers(0, 90, count).tolist() for count in (1, 1, 2, 2, 5, 9, 17, 30)]
    cases.SCALE, cases.CASES["wide"] = 0.08, WIDE
    tensors = cases.weights(expected_shapes(llm.families.from_hugging_face(WIDE)))
    print("largest difference of a log-probability of llama.cpp's")
    print("weights   to the truth   with its roundings: most, median and least of the prompts")
    with tempfile.TemporaryDirectory() as folder:
        for kind in ASKED:
            compare(kind, Path(folder, f"{kind}.gguf"), tensors, prompts)


if __name__ == "__main__":
    main()
