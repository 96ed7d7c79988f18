# ruff: noqa: F722, F821  the annotations are shapes
"""The subgraphs to compile: plain functions of tensors, as a person writes them in a model.

A parameter's annotation is the shape of its tensor, in terms of two sizes that the run chooses:

    def swiglu(x: "rows columns", gate: "rows columns"): ...

Words are separated by spaces; each is a number, `rows`, `columns`, or one of these divided by a number ("rows/128").
A parameter without an annotation is "rows columns". One's own subgraph is written the same way, in any file, and named
as `file.py:function`; so is a paddle.nn.Layer of that file with an annotated `forward`. A parameter with a default and
no annotation keeps its default.
"""

import importlib.util
import inspect
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F

WRITE = "Name a built-in one, or a function of your own as file.py:function."
RUNS = "It is run when it is imported: put it right."


class SubgraphError(Exception):
    """A subgraph that is not there, cannot be read, or does not compute."""

    exit_code = 2


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
    return gate * F.sigmoid(gate) * x


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


@dataclass(frozen=True)
class Subgraph:
    """A function, and the shapes of its tensors as annotated."""

    name: str
    function: Callable[..., paddle.Tensor]
    shapes: tuple[str, ...]

    def sizes(self, rows: int, columns: int) -> list[list[int]]:
        """The shape of each tensor; raises SubgraphError if one is not whole or not understood."""
        known = {"rows": rows, "columns": columns}
        return [[_size(word, known) for word in shape.split()] for shape in self.shapes]

    def numbers(self, rows: int, columns: int) -> int:
        """How many numbers the largest tensor has."""
        return max(math.prod(shape) for shape in self.sizes(rows, columns))

    def arrays(self, rows: int, columns: int, seed: int) -> list[np.ndarray]:
        """Normal random numbers for each tensor, in float32."""
        numbers = np.random.default_rng(seed)
        return [numbers.standard_normal(shape, dtype="float32") for shape in self.sizes(rows, columns)]


BUILT_IN = (
    rms_norm, layer_norm, softmax, gelu, swish, swiglu, rotary_embedding, attention,
    paddle_layer_norm, paddle_softmax, paddle_gelu,
)  # fmt: skip


def find(name: str) -> Subgraph:
    """The subgraph of this name, or the one that `file.py:function` names. Raises SubgraphError."""
    known = {function.__name__: function for function in BUILT_IN}
    file, colon, attribute = name.rpartition(":")
    if not colon:
        if name not in known:
            raise SubgraphError(f"There is no subgraph {name!r}.\nThere is {', '.join(known)}.\n{WRITE}")
        return from_function(name, known[name])
    path = Path(file)
    if not path.is_file():
        raise SubgraphError(f"subgraph={name}: there is no such file.\nIt is looked for from {Path.cwd()}.\n{WRITE}")
    specification = importlib.util.spec_from_file_location(f"subgraph_{path.stem}", path)
    if specification is None or specification.loader is None:
        raise SubgraphError(f"{file} is not a Python file.\nA subgraph is a function in one.\n{WRITE}")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        raise SubgraphError(f"{file} cannot be read.\n{type(error).__name__}: {error}\n{RUNS}") from error
    function = getattr(module, attribute, None)
    if isinstance(function, paddle.nn.Layer):
        return from_function(attribute, function.forward)
    if inspect.isclass(function) or not callable(function):
        raise SubgraphError(f"{file} holds no function {attribute!r}.\nA subgraph is a function in it.\n{WRITE}")
    return from_function(attribute, function)


def from_function(name: str, function: Callable[..., paddle.Tensor]) -> Subgraph:
    """The subgraph that a function's annotations describe. Raises SubgraphError if it takes no tensor."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        raise SubgraphError(f"{name} takes any number of tensors.\nEach has to have a shape.\nName them one by one.")
    if function.__name__ == "<lambda>":
        raise SubgraphError(f"{name} is a lambda.\nPaddle's dy2st reads a function's source.\nWrite it with def.")
    parameters = [p for p in parameters if p.default is p.empty or isinstance(p.annotation, str)]
    shapes = tuple(p.annotation if isinstance(p.annotation, str) else "rows columns" for p in parameters)
    if not shapes:
        raise SubgraphError(f"{name} takes nothing.\nA subgraph takes at least one tensor.\n{WRITE}")
    return Subgraph(name, function, shapes)


def _size(word: str, known: dict[str, int]) -> int:
    first, slash, second = word.partition("/")
    try:
        size, rest = divmod(known[first] if first in known else int(first), int(second) if slash else 1)
    except (ValueError, ZeroDivisionError):
        raise SubgraphError(
            f"The shape {word!r} is not understood.\n"
            "Each word is a number, rows, columns, or one of these over a number: rows/128.\nWrite it so."
        ) from None
    if rest or size < 1:
        sizes = ", ".join(f"{name}={value}" for name, value in known.items())
        raise SubgraphError(
            f"{word} is not whole with {sizes}.\n{first} does not divide by {second or 1} there.\n"
            f"Take {first} from the multiples of {second or 1}."
        )
    return size
