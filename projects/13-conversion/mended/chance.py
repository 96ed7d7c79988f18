"""PyTorch's random functions. All numbers come from `source`: Paddle's generator, or a recorded stream."""

import math

import numpy as np
import paddle

from .common import Tensor, dims, finish, method, put, writes


class Own:
    """Paddle's generator."""

    def seed(self, number):
        paddle.seed(number)

    def uniform(self, shape):
        return paddle.rand(shape or [1], "float32").reshape(shape)

    def normal(self, shape):
        return paddle.randn(shape or [1], "float32").reshape(shape)

    def integers(self, low, high, shape):
        return paddle.randint(low, high, shape or [1], "int64").reshape(shape)

    def permutation(self, count):
        return paddle.randperm(count)


class Recorded:
    """A stream of numbers that PyTorch's side was given too."""

    def __init__(self, stream):
        self.stream = stream

    def seed(self, number):
        self.stream.seed(number)

    def uniform(self, shape):
        return paddle.to_tensor(self.stream.uniform(math.prod(shape)).reshape(shape))

    def normal(self, shape):
        return paddle.to_tensor(self.stream.normal(math.prod(shape)).reshape(shape))

    def integers(self, low, high, shape):
        return paddle.to_tensor(self.stream.integers(low, high, math.prod(shape)).reshape(shape))

    def permutation(self, count):
        return paddle.to_tensor(self.stream.permutation(count))


source = Own()


class Generator:
    """PyTorch's generator object: a stream of its own."""

    def __init__(self, device=None):
        self.device = device
        self.manual_seed(67280421310721)

    def manual_seed(self, number):
        self.number = int(number)
        self.own = None
        return self

    def seed(self):
        return self.manual_seed(0).number

    def initial_seed(self):
        return self.number

    def draws(self):
        if self.own is None:
            if isinstance(source, Recorded):
                self.own = Recorded(type(source.stream)(self.number, source.stream.nudge))
            else:
                self.own = Seeded(self.number)
        return self.own


class Seeded:
    """Numbers by numpy, for a generator object."""

    def __init__(self, number):
        self.generator = np.random.default_rng(number)

    def uniform(self, shape):
        return paddle.to_tensor(self.generator.random(shape))

    def normal(self, shape):
        return paddle.to_tensor(self.generator.standard_normal(shape))

    def integers(self, low, high, shape):
        return paddle.to_tensor(self.generator.integers(low, high, shape))

    def permutation(self, count):
        return paddle.to_tensor(self.generator.permutation(count))


def of(generator):
    return source if generator is None else generator.draws()


def manual_seed(number):
    source.seed(int(number))
    return Generator()


def _shape(size, named):
    return dims(named["size"] if isinstance(named.get("size"), (list, tuple)) and not size else None or size)


def _kind(dtype):
    return dtype or paddle.get_default_dtype()


def _given(size, shape):
    if shape is not None:
        return [int(each) for each in shape]
    return dims(size)


def rand(*size_, size=None, generator=None, dtype=None, device=None, requires_grad=False, out=None, **_):
    return finish(of(generator).uniform(_given(size_, size)), _kind(dtype), requires_grad)


def randn(*size_, size=None, generator=None, dtype=None, device=None, requires_grad=False, out=None, **_):
    return finish(of(generator).normal(_given(size_, size)), _kind(dtype), requires_grad)


def randint(*given, low=None, high=None, size=None, generator=None, dtype=None, device=None, requires_grad=False, **_):
    given = list(given)
    shape = given.pop() if size is None else size
    high = given.pop() if high is None else high
    low = given[0] if given else low or 0
    return finish(of(generator).integers(int(low), int(high), [int(e) for e in shape]), dtype or "int64", requires_grad)


def randperm(n, *, generator=None, dtype=None, device=None, **_):
    return finish(of(generator).permutation(int(n)), dtype or "int64")


def normal(mean=0.0, std=1.0, size=None, *, generator=None, dtype=None, device=None, **_):
    if size is None:
        like = mean + std if isinstance(mean, Tensor) or isinstance(std, Tensor) else paddle.to_tensor(0.0)
        return mean + std * randn(*like.shape, generator=generator, dtype=like.dtype)
    return mean + std * randn(*size, generator=generator, dtype=dtype)


def rand_like(x, dtype=None, requires_grad=False, **_):
    return rand(*x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad)


def randn_like(x, dtype=None, requires_grad=False, **_):
    return randn(*x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad)


def randint_like(x, *given, dtype=None, **named):
    return randint(*given, tuple(x.shape), dtype=dtype or x.dtype, **named)


@method
def bernoulli(x, p=None, *, generator=None):
    drawn = of(generator).uniform(list(x.shape)).astype("float64")
    return (drawn < (x if p is None else paddle.full(x.shape, p)).astype("float64")).astype(x.dtype)


@method
def multinomial(x, num_samples, replacement=False, *, generator=None):
    rows = x.detach().astype("float64").reshape([-1, x.shape[-1]])
    draws = of(generator)
    if replacement or num_samples == 1:
        sums = np.cumsum(rows.numpy(), axis=1)
        drawn = draws.uniform([len(rows), num_samples]).numpy().astype("float64") * sums[:, -1:]
        found = np.minimum((drawn[:, :, None] >= sums[:, None, :]).sum(-1), rows.shape[1] - 1)
    else:
        times = -np.log1p(-draws.uniform(list(rows.shape)).numpy().astype("float64")) / np.maximum(rows.numpy(), 1e-300)
        found = np.argsort(times, axis=1, kind="stable")[:, :num_samples]
    return paddle.to_tensor(found.astype("int64")).reshape([*x.shape[:-1], num_samples])


@method
def uniform_(x, a=0.0, b=1.0, generator=None, **named):
    a, b = named.get("from", a), named.get("to", b)
    return put(x, a + (b - a) * of(generator).uniform(list(x.shape)))


@method
def normal_(x, mean=0.0, std=1.0, generator=None):
    return put(x, mean + std * of(generator).normal(list(x.shape)))


@method
def bernoulli_(x, p=0.5, generator=None):
    return put(x, (of(generator).uniform(list(x.shape)) < p).astype("float32"))


@method
def exponential_(x, lambd=1.0, generator=None):
    return put(x, -paddle.log1p(-of(generator).uniform(list(x.shape))) / lambd)


@method
def random_(x, low=0, high=None, generator=None):
    low, high = (0, low) if high is None and low else (low, high or 2**24)
    return put(x, of(generator).integers(low, high, list(x.shape)))


def _drop(x, p, training, shape):
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0:
        return x
    kept = (source.uniform(shape) >= p).astype(x.dtype)
    return x * kept / (1 - p) if p < 1 else x * 0


@writes
def dropout(input, p=0.5, training=True, inplace=False):
    return _drop(input, p, training, list(input.shape))


@writes
def dropout2d(input, p=0.5, training=True, inplace=False):
    return _drop(input, p, training, [*input.shape[:2], *[1] * (input.ndim - 2)])


dropout1d = dropout3d = dropout2d


def _alpha(x, p, training, shape):
    if not training or p == 0:
        return x
    kept = (source.uniform(shape) >= p).astype(x.dtype)
    least = -1.7580993408473766  # of SELU
    scale = ((least**2 * p + 1) * (1 - p)) ** -0.5 if p < 1 else 0.0
    return x * kept * scale + ((kept - 1) * least * scale + least * scale * p)


@writes
def alpha_dropout(input, p=0.5, training=False, inplace=False):
    return _alpha(input, p, training, list(input.shape))


@writes
def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    return _alpha(input, p, training, [*input.shape[:2], *[1] * (input.ndim - 2)])


@writes
def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
    slope = lower + (upper - lower) * source.uniform(list(input.shape)) if training else (lower + upper) / 2
    slope = slope.astype(input.dtype) if training else slope
    return paddle.where(input > 0, input, input * slope)
