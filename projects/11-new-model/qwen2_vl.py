"""Qwen2-VL in Paddle's plain operators: images and text in, text out (https://arxiv.org/abs/2409.12191).

An image is resized to whole patches and cut up (`preprocess`). The vision tower of ../llm/vision.py turns each image's
patches into features; every square of 2 x 2 of them becomes one token. The decoder of ../llm/decoder.py reads these
among the text's tokens, with positions of three axes: time, row and column (../llm/places.py). What is new against
Llama stands in these and here. ./inv serve computes with them, too, batched and with Qwen2.5-VL's tower.

The shapes: B sequences, T new tokens each, S tokens so far, H heads of D numbers, KV key and value heads, V tokens in
the vocabulary; P patches of an image, m the side of a merged square.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from llm import ModelError
from llm.decoder import KVCache, Llama, turns_of
from llm.families import SEEING, SLIDING, from_hugging_face
from llm.pictures import Picture, Preparation
from llm.places import by_pair, positions
from llm.tensors import expected_shapes
from llm.vision import VisionTower
from llm.vision_config import vision_config
from PIL import Image

Config = Mapping[str, Any]
Shapes = dict[str, tuple[int, ...]]
PARTS = ("vision.py", "vision_config.py", "pictures.py", "places.py")  # of ../llm, that no model before needed


def preprocess(image: Image.Image, settings: Config) -> Picture:
    """The patches of an image; `settings` is the dictionary of the checkpoint's preprocessor_config.json."""
    return Preparation.of(settings).patches(image)


class Qwen2VL(Llama):
    """Tower and decoder on the current device, in float32; weights under Hugging Face's names."""

    ARCHITECTURE = "Qwen2VLForConditionalGeneration"
    KNOWN = ("text_config", *SEEING.split(), *SLIDING.split())

    @classmethod
    def shapes(cls, config: Config) -> Shapes:
        """Every tensor that a checkpoint of this configuration has: the tower's, and Llama's with biases."""
        tower = vision_config(cls.ARCHITECTURE, config["vision_config"])
        return tower.shapes() | expected_shapes(decoder_of(config))

    def __init__(self, config: Config, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__(decoder_of(config), weights)
        self.visual = VisionTower(vision_config(self.ARCHITECTURE, config["vision_config"]), weights)
        self.image_token = config["image_token_id"]

    def embed_with(self, tokens: np.ndarray, pictures: Sequence[Picture]) -> paddle.Tensor:
        """Vectors (B, T, hidden): of the text from the table, of image tokens from the tower, in the images' order."""
        table, ids, is_image = self.embedding, tokens.copy(), tokens == self.image_token
        expected = sum(len(patches) for patches, _ in pictures) // self.visual.config.merge**2
        if is_image.sum() != expected:
            raise ModelError(f"{is_image.sum()} image tokens for images of {expected}: one for each merged square")
        if pictures:
            ids[is_image] = table.shape[0] + np.arange(expected)  # the images' tokens continue the table
            table = paddle.concat([table, *(self.visual(picture) for picture in pictures)])
        return F.embedding(paddle.to_tensor(ids), table)

    @paddle.no_grad()
    def step(
        self,
        tokens: np.ndarray,
        cache: KVCache,
        real: np.ndarray | None = None,
        states: list[paddle.Tensor] | None = None,
        last: bool = False,
        pictures: Sequence[Picture] = (),
    ) -> paddle.Tensor:
        """As Llama's. The first step has the `pictures` of all sequences, in order, and an image token for each of
        their merged squares.
        """
        real = np.ones(tokens.shape, bool) if real is None else real
        first, m = cache.real is None, self.visual.config.merge
        x = self.embed_with(tokens, pictures) if first else self.embed(tokens)
        text, masks = cache.admit(real, set(self.config.windows))
        places = np.broadcast_to(text, (3, *text.shape))
        if first:
            grids = [(down // m, across // m) for _, (down, across) in pictures]
            places, after = positions(tokens, real, self.image_token, grids)
            cache.position = after[:, None]
        # M-RoPE: the position that a pair turns by is that on its own axis, (B, 1, T, D/2).
        turn = turns_of(self.config.ropes, by_pair(places, self.config.sections)[:, None], cache.length)
        x = self.hidden(x, turn, masks, cache, states)
        return self.logits(x[:, -1:] if last else x)


class Qwen25VL(Qwen2VL):
    """Qwen2.5-VL, whose tower has windows, RMSNorm and a gated feed-forward network."""

    ARCHITECTURE = "Qwen2_5_VLForConditionalGeneration"


def decoder_of(config: Config) -> Any:
    """The decoder's numbers; `config` has those of a nested text_config outside it, too."""
    return from_hugging_face({name: value for name, value in config.items() if name != "text_config"})
