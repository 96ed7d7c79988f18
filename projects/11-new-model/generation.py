"""Text from a real checkpoint: the prompt in the model's chat template, images among it, greedy tokens."""

import time
from dataclasses import dataclass
from pathlib import Path

import llm
import numpy as np
from checkpoint import open_network, read_json
from llm.decoder import KVCache
from llm.tokenizer import from_folder
from PIL import Image, ImageOps
from qwen2_vl import Picture, Qwen2VL, preprocess


@dataclass
class Answer:
    """What a model said."""

    text: str
    tokens: int
    tokens_per_second: float  # after the first token
    used: list


def open_images(names: str, settings: dict) -> list[Picture]:
    """The images of files, their names with commas between them, as patches. Raises ModelError for what is none."""
    pictures = []
    for name in filter(None, names.split(",")):
        path = Path(name).expanduser()
        try:
            with Image.open(path) as image:
                pictures.append(preprocess(ImageOps.exif_transpose(image), settings))
        except FileNotFoundError:
            raise llm.ModelError(f"there is no image at {path}: name a file that is there") from None
        except (OSError, Image.DecompressionBombError) as error:
            raise llm.ModelError(f"{path} cannot be read as an image ({error}): take a whole PNG or JPEG") from None
    return pictures


def write_prompt(tokenizer: llm.Tokenizer, prompt: str, network, pictures: list[Picture]) -> list[int]:
    """The tokens of the conversation that begins with the prompt, behind its images."""
    if not pictures:
        return tokenizer.chat(prompt)
    content = [{"type": "image"} for _ in pictures] + [{"type": "text", "text": prompt}]
    tokens = tokenizer.encode(tokenizer.render([{"role": "user", "content": content}]))
    image_token = network.image_token
    if tokens.count(image_token) != len(pictures):
        raise llm.ModelError(
            f"the chat template writes {tokens.count(image_token)} image tokens for {len(pictures)} images: "
            "take the template that belongs to the model"
        )
    # The template has one token an image; the decoder wants one for each merged square.
    counts = iter(len(patches) // network.visual.config.merge**2 for patches, _ in pictures)
    return [token for found in tokens for token in [found] * (next(counts) if found == image_token else 1)]


def answer(folder: Path, prompt: str, image: str, limit: int) -> Answer:
    """Load the model in the folder and print its answer while it comes. Raises ModelError for what cannot be used."""
    if not folder.is_dir():
        raise llm.ModelError(f"there is no folder {folder}: name one in Hugging Face's layout, or leave model=tiny")
    network = open_network(folder)
    tokenizer = from_folder(folder)
    pictures: list[Picture] = []
    if image:
        if not isinstance(network, Qwen2VL):
            raise llm.ModelError(f"{folder.name} reads text alone: leave image= out, or name a Qwen2-VL model")
        pictures = open_images(image, read_json(folder / "preprocessor_config.json"))
    tokens = write_prompt(tokenizer, prompt, network, pictures)
    context = network.config.context
    if not 0 < len(tokens) < context:
        raise llm.ModelError(f"the prompt is {len(tokens)} tokens, the context {context}: an answer has no room")
    stream, found, times = llm.Stream(tokenizer, tokens), [], []
    print(f"\n> {prompt}" + (f"  [{image}]" if image else ""))
    more = {"pictures": pictures} if pictures else {}
    cache = KVCache()
    logits = network.step(np.array([tokens]), cache, last=True, **more)
    while len(found) < min(limit, context - len(tokens)):
        token = int(logits[0, -1].numpy().argmax())
        if token in tokenizer.stops:
            break
        found.append(token)
        times.append(time.perf_counter())
        print(stream.add(token), end="", flush=True)
        logits = network.step(np.array([[token]]), cache)
    print(stream.finish() + "\n")
    speed = (len(found) - 1) / (times[-1] - times[0]) if len(found) > 1 else 0.0
    return Answer(stream.text, len(found), speed, [network, logits])
