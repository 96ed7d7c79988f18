"""Qwen2-VL in Paddle's plain operators: images and text in, text out (https://arxiv.org/abs/2409.12191).

An image is resized to whole patches and cut up (`preprocess`). A vision tower turns each image's patches into
features; every square of 2 x 2 of them becomes one token (`VisionTower`). The decoder of ../llm/decoder.py reads these
among the text's tokens, with positions of three axes: time, row and column (`positions`, `Qwen2VL`).

The shapes: B sequences, T new tokens each, S tokens so far, H heads of D numbers, KV key and value heads, V tokens in
the vocabulary; P patches of an image, E the tower's width, m the side of a merged square.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from llm import ModelError
from llm.config import numbers
from llm.decoder import KVCache, Linear, Llama, Part, rotate, turns
from llm.rope import rotary_frequencies
from llm.tensors import expected_shapes
from llm.unknown import refuse_rope
from paddle import nn
from PIL import Image

VISION_EPSILON = 1e-6  # of the tower's LayerNorms
VISION_THETA = 10000.0
VISION_TOKENS = ("vision_start_token_id", "vision_end_token_id", "vision_token_id")
# What the other keys of vision_config and of preprocessor_config.json may say: what is computed here.
VISION_READ = """
    depth embed_dim hidden_size num_heads mlp_ratio patch_size spatial_patch_size spatial_merge_size temporal_patch_size
    model_type initializer_range torch_dtype dtype
"""
VISION_SAYS = {"hidden_act": ("quick_gelu",), "in_channels": (3,), "in_chans": (3,)}
PICTURES_READ = """
    image_processor_type processor_class feature_extractor_type min_pixels max_pixels size patch_size
    temporal_patch_size merge_size image_mean image_std
"""
PICTURES_SAY = {
    "do_convert_rgb": (True,),
    "do_normalize": (True,),
    "do_rescale": (True,),
    "do_resize": (True,),
    "rescale_factor": (1 / 255, 0.00392156862745098),
    "resample": (3,),  # PIL's bicubic
    "data_format": ("channels_first",),
}
ROWS = 1024  # patches that attend at once: a photo has 10,000, and scores for each pair of them fill the memory
Config = Mapping[str, Any]
Shapes = dict[str, tuple[int, ...]]
Picture = tuple[np.ndarray, tuple[int, int]]  # patches (P, 3 · 2 · p · p), and how many down and across


def refuse(file: str, settings: Config, read: str, says: Mapping[str, tuple]) -> None:
    """Raise ModelError for what a file says and is not computed here."""
    for name, value in settings.items():
        if name not in read.split() and value is not None and value not in says.get(name, ()):
            raise ModelError(f"{file} has {name!r}: {value!r}, which is not computed here: take another model")


# ---- from an image to patches, as transformers' Qwen2VLImageProcessor makes them


def smart_resize(height: int, width: int, factor: int, fewest: int, most: int) -> tuple[int, int]:
    """The nearest height and width in multiples of `factor`, with `fewest` to `most` pixels in all.

    Raises ModelError for a strip more than 200 times as long as wide.
    """
    if max(height, width) > 200 * min(height, width):
        raise ModelError(f"the image is {width} x {height}: at most 200 times as long as wide is possible; crop it")
    rows, columns = round(height / factor) * factor, round(width / factor) * factor
    if rows * columns > most:
        shrink = math.sqrt(height * width / most)
        rows, columns = (max(factor, math.floor(side / shrink / factor) * factor) for side in (height, width))
    elif rows * columns < fewest:
        grow = math.sqrt(fewest / (height * width))
        rows, columns = (math.ceil(side * grow / factor) * factor for side in (height, width))
    return rows, columns


def preprocess(image: Image.Image, settings: Config) -> Picture:
    """The patches of an image; `settings` is the dictionary of the checkpoint's preprocessor_config.json."""
    refuse("preprocessor_config.json", settings, PICTURES_READ, PICTURES_SAY)
    p, m, times = settings["patch_size"], settings["merge_size"], settings["temporal_patch_size"]
    size = settings.get("size", {})
    fewest = settings.get("min_pixels") or size["shortest_edge"]
    most = settings.get("max_pixels") or size["longest_edge"]
    image = image.convert("RGB")
    rows, columns = smart_resize(image.height, image.width, p * m, fewest, most)
    pixels = np.asarray(image.resize((columns, rows), Image.Resampling.BICUBIC), "float32") / 255
    pixels = (pixels - np.float32(settings["image_mean"])) / np.float32(settings["image_std"])  # (rows, columns, 3)
    # The patches of a merged square follow each other: (down, m, p, across, m, p, 3) → (down, across, m, m, 3, p, p).
    down, across = rows // p, columns // p
    patches = pixels.reshape(down // m, m, p, across // m, m, p, 3).transpose(0, 3, 1, 4, 6, 2, 5)
    # The tower expects moments of a film; an image is a moment that stays: (P, 3, times, p, p).
    patches = np.repeat(patches.reshape(down * across, 3, 1, p, p), times, 2)
    return patches.reshape(down * across, -1), (down, across)


# ---- positions


def positions(
    tokens: np.ndarray, real: np.ndarray, image_token: int, grids: Sequence[tuple[int, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Time, row and column of each token (3, B, T), and the position after the last (B,).

    Text goes on by 1 on all three axes. An image's tokens stand at one time, in `grids` rows and columns; the text
    after it begins behind the longer of the two. Raises ModelError for an image whose tokens are not all there.
    """
    found = np.zeros((3, *tokens.shape), int)
    after, images = [], iter(grids)
    for b, row in enumerate(tokens):
        place, left = 0, list(np.flatnonzero(real[b]))
        while left:
            if row[left[0]] == image_token:
                down, across = next(images)
                here, left = left[: down * across], left[down * across :]
                if len(here) != down * across or (row[here] != image_token).any():
                    raise ModelError(
                        f"an image of {down} x {across} tokens has fewer in its sequence: give it them all"
                    )
                found[1, b, here], found[2, b, here] = np.divmod(np.arange(down * across), across)
                found[:, b, here] += place
                place += max(down, across)
            else:
                found[:, b, left.pop(0)] = place
                place += 1
        after.append(place)
    return found, np.array(after)


# ---- the vision tower


class LayerNorm(nn.Layer):
    """x (..., E) with a mean of 0 and a variance of 1, times the weight, plus the bias."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("weight", paddle.to_tensor(weight))
        self.register_buffer("bias", paddle.to_tensor(bias))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = x - x.mean(-1, keepdim=True)
        return x * paddle.rsqrt((x * x).mean(-1, keepdim=True) + VISION_EPSILON) * self.weight + self.bias


class VisionBlock(nn.Layer):
    """x + attention(norm(x)), then the same with a feed-forward network; every patch sees every other."""

    def __init__(self, part: Part, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = LayerNorm(*part("norm1")), LayerNorm(*part("norm2"))
        self.qkv, self.proj = Linear(*part("attn.qkv")), Linear(*part("attn.proj"))
        self.fc1, self.fc2 = Linear(*part("mlp.fc1")), Linear(*part("mlp.fc2"))

    def attention(self, x: paddle.Tensor, turn: tuple) -> paddle.Tensor:
        qkv = self.qkv(x).reshape([len(x), 3 * self.heads, -1]).transpose([1, 0, 2])
        q, k, v = paddle.split(qkv, 3, axis=0)  # (H, P, D) each
        q, k, mixed = rotate(q, *turn) * q.shape[-1] ** -0.5, rotate(k, *turn), []
        for rows in paddle.split(q, [min(ROWS, len(x) - row) for row in range(0, len(x), ROWS)], axis=1):
            shares = F.softmax(paddle.matmul(rows, k, transpose_y=True))  # (H, rows, P)
            mixed.append(paddle.matmul(shares, v))
        return self.proj(paddle.concat(mixed, 1).transpose([1, 0, 2]).reshape([len(x), -1]))  # (P, E)

    def forward(self, x: paddle.Tensor, turn: tuple) -> paddle.Tensor:
        x = x + self.attention(self.norm1(x), turn)
        y = self.fc1(self.norm2(x))
        return x + self.fc2(y * F.sigmoid(1.702 * y))  # "quick" GELU


class VisionTower(nn.Layer):
    """From the patches of one image to its tokens; `config` is vision_config of the checkpoint's config.json."""

    def __init__(self, config: Config, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.config = config
        # The 3D convolution's stride is its kernel: a linear layer.
        kernel = weights["visual.patch_embed.proj.weight"]
        self.patch_embed = Linear(kernel.reshape(len(kernel), -1))
        parts = [Part(weights, f"visual.blocks.{number}.") for number in range(config["depth"])]
        self.blocks = nn.LayerList([VisionBlock(part, config["num_heads"]) for part in parts])
        merger = Part(weights, "visual.merger.")
        self.norm, self.first, self.second = (
            LayerNorm(*merger("ln_q")),
            Linear(*merger("mlp.0")),
            Linear(*merger("mlp.2")),
        )

    def forward(self, picture: Picture) -> paddle.Tensor:
        """The tokens of one image, (P / m², hidden): its patches attend to each other and to no other image's."""
        (patches, (down, across)), m, count = picture, self.config["spatial_merge_size"], len(picture[0])
        size = self.config["embed_dim"] // self.config["num_heads"]
        # Half of a head's pairs turn by the patch's row, half by its column, in the patches' order.
        grid = np.indices((down, across)).reshape(2, down // m, m, across // m, m).transpose(1, 3, 2, 4, 0)
        slow = rotary_frequencies(VISION_THETA, size // 2)  # (D/4,)
        turn = turns((grid.reshape(count, 2, 1) * slow).reshape(count, size // 2))  # (P, D) each
        x = self.patch_embed(paddle.to_tensor(patches))  # (P, E)
        for block in self.blocks:
            x = block(x, turn)
        return self.second(F.gelu(self.first(self.norm(x).reshape([count // m**2, -1]))))


# ---- the network


class Qwen2VL(Llama):
    """Tower and decoder on the current device, in float32; weights under Hugging Face's names."""

    KNOWN = ("text_config", "vision_config", "image_token_id", "video_token_id", *VISION_TOKENS)

    @staticmethod
    def shapes(c: Config) -> Shapes:
        """Every tensor that a checkpoint of this configuration has: Llama's with biases, and the tower's."""
        known, v = numbers(c), c["vision_config"]
        width, p, wide = v["embed_dim"], v["patch_size"], int(v["embed_dim"] * v["mlp_ratio"])
        merged = width * v["spatial_merge_size"] ** 2

        def linear(name: str, outputs: int, inputs: int) -> Shapes:
            return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}

        def norm(name: str) -> Shapes:
            return {f"{name}.weight": (width,), f"{name}.bias": (width,)}

        shapes: Shapes = {"visual.patch_embed.proj.weight": (width, 3, v["temporal_patch_size"], p, p)}
        for number in range(v["depth"]):
            block = f"visual.blocks.{number}."
            shapes |= norm(block + "norm1") | norm(block + "norm2")
            shapes |= linear(block + "attn.qkv", 3 * width, width) | linear(block + "attn.proj", width, width)
            shapes |= linear(block + "mlp.fc1", wide, width) | linear(block + "mlp.fc2", width, wide)
        shapes |= norm("visual.merger.ln_q")
        shapes |= linear("visual.merger.mlp.0", merged, merged) | linear("visual.merger.mlp.2", known.hidden, merged)
        decoder = expected_shapes(known)
        biased = tuple(f"{name}_proj.weight" for name in "qkv")
        biases = {name.replace("weight", "bias"): decoder[name][:1] for name in decoder if name.endswith(biased)}
        return shapes | decoder | biases

    def __init__(self, config: Config, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__(numbers({"rope_theta": 1000000.0, **config}), weights)
        refuse("config.json's vision_config", config["vision_config"], VISION_READ, VISION_SAYS)
        self.visual = VisionTower(config["vision_config"], weights)
        self.frequencies = rotary_frequencies(self.config.rope_theta, self.config.head_dim)
        self.image_token = config["image_token_id"]
        # Each pair of a head turns by one axis: the first so many by time, then by row, then by column.
        rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        refuse_rope(rope, ("mrope_section",))
        sections = rope["mrope_section"]
        self.axes = np.repeat([0, 1, 2], sections)  # (D/2,)
        if self.axes.size != self.config.head_dim // 2:
            raise ModelError(f"mrope_section {sections} does not sum to half a head, {self.config.head_dim // 2}")

    def embed(self, tokens: np.ndarray, pictures: Sequence[Picture]) -> paddle.Tensor:
        """Vectors (B, T, hidden): of the text from the table, of image tokens from the tower, in the images' order."""
        table, ids, is_image = self.embedding, tokens.copy(), tokens == self.image_token
        expected = sum(len(patches) for patches, _ in pictures) // self.visual.config["spatial_merge_size"] ** 2
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
        first, m = cache.real is None, self.visual.config["spatial_merge_size"]
        x = self.embed(tokens, pictures) if first else F.embedding(paddle.to_tensor(tokens), self.embedding)
        text, masks = cache.admit(real)
        places = np.broadcast_to(text, (3, *text.shape))
        if first:
            grids = [(down // m, across // m) for _, (down, across) in pictures]
            places, after = positions(tokens, real, self.image_token, grids)
            cache.position = after[:, None]
        # M-RoPE: the position that a pair turns by is that on its own axis, (B, 1, T, D/2).
        turn = turns(places[self.axes].transpose(1, 2, 0)[:, None] * self.frequencies)
        x = self.hidden(x, [turn], masks, cache, states)
        return self.head(x[:, -1:] if last else x)
