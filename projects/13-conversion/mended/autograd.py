"""PyTorch's functions with a gradient of their own, over Paddle's PyLayer."""

import paddle

from .common import Tensor


class Context:
    """What forward leaves for backward."""

    saved_tensors = ()

    def __init__(self, given):
        self.needs_input_grad = tuple(isinstance(each, Tensor) and not each.stop_gradient for each in given)
        self.constant, self.materialized = [], True

    def save_for_backward(self, *tensors):
        self.saved_tensors = tensors

    def mark_non_differentiable(self, *tensors):
        self.constant += tensors

    def set_materialize_grads(self, value):
        self.materialized = value


class Function:
    """Derive from it forward(ctx, …) and backward(ctx, …), which gives a gradient or None for each that was given."""

    @classmethod
    def apply(cls, *given):
        context = Context(given)
        places = [place for place, each in enumerate(given) if isinstance(each, Tensor)]

        def forward(ctx, *tensors):
            every = list(given)
            for place, tensor in zip(places, tensors, strict=True):
                every[place] = tensor
            made = _apart(_forward(cls, context, every), tensors)
            ctx.set_materialize_grads(context.materialized)
            if context.constant:
                ctx.mark_non_differentiable(*context.constant)
            return made

        def backward(ctx, *gradients):
            found = cls.backward(context, *gradients)
            found = found if isinstance(found, tuple) else (found,)
            if len(found) < len(given):
                raise RuntimeError(f"{cls.__name__}.backward gives {len(found)} gradients for {len(given)} inputs")
            return tuple(found[place] if context.needs_input_grad[place] else None for place in places)

        layer = type(cls.__name__, (paddle.autograd.PyLayer,),
                     {"forward": staticmethod(forward), "backward": staticmethod(backward)})  # fmt: skip
        return layer.apply(*(given[place] for place in places))


def _forward(cls, context, given):
    if not hasattr(cls, "setup_context"):
        return cls.forward(context, *given)
    made = cls.forward(*given)
    cls.setup_context(context, tuple(given), made)
    return made


def _apart(made, given):
    """What is given back as it came is another tensor."""
    if isinstance(made, tuple):
        return tuple(_apart(each, given) for each in made)
    return made.clone() if any(made is each for each in given) else made
