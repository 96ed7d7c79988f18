"""Sharding of optimiser, gradients and weights over the ranks of dp, written out: ZeRO, https://arxiv.org/abs/1910.02054.

`dist.parallelize` has it as `sharding_level`, and Paddle 3.0.0 builds it on reduce_scatter, which the CPU does not have
("Unimplemented cpu kernel for CReduceScatterOp"), and on distributed tensors, which plug-ins cannot train. Here it is a
sum over all ranks, of which each keeps its own share.

    level 0   each rank sums all gradients and steps with all of them
          1   each rank's AdamW has the states of its own share alone, and hands the new weights of it around
          2   and of a gradient only that share stays, from the moment on that it is computed
          3   and of a weight only that share stays; a layer's are gathered for its pass, forward and backward
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import paddle
import paddle.distributed as dist
from paddle import nn

ENDS = "embed_tokens", "norm", "lm_head"


class Share:
    """One weight, and this rank's share of it: a flat run of its numbers, filled up with zeros to the same length."""

    def __init__(self, weight: paddle.Tensor, group: Any, ranks: int, index: int) -> None:
        self.weight, self.group, self.index = weight, group, index
        self.shape, self.size = weight.shape, int(np.prod(weight.shape))
        self.length = -(-self.size // ranks)
        self.own = paddle.create_parameter([self.length], "float32")
        self.gradient: paddle.Tensor | None = None
        self.cut()

    def of(self, whole: paddle.Tensor) -> paddle.Tensor:
        """This rank's run of a whole tensor."""
        run = whole.detach().flatten()[self.index * self.length : (self.index + 1) * self.length]
        missing = self.length - run.shape[0]
        return paddle.concat([run, paddle.zeros([missing])]) if missing else run.clone()

    def cut(self) -> None:
        """Let the share have the weight's values."""
        run = self.of(self.weight)  # named, for get_tensor() is no owner
        self.own.get_tensor()._share_data_with(run.get_tensor())

    def fill(self) -> None:
        """Let the weight have those of all shares. A pass that saved the weight sees them: it saved this tensor."""
        shares: list[paddle.Tensor] = []
        dist.all_gather(shares, self.own.detach(), group=self.group)
        whole = paddle.concat(shares)[: self.size].reshape(self.shape).clone()
        self.weight.get_tensor()._share_data_with(whole.get_tensor())

    def keep_gradient(self, *_: Any) -> None:
        """Sum the weight's gradient over the ranks; keep the share alone, added to what is there."""
        whole = at_home(self.weight.grad, self.weight)
        dist.all_reduce(whole, group=self.group)
        share = self.of(whole)
        self.gradient = share if self.gradient is None else self.gradient + share
        self.weight.clear_gradient(False)  # False: its memory is given back, not filled with zeros

    def keep_gradient_alone(self, *_: Any) -> None:
        """The same, and give the weight's memory back: whoever has its gradient has done with the weight."""
        self.keep_gradient()
        self.weight._clear_data()


class ShardedAdamW:
    """AdamW over the ranks of dp; `step` expects gradients of this rank's own part of the batch."""

    def __init__(self, network: nn.Layer, rate: float, level: int, group: Any, ranks: int, index: int) -> None:
        self.level, self.group, self.weights = level, group, list(network.parameters())
        self.shares = [Share(weight, group, ranks, index) for weight in self.weights] if level else []
        self.trained = [share.own for share in self.shares] or self.weights
        self.adam = paddle.optimizer.AdamW(rate, parameters=self.trained, weight_decay=0.01)
        for share in self.shares:
            (share.weight if level == 3 else share.own)._clear_data()
            if level >= 2:
                share.weight._register_backward_hook((share.keep_gradient, share.keep_gradient_alone)[level == 3])
        if level == 3:
            self._gather_by_layer(network)

    def step(self) -> None:
        if self.level == 0 and self.group is not None:
            for weight in self.weights:
                gradient = at_home(weight.grad, weight)
                dist.all_reduce(gradient, group=self.group)
                if str(gradient.place) != str(weight.grad.place):  # only an empty one can be changed for another
                    weight.clear_gradient(False)
                    weight.grad = gradient
        for share in self.shares:
            if self.level == 1:
                share.keep_gradient()
            if self.level < 3:
                share.cut()
            share.own.grad = share.gradient
        self.adam.step()
        for share in self.shares:
            if self.level < 3:
                share.fill()
            (share.weight if self.level == 3 else share.own)._clear_data()

    def clear_grad(self) -> None:
        self.adam.clear_grad(set_to_zero=False)
        for share in self.shares:
            share.gradient = None

    def held(self) -> dict[str, int]:
        """Bytes of what this rank holds between the backward pass and the step, from the second step on."""
        tensors = {id(tensor): tensor for tensor in (*self.weights, *self.trained)}.values()
        moments = [tensor for name, of in self.adam._accumulators.items() if "moment" in name for tensor in of.values()]
        gradients = [weight.grad for weight in self.weights] + [share.gradient for share in self.shares]
        return {"parameters": _bytes(tensors), "gradients": _bytes(gradients), "optimiser": _bytes(moments)}

    def _gather_by_layer(self, network: nn.Layer) -> None:
        """Fill the weights of a layer before its pass, forward and backward; empty them after the forward one."""
        by_weight = {id(share.weight): share for share in self.shares}
        ends = [getattr(at, n) for at in (network.llama, network) for n in ENDS if hasattr(at, n)]
        for unit in (*network.llama.layers, *ends):
            own = [by_weight[id(weight)] for weight in unit.parameters()]
            unit.register_forward_pre_hook(partial(_before, own))
            unit.register_forward_post_hook(partial(_after, own))


def at_home(gradient: paddle.Tensor, weight: paddle.Tensor) -> paddle.Tensor:
    """The gradient on its weight's device: that of an embedding Paddle computes on the CPU, and leaves there, where a
    plug-in has no kernel `embedding_grad`."""
    return gradient if str(gradient.place) == str(weight.place) else gradient._copy_to(weight.place, True)


def _before(own: list[Share], layer: nn.Layer, inputs: tuple[Any, ...]) -> None:
    for share in own:
        share.fill()


def _after(own: list[Share], layer: nn.Layer, inputs: tuple[Any, ...], output: paddle.Tensor) -> None:
    for share in own:
        share.weight._clear_data()
    if not output.stop_gradient:  # its gradient is the first that the backward pass needs here
        output.register_hook(lambda _: [share.fill() for share in own].clear())


def _bytes(tensors: Iterable[paddle.Tensor | None]) -> int:
    held = [tensor for tensor in tensors if tensor is not None and tensor._is_initialized()]
    return sum(int(np.prod(tensor.shape)) * tensor.element_size() for tensor in held)
