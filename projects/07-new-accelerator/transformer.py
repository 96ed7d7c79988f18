"""One block of a transformer, and the two small models made of it, in operators that every card has.

Attention is written out: Paddle 3.0.0's `scaled_dot_product_attention` has no causal mask on the CPU.
Shapes: B samples, T places, C channels, H heads.
"""

import sys
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

sys.path.append(str(Path(__file__).resolve().parents[1] / "02-compiler"))  # a CPU computes by kernels of task 2
from fused import fused


@fused
def norm(x: paddle.Tensor) -> paddle.Tensor:
    """Every place of (B, T, C) with mean 0 and variance 1: layer norm without weights, as in OLMo.

    https://arxiv.org/abs/2402.00838
    """
    return F.layer_norm(x, x.shape[-1:])


@fused
def added(x: paddle.Tensor, y: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
    """The sum of two (B, T, C), and its norm."""
    total = x + y
    return total, F.layer_norm(total, total.shape[-1:])


@fused
def gelu(x: paddle.Tensor) -> paddle.Tensor:
    """By tanh, as in GPT-2."""
    return F.gelu(x, approximate=True)


@fused
def shares(scores: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
    """How much each place looks at each: (B, H, T, T) and a mask (T, T) to rows whose sum is 1."""
    return F.softmax(scores + mask)


class Block(nn.Layer):
    """x + attention(norm(x)), then the same with a feed-forward network; (B, T, C) to (B, T, C).

    The order of https://arxiv.org/abs/2002.04745, which trains without a warm-up as long as the network is small; no
    biases, as in https://arxiv.org/abs/2204.02311, and the GELU by tanh, as in GPT-2.
    """

    def __init__(self, channels: int, heads: int, mask: np.ndarray | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.mask = None if mask is None else paddle.to_tensor(mask)  # (T, T), added to the scores
        self.qkv = nn.Linear(channels, 3 * channels, bias_attr=False)
        self.output = nn.Linear(channels, channels, bias_attr=False)
        self.up = nn.Linear(channels, 4 * channels, bias_attr=False)
        self.down = nn.Linear(4 * channels, channels, bias_attr=False)

    def attention(self, x: paddle.Tensor) -> paddle.Tensor:
        batch, places, channels = x.shape
        heads = self.qkv(x).reshape([batch, places, 3, self.heads, channels // self.heads])
        q, k, v = heads.transpose([2, 0, 3, 1, 4]).unbind(0)  # each (B, H, T, C/H)
        q = q * (channels // self.heads) ** -0.5  # smaller than the scores, which this is for
        scores = paddle.matmul(q, k, transpose_y=True)  # (B, H, T, T)
        if self.mask is None:
            looks = F.softmax(scores)
        else:
            looks = shares(scores, self.mask[:places, :places].astype(scores.dtype))
        mixed = paddle.matmul(looks, v)
        return self.output(mixed.transpose([0, 2, 1, 3]).reshape([batch, places, channels]))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x, normed = added(x, self.attention(norm(x)))
        return x + self.down(gelu(self.up(normed)))


class Transformer(nn.Layer):
    """Blocks on an embedding with learnt places; subclasses say what goes in and what is read off."""

    def __init__(
        self, places: int, channels: int, heads: int, layers: int, outputs: int, causal: bool, spread: float
    ) -> None:
        super().__init__()
        mask = np.triu(np.full((places, places), -1e9, "float32"), k=1) if causal else None
        self.places = nn.Embedding(places, channels, weight_attr=nn.initializer.Normal(std=spread))
        self.blocks = nn.LayerList([Block(channels, heads, mask) for _ in range(layers)])
        self.head = nn.Linear(channels, outputs, bias_attr=False)

    def body(self, embedded: paddle.Tensor) -> paddle.Tensor:
        """(B, T, C) to (B, T, C)."""
        # A place is looked up for every sample: on a CPU the gradient of a sum over all samples takes far longer.
        x = embedded + self.places(paddle.arange(embedded.shape[1]).expand(embedded.shape[:2]))
        for block in self.blocks:
            x = block(x)
        return norm(x)


class ViT(Transformer):
    """Images (B, S, S) in patches of P x P pixels to logits (B, classes); https://arxiv.org/abs/2010.11929."""

    def __init__(self, size: int, patch: int, classes: int, channels: int, heads: int, layers: int) -> None:
        # Places are drawn as large as patches: with the usual 0.02 it takes long to find out where a patch is.
        super().__init__((size // patch) ** 2, channels, heads, layers, classes, causal=False, spread=0.5)
        self.across, self.patch = size // patch, patch
        self.embedding = nn.Linear(patch * patch, channels)

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        n, p = self.across, self.patch
        patches = images.reshape([-1, n, p, n, p]).transpose([0, 1, 3, 2, 4]).reshape([-1, n * n, p * p])
        return self.head(self.body(self.embedding(patches)).mean(1))


class GPT(Transformer):
    """Tokens (B, T) to logits (B, T, vocabulary) of the token after each."""

    def __init__(self, vocabulary: int, context: int, channels: int, heads: int, layers: int) -> None:
        super().__init__(context, channels, heads, layers, vocabulary, causal=True, spread=0.02)
        self.context = context
        self.embedding = nn.Embedding(vocabulary, channels)

    def forward(self, tokens: paddle.Tensor) -> paddle.Tensor:
        return self.head(self.body(self.embedding(tokens)))
