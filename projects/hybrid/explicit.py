"""The stage once more, with its collectives written out: what the automatic parallel API does between the lines.

Custom devices (Ascend, Cambricon, …, and the simulated cards) need it. In Paddle 3.0.0 every reshard inside an operator
ends there in "The AllReduce in reshard only supported on CPU for now", and every backward pass to a distributed weight
in "DistTensor doesn't support custom device". So the weights are plain tensors here, this rank's pieces. The functions
at the two ends of what is sliced are f and g in Shoeybi et al., "Megatron-LM", 2019, section 3.
"""

from typing import Any

import numpy as np
import paddle
import paddle.distributed as dist
from paddle.autograd import PyLayer
from paddle.distributed.auto_parallel.api import dtensor_from_local

from .boundary import LAYOUT
from .stage import Stage


class SumBackward(PyLayer):  # f
    """The input as it is; backward, the sum of the gradients that the slices have."""

    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, group: Any) -> paddle.Tensor:
        ctx.group = group
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: paddle.Tensor) -> paddle.Tensor:
        total = gradient.clone()
        dist.all_reduce(total, group=ctx.group)
        return total


class SumForward(PyLayer):  # g
    """The sum of what the slices have; backward, the gradient as it is."""

    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, group: Any) -> paddle.Tensor:
        total = x.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: paddle.Tensor) -> paddle.Tensor:
        return gradient.clone()


class ExplicitStage(Stage):
    """A stage whose ranks talk only where it says so; its weights are plain tensors, this rank's pieces.

    Args:
        own: this rank's groups along dp and mp, by `ranks.groups`.
    """

    def __init__(self, mesh: dist.ProcessMesh, own: dict[str, Any]) -> None:
        self.mesh, self.groups = mesh, own
        here = np.argwhere(np.array(mesh.process_ids).reshape(mesh.shape) == dist.get_rank())[0]
        self.share, self.slices = int(here[0]), (mesh.shape[1], int(here[1]))  # of dp; of mp, so many and which

    def parameters(self) -> dict[str, paddle.Tensor]:
        return self.weights()

    def place(self, whole: np.ndarray) -> paddle.Tensor:
        return paddle.to_tensor(np.split(whole, self.mesh.shape[0])[self.share])

    def accept(self, received: paddle.Tensor) -> paddle.Tensor:
        return received._local_value().detach()

    def hand_over(self, tensor: paddle.Tensor) -> paddle.Tensor:
        return dtensor_from_local(tensor.detach(), self.mesh, LAYOUT)

    def sum_gradients(self) -> None:
        for weight in self.weights().values():
            if self.groups["dp"] is not None:
                dist.all_reduce(weight.grad, group=self.groups["dp"])

    def _along(self, axis: str, function: type[PyLayer], x: paddle.Tensor) -> paddle.Tensor:
        return x if self.groups[axis] is None else function.apply(x, self.groups[axis])
