"""Half precision on a CPU, where Paddle lacks most kernels: computed in float32 and rounded once, as in PyTorch."""

import functools
import inspect

import paddle
from paddle import _C_ops
from paddle.autograd import PyLayer

Tensor = paddle.Tensor
HALVES = (paddle.float16, paddle.bfloat16)
FLOATS = (*HALVES, paddle.float32, paddle.float64)
TRACED = (*FLOATS, paddle.complex64, paddle.complex128)
MADE = ("cast", "assign", "full", "empty", "arange", "eye", "uniform", "gaussian", "randint", "randperm")
SHARED = {"reshape", "transpose", "slice", "strided_slice", "squeeze", "unsqueeze", "flatten", "split",
          "split_with_num", "unbind", "diagonal", "as_strided", "view_shape", "view_dtype", "tensor_unfold", "expand",
          "share_data", "set_value", "shape", "is_empty", "numel", "print", "index_select_strided"}  # fmt: skip
LEFT = (
    "item",
    "tolist",
    "numpy",
    "clone",
    "detach",
    "cpu",
    "pow",
    "logsumexp",
    "tanhshrink",
    "interpolate",
    "prod",
    "log_softmax",
    "scaled_dot_product_attention",
    "nll_loss",
    "cross_entropy",
    "normalize",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
)
ROUNDING = {"add", "sub", "subtract", "floor_divide", "remainder", "fmod", "eq", "ne", "lt", "le", "gt", "ge", "less",
            "less_equal", "greater", "greater_equal", "maximum", "minimum"}  # fmt: skip
STEPS = ("hypot", "logaddexp", "nan_to_num", "frac", "logit", "nansum", "nanmean", "cdist", "copysign")


def is_half(x):
    return x.dtype in HALVES


def cast(x, kind):
    """To another type; to float16 rounded to the nearest, where Paddle's CPU cuts off."""
    if kind != paddle.float16 or x.dtype not in (paddle.float32, paddle.float64) or not x.place.is_cpu_place():
        made = x.astype(kind)
        made.stop_gradient = x.stop_gradient or made.dtype not in TRACED
        return made
    near = paddle.to_tensor(x.detach().numpy().astype("float16").astype("float64")).astype(x.dtype)
    if not x.stop_gradient:
        near = x + paddle.where(x == near, paddle.zeros_like(near), near - x).detach()
    return near.astype(kind)


class _Wide(PyLayer):
    """Float16 in float32, whose gradient is rounded to the nearest."""

    @staticmethod
    def forward(ctx, x):
        return x.astype("float32")

    @staticmethod
    def backward(ctx, gradient):
        return cast(gradient, paddle.float16)


def _wide(x):
    traced = x.dtype == paddle.float16 and not x.stop_gradient and paddle.is_grad_enabled()
    return _Wide.apply(x) if traced else x.astype("float32")


def _mapped(change, value):
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, (list, tuple)):
        values = [_mapped(change, each) for each in value]
        return type(value)(*values) if hasattr(value, "_fields") else type(value)(values)
    return value


def _tensors(values):
    for each in values:
        if isinstance(each, Tensor):
            yield each
        elif isinstance(each, (list, tuple)):
            yield from _tensors(each)


def narrow(x):
    return is_half(x) and x.place.is_cpu_place()


def rounded(x, kind):
    """In float32, with the numbers that `kind` has; the gradient is that of x."""
    return x + (cast(x.detach(), kind).astype("float32") - x.detach())


def near(number, kind):
    """A number, or a tensor without axes, as the type has it."""
    if isinstance(number, Tensor):
        return number if number.ndim or number.dtype not in FLOATS else cast(number, kind)
    if type(number) not in (int, float):
        return number
    return float(cast(paddle.to_tensor(float(number), dtype="float32"), kind).astype("float32"))


def single(function, rounds=False):
    """The function for halves on a CPU: their result is of their type, unless a wider tensor or `dtype` says another.

    `rounds`: a number, or a tensor without axes, that meets them is first of their type.
    """

    @functools.wraps(function)
    def called(*given, **named):
        found = [each for each in _tensors((*given, *named.values())) if each.dtype in FLOATS]
        if not any(map(is_half, found)) or not found[0].place.is_cpu_place():
            return function(*given, **named)
        kinds = {each.dtype for each in [each for each in found if each.ndim] or found}
        asked = named.get("dtype") is not None or any(isinstance(each, paddle.dtype) for each in given)
        kind = kinds.pop() if len(kinds) == 1 and not asked else paddle.float32
        if kind in HALVES and given and any(each.ndim for each in found):
            given = (near(given[0], kind) if isinstance(given[0], Tensor) else given[0], *given[1:])
        if rounds and kind in HALVES:
            given, named = [near(each, kind) for each in given], {name: near(named[name], kind) for name in named}
        given = [_mapped(lambda x: _wide(x) if is_half(x) else x, each) for each in given]
        named = {name: _mapped(lambda x: _wide(x) if is_half(x) else x, each) for name, each in named.items()}
        made = function(*given, **named)
        return _mapped(lambda x: cast(x, kind) if x.dtype == paddle.float32 and kind in HALVES else x, made)

    called.single = True
    return called


def whole(module):
    """Every function of a module that makes tensors: its steps are not rounded one by one."""
    for name, function in list(vars(module).items()):
        own = inspect.isfunction(function) and function.__module__ == module.__name__
        if own and not (name.startswith("_") or name.endswith("_") or name in LEFT or hasattr(function, "single")):
            setattr(module, name, single(function, name in ROUNDING))


def of_input(function):
    """A norm, whose result has its first argument's type; running statistics keep theirs."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def called(*given, **named):
        bound = signature.bind(*given, **named)
        input = bound.arguments["input"]
        if not narrow(input):
            return function(*given, **named)
        halves = {name: each for name, each in bound.arguments.items() if isinstance(each, Tensor) and is_half(each)}
        bound.arguments.update((name, _wide(each)) for name, each in halves.items())
        if "kind" in signature.parameters and ("weight" in halves or bound.arguments.get("weight") is None):
            bound.arguments["kind"] = input.dtype
        made = cast(function(*bound.args, **bound.kwargs), input.dtype)
        for name in ("running_mean", "running_var"):
            if name in halves:
                paddle.assign(cast(bound.arguments[name], input.dtype), halves[name])
        return made

    called.single = True
    return called


def refused(x, why):
    """What PyTorch computes from halves with more roundings than one, in an order of its own."""
    if narrow(x):
        raise NotImplementedError(f"{why} in half precision is not converted: write .float()")


def _sinc(x, *given, **named):
    refused(x, "sinc")
    return sinc(x, *given, **named)


sinc = paddle.sinc


def install():
    """In the place of Paddle's own operators; views and what writes in place are left, since they share memory."""
    for name in dir(_C_ops):
        if not (name.startswith(("_", *MADE)) or name.endswith("_") or name in SHARED):
            setattr(_C_ops, name, single(getattr(_C_ops, name)))
    for name in STEPS:
        for owner in (paddle, Tensor):
            if hasattr(owner, name):
                setattr(owner, name, single(getattr(owner, name)))
    paddle.sinc = Tensor.sinc = _sinc
