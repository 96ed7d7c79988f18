"""PyTorch's side of observing.py: its random numbers come from the stream."""

import importlib
import math
import os
import sys
from collections import Counter
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from comparing import OBJECT

PLACES: Counter[str] = Counter()
KEPT: list[Any] = []
STREAMS: list[Any] = []  # the one that is not of a generator object
streams: dict[int, Any] = {}
original_seed = torch.Generator.manual_seed
attended = F.scaled_dot_product_attention


def array(value: Any) -> np.ndarray | None:
    if not isinstance(value, torch.Tensor):
        return None
    value = value.detach()
    if value.is_sparse:
        value = value.to_dense()
    return (value.float() if value.dtype in (torch.bfloat16, torch.float16) else value).cpu().resolve_conj().numpy()


def is_own(value: Any) -> bool:
    """Whether its text is PyTorch's own: a module, an optimiser."""
    return isinstance(value, torch.nn.Module | torch.optim.Optimizer | torch.device)


def name(value: Any) -> str | None:
    """Of a type of numbers, as both frameworks call it; the other side may have another device."""
    if isinstance(value, torch.device):
        return OBJECT
    return str(value).removeprefix("torch.") if isinstance(value, torch.dtype) else None


def note(_: Any) -> None:
    pass


def once(function: Any, *given: Any, use_reentrant: Any = None, preserve_rng_state: Any = True, **named: Any) -> Any:
    """checkpoint's values and gradients."""
    return function(*given, **named)


def _layer_by_layer(original: Any) -> Any:
    """A recurrent function whose dropout between layers has its numbers from the stream, one step after the other."""

    def drop(x: Any, p: float, samples_first: bool) -> Any:
        return F.dropout(x.transpose(0, 1), p).transpose(0, 1) if samples_first else F.dropout(x, p)

    def called(x: Any, hx: Any, weights: Any, bias: Any, layers: int, p: float, training: bool, *form: bool) -> Any:
        if not (training and p and layers > 1 and isinstance(weights, list)):  # else it is a packed sequence
            return original(x, hx, weights, bias, layers, p, training, *form)
        both, samples_first = form
        count, ways, ends = len(weights) // layers, 1 + both, []
        for layer in range(layers):
            x = drop(x, p, samples_first) if layer else x
            own = slice(layer * ways, (layer + 1) * ways)
            state = tuple(each[own] for each in hx) if isinstance(hx, tuple) else hx[own]
            of = weights[layer * count : (layer + 1) * count]
            x, *end = original(x, state, of, bias, 1, 0.0, training, *form)
            ends.append(end)
        return x, *map(torch.cat, zip(*ends, strict=True))

    return called


OWN = ("poisson", "binomial", "_standard_gamma", "_sample_dirichlet")
OWN_METHODS = ("log_normal_", "geometric_", "cauchy_")


def _drawn_within(observer: Any) -> None:
    """Note where other functions of PyTorch draw numbers, which Paddle's are not given."""
    for owner, names in ((torch, OWN), (torch.Tensor, OWN_METHODS)):
        for name in names:
            setattr(owner, name, _noted(getattr(owner, name), name, observer))


def _noted(function: Any, name: str, observer: Any) -> Any:
    def called(*given: Any, **named: Any) -> Any:
        observer.write("apart", "", 0, f"torch.{name.strip('_')} draws numbers of its own")
        return function(*given, **named)

    return called


def _torchvision() -> None:
    """A torchvision for another build of PyTorch lacks its operators, without which it is not imported."""
    if find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        KEPT.append(library)
    cifar = importlib.import_module("torchvision.datasets.cifar")
    cifar.check_integrity = lambda path, md5=None: os.path.isfile(path)  # both sides take the files that are there


def _tensorboard() -> None:
    """Where it is not installed, its writer is the one that a converted project has."""
    if find_spec("tensorboard") is None:
        spec = spec_from_file_location("torch.utils.tensorboard", Path(__file__).parent / "mended" / "board.py")
        sys.modules["torch.utils.tensorboard"] = made = module_from_spec(spec)  # type: ignore[arg-type]
        spec.loader.exec_module(made)  # type: ignore[union-attr]


def prepare(stream: Any, device: str, observer: Any) -> None:
    """Put the functions of this file in the place of PyTorch's."""
    STREAMS[:] = [stream]
    _drawn_within(observer)
    _torchvision()
    _tensorboard()
    torch.set_printoptions(precision=8, sci_mode=False, linewidth=100000)
    torch.compile = torch.jit.script = lambda model=None, *_, **__: (
        model if model is not None else lambda function: function
    )  # the same, sooner
    torch.utils.checkpoint.checkpoint = once  # with more memory, and no function is called again
    torch.save = observer.saved(torch.save)
    torch.manual_seed = torch.random.manual_seed = seed
    torch.get_rng_state = torch.random.get_rng_state = lambda: STREAMS[0].generator.bit_generator.state
    torch.set_rng_state = torch.random.set_rng_state = set_state
    torch.Generator = Generator  # type: ignore[misc]
    _replace_methods()
    F.scaled_dot_product_attention = attend
    for name in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
        setattr(torch._VF, name, _layer_by_layer(getattr(torch._VF, name)))
    torch.nn.init.trunc_normal_ = trunc_normal_
    F.dropout = torch.dropout = dropout_over(0)
    F.alpha_dropout, F.feature_alpha_dropout = alpha_dropout_over(0), alpha_dropout_over(2)
    torch.alpha_dropout, F.rrelu = F.alpha_dropout, rrelu
    F.dropout1d = F.dropout2d = F.dropout3d = dropout_over(2)
    drawing = (rand, randn, randint, randperm, normal, rand_like, randn_like, randint_like, bernoulli, multinomial)
    for function in drawing:
        setattr(torch, function.__name__, function)
    torch.utils.data.dataset.randperm = randperm  # it was imported by name


def _replace_methods() -> None:
    torch.Tensor.uniform_ = fill(uniform_)
    torch.Tensor.normal_ = fill(
        lambda self, source, mean=0, std=1: mean + std * tensor(source.normal(self.numel()), self)
    )
    torch.Tensor.random_ = fill(random_)
    torch.Tensor.bernoulli_ = fill(bernoulli_)
    torch.Tensor.exponential_ = fill(
        lambda self, source, lambd=1: -torch.log1p(-tensor(source.uniform(self.numel()), self)) / lambd
    )
    torch.Tensor.bernoulli = bernoulli
    torch.Tensor.multinomial = multinomial


def of(generator: Any) -> Any:
    if generator is None or generator is torch.default_generator:
        return STREAMS[0]
    if id(generator) not in streams:
        streams[id(generator)] = (type(STREAMS[0])(generator.initial_seed(), STREAMS[0].nudge), generator)
    return streams[id(generator)][0]


def seed(number: int) -> torch.Generator:
    STREAMS[0].seed(int(number))
    return torch.default_generator


def set_state(state: Any) -> None:
    STREAMS[0].generator.bit_generator.state = state


class Generator(torch.Generator):
    def manual_seed(self, number: int) -> Any:
        original_seed(self, number)
        of(self).seed(number)
        return self


def shaped(size: tuple[Any, ...], named: dict[str, Any]) -> list[int]:
    size = named.pop("size", None) or size
    size = size[0] if len(size) == 1 and not isinstance(size[0], int | torch.Tensor | np.integer) else size
    return [int(each) for each in size]


def made(values: np.ndarray, shape: Any, kind: Any, named: dict[str, Any]) -> torch.Tensor:
    found = torch.from_numpy(np.asarray(values).reshape(shape)).to(kind or torch.get_default_dtype())
    return found.requires_grad_(True) if named.get("requires_grad") else found


def rand(*size: Any, generator: Any = None, dtype: Any = None, **named: Any) -> torch.Tensor:
    shape = shaped(size, named)
    return made(of(generator).uniform(math.prod(shape)), shape, dtype, named)


def randn(*size: Any, generator: Any = None, dtype: Any = None, **named: Any) -> torch.Tensor:
    shape = shaped(size, named)
    return made(of(generator).normal(math.prod(shape)), shape, dtype, named)


def randint(*given: Any, generator: Any = None, dtype: Any = None, **named: Any) -> torch.Tensor:
    given = list(given)
    shape = named.pop("size", None)
    shape = list(given.pop() if shape is None else shape)
    high = named.pop("high", None)
    high = given.pop() if high is None else high
    low = named.pop("low", given[0] if given else 0)
    return made(of(generator).integers(int(low), int(high), math.prod(shape)), shape, dtype or torch.int64, named)


def randperm(count: int, *, generator: Any = None, dtype: Any = None, **named: Any) -> torch.Tensor:
    return made(of(generator).permutation(int(count)), [int(count)], dtype or torch.int64, named)


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None, **named: Any) -> torch.Tensor:
    if size is None:
        like = (torch.as_tensor(mean) + torch.as_tensor(std)).float()
        return mean + std * randn(*like.shape, generator=generator, dtype=like.dtype)
    return mean + std * randn(*size, generator=generator, **named)


def rand_like(like: Any, dtype: Any = None, **named: Any) -> torch.Tensor:
    return rand(*like.shape, dtype=dtype or like.dtype)


def randn_like(like: Any, dtype: Any = None, **named: Any) -> torch.Tensor:
    return randn(*like.shape, dtype=dtype or like.dtype)


def randint_like(like: Any, *given: Any, dtype: Any = None, **named: Any) -> torch.Tensor:
    return randint(*given, tuple(like.shape), dtype=dtype or like.dtype, **named)


def bernoulli(chances: Any, p: Any = None, *, generator: Any = None) -> torch.Tensor:
    drawn = rand(*chances.shape, generator=generator, dtype=torch.float64)
    return (drawn < (chances if p is None else p)).to(chances.dtype)


def multinomial(chances: Any, num_samples: int, replacement: bool = False, *, generator: Any = None) -> torch.Tensor:
    rows = chances.detach().double().reshape(-1, chances.shape[-1]).numpy()
    found = choose(rows, num_samples, replacement, of(generator))
    return torch.from_numpy(found.reshape(*chances.shape[:-1], num_samples))


def fill(draw: Any) -> Any:
    def filled(self: torch.Tensor, *given: Any, generator: Any = None, **named: Any) -> torch.Tensor:
        with torch.no_grad():
            self.copy_(draw(self, of(generator), *given, **named).to(self.dtype))
        return self

    return filled


def tensor(values: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(values.reshape(tuple(like.shape)))


def uniform_(self: Any, source: Any, a: float = 0, b: float = 1, **named: Any) -> torch.Tensor:
    a, b = named.get("from", a), named.get("to", b)
    return a + (b - a) * tensor(source.uniform(self.numel()), self)


def random_(self: Any, source: Any, low: Any = 0, high: Any = None) -> torch.Tensor:
    low, high = (0, low) if high is None and low else (low, high or 2**24)
    return tensor(source.integers(low, high, self.numel()), self)


def bernoulli_(self: Any, source: Any, p: Any = 0.5) -> torch.Tensor:
    return (tensor(source.uniform(self.numel()), self) < p).double()


def dropout_over(axes: int) -> Any:
    def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
        if not training or p == 0:
            return input
        kept = drawn(input, axes) >= p
        made = input * kept.to(input.dtype) / (1 - p) if p < 1 else input * 0
        return input.copy_(made) if inplace else made

    return dropout


def drawn(input: torch.Tensor, axes: int) -> torch.Tensor:
    """Uniform numbers for all of it, or for its channels."""
    shape = list(input.shape) if not axes else [*input.shape[:2], *[1] * (input.dim() - 2)]
    return torch.from_numpy(STREAMS[0].uniform(math.prod(shape)).reshape(shape))


def alpha_dropout_over(axes: int) -> Any:
    def dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> torch.Tensor:
        if not training or p == 0:
            return input
        kept, least = (drawn(input, axes) >= p).to(input.dtype), -1.7580993408473766
        scale = ((least**2 * p + 1) * (1 - p)) ** -0.5 if p < 1 else 0.0
        made = input * (kept * scale) + ((kept - 1) * least * scale + least * scale * p)
        return input.copy_(made) if inplace else made

    return dropout


def rrelu(
    input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> torch.Tensor:
    slope = lower + (upper - lower) * drawn(input, 0).to(input.dtype) if training else (lower + upper) / 2
    made = torch.where(input > 0, input, input * slope)
    return input.copy_(made) if inplace else made


def attend(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **named: Any,
) -> Any:
    if not dropout_p:
        return attended(query, key, value, attn_mask, 0.0, is_causal, **named)
    scores = query @ key.transpose(-2, -1) * (named.get("scale") or 1 / math.sqrt(query.shape[-1]))
    if is_causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -math.inf)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    return F.dropout(scores.softmax(-1), dropout_p) @ value


def trunc_normal_(
    x: Any, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Any:
    low, high = (math.erf((edge - mean) / std / math.sqrt(2)) for edge in (a, b))
    drawn = torch.from_numpy(of(generator).uniform(x.numel())).float().reshape(tuple(x.shape))
    with torch.no_grad():
        return x.copy_((torch.erfinv(low + (high - low) * drawn) * (std * math.sqrt(2.0)) + mean).clamp(a, b))


def choose(rows: np.ndarray, count: int, replacement: bool, stream: Any) -> np.ndarray:
    """Classes drawn by their weights: with replacement by the sums, without by the order of exponential numbers."""
    if replacement or count == 1:
        sums = np.cumsum(rows, axis=1)
        drawn = stream.uniform(len(rows) * count).reshape(len(rows), count) * sums[:, -1:]
        return np.minimum((drawn[:, :, None] >= sums[:, None, :]).sum(-1), rows.shape[1] - 1)
    times = -np.log1p(-stream.uniform(rows.size).reshape(rows.shape)) / np.maximum(rows, 1e-300)
    return np.argsort(times, axis=1, kind="stable")[:, :count]
