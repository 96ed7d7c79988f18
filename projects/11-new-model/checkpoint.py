"""A checkpoint's folder: config.json, weights in one file or in shards; and which network reads it."""

import ast
import io
import json
import tokenize
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from llama32 import Llama32
from llm import ModelError
from llm.decoder import Llama
from llm.safetensors_file import Shards
from llm.unknown import refuse_keys, refuse_tensors
from qwen2_vl import Qwen2VL, Qwen25VL
from qwen3 import Qwen3

NETWORKS = {
    "LlamaForCausalLM": Llama32,
    "Qwen2VLForConditionalGeneration": Qwen2VL,
    "Qwen2_5_VLForConditionalGeneration": Qwen25VL,
    "Qwen3ForCausalLM": Qwen3,
}
# What later versions of transformers call the two halves of Qwen2-VL, and the names in the published files.
NESTED = {"model.visual.": "visual.", "model.language_model.": "model."}


class Weights(Mapping[str, np.ndarray]):
    """The tensors of a folder under the published names, as float32 arrays read when asked for."""

    def __init__(self, shards: Shards) -> None:
        self.shards, self.names = shards, {}
        for name in shards:
            old = next((old for old in NESTED if name.startswith(old)), "")
            self.names[name.replace(old, NESTED[old], 1) if old else name] = name

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape that the file's header states."""
        return tuple(self.shards.files[self.names[name]].entries[self.names[name]]["shape"])

    def __getitem__(self, name: str) -> np.ndarray:
        return self.shards[self.names[name]]

    def __iter__(self):
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def read_json(path: Path) -> dict[str, Any]:
    """A dictionary from a file. Raises ModelError if it is missing or damaged."""
    if not path.is_file():
        raise ModelError(f"there is no {path}: name a whole folder in Hugging Face's layout")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise ModelError(f"{path} is damaged, it holds no JSON object: fetch the file again") from None


def open_network(folder: Path) -> Llama:
    """The network of a folder with its weights on the device.

    Raises ModelError for an unknown architecture, for tensors that are missing or of another shape, and for keys and
    tensors that are unknown (as a bias would be, which leaving out makes a wrong answer).
    """
    config = read_json(folder / "config.json")
    config = {**config.get("text_config", {}), **config}  # later versions nest the decoder's numbers
    name = (config.get("architectures") or [config.get("model_type", "?")])[0]
    if name not in NETWORKS:
        raise ModelError(f"architecture {name!r} of {folder} is unknown here; there is {', '.join(NETWORKS)}")
    network = NETWORKS[name]
    refuse_keys(config, network.KNOWN)
    weights = Weights(Shards(folder))
    try:
        shapes = network.shapes(config)
        for tensor, shape in shapes.items():
            if tensor not in weights:
                raise ModelError(f"{folder} has no tensor {tensor}: the model is not whole; fetch the folder again")
            if weights.shape(tensor) != shape:
                found = weights.shape(tensor)
                raise ModelError(f"{folder}: {tensor} is {found}, config.json says {shape}; take both from one model")
        refuse_tensors(folder, list(weights), {*shapes, "lm_head.weight"})  # tied embeddings are at times saved twice
        return network(config, weights)
    except KeyError as error:
        raise ModelError(f"{folder / 'config.json'} has no {error}: fetch the file again") from None


def lines_of_code(path: Path) -> int:
    """The lines of a Python file that hold code: no blank ones, comments or docstrings."""
    source = path.read_text(encoding="utf-8")
    empty = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in empty:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return len(lines)
