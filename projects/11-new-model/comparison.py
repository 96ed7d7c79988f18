"""The networks against transformers, on tiny random checkpoints: prompts, cached decoding, images."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tiny
from checkpoint import NETWORKS, open_network
from llm import ModelError
from llm.decoder import KVCache
from llm.pictures import smart_resize
from PIL import Image
from qwen2_vl import Qwen2VL, preprocess

HERE = Path(__file__).resolve().parent
SHARDS = {"llama32": 3, "qwen2_vl": 2, "qwen3": 1}
OFFICIAL = (28, 56 * 56, 28 * 28 * 1280)  # factor, fewest and most pixels of the published Qwen2-VL


@dataclass
class Comparison:
    """How far one network is from transformers: of a token's logits or states in the Euclidean norm, relatively."""

    same_weights: bool  # the checkpoint is the one that the reference was made from
    prefill: float  # logits of all tokens of the prompts
    decode: float  # logits of the tokens decoded from the cache
    equal_tokens: float  # share of greedy tokens that are equal
    by_layer: np.ndarray  # (layers + 1,) of the hidden states
    by_position: np.ndarray  # (T + steps,) of the logits, over the batch
    tokens: np.ndarray  # (B, steps), the reference's
    logits: np.ndarray  # (B, steps, V), ours
    pixels: float = 0.0  # preprocessed images, greatest absolute difference


def read_reference(python: str, folder: Path) -> Mapping[str, np.ndarray]:
    """The stored reference, or what reference.py says now under the Python named. Raises ModelError if that fails."""
    if python == "stored":
        return np.load(HERE / "reference.npz")
    target = folder / "reference.npz"
    try:
        done = subprocess.run([python, str(HERE / "reference.py"), str(target)], capture_output=True, text=True)
    except OSError as error:
        raise ModelError(f"reference={python} cannot be started ({error.strerror}): name a Python") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ModelError(f"reference={python} failed ({reason}): it needs torch, transformers, pillow; or take stored")
    return np.load(target)


def compare(architecture: str, folder: Path, reference: Mapping[str, np.ndarray]) -> tuple[Comparison, list]:
    """Write the tiny checkpoint, load it, and ask it what transformers was asked; also the tensors used."""
    config = tiny.CONFIGS[architecture]
    shapes = NETWORKS[config["architectures"][0]].shapes(config)
    digest = tiny.write(folder, architecture, shapes, SHARDS[architecture])
    network = open_network(folder)
    expected = {name: reference[f"{architecture}.{name}"] for name in ("prefill", "states", "tokens", "decode")}
    tokens, real = tiny.batch(architecture)
    more, pixels = {}, 0.0
    if isinstance(network, Qwen2VL):
        settings = json.loads((folder / "preprocessor_config.json").read_text())
        pictures = [preprocess(Image.fromarray(image), settings) for image in tiny.images()]
        assert [list(grid) for _, grid in pictures] == reference["qwen2_vl.grids"].tolist()
        patches = np.concatenate([patches for patches, _ in pictures])
        pixels = float(np.abs(patches - reference["qwen2_vl.pixels"]).max())
        more = {"pictures": pictures}
    states: list = []
    cache = KVCache()
    logits = network.step(tokens, cache, real, states=states, **more)
    found, steps = logits.numpy(), [logits[:, -1].numpy()]
    # Each step is given the reference's token, so that one token chosen otherwise is counted once.
    for step in range(tiny.STEPS - 1):
        logits = network.step(expected["tokens"][:, step : step + 1], cache)
        steps.append(logits[:, -1].numpy())
    decode = np.stack(steps, 1)  # (B, steps, V)
    by_prompt = np.zeros(tokens.shape)
    by_prompt[real] = relative(found[real], expected["prefill"])
    by_step = relative(decode, expected["decode"]).max(0)
    comparison = Comparison(
        same_weights=digest == str(reference[f"{architecture}.sha256"]),
        prefill=float(by_prompt.max()),
        decode=float(by_step.max()),
        equal_tokens=float((decode.argmax(-1) == expected["tokens"]).mean()),
        by_layer=np.array(
            [relative(s.numpy()[real], e).max() for s, e in zip(states, expected["states"], strict=True)]
        ),
        by_position=np.concatenate([by_prompt.max(0), by_step[1:]]),
        tokens=expected["tokens"],
        logits=decode,
        pixels=pixels,
    )
    return comparison, [network, logits]


def relative(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """How far each token's vector (..., size) is from the one expected, over that one's length."""
    off = np.linalg.norm(found.astype("float64") - expected, axis=-1)
    return off / np.linalg.norm(expected.astype("float64"), axis=-1)


def equal_sizes(reference: Mapping[str, np.ndarray]) -> float:
    """The share of image sizes for which smart_resize gives what transformers' does."""
    sizes = reference["sizes"].tolist()
    return sum(smart_resize(height, width, *OFFICIAL) == (h, w) for height, width, h, w in sizes) / len(sizes)
