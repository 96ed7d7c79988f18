"""The vision towers of Qwen2-VL and Qwen2.5-VL in Paddle's plain operators: from a picture's patches to its tokens.

Each patch becomes a vector, which is turned by its row and column and attends to the picture's others: to all of them,
or in most blocks of Qwen2.5-VL (https://arxiv.org/abs/2502.13923) to those of its window. Every square of 2 x 2 of the
vectors then becomes one token of the decoder. The shapes: P patches of a picture, E the tower's width, H heads.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from .decoder import NOT_SEEN, Linear, Part, RMSNorm, rotate, turns
from .pictures import Picture
from .rope import rotary_frequencies
from .vision_config import VisionConfig

Array = np.ndarray[Any, np.dtype[Any]]
EPSILON = 1e-6  # of the tower's norms
THETA = 10000.0
SCORES = 2**24  # numbers at once: a photo has 10,000 patches, and scores for each pair of them fill the memory


class LayerNorm(nn.Layer):
    """x (..., E) with a mean of 0 and a variance of 1, times the weight, plus the bias."""

    def __init__(self, weight: Array, bias: Array) -> None:
        super().__init__()
        self.register_buffer("weight", paddle.to_tensor(weight))
        self.register_buffer("bias", paddle.to_tensor(bias))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = x - x.mean(-1, keepdim=True)
        return x * paddle.rsqrt((x * x).mean(-1, keepdim=True) + EPSILON) * self.weight + self.bias


def norm(part: Part, name: str, config: VisionConfig) -> nn.Layer:
    return RMSNorm(*part(name), EPSILON) if config.gated else LayerNorm(*part(name))


class QuickFeedForward(nn.Layer):
    """fc2(y sigmoid(1.702 y)) of y = fc1(x): "quick" GELU."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.first, self.second = Linear(*part("mlp.fc1")), Linear(*part("mlp.fc2"))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = self.first(x)
        return self.second(y * F.sigmoid(1.702 * y))


class GatedFeedForward(nn.Layer):
    """down(silu(gate x) * up x)."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.gate_up, self.down = Linear(*part("mlp.gate_proj", "mlp.up_proj")), Linear(*part("mlp.down_proj"))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        gate, up = paddle.split(self.gate_up(x), 2, -1)
        return self.down(F.silu(gate) * up)


class Windows:
    """Which patches of a picture attend to each other, where not all do; `merge`² patches of a token stay together."""

    def __init__(self, down: int, across: int, config: VisionConfig) -> None:
        rows, columns, unit = down // config.merge, across // config.merge, config.merge**2
        row, column = np.indices((rows, columns)) // config.window
        number = (row * -(-columns // config.window) + column).ravel()  # of each token's window
        order, counts = np.argsort(number, kind="stable"), np.bincount(number)
        inside = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        tokens = np.full((len(counts), counts.max()), -1)
        tokens[number[order], inside] = order
        patches = (tokens[..., None] * unit + np.arange(unit)).reshape(len(counts), -1)  # (W, L), below 0 where none is
        self.shape, self.taken = patches.shape, paddle.to_tensor(np.maximum(patches, 0).ravel())
        back = np.zeros(down * across, int)
        back[patches[patches >= 0]] = np.flatnonzero(patches.ravel() >= 0)
        self.back = paddle.to_tensor(back)
        mask = np.where(patches < 0, NOT_SEEN, 0).astype("float32")
        self.mask = paddle.to_tensor(mask[:, None, None])  # (W, 1, 1, L), added to scores

    def attend(self, q: paddle.Tensor, k: paddle.Tensor, v: paddle.Tensor) -> paddle.Tensor:
        """Of queries, keys and values (H, P, D) each, (H, P, D)."""
        heads, _, size = q.shape
        q, k, v = (
            paddle.gather(x, self.taken, axis=1).reshape([heads, *self.shape, size]).transpose([1, 0, 2, 3])
            for x in (q, k, v)
        )
        mixed = paddle.matmul(F.softmax(paddle.matmul(q, k, transpose_y=True) + self.mask), v)  # (W, H, L, D)
        return paddle.gather(mixed.transpose([1, 0, 2, 3]).reshape([heads, -1, size]), self.back, axis=1)


def attend_to_all(q: paddle.Tensor, k: paddle.Tensor, v: paddle.Tensor) -> paddle.Tensor:
    """Of queries, keys and values (H, P, D) each, (H, P, D); so many rows at a time as there is room for."""
    heads, count, _ = q.shape
    rows = max(SCORES // (heads * count), 1)
    pieces = paddle.split(q, [min(rows, count - row) for row in range(0, count, rows)], axis=1)
    return paddle.concat(
        [paddle.matmul(F.softmax(paddle.matmul(piece, k, transpose_y=True)), v) for piece in pieces], 1
    )


class VisionBlock(nn.Layer):
    """x + attention(norm(x)), then the same with a feed-forward network."""

    def __init__(self, part: Part, config: VisionConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm1, self.norm2 = norm(part, "norm1", config), norm(part, "norm2", config)
        self.qkv, self.proj = Linear(*part("attn.qkv")), Linear(*part("attn.proj"))
        self.feed_forward = (GatedFeedForward if config.gated else QuickFeedForward)(part)

    def attention(self, x: paddle.Tensor, turn: tuple, windows: Windows | None) -> paddle.Tensor:
        qkv = self.qkv(x).reshape([len(x), 3 * self.heads, -1]).transpose([1, 0, 2])
        q, k, v = paddle.split(qkv, 3, axis=0)  # (H, P, D) each
        q, k = rotate(q, *turn) * q.shape[-1] ** -0.5, rotate(k, *turn)
        mixed = (windows.attend if windows else attend_to_all)(q, k, v)
        return self.proj(mixed.transpose([1, 0, 2]).reshape([len(x), -1]))  # (P, E)

    def forward(self, x: paddle.Tensor, turn: tuple, windows: Windows | None) -> paddle.Tensor:
        x = x + self.attention(self.norm1(x), turn, windows)
        return x + self.feed_forward(self.norm2(x))


class VisionTower(nn.Layer):
    """From the patches of one picture to its tokens, in float32 on the current device."""

    def __init__(self, config: VisionConfig, weights: Mapping[str, Array]) -> None:
        super().__init__()
        self.config = config
        # The 3D convolution's stride is its kernel: a linear layer.
        kernel = weights["visual.patch_embed.proj.weight"]
        self.patch_embed = Linear(kernel.reshape(len(kernel), -1))
        parts = [Part(weights, f"visual.blocks.{number}.") for number in range(config.depth)]
        self.blocks = nn.LayerList([VisionBlock(part, config) for part in parts])
        merger = Part(weights, "visual.merger.")
        self.norm, self.first, self.second = (
            norm(merger, "ln_q", config),
            Linear(*merger("mlp.0")),
            Linear(*merger("mlp.2")),
        )

    @paddle.no_grad()
    def forward(self, picture: Picture) -> paddle.Tensor:
        """The tokens of one picture, (P / merge², hidden); no other picture takes part."""
        (patches, (down, across)), m, size, count = picture, self.config.merge, self.config.size, len(picture[0])
        # Half of a head's pairs turn by the patch's row, half by its column, in the patches' order.
        grid = np.indices((down, across)).reshape(2, down // m, m, across // m, m).transpose(1, 3, 2, 4, 0)
        slow = rotary_frequencies(THETA, size // 2)  # (D/4,)
        turn = turns((grid.reshape(count, 2, 1) * slow).reshape(count, size // 2))  # (P, D) each
        windows = Windows(down, across, self.config) if self.config.window else None
        x = self.patch_embed(paddle.to_tensor(patches))  # (P, E)
        for number, block in enumerate(self.blocks):
            x = block(x, turn, None if number in self.config.whole else windows)
        return self.second(F.gelu(self.first(self.norm(x).reshape([count // m**2, -1]))))
