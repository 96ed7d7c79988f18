"""torch.nn.init: the random starts of weights, which lie as PyTorch lays them: (out, in, ...)."""

import math

import paddle

from . import chance
from .chance import normal_, uniform_
from .common import put


def _fans(tensor):
    if tensor.ndim < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def calculate_gain(nonlinearity, param=None):
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    return {"tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 0.75}.get(nonlinearity, 1.0)


def _kaiming(tensor, a, mode, nonlinearity):
    fan = dict(zip(("fan_in", "fan_out"), _fans(tensor), strict=False))[mode]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    bound = math.sqrt(3.0) * _kaiming(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator=generator)


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    return normal_(tensor, 0.0, _kaiming(tensor, a, mode, nonlinearity), generator=generator)


def xavier_uniform_(tensor, gain=1.0, generator=None):
    bound = math.sqrt(3.0) * gain * math.sqrt(2.0 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound, generator=generator)


def xavier_normal_(tensor, gain=1.0, generator=None):
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans(tensor))), generator=generator)


def constant_(tensor, val):
    return put(tensor, paddle.full([], val, tensor.dtype))


def zeros_(tensor):
    return constant_(tensor, 0.0)


def ones_(tensor):
    return constant_(tensor, 1.0)


def eye_(tensor):
    return put(tensor, paddle.eye(*tensor.shape))


def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0, generator=None):
    def below(x):
        return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0

    low, high = below((a - mean) / std), below((b - mean) / std)
    drawn = chance.of(generator).uniform(list(tensor.shape)).astype("float32")
    drawn = (2 * low - 1) + ((2 * high - 1) - (2 * low - 1)) * drawn
    return put(tensor, paddle.clip(paddle.erfinv(drawn) * (std * math.sqrt(2.0)) + mean, a, b))


def orthogonal_(tensor, gain=1, generator=None):
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    flat = chance.of(generator).normal([rows, columns]).astype("float32")
    q, r = paddle.linalg.qr(flat.T if rows < columns else flat)
    q = q * paddle.sign(paddle.diag(r))
    q = q.T if rows < columns else q
    return put(tensor, gain * q.reshape(tensor.shape))
