"""The subgraphs to compile: plain functions of tensors, as a person writes them in a model.

A parameter's annotation is the shape of its tensor, in terms of two sizes that the run chooses:

    def swiglu(x: "rows columns", gate: "rows columns"): ...

Words are separated by spaces; each is a number, `rows`, `columns`, or one of these divided by a number ("rows/128").
A parameter without an annotation is "rows columns". One's own subgraph is written the same way, in any file, and named
as `file.py:function`.
"""

import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F


def rms_norm(x: "rows columns", weight: "columns"):
    return x * paddle.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * weight


def layer_norm(x: "rows columns", weight: "columns", bias: "columns"):
    centred = x - x.mean(-1, keepdim=True)
    variance = (centred * centred).mean(-1, keepdim=True)
    return centred * paddle.rsqrt(variance + 1e-5) * weight + bias


def softmax(x: "rows columns"):
    exponential = paddle.exp(x - x.max(-1, keepdim=True))
    return exponential / exponential.sum(-1, keepdim=True)


def gelu(x: "rows columns"):
    return 0.5 * x * (1.0 + paddle.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))


def swish(x: "rows columns", weight: "columns", bias: "columns"):
    return x * F.sigmoid(x) * weight + bias


def swiglu(x: "rows columns", gate: "rows columns"):
    return F.silu(gate) * x


def rotary_embedding(x: "rows columns/64 64", cosine: "rows 1 64", sine: "rows 1 64"):
    """Each head of 64 is turned by its position's angles (RoFormer, arXiv:2104.09864)."""
    rotated = paddle.concat([-x[..., 32:], x[..., :32]], axis=-1)
    return x * cosine + rotated * sine


def attention(q: "rows/128 columns/64 128 64", k: "rows/128 columns/64 128 64", v: "rows/128 columns/64 128 64"):
    """(batch, heads, 128 tokens, 64); the products stay with Paddle, what lies between them need not."""
    scores = paddle.matmul(q, k, transpose_y=True) * 0.125
    return q + paddle.matmul(F.softmax(scores, axis=-1), v)


def paddle_layer_norm(x: "rows columns", weight: "columns", bias: "columns"):
    """Paddle's one operator, which its decomposition splits; against it speed is harder won."""
    return F.layer_norm(x, x.shape[-1:], weight, bias)


def paddle_softmax(x: "rows columns"):
    return F.softmax(x, axis=-1)


def paddle_gelu(x: "rows columns"):
    return F.gelu(x)
