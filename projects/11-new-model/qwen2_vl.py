"""Qwen2-VL in Paddle's plain operators: images and text in, text out (https://arxiv.org/abs/2409.12191).

An image is resized to whole patches and cut up (`preprocess`). A vision tower turns each image's patches into
features; every square of 2 x 2 of them becomes one token (`see`). A decoder reads these among the text's tokens, with
positions of three axes: time, row and column (`positions`, `step`).

The shapes: B sequences, T new tokens each, S tokens so far, H heads of D numbers, KV key and value heads, V tokens in
the vocabulary; P patches of an image, E the tower's width, m the side of a merged square.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from llm import ModelError
from PIL import Image

NOT_SEEN = -1e9  # added to a score before the softmax
VISION_EPSILON = 1e-6  # of the tower's LayerNorms
VISION_THETA = 10000.0
ROWS = 1024  # patches that attend at once: a photo has 10,000, and scores for each pair of them fill the memory
Config = Mapping[str, Any]
Shapes = dict[str, tuple[int, ...]]
Picture = tuple[np.ndarray, tuple[int, int]]  # patches (P, 3 · 2 · p · p), and how many down and across


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


# ---- the network


@dataclass
class Cache:
    """What a step leaves to the next one."""

    layers: list[tuple[paddle.Tensor, paddle.Tensor]]  # keys and values: (B, KV, S, D) each
    real: np.ndarray  # (B, S), False where a shorter sequence is padded
    position: np.ndarray  # (B,) of the next token, on all three axes


def rms_norm(x: paddle.Tensor, weight: paddle.Tensor, epsilon: float) -> paddle.Tensor:
    """x (..., size) scaled to a root mean square of 1, times the weight (size,)."""
    return x * paddle.rsqrt((x * x).mean(-1, keepdim=True) + epsilon) * weight


def rotate(x: paddle.Tensor, cos: paddle.Tensor, sin: paddle.Tensor) -> paddle.Tensor:
    """Turn the pairs (i, i + D/2) of x (..., T, D) by the angles whose cos and sin are given."""
    first, second = paddle.split(x, 2, axis=-1)
    return x * cos + paddle.concat([-second, first], -1) * sin


def turns(angles: np.ndarray) -> tuple[paddle.Tensor, paddle.Tensor]:
    """cos and sin (..., D) of the angles (..., D/2) of a head's pairs."""
    angles = np.concatenate([angles, angles], -1)
    return paddle.to_tensor(np.cos(angles).astype("float32")), paddle.to_tensor(np.sin(angles).astype("float32"))


class Qwen2VL:
    """Tower and decoder on the current device, in float32; weights under Hugging Face's names."""

    @staticmethod
    def shapes(c: Config) -> Shapes:
        """Every tensor that a checkpoint of this configuration has."""
        hidden, inner, v = c["hidden_size"], c["intermediate_size"], c["vision_config"]
        keys = hidden // c["num_attention_heads"] * c["num_key_value_heads"]
        width, p, wide = v["embed_dim"], v["patch_size"], int(v["embed_dim"] * v["mlp_ratio"])
        merged = width * v["spatial_merge_size"] ** 2

        def linear(name: str, outputs: int, inputs: int, bias: bool = True) -> Shapes:
            return {f"{name}.weight": (outputs, inputs)} | ({f"{name}.bias": (outputs,)} if bias else {})

        def norm(name: str) -> Shapes:
            return {f"{name}.weight": (width,), f"{name}.bias": (width,)}

        shapes: Shapes = {"visual.patch_embed.proj.weight": (width, 3, v["temporal_patch_size"], p, p)}
        for number in range(v["depth"]):
            block = f"visual.blocks.{number}."
            shapes |= norm(block + "norm1") | norm(block + "norm2")
            shapes |= linear(block + "attn.qkv", 3 * width, width) | linear(block + "attn.proj", width, width)
            shapes |= linear(block + "mlp.fc1", wide, width) | linear(block + "mlp.fc2", width, wide)
        shapes |= norm("visual.merger.ln_q")
        shapes |= linear("visual.merger.mlp.0", merged, merged) | linear("visual.merger.mlp.2", hidden, merged)
        shapes |= {"model.embed_tokens.weight": (c["vocab_size"], hidden), "model.norm.weight": (hidden,)}
        if not c.get("tie_word_embeddings", False):
            shapes |= linear("lm_head", c["vocab_size"], hidden, bias=False)
        for number in range(c["num_hidden_layers"]):
            layer = f"model.layers.{number}."
            shapes |= {layer + f"{name}_layernorm.weight": (hidden,) for name in ("input", "post_attention")}
            shapes |= linear(layer + "self_attn.q_proj", hidden, hidden)
            shapes |= linear(layer + "self_attn.k_proj", keys, hidden)
            shapes |= linear(layer + "self_attn.v_proj", keys, hidden)
            shapes |= linear(layer + "self_attn.o_proj", hidden, hidden, bias=False)
            shapes |= linear(layer + "mlp.gate_proj", inner, hidden, bias=False)
            shapes |= linear(layer + "mlp.up_proj", inner, hidden, bias=False)
            shapes |= linear(layer + "mlp.down_proj", hidden, inner, bias=False)
        return shapes

    def __init__(self, config: Config, weights: Mapping[str, np.ndarray]) -> None:
        self.config, self.vision = config, config["vision_config"]
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.head_dim = config["hidden_size"] // self.heads
        rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        theta = rope.get("rope_theta", config.get("rope_theta", 1000000.0))
        self.frequencies = theta ** (-np.arange(0, self.head_dim, 2) / self.head_dim)  # (D/2,)
        # Each pair of a head turns by one axis: the first so many by time, then by row, then by column.
        self.axes = np.repeat([0, 1, 2], rope["mrope_section"])  # (D/2,)
        if self.axes.size != self.head_dim // 2:
            raise ModelError(f"mrope_section {rope['mrope_section']} does not sum to half a head, {self.head_dim // 2}")
        self.weights = {}
        for name in self.shapes(config):
            weight = weights[name]
            if name == "visual.patch_embed.proj.weight":  # the 3D convolution's stride is its kernel: a linear layer
                weight = weight.reshape(weight.shape[0], -1)
            # A linear layer lies in the file as (outputs, inputs); here x (…, inputs) is multiplied from the left.
            table = name in ("model.embed_tokens.weight", "lm_head.weight")
            self.weights[name] = paddle.to_tensor(weight.T.copy() if weight.ndim == 2 and not table else weight)
        self.head = self.weights.get("lm_head.weight", self.weights["model.embed_tokens.weight"])  # (V, hidden)

    def linear(self, x: paddle.Tensor, name: str) -> paddle.Tensor:
        y = paddle.matmul(x, self.weights[name + ".weight"])
        return y + self.weights[name + ".bias"] if name + ".bias" in self.weights else y

    def layer_norm(self, x: paddle.Tensor, name: str) -> paddle.Tensor:
        x = x - x.mean(-1, keepdim=True)
        x = x * paddle.rsqrt((x * x).mean(-1, keepdim=True) + VISION_EPSILON)
        return x * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    @paddle.no_grad()
    def see(self, picture: Picture) -> paddle.Tensor:
        """The tokens of one image, (P / m², hidden): its patches attend to each other and to no other image's."""
        (patches, (down, across)), v = picture, self.vision
        heads, m, count = v["num_heads"], v["spatial_merge_size"], len(patches)
        size = v["embed_dim"] // heads
        # Half of a head's pairs turn by the patch's row, half by its column, in the patches' order.
        grid = np.indices((down, across)).reshape(2, down // m, m, across // m, m).transpose(1, 3, 2, 4, 0)
        slow = VISION_THETA ** (-np.arange(0, size // 2, 2) / (size // 2))  # (D/4,)
        cos, sin = turns((grid.reshape(count, 2, 1) * slow).reshape(count, size // 2))  # (P, D)
        x = paddle.matmul(paddle.to_tensor(patches), self.weights["visual.patch_embed.proj.weight"])  # (P, E)
        for number in range(v["depth"]):
            block = f"visual.blocks.{number}."
            qkv = self.linear(self.layer_norm(x, block + "norm1"), block + "attn.qkv").reshape([count, 3 * heads, size])
            q, k, values = paddle.split(qkv.transpose([1, 0, 2]), 3, axis=0)  # (H, P, D) each
            q, k, mixed = rotate(q, cos, sin) * size**-0.5, rotate(k, cos, sin), []
            for rows in paddle.split(q, [min(ROWS, count - row) for row in range(0, count, ROWS)], axis=1):
                shares = F.softmax(paddle.matmul(rows, k, transpose_y=True))  # (H, rows, P)
                mixed.append(paddle.matmul(shares, values))
            mixed = paddle.concat(mixed, 1).transpose([1, 0, 2]).reshape([count, -1])  # (P, E)
            x = x + self.linear(mixed, block + "attn.proj")
            y = self.linear(self.layer_norm(x, block + "norm2"), block + "mlp.fc1")
            x = x + self.linear(y * F.sigmoid(1.702 * y), block + "mlp.fc2")  # "quick" GELU
        x = self.layer_norm(x, "visual.merger.ln_q").reshape([count // m**2, -1])  # (P / m², m² E)
        return self.linear(F.gelu(self.linear(x, "visual.merger.mlp.0")), "visual.merger.mlp.2")

    def embed(self, tokens: np.ndarray, pictures: Sequence[Picture]) -> paddle.Tensor:
        """Vectors (B, T, hidden): of the text from the table, of image tokens from the tower, in the images' order."""
        table, ids = self.weights["model.embed_tokens.weight"], tokens.copy()
        is_image = tokens == self.config["image_token_id"]
        expected = sum(len(patches) for patches, _ in pictures) // self.vision["spatial_merge_size"] ** 2
        if is_image.sum() != expected:
            raise ModelError(f"{is_image.sum()} image tokens for images of {expected}: one for each merged square")
        if pictures:
            ids[is_image] = table.shape[0] + np.arange(expected)  # the images' tokens continue the table
            table = paddle.concat([table, *(self.see(picture) for picture in pictures)])
        return F.embedding(paddle.to_tensor(ids), table)

    @paddle.no_grad()
    def step(
        self,
        tokens: np.ndarray,
        real: np.ndarray | None = None,
        cache: Cache | None = None,
        states: list[paddle.Tensor] | None = None,
        pictures: Sequence[Picture] = (),
        last: bool = False,
    ) -> tuple[paddle.Tensor, Cache]:
        """Logits (B, T, V) after each of `tokens` (B, T), and the cache for the step after.

        The first step has the `pictures` of all sequences, in order, and an image token for each of their merged
        squares. `real` (B, T) is False where a sequence is padded; by default all tokens are real. `states` is given
        what enters the first layer, what leaves each but the last, and the last one's after the norm. `last` asks for
        the logits after the last token alone, (B, 1, V).
        """
        w, c, (batch, new) = self.weights, self.config, tokens.shape
        real = np.ones((batch, new), bool) if real is None else real
        m, before = self.vision["spatial_merge_size"], cache.real.shape[1] if cache else 0
        if cache:
            x = F.embedding(paddle.to_tensor(tokens), w["model.embed_tokens.weight"])  # (B, T, hidden)
            places = np.broadcast_to(cache.position[:, None] + np.arange(new), (3, batch, new))
            after, real = cache.position + new, np.concatenate([cache.real, real], 1)  # real: (B, S)
        else:
            x = self.embed(tokens, pictures)
            grids = [(down // m, across // m) for _, (down, across) in pictures]
            places, after = positions(tokens, real, c["image_token_id"], grids)
        # M-RoPE: the position that a pair turns by is that on its own axis, (B, T, D/2).
        cos, sin = turns(places[self.axes].transpose(1, 2, 0)[:, None] * self.frequencies)  # (B, 1, T, D)
        # A token sees the real ones up to itself: (B, 1, T, S).
        allowed = np.tri(new, before + new, before, dtype=bool) & real[:, None, None, :]
        mask = paddle.to_tensor(np.where(allowed, 0, NOT_SEEN).astype("float32"))
        layers = []
        for number in range(c["num_hidden_layers"]):
            if states is not None:
                states.append(x)
            layer = f"model.layers.{number}."
            y = rms_norm(x, w[layer + "input_layernorm.weight"], c["rms_norm_eps"])
            q, k, v = (
                self.linear(y, f"{layer}self_attn.{name}_proj")
                .reshape([batch, new, heads, self.head_dim])
                .transpose([0, 2, 1, 3])
                for name, heads in (("q", self.heads), ("k", self.kv_heads), ("v", self.kv_heads))
            )  # (B, H or KV, T, D)
            q, k = rotate(q, cos, sin), rotate(k, cos, sin)
            if cache:
                k, v = (paddle.concat([old, now], 2) for old, now in zip(cache.layers[number], (k, v), strict=True))
            layers.append((k, v))
            # The heads that share keys and values stand one below the other, in one product: (B, KV, H/KV T, D).
            q = q.reshape([batch, self.kv_heads, -1, self.head_dim])
            scores = paddle.matmul(q, k, transpose_y=True) * self.head_dim**-0.5  # (B, KV, H/KV T, S)
            shares = F.softmax(scores.reshape([batch, self.heads, new, -1]) + mask).reshape(scores.shape)
            mixed = paddle.matmul(shares, v).reshape([batch, self.heads, new, self.head_dim]).transpose([0, 2, 1, 3])
            x = x + self.linear(mixed.reshape([batch, new, -1]), layer + "self_attn.o_proj")
            y = rms_norm(x, w[layer + "post_attention_layernorm.weight"], c["rms_norm_eps"])
            y = F.silu(self.linear(y, layer + "mlp.gate_proj")) * self.linear(y, layer + "mlp.up_proj")
            x = x + self.linear(y, layer + "mlp.down_proj")
        x = rms_norm(x, w["model.norm.weight"], c["rms_norm_eps"])
        if states is not None:
            states.append(x)
        x = x[:, -1:] if last else x
        return paddle.matmul(x, self.head, transpose_y=True), Cache(layers, real, after)
