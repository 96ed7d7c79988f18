"""Saved tensors, and small things that are a line each."""

import contextlib
import functools
import io
import pickle
from pathlib import Path

import numpy as np
import paddle

from .common import is_half
from .modules import Parameter

WHOLE = b"layers and arrays"  # how a file begins with what paddle.save refuses, or would make tensors of


class _Pickler(pickle.Pickler):
    def reducer_override(self, thing):
        if not isinstance(thing, paddle.Tensor):
            return NotImplemented
        weight = isinstance(thing, paddle.base.framework.EagerParamBase)
        return _tensor, (thing.detach().astype("float32" if is_half(thing) else thing.dtype).numpy(),
                         str(thing.dtype).rpartition(".")[2], thing.stop_gradient, weight)  # fmt: skip


def _tensor(values, kind, stop_gradient, weight):
    made = paddle.to_tensor(values).astype(kind)
    made = Parameter(made, not stop_gradient) if weight else made
    made.stop_gradient = stop_gradient
    return made


def _holds(thing, kinds):
    if isinstance(thing, dict):
        return any(_holds(each, kinds) for each in thing.values())
    if isinstance(thing, (list, tuple, set)):
        return any(_holds(each, kinds) for each in thing)
    return isinstance(thing, kinds)


def save(obj, f, *_, **__):
    """To a path or an open file; whole layers and arrays stay what they are, as in PyTorch."""
    content = io.BytesIO()
    if _holds(obj, (paddle.nn.Layer, np.ndarray, np.generic)):
        content.write(WHOLE)
        _Pickler(content).dump(obj)
    else:
        paddle.save(obj, content)
    if hasattr(f, "write"):
        f.write(content.getvalue())
    else:
        Path(f).write_bytes(content.getvalue())


def load(f, map_location=None, *, weights_only=None, mmap=None, **_):
    content = f.read() if hasattr(f, "read") else Path(f).read_bytes()
    if content.startswith(WHOLE):
        return pickle.loads(content[len(WHOLE) :])
    return paddle.load(io.BytesIO(content))


OutOfMemoryError = MemoryError
channels_last, contiguous_format, preserve_format = "channels_last", "contiguous_format", "preserve_format"


def checkpoint(function, *given, use_reentrant=None, preserve_rng_state=True, **named):
    """The same values and gradients as with less memory."""
    return function(*given, **named)


def compile(model=None, **_):
    """What makes nothing else of a model or a function, only faster, or says how that is to be done."""
    return model if model is not None else lambda function: function


DEVICES = ("cpu", "cuda", "mps", "xpu", "npu", "hpu", "meta")


class device(str):
    """PyTorch's device, which is equal to no text; Paddle's functions take its own."""

    def __new__(cls, type="cpu", index=None):
        if isinstance(type, int):
            type, index = "cuda", type
        type = str(type)
        kind, _, number = type.partition(":")
        if kind not in DEVICES or (":" in type and not number.isdecimal()) or (number and index is not None):
            raise RuntimeError(f"Invalid device string: {type!r}")
        return super().__new__(cls, type if index is None else f"{type}:{int(index)}")

    type = property(lambda self: str(self).partition(":")[0])
    index = property(lambda self: int(str(self).partition(":")[2]) if ":" in str(self) else None)

    def __eq__(self, other):
        return isinstance(other, device) and str(self) == str(other)

    def __ne__(self, other):
        return not self == other

    def __hash__(self):
        return hash(str(self))

    def __repr__(self):
        return f"device(type={self.type!r}" + (f", index={self.index})" if ":" in str(self) else ")")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


def is_available():
    return paddle.is_compiled_with_cuda()


def current_accelerator(*_, **__):
    return device("cuda") if is_available() else None


def never(*_, **__):
    return False


def nothing(*_, **__):
    return None


def zero(*_, **__):
    return 0


def device_count():
    return paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0


@contextlib.contextmanager
def quiet(*_, **__):
    yield


class autocast(contextlib.ContextDecorator):
    """On the CPU in float32: nothing. What would compute in another type is refused."""

    def __init__(self, device_type="cuda", dtype=None, enabled=True, cache_enabled=None):
        if (enabled and is_available()) or (enabled and str(device_type) == "cpu"):
            raise NotImplementedError("autocast is not converted")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


class GradScaler:
    """One that is not enabled, as PyTorch's for CUDA is where there is none."""

    def __init__(self, device="cuda", *_, enabled=True, **__):
        if enabled and (is_available() or str(device) == "cpu"):
            raise NotImplementedError("GradScaler is not converted")

    def scale(self, loss):
        return loss

    def step(self, optimizer, *given):
        return optimizer.step(*given)

    def update(self, *_):
        pass

    def unscale_(self, optimizer):
        pass

    def get_scale(self):
        return 1.0

    def is_enabled(self):
        return False

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class set_grad_enabled:
    """As a call, in a `with`, and on a function."""

    def __init__(self, mode):
        self.mode, self.before = bool(mode), paddle.is_grad_enabled()
        paddle.set_grad_enabled(self.mode).__enter__()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        paddle.set_grad_enabled(self.before).__enter__()

    def __call__(self, function):
        self.__exit__()

        @functools.wraps(function)
        def called(*given, **named):
            with set_grad_enabled(self.mode):
                return function(*given, **named)

        return called


def make_grid(tensor, nrow=8, padding=2, normalize=False, value_range=None, scale_each=False, pad_value=0.0):
    x = paddle.stack(list(tensor)) if isinstance(tensor, (list, tuple)) else tensor
    x = x.unsqueeze(0).unsqueeze(0) if x.ndim == 2 else x.unsqueeze(0) if x.ndim == 3 else x
    x = paddle.concat([x] * 3, 1) if x.shape[1] == 1 else x
    if normalize:
        low, high = value_range or (float(x.min()), float(x.max()))
        x = (paddle.clip(x, low, high) - low) / max(high - low, 1e-5)
    if x.shape[0] == 1:
        return x.squeeze(0)
    columns = min(nrow, x.shape[0])
    rows = -(-x.shape[0] // columns)
    height, width = x.shape[2] + padding, x.shape[3] + padding
    grid = paddle.full([x.shape[1], height * rows + padding, width * columns + padding], pad_value, x.dtype)
    for number in range(x.shape[0]):
        top, left = number // columns * height + padding, number % columns * width + padding
        grid[:, top : top + x.shape[2], left : left + x.shape[3]] = x[number]
    return grid


def save_image(tensor, fp, format=None, **named):
    from PIL import Image

    grid = paddle.clip(make_grid(tensor, **named) * 255 + 0.5, 0, 255).transpose([1, 2, 0]).astype("uint8")
    Image.fromarray(grid.numpy()).save(fp, format=format)


def parameters_to_vector(parameters):
    return paddle.concat([each.flatten() for each in parameters])


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, allow_unused=None, **_):
    single = isinstance(inputs, paddle.Tensor)
    found = paddle.grad(
        outputs,
        [inputs] if single else list(inputs),
        grad_outputs,
        retain_graph,
        create_graph,
        allow_unused=bool(allow_unused),
    )
    return tuple(found)
