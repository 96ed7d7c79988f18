"""torch.distributions: those that are most used, by PyTorch's formulas."""

import math

import paddle
import paddle.nn.functional as F

from . import chance
from .kinds import Size


def _tensor(value):
    return value if isinstance(value, paddle.Tensor) else paddle.to_tensor(float(value))


def _as(value, shape):
    return value if list(value.shape) == list(shape) else value.expand(shape)


class Distribution:
    batch_shape = event_shape = Size()

    def rsample(self, sample_shape=()):
        raise NotImplementedError(f"{type(self).__name__}.rsample")

    def sample(self, sample_shape=()):
        with paddle.no_grad():
            return self.rsample(sample_shape)


class Normal(Distribution):
    def __init__(self, loc, scale, validate_args=None):
        loc, scale = _tensor(loc), _tensor(scale)
        shape = paddle.broadcast_shape(loc.shape, scale.shape)
        self.loc, self.scale, self.batch_shape = _as(loc, shape), _as(scale, shape), Size(shape)
        self.mean, self.stddev, self.variance = self.loc, self.scale, self.scale**2

    def rsample(self, sample_shape=()):
        return self.loc + self.scale * chance.randn(*sample_shape, *self.batch_shape, dtype=self.loc.dtype)

    def log_prob(self, value):
        return (
            -((value - self.loc) ** 2) / (2 * self.variance) - paddle.log(self.scale) - math.log(math.sqrt(2 * math.pi))
        )

    def entropy(self):
        return 0.5 + 0.5 * math.log(2 * math.pi) + paddle.log(self.scale)

    def icdf(self, value):
        return self.loc + self.scale * paddle.erfinv(2 * value - 1) * math.sqrt(2)

    def cdf(self, value):
        return 0.5 * (1 + paddle.erf((value - self.loc) / self.scale / math.sqrt(2)))


class Uniform(Distribution):
    def __init__(self, low, high, validate_args=None):
        self.low, self.high = _tensor(low), _tensor(high)
        self.batch_shape = Size(paddle.broadcast_shape(self.low.shape, self.high.shape))

    def rsample(self, sample_shape=()):
        return self.low + (self.high - self.low) * chance.rand(*sample_shape, *self.batch_shape)

    def log_prob(self, value):
        inside = ((value >= self.low) & (value < self.high)).astype(self.low.dtype)
        return paddle.log(inside) - paddle.log(self.high - self.low)

    def entropy(self):
        return paddle.log(self.high - self.low)

    @property
    def mean(self):
        return (self.high + self.low) / 2

    @property
    def variance(self):
        return (self.high - self.low) ** 2 / 12

    @property
    def stddev(self):
        return paddle.sqrt(self.variance)


class Categorical(Distribution):
    def __init__(self, probs=None, logits=None, validate_args=None):
        if logits is None:
            self.probs = probs / probs.sum(-1, keepdim=True)
            eps = 1.1920928955078125e-07
            self.logits = paddle.log(paddle.clip(self.probs, eps, 1 - eps))
        else:
            self.logits = logits - paddle.logsumexp(logits, -1, keepdim=True)
            self.probs = F.softmax(self.logits, -1)
        self.batch_shape = Size(self.logits.shape[:-1])

    def sample(self, sample_shape=()):
        count = math.prod(sample_shape)
        rows = self.probs.detach().reshape([-1, self.probs.shape[-1]])
        drawn = chance.multinomial(rows, count, True)
        return drawn.transpose([1, 0]).reshape([*sample_shape, *self.batch_shape])

    def log_prob(self, value):
        value = value.astype("int64").unsqueeze(-1)
        shape = paddle.broadcast_shape(value.shape[:-1], self.logits.shape[:-1])
        logits = self.logits.expand([*shape, self.logits.shape[-1]])
        return paddle.take_along_axis(logits, value.expand([*shape, 1]), -1, broadcast=False).squeeze(-1)

    def entropy(self):
        return -(self.logits * self.probs).sum(-1)

    @property
    def mode(self):
        return self.probs.argmax(-1)


class Bernoulli(Distribution):
    def __init__(self, probs=None, logits=None, validate_args=None):
        if logits is None:
            self.probs = _tensor(probs)
            eps = 1.1920928955078125e-07
            clipped = paddle.clip(self.probs, eps, 1 - eps)
            self.logits = paddle.log(clipped) - paddle.log1p(-clipped)
        else:
            self.logits = _tensor(logits)
            self.probs = F.sigmoid(self.logits)
        self.batch_shape = Size(self.probs.shape)
        self.mean, self.variance = self.probs, self.probs * (1 - self.probs)

    def sample(self, sample_shape=()):
        return chance.bernoulli(self.probs.detach().expand([*sample_shape, *self.batch_shape]))

    def log_prob(self, value):
        return value * F.log_sigmoid(self.logits) + (1 - value) * F.log_sigmoid(-self.logits)

    def entropy(self):
        return -(self.probs * F.log_sigmoid(self.logits) + (1 - self.probs) * F.log_sigmoid(-self.logits))


def kl_divergence(p, q):
    if isinstance(p, Normal) and isinstance(q, Normal):
        ratio = (p.scale / q.scale) ** 2
        return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - paddle.log(ratio))
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        return (p.probs * (p.logits - q.logits)).sum(-1)
    raise NotImplementedError(f"kl_divergence of {type(p).__name__} and {type(q).__name__}")
