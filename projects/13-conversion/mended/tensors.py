"""PyTorch's attributes for Paddle's tensors, where Paddle has none of that name."""

import functools

import paddle

from .arithmetic import detach
from .common import put
from .files import device

Tensor = paddle.Tensor
TRACED = {paddle.float16, paddle.bfloat16, paddle.float32, paddle.float64, paddle.complex64, paddle.complex128}


def requires_grad_(self, requires_grad=True):
    self.stop_gradient = not requires_grad
    return self


def _gradient(given):
    """As PyTorch's: it has no gradient of its own, and may be set to None."""

    def read(self):
        found = given.__get__(self)
        if found is None or not found._is_initialized():
            return None
        found.stop_gradient = True
        return found

    def write(self, value):
        if value is None:
            self.clear_gradient(False)
        else:
            given.__set__(self, value)

    return property(read, write)


def _grad_fn(given):
    return property(lambda self: None if self.is_leaf or self.stop_gradient else given.__get__(self))


def _data(self, value):
    put(self, value.detach())


def _lies_on(name, self):
    return self.device.type == name


def install():
    Tensor.grad = _gradient(Tensor.grad)
    for kind in (Tensor, paddle.base.framework.EagerParamBase):
        kind.requires_grad_ = requires_grad_
        kind.data = property(detach, _data)
        kind.grad_fn = _grad_fn(kind.grad_fn)
        kind.device = property(lambda self: device(str(self.place)[6:-1].replace("gpu", "cuda")))
        for name in ("cuda", "cpu", "xpu", "mps"):
            setattr(kind, f"is_{name}", property(functools.partial(_lies_on, name)))
        kind.requires_grad = property(
            lambda self: not self.stop_gradient and self.dtype in TRACED,
            lambda self, value: setattr(self, "stop_gradient", not value),
        )
