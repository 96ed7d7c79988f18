"""Functions with PyTorch's signatures that mended projects are given. What they cannot do they refuse."""

import math

import paddle


def _start(fan_in):
    """PyTorch's random start of linear and convolutional layers, weights and biases: U(±1/√fan_in)."""
    bound = 1 / math.sqrt(fan_in)
    return paddle.ParamAttr(initializer=paddle.nn.initializer.Uniform(-bound, bound))


class Linear(paddle.nn.Linear):
    """Paddle's own begins with Xavier's weights and biases of 0."""

    def __init__(self, in_features, out_features, weight_attr=None, bias_attr=None, name=None):
        weight_attr = weight_attr or _start(in_features)
        bias_attr = _start(in_features) if bias_attr in (None, True) else bias_attr
        super().__init__(in_features, out_features, weight_attr, bias_attr, name)


class Conv2D(paddle.nn.Conv2D):
    """Paddle's own begins with normal weights and biases of 0."""

    def __init__(self, in_channels, out_channels, kernel_size, *others, **named):
        sides = [kernel_size] * 2 if isinstance(kernel_size, int) else kernel_size
        fan_in = in_channels // named.get("groups", 1) * math.prod(sides)
        if named.get("weight_attr") is None:
            named["weight_attr"] = _start(fan_in)
        if named.get("bias_attr") in (None, True):
            named["bias_attr"] = _start(fan_in)
        super().__init__(in_channels, out_channels, kernel_size, *others, **named)


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu"):
    """Fill in place with N(0, gain² / fan). Paddle's Linear weights are (in, out), convolutions' (out, in, ...)."""
    gains = {"relu": math.sqrt(2.0), "leaky_relu": math.sqrt(2.0 / (1 + a**2)), "linear": 1.0}
    if nonlinearity not in gains or mode not in ("fan_in", "fan_out"):
        raise NotImplementedError(f"kaiming_normal_ with mode={mode!r}, nonlinearity={nonlinearity!r}")
    field = math.prod(tensor.shape[2:])
    inputs, outputs = tensor.shape[:2] if tensor.ndim == 2 else (tensor.shape[1], tensor.shape[0])
    fan = field * (inputs if mode == "fan_in" else outputs)
    paddle.nn.initializer.Normal(0.0, gains[nonlinearity] / math.sqrt(fan))(tensor)
    return tensor


def SGD(params, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    """PyTorch's SGD: velocity = momentum * velocity + gradient, weights -= lr * velocity."""
    if dampening:
        raise NotImplementedError("SGD with dampening")
    given = {"learning_rate": lr, "parameters": list(params), "weight_decay": weight_decay or None}
    if not momentum:
        return paddle.optimizer.SGD(**given)
    return paddle.optimizer.Momentum(momentum=momentum, use_nesterov=nesterov, **given)
