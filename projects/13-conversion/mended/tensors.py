"""PyTorch's attributes for Paddle's tensors, where Paddle has none of that name."""

import paddle

Tensor = paddle.Tensor


def requires_grad_(self, requires_grad=True):
    self.stop_gradient = not requires_grad
    return self


def install():
    for kind in (Tensor, paddle.base.framework.EagerParamBase):
        kind.requires_grad_ = requires_grad_
        kind.requires_grad = property(lambda self: not self.stop_gradient, lambda self, value: setattr(self, "stop_gradient", not value))
